//! The relations of schema `public` as tables. They take the snapshot of the session that plans or executes,
//! so that plans over them can be used again.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use siltstone_engine::runtime::{KeyCondition, RowPart, Scan, Snapshot};

use super::filter::{conditions, limits_key, times};
use super::scan::{Part, ScanExec};
use crate::catalog::ViewRelation;
use crate::error::{Error, sqlstate};

/// Where a table's rows are.
#[derive(Clone)]
pub enum Rows {
    /// The groups that the engine keeps for a view, their keys in the first columns.
    Rollup { view: u32, keys: usize },
    /// The kept rows of a table, with the place of the time that its files are cut by.
    Kept { table: u32, time: Option<usize> },
    /// Nowhere: a source keeps no rows. These views read it.
    Nowhere { source: u32, views: Vec<String> },
}

/// A relation.
pub struct RelationTable {
    name: String,
    schema: SchemaRef,
    rows: Rows,
    definition: Option<String>,
}

impl RelationTable {
    pub fn new(name: &str, schema: SchemaRef, rows: Rows) -> Self {
        Self { name: name.to_owned(), schema, rows, definition: None }
    }

    /// The groups of a view, as the engine keeps them.
    pub fn groups(view: &ViewRelation) -> Self {
        let definition = &view.compiled.definition;
        let rows = Rows::Rollup { view: view.id, keys: definition.keys.len() };
        Self::new(&definition.name, definition.schema(), rows)
    }

    /// The statement that made it.
    #[must_use]
    pub fn with_definition(mut self, text: String) -> Self {
        self.definition = Some(text);
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// It is a view that does not hold all that its source has read.
    pub fn is_backfilling(&self, snapshot: &Snapshot) -> bool {
        matches!(self.rows, Rows::Rollup { view, .. } if snapshot.is_backfilling(view))
    }

    /// The source or table whose rows it has, or would have.
    pub fn source(&self) -> Option<u32> {
        match self.rows {
            Rows::Kept { table: source, .. } | Rows::Nowhere { source, .. } => Some(source),
            Rows::Rollup { .. } => None,
        }
    }

    /// It is a view.
    pub fn is_rollup(&self) -> bool {
        matches!(self.rows, Rows::Rollup { .. })
    }

    /// Rows there are at most.
    pub fn rows_max(&self, snapshot: &Snapshot) -> u64 {
        match self.rows {
            Rows::Rollup { view, .. } => snapshot.group_count_max(view),
            Rows::Kept { table, .. } => snapshot.row_count(table),
            Rows::Nowhere { .. } => 0,
        }
    }

    /// Rows that a scan with these filters reads, about, and the parts that they are in.
    pub fn rows_within(&self, filters: &[Expr], snapshot: &Snapshot) -> (u64, u64) {
        match self.rows {
            Rows::Kept { table, time } => {
                let all = i64::MIN..=i64::MAX;
                let times = time.map_or(all, |time| times(filters, &self.schema, time));
                let parts = snapshot.row_parts(table, times).unwrap_or_default();
                (parts.iter().map(|part| part.rows).sum(), parts.len() as u64)
            }
            Rows::Rollup { view, keys } => {
                (snapshot.group_count_about(view, &conditions(filters, &self.schema, 0..keys)), 0)
            }
            Rows::Nowhere { .. } => (0, 0),
        }
    }

    fn keeps_none(&self, views: &[String]) -> Error {
        let message = format!("source \"{}\" keeps no rows", self.name);
        let hint = if views.is_empty() {
            "create a materialized view over it, or create it with CREATE TABLE to keep its rows".to_owned()
        } else {
            format!(
                "query a view over it ({}), or create it with CREATE TABLE to keep its rows",
                views.join(", ")
            )
        };
        Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message).with_hint(hint)
    }
}

#[async_trait]
impl TableProvider for RelationTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.definition.as_deref()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let snapshot = snapshot_of(state.config())?;
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        // Counting rows needs a column to count them by.
        let wanted = projection.map(|columns| if columns.is_empty() { vec![0] } else { columns.clone() });
        let (parts, rows) = match &self.rows {
            Rows::Nowhere { views, .. } => {
                return Err(DataFusionError::External(Box::new(self.keeps_none(views))));
            }
            Rows::Rollup { view, keys } => {
                let conditions = conditions(filters, &self.schema, 0..*keys);
                let rows = Precision::Inexact(snapshot.group_count_about(*view, &conditions));
                (vec![rollup_part(*view, conditions, wanted)], rows)
            }
            Rows::Kept { table, time } => {
                let times = time.map(|time| times(filters, &self.schema, time));
                let parts = snapshot.row_parts(*table, times.unwrap_or(i64::MIN..=i64::MAX));
                let parts = parts.map_err(|e| DataFusionError::External(Box::new(e)))?;
                let rows = parts.iter().map(|part| part.rows).sum();
                let lists = divide(parts, state.config().target_partitions());
                let parts = lists.into_iter().map(|parts| kept_part(&snapshot, parts, wanted.clone()));
                // `count(*)` is answered from it.
                (parts.collect(), Precision::Exact(rows))
            }
        };
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = rows.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX));
        Ok(Arc::new(ScanExec::new(self.name.clone(), schema, parts, statistics).with_filters(filters)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.rows {
            Rows::Rollup { keys, .. } if limits_key(filter, &self.schema, 0..keys) => {
                TableProviderFilterPushDown::Inexact
            }
            Rows::Kept { time: Some(time), .. } if limits_key(filter, &self.schema, time..time + 1) => {
                TableProviderFilterPushDown::Inexact
            }
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }
}

/// The snapshot that a session reads.
fn snapshot_of(config: &SessionConfig) -> Result<Arc<Snapshot>> {
    match config.get_extension::<Snapshot>() {
        Some(snapshot) => Ok(snapshot),
        None => internal_err!("a query without a snapshot"),
    }
}

fn rollup_part(view: u32, conditions: Vec<KeyCondition>, wanted: Option<Vec<usize>>) -> Part {
    Arc::new(move |config| {
        let snapshot = snapshot_of(config)?;
        let scan = snapshot.read_view(view, &conditions, wanted.as_deref());
        scan.map_err(|e| DataFusionError::External(Box::new(e)))
    })
}

fn kept_part(snapshot: &Arc<Snapshot>, parts: Vec<RowPart>, wanted: Option<Vec<usize>>) -> Part {
    let snapshot = Arc::clone(snapshot);
    Arc::new(move |_| {
        let (snapshot, wanted) = (Arc::clone(&snapshot), wanted.clone());
        let batches = parts.clone().into_iter().flat_map(move |part| {
            match snapshot.scan_rows(&part, wanted.as_deref()) {
                Ok(batches) => batches,
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        });
        Ok(Scan::Blocking(Box::new(batches)))
    })
}

/// At most `count` lists of parts with about as many rows each.
fn divide(mut parts: Vec<RowPart>, count: usize) -> Vec<Vec<RowPart>> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.rows));
    let mut lists: Vec<(u64, Vec<RowPart>)> = vec![(0, Vec::new()); count.clamp(1, parts.len().max(1))];
    for part in parts {
        if let Some(least) = lists.iter_mut().min_by_key(|(rows, _)| *rows) {
            least.0 += part.rows;
            least.1.push(part);
        }
    }
    lists.into_iter().map(|(_, list)| list).collect()
}

impl std::fmt::Debug for RelationTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelationTable").field("name", &self.name).finish_non_exhaustive()
    }
}
