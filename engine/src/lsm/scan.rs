//! The groups of a run whose keys lie in a range, of the blocks that may hold them.

use std::sync::Arc;

use super::range::KeyRange;
use super::{Batches, BlockReader, Run, Store, filed};
use crate::rollup::Layout;

/// A run's groups with keys in `range`; `None` if its bounds say that there are none.
pub(super) fn read(
    store: &Arc<Store>,
    layout: &Arc<Layout>,
    run: &Arc<Run>,
    range: &KeyRange,
) -> Option<Batches> {
    let positions = run.record.bounds.positions(run.record.blocks, range);
    if positions.is_empty() {
        return None;
    }
    let batches = match run.record.is_hot() {
        true => store.read_at(run, positions, BlockReader::default()),
        false => filed::read_at(store, layout, run, positions),
    };
    if *range == KeyRange::ALL {
        return Some(batches);
    }
    let (layout, range) = (layout.clone(), range.clone());
    Some(Box::new(batches.map(move |batch| range.slice(&layout, &batch?))))
}

/// The groups of several runs with keys in `range`, as sequences that are each in key order: one of all runs
/// that are files, since no two of them have keys between each other's, and one of each other run.
pub fn read_all(
    store: &Arc<Store>,
    layout: &Arc<Layout>,
    runs: &[Arc<Run>],
    range: &KeyRange,
) -> Vec<Batches> {
    let (hot, mut filed): (Vec<_>, Vec<_>) = runs.iter().cloned().partition(|run| run.record.is_hot());
    let mut inputs: Vec<Batches> = hot.iter().filter_map(|run| read(store, layout, run, range)).collect();
    filed.retain(|run| !run.record.bounds.positions(run.record.blocks, range).is_empty());
    if !filed.is_empty() {
        filed.sort_by(|a, b| a.record.bounds.ends().cmp(&b.record.bounds.ends()));
        let (store, layout, range) = (store.clone(), layout.clone(), range.clone());
        // One is opened behind the other.
        let batches = filed.into_iter().filter_map(move |run| read(&store, &layout, &run, &range)).flatten();
        inputs.push(Box::new(batches));
    }
    inputs
}
