//! Scalar expressions compiled for the engine: planned over a source's columns, evaluated over its batches.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility, cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use siltstone_engine::connector::Expression;
use siltstone_engine::error::{Error as EngineError, Kind};
use siltstone_engine::rollup::{Bucket, Granularity};

use crate::data_type::UTC;
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;

/// A compiled expression.
#[derive(Debug)]
pub struct Compiled {
    expression: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    column: Option<usize>,
    columns: Vec<usize>,
    identity: String,
}

impl Expression for Compiled {
    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn evaluate(&self, batch: &RecordBatch) -> siltstone_engine::error::Result<ArrayRef> {
        self.expression.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())).map_err(
            |error| {
                let error = from_datafusion(&error);
                let kind = if error.sqlstate() == sqlstate::NUMERIC_OUT_OF_RANGE {
                    Kind::OutOfRange
                } else {
                    Kind::Invalid
                };
                EngineError::new(kind, error.message())
            },
        )
    }

    fn column(&self) -> Option<usize> {
        self.column
    }

    fn columns(&self) -> Option<&[usize]> {
        Some(&self.columns)
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }
}

/// Compiles `expr` over `schema`; with a `target`, its value is cast to it, and a value that does not fit is
/// an error of its row.
pub fn compile(
    state: &SessionState,
    expr: Expr,
    schema: &Arc<DFSchema>,
    target: Option<&DataType>,
) -> Result<Arc<Compiled>> {
    let plain = plan(state, expr, schema).map_err(|e| from_datafusion(&e))?;
    let found = plain.get_type(schema).map_err(|e| from_datafusion(&e))?;
    let target = target.cloned().unwrap_or_else(|| stored(&found));
    let expr = if found == target { plain } else { cast(plain, target.clone()) };
    let expression =
        create_physical_expr(&expr, schema, state.execution_props()).map_err(|e| from_datafusion(&e))?;
    let column = expression.downcast_ref::<PhysicalColumn>().map(PhysicalColumn::index);
    let mut columns: Vec<usize> = collect_columns(&expression).iter().map(PhysicalColumn::index).collect();
    columns.sort_unstable();
    let identity = format!("{expr:?}");
    Ok(Arc::new(Compiled { expression, data_type: target, column, columns, identity }))
}

/// The expression over plain columns, its types, functions and constants resolved: two that mean the same are
/// alike then, as far as simplifying makes them so.
pub fn normal(state: &SessionState, expr: Expr, schema: &Arc<DFSchema>) -> datafusion::common::Result<Expr> {
    let plain = plan(state, expr, schema)?.transform_up(|part| {
        Ok(match part {
            Expr::Column(Column { relation: Some(_), name, .. }) => {
                Transformed::yes(Expr::Column(Column::new_unqualified(name)))
            }
            other => Transformed::no(other),
        })
    });
    Ok(plain?.data)
}

/// Resolves types, functions and constants.
fn plan(state: &SessionState, expr: Expr, schema: &Arc<DFSchema>) -> datafusion::common::Result<Expr> {
    let options = state.config_options();
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(options))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let mut expr = simplifier.coerce(expr, schema)?;
    for rewrite in state.analyzer().function_rewrites() {
        expr = expr.transform_up(|e| rewrite.rewrite(e, schema, options))?.data;
    }
    simplifier.simplify(simplifier.coerce(expr, schema)?)
}

/// The type that values of a type are kept in: one for each type of the dialect.
pub fn stored(found: &DataType) -> DataType {
    match found {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Dictionary(_, value) => stored(value),
        other => other.clone(),
    }
}

/// Refuses what a kept value must not depend on: the clock, chance, other rows, a query's parameters.
pub fn check_deterministic(expr: &Expr, place: &str) -> Result<()> {
    let mut refused = None;
    let walk = expr.apply(|part| {
        refused = refusal(part, place);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walk.map_err(|e| from_datafusion(&e))?;
    refused.map_or(Ok(()), Err)
}

fn refusal(part: &Expr, place: &str) -> Option<Error> {
    match part {
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => Some(
            Error::new(sqlstate::INVALID_DEFINITION, format!("{}() cannot be used in {place}", call.func.name()))
                .with_hint("its value changes from one moment to the next, while the rows are kept; ask for it in the query"),
        ),
        Expr::WindowFunction(_) => Some(Error::unsupported(format!("a window function in {place}"))),
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
            Some(Error::unsupported(format!("a subquery in {place}")))
        }
        Expr::Placeholder(placeholder) => {
            let message = format!("parameter {} cannot be used in {place}", placeholder.id);
            Some(Error::new(sqlstate::UNDEFINED_PARAMETER, message))
        }
        Expr::Unnest(_) => Some(Error::unsupported(format!("unnest in {place}"))),
        Expr::ScalarVariable(..) => Some(Error::unsupported(format!("a variable in {place}"))),
        _ => None,
    }
}

/// The time bucket that a compiled `date_trunc` of a plain column of times gives.
pub fn bucket(expr: &Expr, schema: &DFSchema) -> Option<Bucket> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    let [Expr::Literal(unit, _), Expr::Column(column)] = call.args.as_slice() else {
        return None;
    };
    let index = schema.index_of_column(column).ok()?;
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = schema.field(index).data_type() else {
        return None;
    };
    let in_utc = zone.as_ref().is_none_or(|zone| zone.as_ref() == UTC);
    let granularity = Granularity::by_name(unit.try_as_str()??)?;
    (in_utc && call.func.name() == "date_trunc").then_some(Bucket { column: index, granularity })
}
