//! Compaction in the background: asks for a choice, carries it out, commits it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::state::{AttachedView, Shared};
use crate::error::Result;
use crate::lsm::{Batches, BlockReader, Change, Choice, Merge, Run, RunRecord, RunWriter, choose};
use crate::rollup::Layout;

/// Does the most urgent compaction of a view. False if there was nothing to do.
///
/// Stops without effect, and true, as soon as `cancelled` says so.
fn compact(shared: &Shared, view: u32, layout: &Arc<Layout>, cancelled: &dyn Fn() -> bool) -> Result<bool> {
    let store = &shared.store;
    let version = store.version();
    let is_free = |run: &&Arc<Run>| run.record.is_hot() && !store.is_sealed(view, run.record.run);
    let runs: Vec<&Arc<Run>> = version.runs(view).iter().filter(is_free).collect();
    let records: Vec<RunRecord> = runs.iter().map(|r| r.record.clone()).collect();
    let Choice::Merge(chosen) = choose(&records, shared.state().is_replayed(view)) else {
        return Ok(false);
    };
    let chosen: Vec<&Arc<Run>> = runs.into_iter().filter(|r| chosen.contains(&r.record.run)).collect();
    let epoch = chosen.iter().map(|r| r.record.epoch).max().unwrap_or(0);
    let inputs: Vec<Batches> = chosen.iter().map(|r| store.read(r, BlockReader::default())).collect();
    let mut run = RunWriter::begin(store, view).sorted(layout.clone());
    for batch in Merge::new(layout.clone(), inputs) {
        if cancelled() {
            return Ok(true);
        }
        run.write(batch?)?;
    }
    let merged = run.finish(epoch)?;
    let remove_runs = chosen.iter().map(|r| (view, r.record.run)).collect();
    let add_runs = merged.into_iter().collect();
    store.commit(Change { compacts: true, add_runs, remove_runs, ..Change::default() })?;
    Ok(true)
}

/// Compacts until no view has anything to compact.
pub fn compact_all(shared: &Arc<Shared>, stopping: &AtomicBool) -> Result<()> {
    let cancelled = || stopping.load(Ordering::Acquire);
    let views: Vec<(u32, AttachedView)> = {
        let state = shared.state();
        state.views.iter().filter_map(|(id, v)| Some((*id, v.attached.clone()?))).collect()
    };
    for (id, view) in views {
        while !cancelled() && compact(shared, id, &view.layout, &cancelled)? {}
    }
    Ok(())
}
