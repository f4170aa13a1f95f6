//! Takes a planned view apart: what stands above its one aggregate, and what lies below it over one source.
//!
//! Everything below is expressed over the source's columns, with the subqueries' projections substituted, so
//! that the engine gets one filter, keys and arguments. Whatever is not of this shape is refused by name.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, TableScan};

use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;

/// A view's plan in parts.
pub struct Shape {
    /// The nodes above the aggregate, the topmost first.
    pub above: Vec<LogicalPlan>,
    pub aggregate: Aggregate,
    /// The rows the aggregate sees, over the source's columns.
    pub input: Input,
}

/// Rows made from a source's rows: one value for each column, and a condition.
pub struct Input {
    pub scan: TableScan,
    pub outputs: Vec<Expr>,
    pub filter: Option<Expr>,
}

impl Shape {
    pub fn of(plan: LogicalPlan) -> Result<Self> {
        let mut above = Vec::new();
        let mut node = plan;
        loop {
            let next = match &node {
                LogicalPlan::Aggregate(aggregate) => {
                    let aggregate = aggregate.clone();
                    let input = Input::of(&aggregate.input)?;
                    return Ok(Self { above, aggregate, input });
                }
                LogicalPlan::Projection(projection) => Arc::clone(&projection.input),
                LogicalPlan::Filter(filter) => Arc::clone(&filter.input),
                LogicalPlan::SubqueryAlias(alias) => Arc::clone(&alias.input),
                LogicalPlan::TableScan(_) => return Err(no_aggregate()),
                other => return Err(refused(other)),
            };
            above.push(node);
            node = Arc::unwrap_or_clone(next);
        }
    }
}

impl Input {
    /// # Errors
    /// If there is something else below than projections and filters of one table.
    pub fn of(plan: &LogicalPlan) -> Result<Self> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let columns = scan.projected_schema.columns();
                let outputs = columns.into_iter().map(Expr::Column).collect();
                Ok(Self { scan: scan.clone(), outputs, filter: None })
            }
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            LogicalPlan::Filter(filter) => {
                let mut input = Self::of(&filter.input)?;
                let more = input.substitute(&filter.predicate, filter.input.schema())?;
                input.filter = Some(match input.filter.take() {
                    Some(before) => before.and(more),
                    None => more,
                });
                Ok(input)
            }
            LogicalPlan::Projection(projection) => {
                let mut input = Self::of(&projection.input)?;
                let exprs = projection.expr.iter();
                input.outputs =
                    exprs.map(|e| input.substitute(e, projection.input.schema())).collect::<Result<_>>()?;
                Ok(input)
            }
            LogicalPlan::Aggregate(_) => {
                Err(Error::unsupported("an aggregate over an aggregate in a materialized view")
                    .with_hint("keep the finer one as a view and ask for the coarser one in the query"))
            }
            other => Err(refused(other)),
        }
    }

    /// `expr`, which speaks of the columns of `schema`, over the source's columns.
    pub fn substitute(&self, expr: &Expr, schema: &DFSchema) -> Result<Expr> {
        let replaced = expr.clone().transform_up(|part| match &part {
            Expr::Column(column) => {
                let index = schema.index_of_column(column)?;
                PlanResult::Ok(Transformed::yes(self.outputs[index].clone().unalias()))
            }
            _ => Ok(Transformed::no(part)),
        });
        replaced.map(|t| t.data.unalias_nested().data).map_err(|e| from_datafusion(&e))
    }
}

fn no_aggregate() -> Error {
    Error::unsupported("a materialized view without GROUP BY or aggregates").with_hint(
        "a view keeps one row for each group; to keep every row, use CREATE TABLE instead of CREATE SOURCE",
    )
}

fn refused(plan: &LogicalPlan) -> Error {
    let view = "in a materialized view";
    match plan {
        LogicalPlan::Sort(_) => Error::unsupported(format!("ORDER BY {view}"))
            .with_hint("a view has no order; order the query that reads it"),
        LogicalPlan::Limit(_) => Error::unsupported(format!("LIMIT {view}"))
            .with_hint("keep all groups and limit the query that reads them"),
        LogicalPlan::Distinct(_) => {
            Error::unsupported(format!("SELECT DISTINCT {view}")).with_hint("group by the columns instead")
        }
        LogicalPlan::Join(_) => Error::unsupported(format!("a join {view}"))
            .with_hint("keep a view of each side and join them in the query"),
        LogicalPlan::Window(_) => Error::unsupported(format!("a window function {view}"))
            .with_hint("compute it in the query that reads the view"),
        LogicalPlan::Union(_) => Error::unsupported(format!("a set operation (UNION) {view}")),
        LogicalPlan::RecursiveQuery(_) => Error::unsupported(format!("WITH RECURSIVE {view}")),
        LogicalPlan::Unnest(_) => Error::unsupported(format!("unnest {view}")),
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            Error::new(sqlstate::INVALID_DEFINITION, "a materialized view must read a source or a table")
        }
        other => Error::unsupported(format!("{} {view}", other.display())),
    }
}
