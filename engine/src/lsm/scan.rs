//! The groups of a run whose keys lie in a range, of the blocks that may hold them.

use std::sync::Arc;

use super::range::KeyRange;
use super::{Batches, BlockReader, Run, Store};
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
    let batches = store.read_at(run, positions, BlockReader::default());
    if *range == KeyRange::ALL {
        return Some(batches);
    }
    let (layout, range) = (layout.clone(), range.clone());
    Some(Box::new(batches.map(move |batch| range.slice(&layout, &batch?))))
}
