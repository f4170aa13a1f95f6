//! The state as a report: what the system tables and the progress line show.

use std::collections::BTreeMap;

use super::state::{CursorState, Shared, SourceState, State, ViewEntry};
use super::{OperatorStatus, PipelineState, SourceStatus, SplitStatus, Status, ViewState, ViewStatus};
use crate::checkpoint::Stage;
use crate::clock;
use crate::lsm::Version;
use crate::rollup::{Feed, lattice};

/// Reads everything under one lock.
pub fn report(shared: &Shared) -> Status {
    let state = shared.state();
    let version = shared.store.version();
    let mut status =
        Status { epoch: version.epoch, epochs: state.epochs.iter().cloned().collect(), ..Status::default() };
    for source in state.sources.values() {
        status.sources.push(source_status(&state, source, &version));
        cursor_status(source, &source.main, "main", &mut status);
        if let Some(backfill) = &source.backfill {
            cursor_status(source, &backfill.cursor, "backfill", &mut status);
        }
    }
    status.views = view_statuses(&state, &version);
    status
}

fn source_status(state: &State, source: &SourceState, version: &Version) -> SourceStatus {
    let definition = source.attached.as_ref().map(|a| &a.definition);
    let runs = version.runs(source.record.id);
    SourceStatus {
        id: source.record.id,
        name: source.record.name.clone(),
        connector: definition.map(|d| d.connector.clone()).unwrap_or_default(),
        keeps_rows: definition.is_some_and(|d| d.keeps_rows),
        state: match (&source.failure, source.main.stage) {
            (Some(_), _) => PipelineState::Failed,
            (None, Stage::Stopped) => PipelineState::Idle,
            (None, Stage::Running) => PipelineState::Running,
            (None, Stage::Finished) => PipelineState::Finished,
        },
        error: source.failure.as_ref().map(ToString::to_string).or_else(|| {
            let failure = state.backfill_failure(source)?;
            Some(failure.to_string())
        }),
        rows: source.totals.rows,
        bad_rows: source.totals.bad_rows,
        kept_rows: runs.iter().map(|r| r.record.rows).sum(),
        kept_bytes: runs.iter().map(|r| r.record.bytes).sum(),
    }
}

fn cursor_status(source: &SourceState, cursor: &CursorState, name: &'static str, status: &mut Status) {
    let definition = source.attached.as_ref().map(|a| &a.definition);
    let own = definition.filter(|d| cursor.id == source.record.id || !d.keeps_rows);
    for split in cursor.splits.values() {
        status.splits.push(SplitStatus {
            source: source.record.id,
            source_name: source.record.name.clone(),
            connector: own.map(|d| d.connector.clone()).unwrap_or_default(),
            split: split.split.id.clone(),
            cursor: name,
            start: split.split.start,
            offset: split.offset,
            end: split.split.end.or_else(|| cursor.ends.get(&split.split.id).copied()),
            finished: split.finished,
        });
    }
    for (worker, all) in cursor.pipeline.iter().flat_map(|p| p.metrics.iter().enumerate()) {
        for metrics in all {
            let (rows, busy_us, blocked_us) = metrics.read();
            status.operators.push(OperatorStatus {
                source_name: source.record.name.clone(),
                cursor: name,
                worker,
                operator: metrics.operator.clone(),
                rows,
                busy_us,
                blocked_us,
            });
        }
    }
}

fn view_statuses(state: &State, version: &Version) -> Vec<ViewStatus> {
    let now = clock::unix_micros();
    let feeders = feeders(state);
    let view = |view: &ViewEntry| {
        let runs = version.runs(view.record.id);
        let id = view.record.source.unwrap_or_default();
        let source = state.sources.get(&id);
        let current = view.record.cursor == Some(id);
        let error = source.filter(|_| !current).and_then(|s| state.backfill_failure(s));
        let own =
            source.and_then(|s| s.backfill.as_ref()).is_some_and(|b| view.record.cursor == Some(b.cursor.id));
        ViewStatus {
            id: view.record.id,
            name: view.record.name.clone(),
            source: id,
            source_name: source.map(|s| s.record.name.clone()).unwrap_or_default(),
            state: match (current, &error) {
                (true, _) => ViewState::Current,
                (false, Some(_)) if own => ViewState::Failed,
                (false, _) => ViewState::Backfilling,
            },
            // A view that waits for its turn behind one that failed says so, too.
            error: error.map(|e| e.to_string()),
            fed_by: feeders.get(&view.record.id).cloned(),
            rows: runs.iter().map(|r| r.record.rows).sum(),
            bytes: runs.iter().map(|r| r.record.bytes).sum(),
            runs: runs.len() as u64,
            epoch: runs.iter().map(|r| r.record.epoch).max().unwrap_or(0),
            freshness_us: source.map_or(0, |s| (now - s.fresh_at_us).max(0)),
        }
    };
    state.views.values().map(view).collect()
}

/// For each view that no event is folded into, the name of the view that feeds it.
fn feeders(state: &State) -> BTreeMap<u32, String> {
    let mut by_cursor: BTreeMap<Option<u32>, Vec<&ViewEntry>> = BTreeMap::new();
    for view in state.views.values() {
        by_cursor.entry(view.record.cursor).or_default().push(view);
    }
    let mut feeders = BTreeMap::new();
    for views in by_cursor.into_values() {
        let views: Vec<_> = views.iter().filter_map(|v| Some((v, v.attached.as_ref()?))).collect();
        let definitions: Vec<_> = views.iter().map(|(_, a)| a.definition.clone()).collect();
        for ((view, _), feed) in views.iter().zip(lattice(&definitions)) {
            if let Feed::View(derivation) = feed {
                feeders.insert(view.record.id, definitions[derivation.from].name.clone());
            }
        }
    }
    feeders
}
