//! Parameters: which types `$1`, `$2`, … have, and their values in place of them.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::DataType as SqlType;

use crate::error::{Error, Result, sqlstate};
use crate::failure::{from_arrow, from_datafusion};
use crate::outcome::Value;
use crate::parse::{Command, parse};

/// Parameters a statement may have, as in PostgreSQL's protocol.
const PARAMETERS_MAX: usize = 65_535;

/// The types of a plan's parameters, `None` where the plan does not say.
pub fn types(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>> {
    let found = plan.get_parameter_types().map_err(|e| from_datafusion(&e))?;
    let mut types = Vec::new();
    for (name, data_type) in found {
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let Some(index) = number.filter(|n| (1..=PARAMETERS_MAX).contains(n)).map(|n| n - 1) else {
            return Err(Error::new(sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
                .with_hint("parameters are $1, $2, …"));
        };
        if types.len() <= index {
            types.resize(index + 1, None);
        }
        types[index] = data_type.filter(|t| *t != DataType::Null);
    }
    Ok(types)
}

/// A SQL type that stands for an arrow type when a statement is planned.
pub fn sql_type(data_type: &DataType) -> Result<SqlType> {
    let text = match data_type {
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => {
            format!("{}[]", crate::data_type::name(item.data_type()))
        }
        other => crate::data_type::name(other),
    };
    let statements = parse(&format!("PREPARE p ({text}) AS SELECT 1"))?;
    match statements.first().map(|statement| statement.command().clone()) {
        Some(Command::Prepare { types, .. }) => {
            types.into_iter().next().ok_or_else(|| Error::unsupported(format!("a parameter of type {text}")))
        }
        _ => Err(Error::unsupported(format!("a parameter of type {text}"))),
    }
}

/// The values as the plan wants them: one for each parameter, cast to its type.
pub fn bind(plan: LogicalPlan, types: &[DataType], values: &[Value]) -> Result<LogicalPlan> {
    match scalars(types, values)? {
        none if none.is_empty() => Ok(plan),
        scalars => plan.with_param_values(scalars).map_err(|e| from_datafusion(&e)),
    }
}

/// The plan with its parameters' types known throughout.
pub fn resolved(plan: LogicalPlan, types: &[DataType]) -> Result<LogicalPlan> {
    bind(plan, types, &vec![Value::Null; types.len()])
}

/// One value for each parameter, cast to its type.
pub fn scalars(types: &[DataType], values: &[Value]) -> Result<Vec<ScalarValue>> {
    if values.len() < types.len() {
        let message =
            format!("the statement has {} parameters, but {} values came", types.len(), values.len());
        return Err(Error::new(sqlstate::UNDEFINED_PARAMETER, message));
    }
    let scalars = types.iter().zip(values).enumerate().map(|(index, (data_type, value))| {
        scalar(value, data_type).map_err(|error| error.context(format!("parameter ${}", index + 1)))
    });
    scalars.collect()
}

fn scalar(value: &Value, data_type: &DataType) -> Result<ScalarValue> {
    let Value::Scalar(array) = value else {
        return ScalarValue::try_new_null(data_type).map_err(|e| from_datafusion(&e));
    };
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    let cast = arrow::compute::cast_with_options(array, data_type, &options).map_err(|e| from_arrow(&e))?;
    first(&cast)
}

fn first(array: &ArrayRef) -> Result<ScalarValue> {
    ScalarValue::try_from_array(array, 0).map_err(|e| from_datafusion(&e))
}
