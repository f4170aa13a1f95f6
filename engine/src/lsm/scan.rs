//! The groups of a view whose keys lie in a range, merged of the blocks that may hold them.

use std::sync::Arc;

use super::range::KeyRange;
use super::{Batches, BlockReader, Merge, Run, Store};
use crate::rollup::Layout;

/// State batches of the groups with keys in `range`, each once and whole, in key order.
pub fn scan(store: &Arc<Store>, layout: &Arc<Layout>, runs: &[Arc<Run>], range: &KeyRange) -> Batches {
    let inputs = runs.iter().filter_map(|run| read(store, layout, run, range)).collect();
    Box::new(Merge::new(layout.clone(), inputs))
}

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
    let batches = store.read_at(run, positions, BlockReader::default());
    if *range == KeyRange::ALL {
        return Some(batches);
    }
    let (layout, range) = (layout.clone(), range.clone());
    Some(Box::new(batches.map(move |batch| range.slice(&layout, &batch?))))
}

#[cfg(test)]
mod tests;
