//! Reading a view: segments from memory where they are kept there, merged of their runs where they are not.
//!
//! Neighbouring segments that lack the same are merged in one go, so that each block is decoded once. What is
//! kept of a segment is used even if runs came later: they are merged into it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;

use super::cache::Merged;
use super::range::{KeyRange, key_at, rows_below};
use super::scan::read_all;
use super::segment::Segment;
use super::{Batches, Merge, Run, Store};
use crate::error::Result;
use crate::rollup::Layout;

/// Bytes that a text has in a rough count.
const TEXT_BYTES: u64 = 24;

/// The rows of a view.
pub enum Scan {
    /// They are in memory.
    Ready(Vec<RecordBatch>),
    /// Some have to be read, which blocks; nothing is read before the first is asked for.
    Blocking(Batches),
}

/// Finished groups of a view at these runs: all with keys in the ranges, each once and whole, in key order,
/// and others of their neighbourhood. The ranges are sorted and apart. `projection` is of [`Layout::output`].
pub fn read_view(
    store: &Arc<Store>,
    layout: &Arc<Layout>,
    (view, runs): (u32, &[Arc<Run>]),
    ranges: &[KeyRange],
    projection: Option<&[usize]>,
) -> Result<Scan> {
    let cache = store.segments();
    let segments = cache.division(view, runs).segments(runs, ranges);
    let kept = cache.get(view, &segments);
    if segments.iter().zip(&kept).all(|(segment, kept)| kept.as_ref().is_some_and(|k| k.is_of(segment))) {
        let batches = kept.iter().flatten().map(|kept| kept.finish(layout, projection));
        return Ok(Scan::Ready(batches.collect::<Result<_>>()?));
    }
    let (store, layout) = (store.clone(), layout.clone());
    let steps = steps(&store, &layout, segments, kept).into();
    let projection = projection.map(<[usize]>::to_vec);
    Ok(Scan::Blocking(Box::new(Reader {
        store,
        layout,
        view,
        projection,
        steps,
        open: None,
        ready: VecDeque::new(),
    })))
}

/// A part of the work.
enum Step {
    Kept(Arc<Merged>),
    Merge(Gap),
}

/// Neighbouring segments that are merged together.
struct Gap {
    segments: VecDeque<Segment>,
    /// What is kept of each, if that is used.
    base: Vec<Arc<Merged>>,
    /// The runs to merge, into the base if there is one.
    runs: Vec<Arc<Run>>,
    keep: bool,
}

fn steps(
    store: &Store,
    layout: &Layout,
    segments: Vec<Segment>,
    kept: Vec<Option<Arc<Merged>>>,
) -> Vec<Step> {
    let row_bytes = row_bytes(layout);
    let missing = segments.iter().zip(&kept).filter(|(s, k)| k.as_ref().is_none_or(|k| !k.is_of(s)));
    let bytes: Vec<u64> = missing.map(|(s, _)| s.rows_max * row_bytes).collect();
    // What would drive out most of what is kept, or itself, is not kept.
    let keep = bytes.iter().sum::<u64>() <= store.segments().bytes_max() / 2;
    let mut steps: Vec<Step> = Vec::new();
    for (segment, kept) in segments.into_iter().zip(kept) {
        let (base, runs) = match kept.map(|kept| (kept.missing(&segment), kept)) {
            Some((Some(missing), kept)) if missing.is_empty() => {
                steps.push(Step::Kept(kept));
                continue;
            }
            Some((Some(missing), kept)) => (Some(kept), missing),
            _ => (None, segment.runs.clone()),
        };
        match steps.last_mut() {
            Some(Step::Merge(gap)) if gap.goes_on(&segment, base.as_deref(), &runs) => {
                for run in runs {
                    if !gap.runs.iter().any(|r| r.record.run == run.record.run) {
                        gap.runs.push(run);
                    }
                }
                gap.segments.push_back(segment);
                gap.base.extend(base);
            }
            _ => {
                let (segments, base) = (VecDeque::from([segment]), base.into_iter().collect());
                steps.push(Step::Merge(Gap { segments, base, runs, keep }));
            }
        }
    }
    steps
}

impl Gap {
    /// The segment is the next one, and lacks the same.
    fn goes_on(&self, segment: &Segment, base: Option<&Merged>, runs: &[Arc<Run>]) -> bool {
        let next = self.segments.back().is_some_and(|s| s.range.high.as_ref() == Some(&segment.range.low));
        let numbers = |runs: &[Arc<Run>]| runs.iter().map(|r| r.record.run).collect::<Vec<_>>();
        next && match (self.base.last(), base) {
            (Some(_), Some(_)) => numbers(&self.runs) == numbers(runs),
            (None, None) => true,
            _ => false,
        }
    }

    fn range(&self) -> KeyRange {
        let low = self.segments.front().map(|s| s.range.low.clone()).unwrap_or_default();
        KeyRange { low, high: self.segments.back().and_then(|s| s.range.high.clone()) }
    }
}

fn row_bytes(layout: &Layout) -> u64 {
    let bytes = |t: &DataType| t.primitive_width().map_or(TEXT_BYTES, |width| width as u64);
    layout.schema().fields().iter().map(|field| bytes(field.data_type())).sum()
}

struct Reader {
    store: Arc<Store>,
    layout: Arc<Layout>,
    view: u32,
    projection: Option<Vec<usize>>,
    steps: VecDeque<Step>,
    open: Option<Open>,
    ready: VecDeque<RecordBatch>,
}

/// A gap that is being merged.
struct Open {
    merge: Merge,
    segments: VecDeque<Segment>,
    keep: bool,
    /// Groups of the first segment.
    pending: Vec<RecordBatch>,
}

impl Reader {
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(mut open) = self.open.take() {
                match open.merge.next().transpose()? {
                    Some(groups) if open.keep => {
                        self.distribute(&mut open, groups)?;
                        self.open = Some(open);
                    }
                    Some(groups) => {
                        self.open = Some(open);
                        return self.layout.finish(&groups, self.projection.as_deref()).map(Some);
                    }
                    None if open.keep => {
                        while !open.segments.is_empty() {
                            self.close(&mut open)?;
                        }
                    }
                    None => {}
                }
                continue;
            }
            match self.steps.pop_front() {
                None => return Ok(None),
                Some(Step::Kept(merged)) => {
                    return merged.finish(&self.layout, self.projection.as_deref()).map(Some);
                }
                Some(Step::Merge(gap)) => self.open = Some(self.open(gap)),
            }
        }
    }

    fn open(&self, gap: Gap) -> Open {
        let range = gap.range();
        let mut inputs: Vec<Batches> = Vec::with_capacity(gap.runs.len() + 1);
        if !gap.base.is_empty() {
            inputs.push(Box::new(gap.base.into_iter().map(|merged| Ok(merged.states.clone()))));
        }
        inputs.extend(read_all(&self.store, &self.layout, &gap.runs, &range));
        let merge = Merge::new(self.layout.clone(), inputs);
        Open { merge, segments: gap.segments, keep: gap.keep, pending: Vec::new() }
    }

    /// Gives groups to their segments, and ends those behind which the merge is.
    fn distribute(&mut self, open: &mut Open, mut groups: RecordBatch) -> Result<()> {
        while let [first, _, ..] = open.segments.make_contiguous() {
            let Some(last) = groups.num_rows().checked_sub(1) else { return Ok(()) };
            let Some(high) = &first.range.high else { break };
            if key_at(&self.layout, &groups, last)? < *high {
                break;
            }
            let rows = rows_below(&self.layout, &groups, high)?;
            open.pending.push(groups.slice(0, rows));
            groups = groups.slice(rows, groups.num_rows() - rows);
            self.close(open)?;
        }
        open.pending.push(groups);
        Ok(())
    }

    fn close(&mut self, open: &mut Open) -> Result<()> {
        let Some(segment) = open.segments.pop_front() else { return Ok(()) };
        let mut groups = std::mem::take(&mut open.pending);
        groups.retain(|batch| batch.num_rows() > 0);
        let merged = Arc::new(Merged::new(&self.layout, &segment, &groups)?);
        self.store.segments().insert(self.view, &merged);
        if !groups.is_empty() {
            self.ready.push_back(merged.finish(&self.layout, self.projection.as_deref())?);
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.steps.clear();
            self.open = None;
        }
        step.transpose()
    }
}

#[cfg(test)]
mod tests;
