//! Reading: one epoch, pinned for as long as the snapshot lives.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Field;

use super::kept::KeptRows;
use super::state::AttachedView;
use crate::connector::{BadRow, Gap, SourceDefinition};
use crate::error::{Error, Kind, Result};
use crate::lsm::{BlockReader, KeyCondition, Run, Scan, Store, Version, ranges, read_rows, read_view};
use crate::rollup::GroupTable;

/// Names and definitions of sources and tables.
type Definitions = BTreeMap<u32, (String, Arc<SourceDefinition>)>;

/// A blocking sequence of batches.
pub type BatchIter = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Every view and table at one epoch.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) store: Arc<Store>,
    pub(super) version: Arc<Version>,
    pub(super) views: Arc<BTreeMap<u32, AttachedView>>,
    /// Views that do not hold all that their sources have read.
    pub(super) backfilling: Arc<BTreeSet<u32>>,
    /// Views before which rows had come that cannot be read again.
    pub(super) lacking: Arc<BTreeSet<u32>>,
    pub(super) tables: Arc<Definitions>,
}

/// A part of a table's kept rows that can be read by itself.
#[derive(Clone, Debug)]
pub struct RowPart {
    pub rows: u64,
    /// Encoded bytes.
    pub bytes: u64,
    run: Arc<Run>,
}

/// A row of `siltstone.errors`.
#[derive(Clone, Debug)]
pub struct ErrorRow {
    pub epoch: u64,
    pub source: u32,
    pub source_name: String,
    /// What reads its split; empty if the source was dropped, and for kept rows read again.
    pub connector: String,
    /// Good for the source, bad for this view alone.
    pub view: Option<String>,
    pub row: BadRow,
}

/// A row of `siltstone.gaps`.
#[derive(Clone, Debug)]
pub struct GapRow {
    pub epoch: u64,
    pub source_name: String,
    /// Microseconds since 1970 UTC.
    pub at_us: i64,
    pub gap: Gap,
}

impl Snapshot {
    pub fn epoch(&self) -> u64 {
        self.version.epoch
    }

    /// When the epoch became visible, microseconds since 1970 UTC.
    pub fn committed_at_us(&self) -> i64 {
        self.version.committed_at_us
    }

    /// The groups of a view, each once and in key order, with the columns of
    /// [`crate::rollup::ViewDefinition::schema`] that `projection` names.
    pub fn scan_view(&self, view: u32, projection: Option<&[usize]>) -> Result<BatchIter> {
        Ok(match self.read_view(view, &[], projection)? {
            Scan::Ready(batches) => Box::new(batches.into_iter().map(Ok)),
            Scan::Blocking(batches) => batches,
        })
    }

    /// As [`Snapshot::scan_view`], of some groups: those that satisfy all conditions are among them. Does not
    /// block by itself.
    pub fn read_view(
        &self,
        view: u32,
        conditions: &[KeyCondition],
        projection: Option<&[usize]>,
    ) -> Result<Scan> {
        let attached = self.views.get(&view);
        let attached =
            attached.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no view {view}")))?;
        let layout = &attached.layout;
        let runs = self.version.runs(view);
        if runs.is_empty() && layout.keys.is_empty() {
            return Ok(Scan::Ready(vec![self.empty_group(attached, projection)?]));
        }
        let ranges = ranges(&layout.keys, conditions)?;
        read_view(&self.store, layout, (view, runs), &ranges, projection)
    }

    /// An aggregate without keys has one row even where nothing was folded.
    fn empty_group(&self, view: &AttachedView, projection: Option<&[usize]>) -> Result<RecordBatch> {
        let mut table = GroupTable::new(view.layout.clone());
        table.add_group_of_nothing();
        view.layout.finish(&table.take()?, projection)
    }

    /// The kept rows of a table, in parts that may be read in parallel. Files of partitions outside of `times`, in
    /// microseconds since 1970, are left out.
    pub fn row_parts(&self, table: u32, times: RangeInclusive<i64>) -> Result<Vec<RowPart>> {
        let definition = self.tables.get(&table).map(|(_, definition)| definition);
        let definition =
            definition.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no table {table}")))?;
        let is_wanted = |run: &&Arc<Run>| {
            let file = run.record.file.as_ref();
            match (definition.partition, file.and_then(|own| own.file.partition)) {
                (Some(by), Some(partition)) => {
                    let (first, last) =
                        (by.transform.of_micros(*times.start()), by.transform.of_micros(*times.end()));
                    (first..=last).contains(&partition)
                }
                _ => true,
            }
        };
        let part =
            |run: &Arc<Run>| RowPart { rows: run.record.rows, bytes: run.record.bytes, run: run.clone() };
        Ok(self.version.runs(table).iter().filter(is_wanted).map(part).collect())
    }

    /// The rows of a part, with the table's columns that `projection` names.
    pub fn scan_rows(&self, part: &RowPart, projection: Option<&[usize]>) -> Result<BatchIter> {
        let table = part.run.record.relation;
        let definition = self.tables.get(&table).map(|(_, definition)| definition);
        let definition =
            definition.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no table {table}")))?;
        let fields = definition.columns.iter().map(|column| &column.field);
        let fields: Vec<Field> = match projection {
            None => fields.cloned().collect(),
            Some(wanted) => wanted.iter().map(|&i| definition.columns[i].field.clone()).collect(),
        };
        Ok(match part.run.record.is_hot() {
            true => self.store.read(&part.run, BlockReader::new(fields)),
            false => read_rows(&self.store, &part.run, &fields, 0..part.rows),
        })
    }

    /// Rows kept of a table.
    pub fn row_count(&self, table: u32) -> u64 {
        self.version.runs(table).iter().map(|r| r.record.rows).sum()
    }

    /// Groups of a view, counted once for each run that has them: at least as many as there are.
    pub fn group_count_max(&self, view: u32) -> u64 {
        self.version.runs(view).iter().map(|r| r.record.rows).sum()
    }

    /// About how many groups of a view meet conditions on its keys, as far as the blocks that may hold them
    /// tell.
    pub fn group_count_about(&self, view: u32, conditions: &[KeyCondition]) -> u64 {
        let layout = self.views.get(&view).map(|attached| &attached.layout);
        let ranges = layout.filter(|_| !conditions.is_empty()).map(|l| ranges(&l.keys, conditions));
        match ranges {
            Some(Ok(ranges)) => self.version.runs(view).iter().map(|r| r.record.rows_about(&ranges)).sum(),
            _ => self.group_count_max(view),
        }
    }

    /// Rows had come before the view that it will never have.
    pub fn is_lacking(&self, view: u32) -> bool {
        self.lacking.contains(&view)
    }

    /// The view reads its source from the beginning still: what it shows is a part.
    pub fn is_backfilling(&self, view: u32) -> bool {
        self.backfilling.contains(&view)
    }

    /// All bad rows, oldest first.
    pub fn errors(&self) -> Result<Box<dyn Iterator<Item = Result<ErrorRow>> + Send>> {
        let tables = self.tables.clone();
        let named = move |row: crate::lsm::ErrorRow| ErrorRow {
            epoch: row.epoch,
            source: row.source,
            source_name: name(&tables, row.source),
            connector: connector(&tables, &row),
            view: row.view,
            row: row.row,
        };
        Ok(Box::new(self.store.errors(self.version.epoch).map(move |row| row.map(&named))))
    }

    /// All gaps, oldest first.
    pub fn gaps(&self) -> Result<Vec<GapRow>> {
        let gaps = self.store.gaps(self.version.epoch)?;
        let named = |g: crate::lsm::GapRecord| GapRow {
            epoch: g.epoch,
            source_name: name(&self.tables, g.source),
            at_us: g.at_us,
            gap: g.gap,
        };
        Ok(gaps.into_iter().map(named).collect())
    }
}

/// What reads the split of an error row. A view that is bad for a kept row names a split of kept rows.
fn connector(tables: &Definitions, row: &crate::lsm::ErrorRow) -> String {
    let definition = tables.get(&row.source).map(|(_, definition)| definition);
    let is_kept =
        |d: &SourceDefinition| d.keeps_rows && row.view.is_some() && KeptRows::is_split(&row.row.split);
    definition.filter(|d| !is_kept(d)).map(|d| d.connector.clone()).unwrap_or_default()
}

fn name(tables: &Definitions, source: u32) -> String {
    tables.get(&source).map_or_else(|| format!("dropped source {source}"), |(name, _)| name.clone())
}
