//! The relations of schema `public` as tables of one snapshot.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use siltstone_engine::runtime::{KeyCondition, RowPart, Snapshot};

use super::filter::{conditions, limits_key};
use super::scan::{Part, ScanExec};
use crate::error::{Error, sqlstate};

/// Where a table's rows are.
#[derive(Clone)]
pub enum Rows {
    /// The groups that the engine keeps for a view, their keys in the first columns.
    Rollup { view: u32, keys: usize },
    /// The kept rows of a table.
    Kept { table: u32 },
    /// Nowhere: a source keeps no rows. These views read it.
    Nowhere { views: Vec<String> },
}

/// A relation at a snapshot.
pub struct PinnedTable {
    name: String,
    schema: SchemaRef,
    rows: Rows,
    snapshot: Snapshot,
    definition: Option<String>,
}

impl PinnedTable {
    pub fn new(name: &str, schema: SchemaRef, rows: Rows, snapshot: Snapshot) -> Self {
        Self { name: name.to_owned(), schema, rows, snapshot, definition: None }
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
    pub fn is_backfilling(&self) -> bool {
        matches!(self.rows, Rows::Rollup { view, .. } if self.snapshot.is_backfilling(view))
    }

    /// Rows there are at most.
    pub fn rows_max(&self) -> u64 {
        match self.rows {
            Rows::Rollup { view, .. } => self.snapshot.group_count_max(view),
            Rows::Kept { table } => self.snapshot.row_count(table),
            Rows::Nowhere { .. } => 0,
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
impl TableProvider for PinnedTable {
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
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        // Counting rows needs a column to count them by.
        let wanted = projection.map(|columns| if columns.is_empty() { vec![0] } else { columns.clone() });
        let parts = match &self.rows {
            Rows::Nowhere { views } => {
                return Err(DataFusionError::External(Box::new(self.keeps_none(views))));
            }
            Rows::Rollup { view, keys } => {
                let conditions = conditions(filters, &self.schema, *keys);
                vec![rollup_part(&self.snapshot, *view, conditions, wanted)]
            }
            Rows::Kept { table } => {
                let parts = self.snapshot.row_parts(*table);
                let parts = parts.map_err(|e| DataFusionError::External(Box::new(e)))?;
                divide(parts, state.config().target_partitions())
                    .into_iter()
                    .map(|parts| kept_part(&self.snapshot, parts, wanted.clone()))
                    .collect()
            }
        };
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = self.row_statistics();
        Ok(Arc::new(ScanExec::new(self.name.clone(), schema, parts, statistics).with_filters(filters)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.rows {
            Rows::Rollup { keys, .. } if limits_key(filter, &self.schema, keys) => {
                TableProviderFilterPushDown::Inexact
            }
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = self.row_statistics();
        Some(statistics)
    }
}

impl PinnedTable {
    /// Exact for kept rows: `count(*)` is answered from it.
    fn row_statistics(&self) -> Precision<usize> {
        let rows = usize::try_from(self.rows_max()).unwrap_or(usize::MAX);
        if matches!(self.rows, Rows::Kept { .. }) { Precision::Exact(rows) } else { Precision::Inexact(rows) }
    }
}

fn rollup_part(
    snapshot: &Snapshot,
    view: u32,
    conditions: Vec<KeyCondition>,
    wanted: Option<Vec<usize>>,
) -> Part {
    let snapshot = snapshot.clone();
    Arc::new(move || snapshot.scan_view_where(view, &conditions, wanted.as_deref()))
}

fn kept_part(snapshot: &Snapshot, parts: Vec<RowPart>, wanted: Option<Vec<usize>>) -> Part {
    let snapshot = snapshot.clone();
    Arc::new(move || {
        let (snapshot, wanted) = (snapshot.clone(), wanted.clone());
        let batches = parts.clone().into_iter().flat_map(move |part| {
            match snapshot.scan_rows(&part, wanted.as_deref()) {
                Ok(batches) => batches,
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        });
        Ok(Box::new(batches))
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

impl std::fmt::Debug for PinnedTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedTable").field("name", &self.name).finish_non_exhaustive()
    }
}
