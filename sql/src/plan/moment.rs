//! Moments that a statement names: constant expressions, as microseconds since 1970 UTC.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias};

use crate::data_type::UTC;
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;

/// What constants are computed with: the settings and the time of a statement.
pub fn constants(state: &SessionState) -> SimplifyContext {
    SimplifyContext::builder()
        .with_schema(Arc::new(DFSchema::empty()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build()
}

/// The moment that an expression of a statement gives; `place` is where it stands.
pub fn moment_of(state: &SessionState, sql: &SqlExpr, place: &str) -> Result<i64> {
    let mut state = state.clone();
    state.mark_start_execution();
    let sql = ExprWithAlias { expr: sql.clone(), alias: None };
    let expr = state.create_logical_expr_from_sql_expr(sql, &DFSchema::empty());
    let expr = expr.map_err(|e| from_datafusion(&e).context(place))?;
    moment(&constants(&state), expr, place)
}

/// The moment that a planned expression gives.
pub fn moment(context: &SimplifyContext, expr: Expr, place: &str) -> Result<i64> {
    if expr.any_column_refs() || has_parameter(&expr) {
        return Err(Error::unsupported(format!("a column, parameter or query in {place}"))
            .with_hint("it takes a constant: TIMESTAMP '2024-06-01 12:00:00', now() - INTERVAL '1 hour'"));
    }
    match value(context, expr).map_err(|e| from_datafusion(&e).context(place))? {
        Some(ScalarValue::TimestampMicrosecond(Some(us), _)) => Ok(us),
        Some(_) => Err(Error::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("{place} takes a moment, and not NULL"),
        )),
        None => Err(Error::new(sqlstate::DATATYPE_MISMATCH, format!("{place} takes a timestamp")).with_hint(
            "as in TIMESTAMP '2024-06-01 12:00:00'; the number of a snapshot stands behind VERSION",
        )),
    }
}

fn has_parameter(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let found = expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::Placeholder(_)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    });
    found.unwrap_or(true)
}

/// `None` if the expression is no time.
fn value(context: &SimplifyContext, expr: Expr) -> PlanResult<Option<ScalarValue>> {
    let schema = Arc::clone(context.schema());
    let simplifier = ExprSimplifier::new(context.clone());
    let expr = simplifier.coerce(expr, &schema)?;
    let found = expr.get_type(&schema)?;
    let is_time = matches!(found, DataType::Timestamp(..) | DataType::Date32);
    let is_text = matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null);
    if !is_time && !is_text {
        return Ok(None);
    }
    let target = DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
    match simplifier.simplify(cast(expr, target))? {
        Expr::Literal(value, _) => Ok(Some(value)),
        _ => Ok(None),
    }
}
