//! The relations of schema `public` as tables. They take the snapshot of the session that plans or executes,
//! so that plans over them can be used again.

use std::ops::RangeInclusive;
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
use siltstone_engine::runtime::{AdHoc, KeyCondition, RowPart, Scan, Snapshot};

use super::filter::{conditions, limits_key, times};
use super::fold::{Fold, Folds};
use super::scan::{Part, ScanExec};
use crate::catalog::ViewRelation;
use crate::error::{Error, sqlstate};
use crate::plan::Offer;

/// Where a table's rows are.
#[derive(Clone)]
pub enum Rows {
    /// The groups that the engine keeps for a view, their keys in the first columns.
    Rollup { view: u32, keys: usize },
    /// The kept rows of a table, with the place of the time that its files are cut by.
    Kept { table: u32, time: Option<usize> },
    /// Groups of a table's kept rows with such times, folded when they are asked for: each perhaps several times.
    Folded { fold: Arc<Fold>, folds: Arc<Folds> },
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
            Rows::Rollup { .. } | Rows::Folded { .. } => None,
        }
    }

    /// What it reads is found when a plan runs, and not while one is made.
    pub fn is_timeless(&self) -> bool {
        matches!(self.rows, Rows::Rollup { .. } | Rows::Folded { .. })
    }

    /// The place of the time by which its files are cut.
    pub fn time(&self) -> Option<usize> {
        match self.rows {
            Rows::Kept { time, .. } => time,
            _ => None,
        }
    }

    /// What it takes to fold the rows that pass all filters, which are the conditions of `ad_hoc`; `None` if it keeps
    /// none.
    pub fn fold(&self, ad_hoc: AdHoc, offer: Offer, filters: &[Expr]) -> Option<Fold> {
        let Rows::Kept { table, .. } = self.rows else { return None };
        let (times, conditions) = (self.times(filters), self.conditions(filters));
        Some(Fold { table, times, ad_hoc: Arc::new(ad_hoc), conditions, offer })
    }

    /// Groups that are folded when they are asked for.
    pub fn folded(fold: Arc<Fold>, folds: Arc<Folds>) -> Self {
        let definition = fold.ad_hoc.definition();
        Self::new(&definition.name, definition.schema(), Rows::Folded { fold: Arc::clone(&fold), folds })
    }

    /// What all rows that pass all filters meet.
    fn conditions(&self, filters: &[Expr]) -> Vec<KeyCondition> {
        conditions(filters, &self.schema, 0..self.schema.fields().len())
    }

    /// The times of all rows that pass all filters.
    fn times(&self, filters: &[Expr]) -> RangeInclusive<i64> {
        self.time().map_or(i64::MIN..=i64::MAX, |time| times(filters, &self.schema, time))
    }

    /// Rows there are at most.
    pub fn rows_max(&self, snapshot: &Snapshot) -> u64 {
        match self.rows {
            Rows::Rollup { view, .. } => snapshot.group_count_max(view),
            Rows::Kept { table, .. } => snapshot.row_count(table),
            Rows::Folded { ref fold, .. } => rows_of(&fold.parts(snapshot).unwrap_or_default()),
            Rows::Nowhere { .. } => 0,
        }
    }

    /// Rows that a scan with these filters reads, about, and the parts that they are in.
    pub fn rows_within(&self, filters: &[Expr], snapshot: &Snapshot) -> (u64, u64) {
        match self.rows {
            Rows::Kept { table, .. } => {
                let parts = parts_of(snapshot, table, &self.times(filters));
                (rows_of(&parts), parts.len() as u64)
            }
            Rows::Rollup { view, keys } => {
                (snapshot.group_count_about(view, &conditions(filters, &self.schema, 0..keys)), 0)
            }
            Rows::Folded { .. } => (self.rows_max(snapshot), 0),
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
            Rows::Folded { fold, folds } => {
                let threads = state.config().target_partitions();
                (vec![folded_part(Arc::clone(fold), Arc::clone(folds), threads, wanted)], Precision::Absent)
            }
            Rows::Kept { table, .. } => {
                let parts = snapshot.row_parts(*table, &self.times(filters));
                let parts = parts.map_err(|e| DataFusionError::External(Box::new(e)))?;
                // `count(*)` is answered from it.
                let rows = match filters.is_empty() {
                    true => Precision::Exact(rows_of(&parts)),
                    false => Precision::Inexact(rows_of(&parts)),
                };
                let conditions = self.conditions(filters);
                let lists = divide(parts, state.config().target_partitions());
                let parts = lists
                    .into_iter()
                    .map(|parts| kept_part(&snapshot, parts, wanted.clone(), conditions.clone()));
                (parts.collect(), rows)
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
            Rows::Kept { .. } if limits_key(filter, &self.schema, 0..self.schema.fields().len()) => {
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
    Arc::new(move |reading| {
        let snapshot = snapshot_of(reading.context.session_config())?;
        let scan = snapshot.read_view(view, &conditions, wanted.as_deref());
        scan.map_err(|e| DataFusionError::External(Box::new(e)))
    })
}

fn kept_part(
    snapshot: &Arc<Snapshot>,
    parts: Vec<RowPart>,
    wanted: Option<Vec<usize>>,
    conditions: Vec<KeyCondition>,
) -> Part {
    let snapshot = Arc::clone(snapshot);
    Arc::new(move |_| {
        let (snapshot, wanted) = (Arc::clone(&snapshot), wanted.clone());
        let conditions = conditions.clone();
        let batches = parts.clone().into_iter().flat_map(move |part| {
            match snapshot.scan_rows(&part, wanted.as_deref(), &conditions) {
                Ok(batches) => batches,
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        });
        Ok(Scan::Blocking(Box::new(batches)))
    })
}

fn folded_part(fold: Arc<Fold>, folds: Arc<Folds>, threads: usize, wanted: Option<Vec<usize>>) -> Part {
    Arc::new(move |reading| {
        let snapshot = snapshot_of(reading.context.session_config())?;
        let groups = fold.groups(&folds, &snapshot, threads, reading)?;
        let Some(wanted) = wanted.clone() else { return Ok(groups) };
        Ok(match groups {
            Scan::Ready(batches) => {
                let batches = batches.iter().map(|batch| batch.project(&wanted));
                Scan::Ready(batches.collect::<std::result::Result<_, _>>()?)
            }
            Scan::Blocking(batches) => {
                Scan::Blocking(Box::new(batches.map(move |batch| Ok(batch?.project(&wanted)?))))
            }
        })
    })
}

fn parts_of(snapshot: &Snapshot, table: u32, times: &RangeInclusive<i64>) -> Vec<RowPart> {
    // Of a table that was dropped meanwhile there are none.
    snapshot.row_parts(table, times).unwrap_or_default()
}

fn rows_of(parts: &[RowPart]) -> u64 {
    parts.iter().map(RowPart::rows).sum()
}

/// At most `count` lists of parts with about as many rows each.
fn divide(mut parts: Vec<RowPart>, count: usize) -> Vec<Vec<RowPart>> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.rows()));
    let mut lists: Vec<(u64, Vec<RowPart>)> = vec![(0, Vec::new()); count.clamp(1, parts.len().max(1))];
    for part in parts {
        if let Some(least) = lists.iter_mut().min_by_key(|(rows, _)| *rows) {
            least.0 += part.rows();
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
