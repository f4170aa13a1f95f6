//! One aggregation over the rows of a source or table, written over its plain columns.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, GroupingSet, LogicalPlan};

use super::cover::ends;
use crate::plan::{Input, normal};
use crate::table::RelationTable;

/// What is asked.
pub struct Question {
    /// The id and name of the source or table.
    pub source: u32,
    pub name: String,
    /// Its columns.
    pub schema: Arc<DFSchema>,
    /// It with its rows.
    pub rows: Arc<dyn TableProvider>,
    /// The node of the plan that asks it.
    pub aggregate: Aggregate,
    /// Group expressions, each once.
    pub groups: Vec<Expr>,
    /// All must hold for a row to count.
    pub conditions: Vec<Expr>,
    pub calls: Vec<Call>,
}

/// An aggregate function of the rows.
pub struct Call {
    pub function: AggregateFunction,
    pub arguments: Vec<Expr>,
    pub filter: Option<Expr>,
}

impl Question {
    /// Columns of its rows. All of them, if it reads only some: the rows are read for many questions, a view's groups
    /// are mostly in memory.
    pub fn width(&self) -> u64 {
        self.schema.fields().len() as u64
    }

    /// What a node of an analyzed plan asks; `None` if that is something else.
    pub fn of(state: &SessionState, node: &LogicalPlan) -> Result<Option<Self>> {
        let aggregate = match node {
            LogicalPlan::Aggregate(aggregate) => aggregate.clone(),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
                Aggregate::try_new(Arc::clone(input), columns, Vec::new())?
            }
            _ => return Ok(None),
        };
        let Ok(input) = Input::of(&aggregate.input) else { return Ok(None) };
        let rows = source_as_provider(&input.scan.source)?;
        let table = rows.downcast_ref::<RelationTable>();
        let Some((source, table)) = table.and_then(|table| Some((table.source()?, table))) else {
            return Ok(None);
        };
        let schema = Arc::clone(&input.scan.projected_schema);
        let normal = |expr: &Expr| {
            let plain = input.substitute(expr, aggregate.input.schema());
            normal(state, plain.map_err(|e| DataFusionError::External(Box::new(e)))?, &schema)
        };
        let asked: Vec<&Expr> = match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(set)] => GroupingSet::distinct_expr(set),
            plain => plain.iter().collect(),
        };
        let groups = asked.into_iter().map(&normal).collect::<Result<_>>()?;
        let conditions = match input.filter.clone() {
            Some(filter) => split_conjunction_owned(self::normal(state, filter, &schema)?),
            None => Vec::new(),
        };
        let conditions = conditions.into_iter().flat_map(plain).collect();
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(function) = expr.clone().unalias_nested().data else {
                return Ok(None);
            };
            let arguments = function.params.args.iter().map(&normal).collect::<Result<_>>()?;
            let filter = function.params.filter.as_deref().map(&normal).transpose()?;
            calls.push(Call { function, arguments, filter });
        }
        let name = table.name().to_owned();
        let schema = Arc::new(DFSchema::try_from(schema.as_arrow().clone())?);
        Ok(Some(Self { source, name, schema, rows: Arc::clone(&rows), aggregate, groups, conditions, calls }))
    }
}

/// `a BETWEEN b AND c` as two comparisons.
fn plain(condition: Expr) -> Vec<Expr> {
    match condition {
        Expr::Between(between) if !between.negated => ends(&between).into(),
        other => vec![other],
    }
}
