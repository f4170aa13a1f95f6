//! What the engine holds in memory about each relation, and its view of the facts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;

use super::keeper::Keeper;
use super::pipeline::Pipeline;
use super::{EpochStatus, Options};
use crate::checkpoint::{Backfill, Facts, Stage};
use crate::clock;
use crate::connector::{Gap, Registry, Source, SourceDefinition, SplitId};
use crate::error::{Error, Kind, Result};
use crate::lsm::{RelationRecord, SplitRecord, Store, Totals};
use crate::rollup::{Layout, ViewDefinition};

/// What every thread of an engine shares.
pub struct Shared {
    pub store: Arc<Store>,
    pub registry: Arc<Registry>,
    pub options: Options,
    pub keeper: Keeper,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub struct State {
    pub sources: BTreeMap<u32, SourceState>,
    pub views: BTreeMap<u32, ViewEntry>,
    /// The greatest number given to a relation or cursor.
    pub newest_id: u32,
    /// Set by `start`: whether it is bounded.
    pub started: Option<bool>,
    pub stopping: bool,
    pub epochs: VecDeque<EpochStatus>,
}

pub struct SourceState {
    pub record: RelationRecord,
    pub attached: Option<Attached>,
    pub main: CursorState,
    pub backfill: Option<BackfillState>,
    pub totals: Totals,
    pub failure: Option<Error>,
    /// When its newest events were last known to be visible, microseconds since 1970 UTC.
    pub fresh_at_us: i64,
    pub supervisor: Option<Sender<Event>>,
}

/// A source whose definition has been compiled.
#[derive(Clone)]
pub struct Attached {
    pub definition: Arc<SourceDefinition>,
    pub source: Arc<dyn Source>,
}

/// A cursor and the pipeline that moves it.
pub struct CursorState {
    pub id: u32,
    pub splits: BTreeMap<SplitId, SplitRecord>,
    pub stage: Stage,
    pub pipeline: Option<Pipeline>,
    /// The splits' ends as far as they were asked for.
    pub ends: BTreeMap<SplitId, i64>,
}

pub struct BackfillState {
    pub cursor: CursorState,
    pub rounds: u32,
    pub last: bool,
    /// Why it stopped. The main cursor goes on beside it.
    pub failure: Option<Error>,
}

impl BackfillState {
    pub fn new(cursor: CursorState) -> Self {
        Self { cursor, rounds: 0, last: false, failure: None }
    }
}

pub struct ViewEntry {
    pub record: RelationRecord,
    pub attached: Option<AttachedView>,
    /// Records that were gone already when its backfill began.
    pub lacks: Vec<Gap>,
}

/// A view whose definition has been compiled.
#[derive(Clone)]
pub struct AttachedView {
    pub definition: Arc<ViewDefinition>,
    pub layout: Arc<Layout>,
}

impl AttachedView {
    pub fn new(definition: ViewDefinition) -> Result<Self> {
        let layout = Arc::new(Layout::new(&definition)?);
        Ok(Self { definition: Arc::new(definition), layout })
    }
}

/// What wakes a supervisor.
#[derive(Debug)]
pub enum Event {
    Changed,
    End,
}

impl Shared {
    pub fn new(store: Arc<Store>, registry: Arc<Registry>, options: Options, state: State) -> Arc<Self> {
        let keeper = Keeper::default();
        let state = Mutex::new(state);
        Arc::new(Self { store, registry, options, keeper, state, changed: Condvar::new() })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone who waits for the state.
    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until `done` has an answer; `None` when the time has run out.
    pub fn wait<T>(&self, timeout: Duration, mut done: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let deadline = clock::now().checked_add(timeout);
        let mut state = self.state();
        loop {
            if let Some(answer) = done(&state) {
                return Some(answer);
            }
            let left = deadline.map_or(timeout, |d: Instant| d.saturating_duration_since(clock::now()));
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl SourceState {
    pub fn new(record: RelationRecord, main: CursorState, totals: Totals) -> Self {
        Self {
            record,
            attached: None,
            main,
            backfill: None,
            totals,
            failure: None,
            fresh_at_us: clock::unix_micros(),
            supervisor: None,
        }
    }
}

impl CursorState {
    pub fn new(id: u32, splits: impl IntoIterator<Item = SplitRecord>) -> Self {
        let splits = splits.into_iter().map(|s| (s.split.id.clone(), s)).collect();
        Self { id, splits, stage: Stage::Stopped, pipeline: None, ends: BTreeMap::new() }
    }

    /// Takes over what an epoch has moved.
    pub fn advance(&mut self, splits: &[SplitRecord]) {
        for split in splits {
            if let Some(own) = self.splits.get_mut(&split.split.id) {
                own.offset = split.offset;
                own.finished = split.finished;
            }
        }
    }

    /// Nothing has been read.
    pub fn untouched(&self) -> bool {
        self.splits.values().all(|s| s.offset == s.split.start && !s.finished)
    }
}

impl State {
    pub fn allocate_id(&mut self) -> u32 {
        self.newest_id += 1;
        self.newest_id
    }

    pub fn source(&self, id: u32) -> Result<&SourceState> {
        self.sources.get(&id).ok_or_else(|| Error::new(Kind::NotFound, format!("there is no source {id}")))
    }

    pub fn source_mut(&mut self, id: u32) -> Result<&mut SourceState> {
        self.sources
            .get_mut(&id)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no source {id}")))
    }

    /// The views that a cursor feeds.
    pub fn views_of(&self, cursor: u32) -> Vec<u32> {
        self.views.values().filter(|v| v.record.cursor == Some(cursor)).map(|v| v.record.id).collect()
    }

    /// The views of a source that no cursor feeds yet.
    pub fn waiting(&self, source: u32) -> Vec<u32> {
        let waits = |v: &&ViewEntry| v.record.source == Some(source) && v.record.cursor.is_none();
        self.views.values().filter(waits).map(|v| v.record.id).collect()
    }

    /// Somebody wants its rows: a view, the table itself, or whoever pushes them and waits for an answer.
    pub fn wanted(&self, source: &SourceState) -> bool {
        let own = |a: &Attached| a.definition.keeps_rows || a.source.push_port().is_some();
        source.attached.as_ref().is_some_and(own) || !self.views_of(source.main.id).is_empty()
    }

    /// What is being read for the view has an end: a source that has one, or what was there before the view.
    pub fn is_replayed(&self, view: u32) -> bool {
        let cursor = self.views.get(&view).and_then(|view| view.record.cursor);
        let runs = |own: &CursorState| Some(own.id) == cursor && own.stage == Stage::Running;
        let is_bounded =
            |source: &SourceState| source.attached.as_ref().is_some_and(|a| a.source.is_bounded());
        self.sources.values().any(|source| {
            let backfill = source.backfill.as_ref().is_some_and(|backfill| runs(&backfill.cursor));
            backfill || (runs(&source.main) && is_bounded(source))
        })
    }

    /// Every source has been read to its end, and every view that has not failed holds all of it.
    pub fn is_finished(&self) -> bool {
        self.sources.values().all(|source| {
            let done = source.main.stage == Stage::Finished || !self.wanted(source);
            let failed = source.backfill.as_ref().map(|_| self.backfill_failure(source).is_some());
            done && failed.unwrap_or_else(|| self.waiting(source.record.id).is_empty())
        })
    }

    /// The error of the first source that stopped by one.
    pub fn failure(&self) -> Option<Error> {
        self.sources.values().find_map(|s| {
            let error = s.failure.as_ref()?.duplicate();
            Some(error.context(format!("source {}", s.record.name)))
        })
    }

    /// Why the views of a source that were created last cannot be read from its beginning.
    pub fn backfill_failure(&self, source: &SourceState) -> Option<Error> {
        let backfill = source.backfill.as_ref()?;
        let error = backfill.failure.as_ref()?.duplicate();
        let name = |id: &u32| self.views.get(id).map(|v| v.record.name.clone());
        let names: Vec<String> = self.views_of(backfill.cursor.id).iter().filter_map(name).collect();
        let name = &source.record.name;
        let doing = || format!("reading {name} from its beginning for view {}", names.join(", "));
        // When all of them are dropped, nobody asks any more.
        (!names.is_empty()).then(|| error.context(doing()))
    }

    /// The facts of a source. `targets` is what a backfill is to read.
    pub fn facts(&self, source: &SourceState, targets: &[crate::connector::Split]) -> Facts {
        let main_views = self.views_of(source.main.id);
        let keeps_rows = source.attached.as_ref().is_some_and(|a| a.definition.keeps_rows);
        let wanted = self.wanted(source);
        let replayable = source.attached.as_ref().is_some_and(|a| a.source.is_replayable());
        let backfill = source.backfill.as_ref().map(|b| Backfill {
            stage: b.cursor.stage,
            behind: behind(&b.cursor, targets),
            rounds: b.rounds,
            last: b.last,
            failed: b.failure.is_some(),
        });
        let is_stale = |p: &Pipeline| {
            let reads_other = |a: &Attached| !Arc::ptr_eq(&a.source, &p.source);
            p.views != main_views || source.attached.as_ref().is_some_and(reads_other)
        };
        Facts {
            wanted,
            main: source.main.stage,
            main_is_stale: source.main.pipeline.as_ref().is_some_and(is_stale),
            untouched: source.main.untouched(),
            readable_again: replayable || keeps_rows,
            pending: !self.waiting(source.record.id).is_empty(),
            backfill,
        }
    }
}

/// What `cursor` has not read of `targets`.
fn behind(cursor: &CursorState, targets: &[crate::connector::Split]) -> u64 {
    let missing = |t: &crate::connector::Split| {
        let offset = cursor.splits.get(&t.id).map_or(t.start, |s| s.offset);
        t.end.map_or(0, |end| u64::try_from(end - offset).unwrap_or(0))
    };
    targets.iter().map(missing).sum()
}
