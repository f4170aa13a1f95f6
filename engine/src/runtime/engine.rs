//! The engine's face: definitions, running, writing, reading.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use crossbeam::channel::{Sender, bounded, unbounded};

use super::compactor::compact;
use super::report::report;
use super::state::{
    Attached, AttachedView, BackfillState, CursorState, Event, Shared, SourceState, State, ViewEntry,
};
use super::supervisor::Supervisor;
use super::{Options, Snapshot, Status};
use crate::checkpoint::Stage;
use crate::clock;
use crate::connector::{Registry, Source, SourceDefinition, Split, SplitId};
use crate::error::{Error, Kind, Result};
use crate::lsm::{
    Change, CursorRecord, RelationKind, RelationRecord, SplitRecord, Store, StoreOptions, Totals,
};
use crate::rollup::{Layout, ViewDefinition};

/// A directory, and everything that runs over it. Dropping the last handle stops it.
pub struct Engine {
    shared: Arc<Shared>,
    /// Workers of all pipelines that run, for dividing memory.
    workers: Arc<AtomicUsize>,
    compactor: Sender<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopping: Arc<AtomicBool>,
}

/// A definition as it is stored.
#[derive(Clone, Debug)]
pub struct StoredRelation {
    pub id: u32,
    pub kind: RelationKind,
    pub name: String,
    pub text: String,
    pub source: Option<u32>,
}

/// A view that was created.
#[derive(Clone, Copy, Debug)]
pub struct CreatedView {
    pub id: u32,
    /// Its source cannot be read again: it counts what comes behind this epoch.
    pub counts_from: Option<u64>,
    /// It has not caught up with the other views of its source yet; [`Status::views`] says when it has.
    pub backfilling: bool,
}

/// How long creating a view waits for it to hold what its source has read.
const CATCH_UP_WAIT: Duration = Duration::from_secs(1);

/// How often somebody who waits for pushed rows has their epoch closed.
const NUDGE: Duration = Duration::from_millis(10);

impl Engine {
    /// Opens or creates `dir`. The definitions found are in [`Engine::stored`]; attach each, then start.
    ///
    /// # Errors
    /// [`Kind::Busy`] if another process has the directory.
    pub fn open(dir: &Path, options: Options, registry: Arc<Registry>) -> Result<Arc<Self>> {
        let store_options = StoreOptions {
            memory_bytes: options.store_memory_bytes(),
            merged_bytes: options.merged_memory_bytes(),
            owner: options.owner.clone(),
        };
        let (store, mut stored) = Store::open(dir, &store_options)?;
        let mut state = State::default();
        let cursors = stored.cursors.iter().map(|c| c.id);
        state.next_id = stored.relations.iter().map(|r| r.id).chain(cursors).max().unwrap_or(0);
        for record in stored.relations {
            let id = record.id;
            if record.kind == RelationKind::View {
                state.views.insert(id, ViewEntry { record, attached: None });
                continue;
            }
            let main = CursorState::new(id, stored.splits.remove(&id).unwrap_or_default());
            let totals = stored.totals.get(&id).copied().unwrap_or_default();
            state.sources.insert(id, new_source(record, main, totals));
        }
        for cursor in stored.cursors.iter().filter(|c| c.backfill) {
            if let Some(source) = state.sources.get_mut(&cursor.source) {
                let splits = stored.splits.remove(&cursor.id).unwrap_or_default();
                let cursor = CursorState::new(cursor.id, splits);
                source.backfill = Some(BackfillState { cursor, rounds: 0, last: false });
            }
        }
        let shared = Shared::new(store, registry, options, state);
        let stopping = Arc::new(AtomicBool::new(false));
        let (compactor, kicks) = bounded::<()>(1);
        let (for_thread, stop) = (Arc::downgrade(&shared), stopping.clone());
        let thread = clock::spawn("compact", move || {
            while kicks.recv().is_ok() && !stop.load(Ordering::Acquire) {
                let Some(shared) = for_thread.upgrade() else { return };
                if let Err(error) = compact_all(&shared, &stop) {
                    tracing::error!(%error, "compaction");
                }
            }
        })?;
        let workers = Arc::new(AtomicUsize::new(0));
        Ok(Arc::new(Self { shared, workers, compactor, threads: Mutex::new(vec![thread]), stopping }))
    }

    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The directory everything is in.
    pub fn dir(&self) -> &Path {
        self.shared.store.dir()
    }

    /// The stored definitions, in the order of their creation.
    pub fn stored(&self) -> Vec<StoredRelation> {
        let state = self.shared.state();
        let records =
            state.sources.values().map(|s| &s.record).chain(state.views.values().map(|v| &v.record));
        let mut all: Vec<StoredRelation> = records.map(stored_relation).collect();
        all.sort_by_key(|r| r.id);
        all
    }

    /// Attaches the compiled definition of a stored source.
    pub fn attach_source(&self, id: u32, definition: SourceDefinition) -> Result<()> {
        let source = self.make_source(&definition)?;
        let attached = Attached { definition: Arc::new(definition), source };
        self.shared.state().source_mut(id)?.attached = Some(attached);
        Ok(())
    }

    fn make_source(&self, definition: &SourceDefinition) -> Result<Arc<dyn Source>> {
        let name = &definition.connector;
        let connector = self.registry().get(name).ok_or_else(|| {
            let names: Vec<_> = self.registry().names().collect();
            Error::invalid(format!("there is no connector '{name}'"))
                .with_hint(format!("connectors here: {}", names.join(", ")))
        })?;
        connector.source(&definition.spec())
    }

    /// Attaches the compiled definition of a stored view.
    pub fn attach_view(&self, id: u32, definition: ViewDefinition) -> Result<()> {
        let attached = attach(definition)?;
        let mut state = self.shared.state();
        let view = state.views.get_mut(&id);
        let view = view.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no view {id}")))?;
        view.attached = Some(attached);
        Ok(())
    }

    /// Creates a source or table, durably. Asks the external system for its splits, so that what is wrong
    /// with the options is known at once and "from now on" means now.
    pub fn create_source(&self, text: &str, definition: SourceDefinition) -> Result<u32> {
        let source = self.make_source(&definition)?;
        let record = |split: Split| SplitRecord { offset: split.start, split, finished: false };
        let splits: Vec<SplitRecord> = source.discover(&[])?.into_iter().map(record).collect();
        let kind = if definition.keeps_rows { RelationKind::Table } else { RelationKind::Source };
        let mut state = self.shared.state();
        let id = state.allocate_id();
        let name = definition.name.clone();
        let relation = RelationRecord { id, kind, name, text: text.to_owned(), source: None, cursor: None };
        self.shared.store.commit(Change {
            put_relations: vec![relation.clone()],
            put_cursors: vec![CursorRecord { id, source: id, backfill: false }],
            put_splits: splits.iter().map(|s| (id, s.clone())).collect(),
            ..Change::default()
        })?;
        let mut entry = new_source(relation, CursorState::new(id, splits), Totals::default());
        entry.attached = Some(Attached { definition: Arc::new(definition), source });
        state.sources.insert(id, entry);
        if state.started.is_some() {
            self.supervise(&mut state, id)?;
        }
        Ok(id)
    }

    /// Creates a view, durably. On a source that runs already it reads from the beginning, beside the
    /// others, and joins them when it has caught up; if that takes long, the call returns before.
    pub fn create_view(&self, text: &str, definition: ViewDefinition) -> Result<CreatedView> {
        let (source, name) = (definition.source, definition.name.clone());
        let attached = attach(definition)?;
        let mut state = self.shared.state();
        let replayable = {
            let own = state.source(source)?;
            let again = |a: &Attached| a.source.is_replayable() || a.definition.keeps_rows;
            own.attached.as_ref().is_none_or(again)
        };
        let id = state.allocate_id();
        let (kind, text) = (RelationKind::View, text.to_owned());
        let record = RelationRecord { id, kind, name, text, source: Some(source), cursor: None };
        let change = Change { put_relations: vec![record.clone()], ..Change::default() };
        let version = self.shared.store.commit(change)?;
        state.views.insert(id, ViewEntry { record, attached: Some(attached) });
        self.wake(&state, source);
        let started = state.started.is_some();
        drop(state);
        let settled = |state: &State| {
            let joined = state.views.get(&id).is_none_or(|v| v.record.cursor == Some(source));
            let own = state.sources.get(&source);
            let reads = own.is_none_or(|s| s.failure.is_some() || s.main.stage != Stage::Stopped);
            (joined && reads).then_some(())
        };
        let backfilling = started && self.shared.wait(CATCH_UP_WAIT, settled).is_none();
        Ok(CreatedView { id, counts_from: (!replayable).then_some(version.epoch), backfilling })
    }

    /// Drops a view, or a source that no view reads, with all it holds.
    ///
    /// # Errors
    /// [`Kind::Busy`] if views read it.
    pub fn drop_relation(&self, id: u32) -> Result<()> {
        let mut state = self.shared.state();
        if let Some(view) = state.views.remove(&id) {
            self.shared.store.commit(Change { delete_relations: vec![id], ..Change::default() })?;
            if let Some(source) = view.record.source {
                self.wake(&state, source);
            }
            return Ok(());
        }
        let name = state.source(id)?.record.name.clone();
        if let Some(view) = state.views.values().find(|v| v.record.source == Some(id)) {
            return Err(Error::new(Kind::Busy, format!("view {} reads {name}", view.record.name))
                .with_hint("drop the view first, or use CASCADE"));
        }
        let dropped = state.sources.remove(&id);
        drop(state);
        let Some(mut dropped) = dropped else {
            return Ok(());
        };
        if let Some(supervisor) = dropped.supervisor.take() {
            let _ = supervisor.send(Event::End);
        }
        let mut cursors = vec![id];
        let backfill = dropped.backfill.take().map(|b| b.cursor);
        cursors.extend(backfill.as_ref().map(|c| c.id));
        for pipeline in
            [dropped.main.pipeline.take(), backfill.and_then(|c| c.pipeline)].into_iter().flatten()
        {
            pipeline.abandon();
        }
        let change = Change { delete_relations: vec![id], delete_cursors: cursors, ..Change::default() };
        self.shared.store.commit(change)?;
        Ok(())
    }

    /// Starts all pipelines. `bounded`: every source ends where it ends now.
    pub fn start(&self, bounded: bool) -> Result<()> {
        let mut state = self.shared.state();
        if state.started.is_some() {
            return Ok(());
        }
        state.started = Some(bounded);
        let ids: Vec<u32> = state.sources.keys().copied().collect();
        for id in ids {
            self.supervise(&mut state, id)?;
        }
        let _ = self.compactor.try_send(());
        Ok(())
    }

    fn supervise(&self, state: &mut State, id: u32) -> Result<()> {
        let (supervisor, events) = unbounded();
        state.source_mut(id)?.supervisor = Some(supervisor);
        let (shared, workers) = (self.shared.clone(), self.workers.clone());
        let supervisor =
            Supervisor { shared, source: id, events, workers, compactor: self.compactor.clone() };
        let thread = clock::spawn(format!("supervise {id}"), move || supervisor.run())?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    fn wake(&self, state: &State, source: u32) {
        let supervisor = state.sources.get(&source).and_then(|s| s.supervisor.as_ref());
        if let Some(supervisor) = supervisor {
            let _ = supervisor.send(Event::Changed);
        }
        self.shared.notify();
    }

    /// Every source has been read to its end, and every view holds all of it.
    pub fn is_finished(&self) -> bool {
        finished(&self.shared.state())
    }

    /// The error of the first source that stopped by one.
    pub fn failure(&self) -> Option<Error> {
        failure(&self.shared.state())
    }

    /// Waits until everything is finished or a source has failed; false when the time ran out before.
    pub fn wait_idle(&self, timeout: Duration) -> Result<bool> {
        let done = self.shared.wait(timeout, |state| match failure(state) {
            Some(error) => Some(Err(error)),
            None => finished(state).then_some(Ok(true)),
        });
        done.unwrap_or(Ok(false))
    }

    /// Closes the last epoch of every pipeline and ends all threads. What is durable stays readable.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let mut pipelines = Vec::new();
        {
            let mut state = self.shared.state();
            state.stopping = true;
            for source in state.sources.values_mut() {
                if let Some(supervisor) = source.supervisor.take() {
                    let _ = supervisor.send(Event::End);
                }
                pipelines.extend(source.main.pipeline.take());
                pipelines.extend(source.backfill.as_mut().and_then(|b| b.cursor.pipeline.take()));
            }
        }
        for pipeline in pipelines {
            pipeline.stop();
        }
        let _ = self.compactor.try_send(());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        self.shared.notify();
    }

    /// Everything at this moment.
    pub fn status(&self) -> Status {
        report(&self.shared)
    }

    /// Hands rows of the source's physical schema to a source that is fed by this process; waits while its
    /// queue is full. They are durable when [`Engine::wait_for`] of the answer returns.
    pub fn push(&self, source: u32, batch: RecordBatch) -> Result<(SplitId, i64)> {
        let attached = self.shared.state().source(source)?.attached.clone();
        let attached = attached.ok_or_else(|| Error::invalid(format!("source {source} is not attached")))?;
        let name = &attached.definition.name;
        let port = attached.source.push_port().ok_or_else(|| {
            let connector = &attached.definition.connector;
            Error::new(
                Kind::Unsupported,
                format!("{name} is fed by its connector '{connector}', not by INSERT"),
            )
        })?;
        port.push(batch).map_err(|e| e.context(format!("pushing rows to {name}")))
    }

    /// Waits until a source has durably read up to these offsets; the answer is an epoch that shows it.
    ///
    /// # Errors
    /// [`Kind::Exhausted`] when the time ran out; the source's own error if it has failed.
    pub fn wait_for(&self, source: u32, offsets: &BTreeMap<SplitId, i64>, timeout: Duration) -> Result<u64> {
        let reached = |state: &State| {
            let own = match state.source(source) {
                Ok(own) => own,
                Err(error) => return Some(Err(error)),
            };
            if let Some(error) = &own.failure {
                return Some(Err(error.duplicate()));
            }
            let there =
                |(id, offset): (&SplitId, &i64)| own.main.splits.get(id).is_some_and(|s| s.offset >= *offset);
            match offsets.iter().all(there) {
                true => Some(Ok(())),
                false if state.stopping => Some(Err(Error::new(Kind::Closed, "the engine is stopping"))),
                false => None,
            }
        };
        let start = clock::now();
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            let step = if self.close_epoch(source) { NUDGE.min(left) } else { left };
            if let Some(answer) = self.shared.wait(step, reached) {
                return answer.map(|()| self.shared.store.version().epoch);
            }
            if start.elapsed() >= timeout {
                return Err(Error::new(Kind::Exhausted, "the rows did not become durable in the time given"));
            }
        }
    }

    /// Has a source that this process feeds close its epoch now: somebody waits for it. False for a source
    /// that others feed, whose epochs are not ours to hurry.
    fn close_epoch(&self, source: u32) -> bool {
        let state = self.shared.state();
        let Ok(own) = state.source(source) else {
            return false;
        };
        let pushed = own.attached.as_ref().is_some_and(|a| a.source.push_port().is_some());
        if let (true, Some(pipeline)) = (pushed, &own.main.pipeline) {
            pipeline.close_epoch();
        }
        pushed
    }

    /// Pins the newest epoch.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.shared.state();
        let views = state.views.iter().filter_map(|(id, v)| Some((*id, v.attached.clone()?)));
        let tables = state.sources.iter().filter_map(|(id, s)| {
            let definition = s.attached.as_ref()?.definition.clone();
            Some((*id, (s.record.name.clone(), definition)))
        });
        // A view that waits for a cursor misses nothing while nothing has been read.
        let behind = |v: &&ViewEntry| match (v.record.cursor, v.record.source) {
            (Some(cursor), source) => Some(cursor) != source,
            (None, source) => source.and_then(|s| state.sources.get(&s)).is_some_and(|s| !s.main.untouched()),
        };
        let backfilling = state.views.values().filter(behind).map(|v| v.record.id).collect();
        Snapshot {
            store: self.shared.store.clone(),
            version: self.shared.store.version(),
            views: Arc::new(views.collect()),
            backfilling: Arc::new(backfilling),
            tables: Arc::new(tables.collect()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn new_source(record: RelationRecord, main: CursorState, totals: Totals) -> SourceState {
    SourceState {
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

fn attach(definition: ViewDefinition) -> Result<AttachedView> {
    let layout = Arc::new(Layout::new(&definition)?);
    Ok(AttachedView { definition: Arc::new(definition), layout })
}

fn stored_relation(record: &RelationRecord) -> StoredRelation {
    StoredRelation {
        id: record.id,
        kind: record.kind,
        name: record.name.clone(),
        text: record.text.clone(),
        source: record.source,
    }
}

fn finished(state: &State) -> bool {
    state.sources.values().all(|source| {
        let done = source.main.stage == Stage::Finished || !state.wanted(source);
        done && source.backfill.is_none() && state.waiting(source.record.id).is_empty()
    })
}

fn failure(state: &State) -> Option<Error> {
    state.sources.values().find_map(|s| {
        let error = s.failure.as_ref()?.duplicate();
        Some(error.context(format!("source {}", s.record.name)))
    })
}

/// Compacts until no view has anything to compact.
fn compact_all(shared: &Arc<Shared>, stopping: &AtomicBool) -> Result<()> {
    let cancelled = || stopping.load(Ordering::Acquire);
    let views: Vec<(u32, AttachedView)> = {
        let state = shared.state();
        state.views.iter().filter_map(|(id, v)| Some((*id, v.attached.clone()?))).collect()
    };
    for (id, view) in views {
        while !cancelled() && compact(&shared.store, id, &view.layout, &cancelled)? {}
    }
    Ok(())
}
