//! What was merged of views, kept in memory: segments of finished groups, the least recently used dropped
//! first.
//!
//! A segment is known by its view, its range of keys and the runs that it was merged of. Runs never change and
//! their numbers are not used again, so what is kept never becomes wrong, only unused.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;

use super::Run;
use super::range::KeyRange;
use super::segment::{Division, Segment};
use crate::error::Result;
use crate::rollup::Layout;

/// Bytes that a finished value has at most, where it is not the state itself.
const VALUE_BYTES: usize = 16;

/// Bytes of a segment beside its columns, about.
const SEGMENT_BYTES: usize = 512;

/// The groups of a segment, each once and in key order.
#[derive(Debug)]
pub(super) struct Merged {
    pub range: KeyRange,
    /// The numbers of the runs that it was merged of.
    pub runs: Vec<u64>,
    pub states: RecordBatch,
    /// The columns that queries see, as far as they were asked for.
    finished: Vec<OnceLock<ArrayRef>>,
    bytes: u64,
}

impl Merged {
    /// Of the segment's sorted groups, in one batch or several.
    pub fn new(layout: &Layout, segment: &Segment, groups: &[RecordBatch]) -> Result<Self> {
        let empty = RecordBatch::new_empty(layout.schema().clone());
        // A part of a block would hold all of the block; two batches are always copied.
        let states = match groups {
            [only] if is_whole(only) => only.clone(),
            [only] => concat_batches(layout.schema(), [only, &empty])?,
            several => concat_batches(layout.schema(), several)?,
        };
        let columns = layout.output().fields().len();
        let values = (columns - layout.keys.types().len()) * states.num_rows() * VALUE_BYTES;
        let bytes = (states.get_array_memory_size() + values + SEGMENT_BYTES) as u64;
        let (range, runs) = (segment.range.clone(), segment.numbers().collect());
        Ok(Self { range, runs, states, finished: vec![OnceLock::new(); columns], bytes })
    }

    /// It is what the segment's runs come to.
    pub fn is_of(&self, segment: &Segment) -> bool {
        self.range == segment.range && segment.numbers().eq(self.runs.iter().copied())
    }

    /// The runs that have to be merged into it for the segment; `None` if it holds others.
    pub fn missing(&self, segment: &Segment) -> Option<Vec<Arc<Run>>> {
        let known = |run: &Arc<Run>| self.runs.contains(&run.record.run);
        let (old, new): (Vec<_>, Vec<_>) = segment.runs.iter().cloned().partition(known);
        (self.range == segment.range && old.len() == self.runs.len()).then_some(new)
    }

    /// Finished columns: those of `projection`, indices into [`Layout::output`]; `None` for all.
    pub fn finish(&self, layout: &Layout, projection: Option<&[usize]>) -> Result<RecordBatch> {
        let (schema, columns) = match projection {
            Some(wanted) => {
                let columns = wanted.iter().map(|&i| self.column(layout, i)).collect::<Result<Vec<_>>>()?;
                (Arc::new(layout.output().project(wanted)?), columns)
            }
            None => {
                let all = 0..self.finished.len();
                (layout.output().clone(), all.map(|i| self.column(layout, i)).collect::<Result<_>>()?)
            }
        };
        let rows = RecordBatchOptions::new().with_row_count(Some(self.states.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
    }

    fn column(&self, layout: &Layout, index: usize) -> Result<ArrayRef> {
        if let Some(column) = self.finished[index].get() {
            return Ok(column.clone());
        }
        let column = layout.finish(&self.states, Some(&[index]))?.column(0).clone();
        Ok(self.finished[index].get_or_init(|| column).clone())
    }
}

/// Its columns hold little more than its rows.
fn is_whole(batch: &RecordBatch) -> bool {
    let own = batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum::<usize>();
    batch.get_array_memory_size() <= own + own / 4 + SEGMENT_BYTES
}

/// Merged segments within a number of bytes.
#[derive(Debug)]
pub struct SegmentCache {
    bytes_max: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    views: HashMap<u32, View>,
    bytes: u64,
    /// Counts uses.
    clock: u64,
    /// Segments by their last use, as view and first key.
    by_use: BTreeMap<u64, (u32, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct View {
    division: Option<Arc<Division>>,
    /// By their first key.
    segments: HashMap<Vec<u8>, (u64, Arc<Merged>)>,
}

impl SegmentCache {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The segments of a view at these runs.
    pub(super) fn division(&self, view: u32, runs: &[Arc<Run>]) -> Arc<Division> {
        if let Some(known) = self.held().views.get(&view).and_then(|v| v.division.clone())
            && known.is_of(runs)
        {
            return known;
        }
        let division = Arc::new(Division::new(runs));
        self.held().views.entry(view).or_default().division = Some(division.clone());
        division
    }

    /// For each segment what is kept under its first key, of whatever runs.
    pub(super) fn get(&self, view: u32, segments: &[Segment]) -> Vec<Option<Arc<Merged>>> {
        let mut held = self.held();
        let held = &mut *held;
        let Some(view) = held.views.get_mut(&view) else {
            return vec![None; segments.len()];
        };
        let mut get = |segment: &Segment| {
            let (used, merged) = view.segments.get_mut(&segment.range.low)?;
            let entry = held.by_use.remove(used)?;
            held.clock += 1;
            *used = held.clock;
            held.by_use.insert(*used, entry);
            Some(merged.clone())
        };
        segments.iter().map(&mut get).collect()
    }

    /// Keeps a segment, in place of an older one. What is kept of newer runs stays.
    pub(super) fn insert(&self, view: u32, merged: &Arc<Merged>) {
        let mut held = self.held();
        let held = &mut *held;
        let low = &merged.range.low;
        let own = held.views.entry(view).or_default();
        if own.segments.get(low).is_some_and(|(_, old)| old.runs.iter().max() > merged.runs.iter().max()) {
            return;
        }
        held.clock += 1;
        if let Some((used, old)) = own.segments.insert(low.clone(), (held.clock, merged.clone())) {
            held.by_use.remove(&used);
            held.bytes -= old.bytes;
        }
        held.by_use.insert(held.clock, (view, low.clone()));
        held.bytes += merged.bytes;
        while held.bytes > self.bytes_max {
            let Some((_, (view, low))) = held.by_use.pop_first() else { return };
            let old = held.views.get_mut(&view).and_then(|own| own.segments.remove(&low));
            held.bytes -= old.map_or(0, |(_, old)| old.bytes);
        }
    }

    /// Drops all that is kept of a view.
    pub(super) fn forget(&self, view: u32) {
        let mut held = self.held();
        let segments = held.views.remove(&view).map(|own| own.segments).unwrap_or_default();
        for (used, merged) in segments.values() {
            held.by_use.remove(used);
            held.bytes -= merged.bytes;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
