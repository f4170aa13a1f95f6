//! Functions of PostgreSQL that clients call and that only the session can answer.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result as PlanResult, exec_err};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;
use crate::setting::{SERVER_VERSION, Settings};

/// Adds them to a statement's state.
pub fn register(state: &mut SessionState, settings: &Settings) -> Result<()> {
    let version =
        format!("PostgreSQL {SERVER_VERSION} (Siltstone {}), compiled by rustc", env!("CARGO_PKG_VERSION"));
    let constants = [
        Constant::new("version", ScalarValue::from(version.as_str()), vec![0]),
        Constant::new("pg_is_in_recovery", ScalarValue::from(false), vec![0]),
        Constant::new("obj_description", ScalarValue::Utf8(None), vec![1, 2]),
        Constant::new("col_description", ScalarValue::Utf8(None), vec![2]),
        Constant::new("shobj_description", ScalarValue::Utf8(None), vec![2]),
        Constant::new("pg_get_indexdef", ScalarValue::Utf8(None), vec![1, 3]),
        Constant::new("pg_get_ruledef", ScalarValue::Utf8(None), vec![1, 2]),
        Constant::new("pg_table_size", ScalarValue::from(0_i64), vec![1]),
        Constant::new("pg_size_pretty", ScalarValue::Utf8(None), vec![1]),
        Constant::new("pg_function_is_visible", ScalarValue::from(true), vec![1]),
        Constant::new("pg_type_is_visible", ScalarValue::from(true), vec![1]),
    ];
    for constant in constants {
        add(state, ScalarUDF::from(constant))?;
    }
    let values = settings.all().into_iter().map(|(name, value, _)| (name.to_lowercase(), value)).collect();
    add(state, ScalarUDF::from(CurrentSetting::new(values)))
}

fn add(state: &mut SessionState, function: ScalarUDF) -> Result<()> {
    state.register_udf(Arc::new(function)).map(|_| ()).map_err(|e| from_datafusion(&e))
}

/// Has one value, whatever its arguments are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl Constant {
    fn new(name: &'static str, value: ScalarValue, arguments: Vec<usize>) -> Self {
        let signatures = arguments.into_iter().map(|count| match count {
            0 => TypeSignature::Nullary,
            count => TypeSignature::Any(count),
        });
        let signature = Signature::one_of(signatures.collect(), Volatility::Stable);
        Self { name, value, signature }
    }
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> PlanResult<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name [, missing_ok])`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CurrentSetting {
    values: Vec<(String, String)>,
    signature: Signature,
}

impl CurrentSetting {
    fn new(values: Vec<(String, String)>) -> Self {
        let exact = vec![
            TypeSignature::Exact(vec![DataType::Utf8]),
            TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]),
        ];
        Self { values, signature: Signature::one_of(exact, Volatility::Stable) }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &'static str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let optional = args.args.len() > 1;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(names) = arrays[0].as_any().downcast_ref::<StringArray>() else {
            return exec_err!("current_setting takes a text");
        };
        let values = names.iter().map(|name| match name.map(|name| (name, self.value(name))) {
            Some((_, Some(value))) => Ok(Some(value)),
            Some((name, None)) if !optional => {
                let message = format!("unrecognized configuration parameter \"{name}\"");
                let error = Error::new(sqlstate::UNDEFINED_OBJECT, message);
                Err(datafusion::common::DataFusionError::External(Box::new(error)))
            }
            _ => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(values.collect::<PlanResult<StringArray>>()?)))
    }
}
