//! Minus zero is zero: in comparisons, groups, `DISTINCT` and joins, as in PostgreSQL.
//!
//! The planner compares floats by their total order, in which -0.0 comes before 0.0. Wherever two floats are
//! compared, unless one is a constant other than zero, minus zero is made zero first.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, JoinConstraint, Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::{FunctionRewrite, NamePreserver};
use datafusion::logical_expr::{
    Aggregate, Between, BinaryExpr, ColumnarValue, Distinct, Expr, ExprSchemable, Join, LogicalPlan,
    LogicalPlanBuilder, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

/// Makes minus zero zero where floats are compared.
#[derive(Clone, Debug)]
pub struct PositiveZero {
    function: Arc<ScalarUDF>,
}

impl PositiveZero {
    pub fn new() -> Self {
        let floats = vec![DataType::Float32, DataType::Float64];
        let signature = Signature::uniform(1, floats, Volatility::Immutable);
        Self { function: Arc::new(ScalarUDF::from(Function { signature })) }
    }

    fn wrap(&self, expr: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.function), vec![expr]))
    }

    fn wrap_float(&self, expr: Expr, schema: &DFSchema) -> Expr {
        if is_float(&expr, schema) && !is_settled(&expr) { self.wrap(expr) } else { expr }
    }

    fn group(&self, aggregate: Aggregate) -> Result<LogicalPlan> {
        let schema = Arc::clone(aggregate.input.schema());
        let names = NamePreserver::new_for_projection();
        let keys = aggregate.group_expr.into_iter().map(|key| {
            let name = names.save(&key);
            name.restore(self.wrap_float(key, &schema))
        });
        Aggregate::try_new(aggregate.input, keys.collect(), aggregate.aggr_expr).map(LogicalPlan::Aggregate)
    }

    fn distinct(&self, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
        let schema = Arc::clone(input.schema());
        let columns = schema.columns().into_iter().map(|column: Column| {
            let (relation, name) = (column.relation.clone(), column.name.clone());
            match self.wrap_float(Expr::Column(column), &schema) {
                plain @ Expr::Column(_) => plain,
                wrapped => wrapped.alias_qualified(relation, name),
            }
        });
        let columns: Vec<Expr> = columns.collect();
        LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.distinct()?.build()
    }

    fn join(&self, mut join: Join) -> LogicalPlan {
        let (left, right) = (Arc::clone(join.left.schema()), Arc::clone(join.right.schema()));
        let on = join.on.into_iter();
        join.on = on.map(|(l, r)| (self.wrap_float(l, &left), self.wrap_float(r, &right))).collect();
        LogicalPlan::Join(join)
    }
}

impl FunctionRewrite for PositiveZero {
    fn name(&self) -> &'static str {
        "positive_zero"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
                let float = is_float(&left, schema) || is_float(&right, schema);
                let wrapped = float && !is_settled(&left) && !is_settled(&right);
                let (left, right) = match wrapped {
                    true => (self.wrap_float(*left, schema), self.wrap_float(*right, schema)),
                    false => (*left, *right),
                };
                let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
                Ok(if wrapped { Transformed::yes(expr) } else { Transformed::no(expr) })
            }
            Expr::Between(between) if is_float(&between.expr, schema) => {
                let settled = is_settled(&between.low) && is_settled(&between.high);
                let Between { expr, negated, low, high } = between;
                let expr = if settled { expr } else { Box::new(self.wrap_float(*expr, schema)) };
                let expr = Expr::Between(Between { expr, negated, low, high });
                Ok(if settled { Transformed::no(expr) } else { Transformed::yes(expr) })
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

impl AnalyzerRule for PositiveZero {
    fn name(&self) -> &'static str {
        "positive_zero"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let changed = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) if has_float_key(&aggregate) => {
                self.group(aggregate).map(Transformed::yes)
            }
            LogicalPlan::Distinct(Distinct::All(input)) if has_float(input.schema()) => {
                self.distinct(input).map(Transformed::yes)
            }
            LogicalPlan::Join(join)
                if join.join_constraint == JoinConstraint::On && has_float_pair(&join) =>
            {
                Ok(Transformed::yes(self.join(join)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(changed.data)
    }
}

fn compares(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn has_float(schema: &DFSchema) -> bool {
    schema.fields().iter().any(|field| field.data_type().is_floating())
}

fn has_float_key(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.iter().any(|key| is_float(key, aggregate.input.schema()))
}

fn has_float_pair(join: &Join) -> bool {
    join.on.iter().any(|(left, _)| is_float(left, join.left.schema()))
}

fn is_float(expr: &Expr, schema: &DFSchema) -> bool {
    !matches!(expr, Expr::GroupingSet(_)) && expr.get_type(schema).is_ok_and(|found| found.is_floating())
}

/// Whether it cannot be minus zero: a constant other than zero, or made so already.
fn is_settled(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::Float64(Some(number)) => *number != 0.0,
            ScalarValue::Float32(Some(number)) => *number != 0.0,
            ScalarValue::Int64(Some(number)) => *number != 0,
            other => other.is_null(),
        },
        Expr::ScalarFunction(call) => call.func.name() == NAME,
        Expr::Alias(alias) => is_settled(&alias.expr),
        _ => false,
    }
}

const NAME: &str = "positive_zero";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        args.first().cloned().map_or_else(|| exec_err!("{NAME} takes one argument"), Ok)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(positive(&array))),
            Some(ColumnarValue::Scalar(value)) => {
                let array = positive(&value.to_array()?);
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
            None => exec_err!("{NAME} takes one argument"),
        }
    }
}

/// Adding zero leaves every float as it is but for minus zero.
fn positive(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float64 => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| value + 0.0))
        }
        DataType::Float32 => {
            Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| value + 0.0))
        }
        _ => Arc::clone(array),
    }
}
