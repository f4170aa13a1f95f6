//! A view's keys divided into segments, so that what was merged of some of them can be used again.
//!
//! Segments end where blocks of the view's runs do, and have about a block's rows or less of each run. Where a
//! run is added, only the segments that it has keys of change: a run of one block adds no ends.

use std::sync::Arc;

use super::Run;
use super::range::KeyRange;
use crate::rollup::BLOCK_ROWS;

/// A view of no more groups, counted once for each run, is one segment.
const WHOLE_ROWS_MAX: u64 = if cfg!(test) { 40 } else { 64 << 10 };

/// Where the segments of a view end at one set of runs.
#[derive(Debug)]
pub(super) struct Division {
    runs: Vec<u64>,
    /// The first keys of all segments but the first one.
    points: Vec<Vec<u8>>,
}

/// A part of a view's keys.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub range: KeyRange,
    /// The runs that may have keys of it, at least one.
    pub runs: Vec<Arc<Run>>,
    /// Rows of the blocks that may hold them.
    pub rows_max: u64,
}

impl Segment {
    /// The numbers of its runs.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().map(|run| run.record.run)
    }
}

impl Division {
    pub fn new(runs: &[Arc<Run>]) -> Self {
        let mut points = Vec::new();
        if runs.iter().map(|run| run.record.rows).sum::<u64>() > WHOLE_ROWS_MAX {
            // The least bytes behind a block's last key, since no key is the beginning of another.
            let inner = runs.iter().flat_map(|run| run.record.bounds.inner());
            points.extend(inner.map(|last| [last.as_ref(), &[0]].concat()));
            // Files stand beside each other, so that each begins a segment however few rows it has.
            let filed = runs.iter().filter(|run| !run.record.is_hot());
            points.extend(filed.filter_map(|run| Some(run.record.bounds.ends()?.0.to_vec())));
            points.sort_unstable();
            points.dedup();
        }
        Self { runs: runs.iter().map(|run| run.record.run).collect(), points }
    }

    /// Whether it is that of these runs.
    pub fn is_of(&self, runs: &[Arc<Run>]) -> bool {
        self.runs.iter().copied().eq(runs.iter().map(|run| run.record.run))
    }

    /// The segments that may have keys of any of the ranges, which are sorted; those without runs left out.
    pub fn segments(&self, runs: &[Arc<Run>], ranges: &[KeyRange]) -> Vec<Segment> {
        let mut found = Vec::new();
        let mut next = 0;
        for range in ranges {
            let first = self.points.partition_point(|point| *point <= range.low);
            let last = match &range.high {
                Some(high) => self.points.partition_point(|point| point < high),
                None => self.points.len(),
            };
            for place in first.max(next)..=last {
                found.extend(self.segment(place, runs));
                next = place + 1;
            }
        }
        found
    }

    fn segment(&self, place: usize, runs: &[Arc<Run>]) -> Option<Segment> {
        let low = place.checked_sub(1).map(|before| self.points[before].clone());
        let range = KeyRange { low: low.unwrap_or_default(), high: self.points.get(place).cloned() };
        let mut rows_max = 0;
        let holds = |run: &&Arc<Run>| {
            let record = &run.record;
            let positions = record.bounds.positions(record.blocks, &range);
            let rows = record.rows.min(positions.len() as u64 * BLOCK_ROWS as u64);
            rows_max += rows;
            rows > 0
        };
        let runs: Vec<_> = runs.iter().filter(holds).cloned().collect();
        (!runs.is_empty()).then_some(Segment { range, runs, rows_max })
    }
}
