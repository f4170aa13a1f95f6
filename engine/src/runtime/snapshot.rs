//! Reading: one epoch, pinned for as long as the snapshot lives.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::fold::{FoldLimits, fold};
use super::kept::KeptRows;
use super::part::{BatchIter, RowPart};
use super::state::AttachedView;
use crate::connector::{BadRow, Column, Gap, SourceDefinition};
use crate::dataflow::AdHoc;
use crate::error::{Error, Kind, Result};
use crate::lake::ColumnCondition;
use crate::lsm::{BlockReader, KeyCondition, Scan, Store, Version, ranges, read_rows, read_view};
use crate::rollup::GroupTable;

/// Names and definitions of sources and tables.
type Definitions = BTreeMap<u32, (String, Arc<SourceDefinition>)>;

/// Rows of a file that are read by one thread: as many as a row group has.
const PART_ROWS_MAX: u64 = 1 << 20;

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
    pub fn row_parts(&self, table: u32, times: &RangeInclusive<i64>) -> Result<Vec<RowPart>> {
        let partition = self.table(table)?.partition;
        // The partitions just outside, and those between which all times are inside.
        let cut = partition.map(|by| {
            let of = |us: i64| by.transform.of_micros(us);
            let (start, end) = (*times.start(), *times.end());
            (of(start)..=of(end), (start.checked_sub(1).map(of), end.checked_add(1).map(of)))
        });
        let mut parts = Vec::new();
        for run in self.version.runs(table) {
            let place = run.record.file.as_ref().and_then(|own| own.file.partition);
            let is_within = match (&cut, place) {
                (Some((wanted, _)), Some(place)) if !wanted.contains(&place) => continue,
                (Some((_, (before, behind))), Some(place)) => {
                    before.is_none_or(|before| before < place) && behind.is_none_or(|behind| place < behind)
                }
                _ => false,
            };
            let rows = run.record.rows;
            let step = if run.record.is_hot() { rows } else { PART_ROWS_MAX };
            let starts = (0..rows).step_by(usize::try_from(step)?.max(1));
            parts.extend(starts.map(|start| RowPart {
                rows: start..rows.min(start + step),
                is_within,
                run: Arc::clone(run),
            }));
        }
        Ok(parts)
    }

    /// The rows of a part, with the table's columns that `projection` names. Those that do not meet all conditions,
    /// which speak of columns by their places, may be left out.
    pub fn scan_rows(
        &self,
        part: &RowPart,
        projection: Option<&[usize]>,
        conditions: &[KeyCondition],
    ) -> Result<BatchIter> {
        let columns = &self.table(part.run.record.relation)?.columns;
        let field = |i: usize| columns[i].field.clone();
        let fields = match projection {
            None => (0..columns.len()).map(field).collect(),
            Some(wanted) => wanted.iter().copied().map(field).collect(),
        };
        Ok(self.read_part(part, fields, &named(columns, conditions)))
    }

    fn read_part(&self, part: &RowPart, fields: Vec<Field>, conditions: &[ColumnCondition]) -> BatchIter {
        match part.run.record.is_hot() {
            true => self.store.read(&part.run, BlockReader::new(fields)),
            false => read_rows(&self.store, &part.run, &fields, part.rows.clone(), conditions),
        }
    }

    /// The groups of the rows of some parts of a table, in no order, each perhaps several times: those that there is
    /// no room for are given out before all rows are folded. `conditions` are among those of `ad_hoc`, of the table's
    /// columns by their places. Begins at once.
    pub fn fold_rows(
        &self,
        table: u32,
        parts: Vec<RowPart>,
        ad_hoc: &Arc<AdHoc>,
        conditions: &[KeyCondition],
        limits: FoldLimits,
    ) -> Result<BatchIter> {
        let columns = &self.table(table)?.columns;
        let fields = |is_within| -> Vec<Option<Field>> {
            let wanted = ad_hoc.columns(is_within);
            wanted.map(|(column, is_read)| is_read.then(|| coded(&columns[column].field))).collect()
        };
        let (within, others) = (fields(true), fields(false));
        let (snapshot, conditions) = (self.clone(), named(columns, conditions));
        let read = move |part: &RowPart| -> BatchIter {
            let fields = if part.is_within { within.clone() } else { others.clone() };
            let batches = snapshot.read_part(part, fields.iter().flatten().cloned().collect(), &conditions);
            Box::new(batches.map(move |batch| with_nulls(&batch?, &fields)))
        };
        fold(parts, Box::new(read), ad_hoc.clone(), limits)
    }

    fn table(&self, table: u32) -> Result<&SourceDefinition> {
        let definition = self.tables.get(&table).map(|(_, definition)| &**definition);
        definition.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no table {table}")))
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

/// Conditions on columns by their names.
fn named(columns: &[Column], conditions: &[KeyCondition]) -> Vec<ColumnCondition> {
    let named = |own: &KeyCondition| {
        let column = columns.get(own.key)?.field.name().clone();
        Some(ColumnCondition { column, wanted: own.wanted.clone() })
    };
    conditions.iter().filter_map(named).collect()
}

/// The column, text with a dictionary, which files mostly have.
fn coded(field: &Field) -> Field {
    match field.data_type() {
        DataType::Utf8 => {
            let coded = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
            field.clone().with_data_type(coded)
        }
        _ => field.clone(),
    }
}

/// The batch with columns of type Null where none was read.
fn with_nulls(batch: &RecordBatch, fields: &[Option<Field>]) -> Result<RecordBatch> {
    if batch.num_columns() == fields.len() {
        return Ok(batch.clone());
    }
    let nothing: ArrayRef = Arc::new(NullArray::new(batch.num_rows()));
    let mut read = batch.columns().iter().zip(batch.schema_ref().fields());
    let columns = fields.iter().map(|field| match field.as_ref().and_then(|_| read.next()) {
        Some((column, field)) => (field.as_ref().clone(), column.clone()),
        None => (Field::new("", DataType::Null, true), nothing.clone()),
    });
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
