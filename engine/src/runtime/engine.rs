//! The engine's face: definitions, running, writing, reading.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use crossbeam::channel::{Sender, bounded, unbounded};

use super::compactor::compact_all;
use super::report::report;
use super::state::{
    Attached, AttachedView, BackfillState, CursorState, Event, Shared, SourceState, State, ViewEntry,
};
use super::supervisor::Supervisor;
use super::{Options, Snapshot, Status, lake};
use crate::clock;
use crate::connector::{Registry, Source, SourceDefinition, SplitId};
use crate::error::{Error, Kind, Result};
use crate::lsm::{RelationKind, RelationRecord, Store, StoreOptions};
use crate::rollup::ViewDefinition;

/// A directory, and everything that runs over it. Dropping the last handle stops it.
pub struct Engine {
    pub(super) shared: Arc<Shared>,
    /// Workers of all pipelines that run, for dividing memory.
    workers: Arc<AtomicUsize>,
    compactor: Sender<()>,
    /// The thread that keeps the lake lives as long as this.
    lake: Mutex<Option<Sender<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    pub(super) stopping: Arc<AtomicBool>,
    /// All that were made, to interrupt them at the end.
    made: Mutex<Vec<Weak<dyn Source>>>,
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

/// How long a stop waits for what sources have held back to go out, all together.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

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
            lake: options.lake.clone(),
            owner: options.owner.clone(),
        };
        let (store, mut stored) = Store::open(dir, &store_options)?;
        let mut state = State { newest_id: stored.newest_id, ..State::default() };
        for record in stored.relations {
            let id = record.id;
            if record.kind == RelationKind::View {
                state.views.insert(id, ViewEntry { record, attached: None, lacks: Vec::new() });
                continue;
            }
            let main = CursorState::new(id, stored.splits.remove(&id).unwrap_or_default());
            let totals = stored.totals.get(&id).copied().unwrap_or_default();
            state.sources.insert(id, SourceState::new(record, main, totals));
        }
        for cursor in stored.cursors.iter().filter(|c| c.backfill) {
            if let Some(source) = state.sources.get_mut(&cursor.source) {
                let splits = stored.splits.remove(&cursor.id).unwrap_or_default();
                let cursor = CursorState::new(cursor.id, splits);
                source.backfill = Some(BackfillState::new(cursor));
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
        let (threads, made) = (Mutex::new(vec![thread]), Mutex::default());
        let lake = Mutex::default();
        Ok(Arc::new(Self { shared, workers, compactor, lake, threads, stopping, made }))
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

    pub(super) fn make_source(&self, definition: &SourceDefinition) -> Result<Arc<dyn Source>> {
        let name = &definition.connector;
        let connector = self.registry().get(name).ok_or_else(|| {
            let names: Vec<_> = self.registry().names().collect();
            Error::invalid(format!("there is no connector '{name}'"))
                .with_hint(format!("connectors here: {}", names.join(", ")))
        })?;
        let source = connector.source(&definition.spec())?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|other| other.strong_count() > 0);
        made.push(Arc::downgrade(&source));
        // Looked at under the lock: a stop that has not seen this source comes behind it.
        if self.stopping.load(Ordering::Acquire) {
            source.interrupt();
        }
        Ok(source)
    }

    /// Attaches the compiled definition of a stored view.
    pub fn attach_view(&self, id: u32, definition: ViewDefinition) -> Result<()> {
        let attached = AttachedView::new(definition)?;
        let mut state = self.shared.state();
        let view = state.views.get_mut(&id);
        let view = view.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no view {id}")))?;
        view.attached = Some(attached);
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
        if self.shared.store.has_lake() {
            let (open, stopped) = crossbeam::channel::bounded(0);
            *self.lake.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
            let (shared, stopping) = (Arc::downgrade(&self.shared), self.stopping.clone());
            let thread = clock::spawn("lake", move || lake::keep(&shared, &stopping, &stopped))?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(())
    }

    pub(super) fn supervise(&self, state: &mut State, id: u32) -> Result<()> {
        let (supervisor, events) = unbounded();
        state.source_mut(id)?.supervisor = Some(supervisor);
        let (shared, workers) = (self.shared.clone(), self.workers.clone());
        let supervisor =
            Supervisor { shared, source: id, events, workers, compactor: self.compactor.clone() };
        let thread = clock::spawn(format!("supervise {id}"), move || supervisor.run())?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    pub(super) fn wake(&self, state: &State, source: u32) {
        let supervisor = state.sources.get(&source).and_then(|s| s.supervisor.as_ref());
        if let Some(supervisor) = supervisor {
            let _ = supervisor.send(Event::Changed);
        }
        self.shared.notify();
    }

    /// Every source has been read to its end, and every view that has not failed holds all of it.
    pub fn is_finished(&self) -> bool {
        self.shared.state().is_finished()
    }

    /// The error of the first source that stopped by one.
    pub fn failure(&self) -> Option<Error> {
        self.shared.state().failure()
    }

    /// Why the first of the views that were created later and cannot be read from the beginning cannot; the
    /// others go on.
    pub fn backfill_failure(&self) -> Option<Error> {
        let state = self.shared.state();
        state.sources.values().find_map(|source| state.backfill_failure(source))
    }

    /// Waits until everything is finished or a source has failed; false when the time ran out before.
    ///
    /// # Errors
    /// Of a source that has failed; when all is finished, of a view that could not be read from the beginning.
    pub fn wait_idle(&self, timeout: Duration) -> Result<bool> {
        let done = self.shared.wait(timeout, |state| match state.failure() {
            Some(error) => Some(Err(error)),
            None => state.is_finished().then_some(Ok(true)),
        });
        match (done.unwrap_or(Ok(false)), self.backfill_failure()) {
            (Ok(true), Some(error)) => Err(error),
            (done, _) => done,
        }
    }

    /// Closes the last epoch of every pipeline and ends all threads. What is durable stays readable.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let mut pipelines = Vec::new();
        {
            let mut state = self.shared.state();
            state.stopping = true;
            for source in self.made.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                source.upgrade().into_iter().for_each(|source| source.interrupt());
            }
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
        self.flush();
        self.lake.lock().unwrap_or_else(PoisonError::into_inner).take();
        lake::commit_staged(&self.shared);
        let _ = self.compactor.try_send(());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        self.shared.notify();
    }

    fn flush(&self) {
        let attached = |s: &SourceState| s.attached.as_ref().map(|a| a.source.clone());
        let sources: Vec<_> = self.shared.state().sources.values().filter_map(attached).collect();
        let start = clock::now();
        for source in sources {
            source.flush(FLUSH_WAIT.saturating_sub(start.elapsed()));
        }
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
        let lacking = state.views.values().filter(|v| v.record.lacks_rows).map(|v| v.record.id);
        Snapshot {
            lacking: Arc::new(lacking.collect()),
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

fn stored_relation(record: &RelationRecord) -> StoredRelation {
    StoredRelation {
        id: record.id,
        kind: record.kind,
        name: record.name.clone(),
        text: record.text.clone(),
        source: record.source,
    }
}
