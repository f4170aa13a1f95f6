//! Relations as they were: `FOR SYSTEM_TIME AS OF` and `FOR SYSTEM_VERSION AS OF` behind their names.
//!
//! A plan over them holds the moment that it was made for; [`crate::planned`] keeps none that reads anything but
//! relations as they are. They have the columns that they have now.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, Statistics, exec_err};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ObjectName, TableFactor, TableVersion, Value};
use siltstone_engine::runtime::{AsOf, Engine, Past, Scan};
use tokio::task::spawn_blocking;

use super::scan::{Part, ScanExec};
use super::view::view_over;
use crate::catalog::{Catalog, Relation};
use crate::error::{Error, sqlstate};
use crate::failure::from_snapshot;
use crate::parse::name::relation;
use crate::plan::moment;

/// Plans relations that are read as they were.
pub struct PastPlanner {
    engine: Arc<Engine>,
    catalog: Arc<Catalog>,
    /// What their moments are computed with.
    constants: SimplifyContext,
}

impl PastPlanner {
    pub fn new(engine: &Arc<Engine>, catalog: &Arc<Catalog>, constants: SimplifyContext) -> Self {
        Self { engine: Arc::clone(engine), catalog: Arc::clone(catalog), constants }
    }

    fn table(&self, name: &ObjectName, at: AsOf) -> Result<Arc<dyn TableProvider>, Error> {
        let name = relation(name)?;
        let found = self.catalog.find(&name)?;
        let table = |id: u32, schema: SchemaRef| {
            let (name, engine) = (name.clone(), Arc::clone(&self.engine));
            Arc::new(PastTable { name, id, at, schema, engine })
        };
        match found.as_ref() {
            Relation::Source(source) if source.create.keeps_rows => {
                Ok(table(source.id, Arc::clone(&source.schema)))
            }
            Relation::Source(_) => {
                let message = format!("source \"{name}\" keeps no rows, and has no past");
                Err(Error::new(sqlstate::WRONG_OBJECT_TYPE, message)
                    .with_hint("tables and materialized views have snapshots"))
            }
            Relation::View(view) => {
                let groups = table(view.id, view.compiled.definition.schema());
                view_over(view, groups, found.text()).map_err(|e| crate::failure::from_datafusion(&e))
            }
        }
    }
}

impl RelationPlanner for PastPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (name, alias, at) = match relation {
            TableFactor::Table { name, alias, version: Some(version), args: None, .. } => {
                (name, alias, as_of(version, &self.constants, context)?)
            }
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let table = self.table(&name, at).map_err(ours)?;
        let reference = context.object_name_to_table_reference(name)?;
        let plan = LogicalPlanBuilder::scan(reference, provider_as_source(table), None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

fn as_of(
    version: TableVersion,
    constants: &SimplifyContext,
    context: &mut dyn RelationPlannerContext,
) -> Result<AsOf> {
    match version {
        TableVersion::ForSystemTimeAsOf(expr) => {
            let expr = context.sql_to_expr(expr, &DFSchema::empty())?;
            moment(constants, expr, "FOR SYSTEM_TIME AS OF").map(AsOf::Time).map_err(ours)
        }
        TableVersion::VersionAsOf(SqlExpr::Value(value)) => match value.value {
            Value::SingleQuotedString(tag) => Ok(AsOf::Tag(tag)),
            Value::Number(digits, _) if digits.parse::<i64>().is_ok() => {
                Ok(AsOf::Version(digits.parse().unwrap_or_default()))
            }
            other => exec_err!("{other} is no snapshot"),
        },
        other => exec_err!("{other} is not supported"),
    }
}

fn ours(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A table, or the groups of a view, at a snapshot.
struct PastTable {
    name: String,
    id: u32,
    at: AsOf,
    schema: SchemaRef,
    engine: Arc<Engine>,
}

#[async_trait]
impl TableProvider for PastTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (engine, id, at) = (Arc::clone(&self.engine), self.id, self.at.clone());
        let found = spawn_blocking(move || engine.past(id, &at)).await;
        let found = found.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let past = Arc::new(found.map_err(|e| ours(from_snapshot(e)))?);
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        // Counting rows needs a column to count them by.
        let wanted = projection.map(|columns| if columns.is_empty() { vec![0] } else { columns.clone() });
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = Precision::Inexact(usize::try_from(past.rows).unwrap_or(usize::MAX));
        let lists = past.parts().clamp(1, state.config().target_partitions().max(1));
        let parts = (0..lists).map(|first| part(&past, first, lists, wanted.clone()));
        let label = format!("{} as of snapshot {}", self.name, past.snapshot);
        Ok(Arc::new(ScanExec::new(label, schema, parts.collect(), statistics)))
    }
}

/// Every `step`th part from `first` on, one after the other.
fn part(past: &Arc<Past>, first: usize, step: usize, wanted: Option<Vec<usize>>) -> Part {
    let past = Arc::clone(past);
    Arc::new(move |_| {
        let (past, wanted) = (Arc::clone(&past), wanted.clone());
        let parts = (first..past.parts()).step_by(step);
        let batches = parts.flat_map(move |part| match past.scan(part, wanted.as_deref()) {
            Ok(batches) => batches,
            Err(error) => Box::new(std::iter::once(Err(error))),
        });
        Ok(Scan::Blocking(Box::new(batches)))
    })
}

impl std::fmt::Debug for PastPlanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PastPlanner")
    }
}

impl std::fmt::Debug for PastTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PastTable").field("name", &self.name).field("at", &self.at).finish_non_exhaustive()
    }
}
