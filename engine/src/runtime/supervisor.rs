//! One thread for each source: asks [`checkpoint::decide`] what to do and does it; looks for new splits
//! and for the ends of open ones.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::kept::KeptRows;
use super::pipeline::{Closed, Observer, Pipeline, PipelineSpec};
use super::state::{Attached, BackfillState, CursorState, Event, Shared, State};
use super::{EPOCHS_MAX, EpochStatus};
use crate::checkpoint::{Action, Stage, decide};
use crate::clock;
use crate::connector::{Source, Split};
use crate::dataflow::{FoldSpec, GraphSpec};
use crate::error::{Error, Kind, Result};
use crate::lsm::{Change, CursorRecord, SplitRecord, Version};

/// How often a running source is asked for new splits and for the ends of open ones.
const LOOK: Duration = Duration::from_secs(2);

/// Actions one after the other without a pause at most; more would mean that deciding goes in a circle.
const ACTIONS_MAX: usize = 64;

/// Supervises one source.
pub struct Supervisor {
    pub shared: Arc<Shared>,
    pub source: u32,
    pub events: Receiver<Event>,
    pub workers: Arc<AtomicUsize>,
    pub compactor: crossbeam::channel::Sender<()>,
}

impl Supervisor {
    /// Runs until the source is dropped or the engine stops.
    pub fn run(self) {
        loop {
            if let Err(error) = self.settle() {
                self.fail(error);
            }
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Changed) => {}
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.look() {
                        tracing::warn!(source = self.source, %error, "looking for new splits");
                    }
                }
            }
        }
    }

    fn fail(&self, error: Error) {
        tracing::error!(source = self.source, %error, "source stopped");
        let mut state = self.shared.state();
        if let Ok(source) = state.source_mut(self.source) {
            source.failure.get_or_insert(error);
        }
        drop(state);
        self.shared.notify();
    }

    /// Acts until there is nothing to do.
    fn settle(&self) -> Result<()> {
        for _ in 0..ACTIONS_MAX {
            let Some((facts, attached)) = self.facts()? else {
                return Ok(());
            };
            let action = decide(&facts);
            tracing::debug!(source = self.source, ?facts, ?action, "deciding");
            match action {
                Action::Nothing => return Ok(()),
                Action::StartMain => self.start_main(&attached)?,
                Action::StopMain => self.stop_main()?,
                Action::Adopt => self.adopt()?,
                Action::BeginBackfill => self.begin_backfill()?,
                Action::Round { last } => self.round(&attached, last)?,
                Action::Join => self.join()?,
            }
            self.shared.notify();
        }
        Err(Error::new(Kind::Exhausted, "deciding what to do with the source does not come to an end"))
    }

    /// `None` if there is nothing to supervise.
    fn facts(&self) -> Result<Option<(crate::checkpoint::Facts, Attached)>> {
        self.drop_empty_backfill()?;
        let state = self.shared.state();
        let Ok(source) = state.source(self.source) else {
            return Ok(None);
        };
        let (Some(_), Some(attached), None, false) =
            (state.started, &source.attached, &source.failure, state.stopping)
        else {
            return Ok(None);
        };
        let (_, targets) = self.targets(attached, &source.main);
        Ok(Some((state.facts(source, &targets), attached.clone())))
    }

    /// What a backfill reads, and from where: the kept rows, or what the main cursor has read.
    fn targets(&self, attached: &Attached, main: &CursorState) -> (Arc<dyn Source>, Vec<Split>) {
        if attached.definition.keeps_rows {
            let store = self.shared.store.clone();
            let version = store.version();
            let kept = KeptRows::new(store, version, self.source, &attached.definition);
            let splits = kept.splits();
            return (Arc::new(kept), splits);
        }
        let read = |s: &SplitRecord| {
            (s.offset > s.split.start).then(|| Split { end: Some(s.offset), ..s.split.clone() })
        };
        (attached.source.clone(), main.splits.values().filter_map(read).collect())
    }

    /// A backfill whose views were all dropped is no longer wanted.
    fn drop_empty_backfill(&self) -> Result<()> {
        let mut state = self.shared.state();
        let Ok(source) = state.source(self.source) else {
            return Ok(());
        };
        let Some(cursor) = source.backfill.as_ref().map(|b| b.cursor.id) else {
            return Ok(());
        };
        if !state.views_of(cursor).is_empty() {
            return Ok(());
        }
        let backfill = state.source_mut(self.source)?.backfill.take();
        drop(state);
        if let Some(pipeline) = backfill.and_then(|b| b.cursor.pipeline) {
            pipeline.abandon();
        }
        self.shared.store.commit(Change { delete_cursors: vec![cursor], ..Change::default() })?;
        Ok(())
    }

    fn start_main(&self, attached: &Attached) -> Result<()> {
        self.find_splits(attached)?;
        let mut state = self.shared.state();
        let bounded = state.started == Some(true);
        let views = state.views_of(self.source);
        let main = &state.source(self.source)?.main;
        let splits: Vec<SplitRecord> = main.splits.values().filter(|s| !s.finished).cloned().collect();
        let ends = attached.source.is_bounded() || bounded;
        let mut run_ends = BTreeMap::new();
        if bounded && !attached.source.is_bounded() {
            drop(state);
            let all: Vec<Split> = splits.iter().map(|s| s.split.clone()).collect();
            let found = attached.source.ends(&all)?;
            // A gap is met where reading begins, even if nothing is behind it.
            for split in &splits {
                let id = &split.split.id;
                let end = found.get(id).copied().or_else(|| found.is_empty().then_some(split.offset));
                let unknown =
                    || Error::new(Kind::Io, format!("the end of {id} is not known, to read up to it"));
                run_ends.insert(id.clone(), end.ok_or_else(unknown)?);
            }
            state = self.shared.state();
            state.source_mut(self.source)?.main.ends = found;
        }
        let graph = self.graph(&state, attached, &views, attached.definition.keeps_rows)?;
        let spec = self.spec(self.source, attached.source.clone(), graph, splits, ends);
        let pipeline = Pipeline::start(PipelineSpec { run_ends, ..spec })?;
        let main = &mut state.source_mut(self.source)?.main;
        main.pipeline = Some(pipeline);
        main.stage = Stage::Running;
        Ok(())
    }

    /// Asks the source for splits that are not known yet, and keeps them.
    fn find_splits(&self, attached: &Attached) -> Result<Vec<SplitRecord>> {
        let known: Vec<Split> = {
            let state = self.shared.state();
            state.source(self.source)?.main.splits.values().map(|s| s.split.clone()).collect()
        };
        let found = match attached.source.discover(&known) {
            Ok(found) => found,
            Err(error) if error.kind() == Kind::Io && !known.is_empty() => {
                tracing::warn!(source = self.source, %error, "looking for new splits; going on with those known");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let record = |split: Split| SplitRecord { offset: split.start, split, finished: false };
        let found: Vec<SplitRecord> = found.into_iter().map(record).collect();
        if !found.is_empty() {
            let put_splits = found.iter().map(|s| (self.source, s.clone())).collect();
            self.shared.store.commit(Change { put_splits, ..Change::default() })?;
            let mut state = self.shared.state();
            let main = &mut state.source_mut(self.source)?.main;
            main.splits.extend(found.iter().map(|s| (s.split.id.clone(), s.clone())));
        }
        Ok(found)
    }

    fn graph(
        &self,
        state: &State,
        attached: &Attached,
        views: &[u32],
        keeps_rows: bool,
    ) -> Result<GraphSpec> {
        let mut folds = Vec::with_capacity(views.len());
        for id in views {
            let view = state.views.get(id).and_then(|v| v.attached.as_ref());
            let view = view.ok_or_else(|| Error::corrupt(format!("view {id} has no definition")))?;
            folds.push(FoldSpec {
                id: *id,
                definition: view.definition.clone(),
                layout: view.layout.clone(),
            });
        }
        Ok(GraphSpec::new(attached.definition.clone(), folds, keeps_rows))
    }

    fn spec(
        &self,
        cursor: u32,
        source: Arc<dyn Source>,
        graph: GraphSpec,
        splits: Vec<SplitRecord>,
        ends: bool,
    ) -> PipelineSpec {
        let options = &self.shared.options;
        let observer = Watcher {
            shared: Arc::downgrade(&self.shared),
            source: self.source,
            reader: source.clone(),
            compactor: self.compactor.clone(),
        };
        PipelineSpec {
            store: self.shared.store.clone(),
            cursor,
            source_id: self.source,
            source,
            graph,
            splits,
            run_ends: BTreeMap::new(),
            ends,
            workers: options.workers,
            fold_bytes: usize::try_from(options.fold_memory_bytes()).unwrap_or(usize::MAX),
            worker_count: self.workers.clone(),
            interval: options.epoch_interval,
            observer: Arc::new(observer),
        }
    }

    fn stop_main(&self) -> Result<()> {
        let pipeline = self.shared.state().source_mut(self.source)?.main.pipeline.take();
        if let Some(pipeline) = pipeline {
            pipeline.stop();
        }
        Ok(())
    }

    /// Waiting views are fed by the main cursor.
    fn adopt(&self) -> Result<()> {
        let waiting = self.shared.state().waiting(self.source);
        self.move_views(&waiting, self.source, Change::default())
    }

    fn move_views(&self, views: &[u32], cursor: u32, mut change: Change) -> Result<()> {
        let mut state = self.shared.state();
        for id in views {
            if let Some(view) = state.views.get_mut(id) {
                view.record.cursor = Some(cursor);
                change.put_relations.push(view.record.clone());
            }
        }
        self.shared.store.commit(change)?;
        if cursor == self.source {
            // A finished pipeline feeds nothing: the next one reads what is left, if anything.
            let main = &mut state.source_mut(self.source)?.main;
            main.stage = if main.stage == Stage::Finished { Stage::Finished } else { Stage::Stopped };
        }
        Ok(())
    }

    fn begin_backfill(&self) -> Result<()> {
        let (id, waiting) = {
            let mut state = self.shared.state();
            (state.allocate_id(), state.waiting(self.source))
        };
        let cursor = CursorRecord { id, source: self.source, backfill: true };
        self.move_views(&waiting, id, Change { put_cursors: vec![cursor], ..Change::default() })?;
        let mut state = self.shared.state();
        let cursor = CursorState::new(id, []);
        state.source_mut(self.source)?.backfill = Some(BackfillState { cursor, rounds: 0, last: false });
        Ok(())
    }

    fn round(&self, attached: &Attached, last: bool) -> Result<()> {
        let mut state = self.shared.state();
        let (source, targets) = self.targets(attached, &state.source(self.source)?.main);
        let backfill = state.source(self.source)?.backfill.as_ref();
        let Some(backfill) = backfill else {
            return Ok(());
        };
        let cursor = backfill.cursor.id;
        let record = |target: Split| {
            let offset = backfill.cursor.splits.get(&target.id).map_or(target.start, |s| s.offset);
            SplitRecord { offset, split: target, finished: false }
        };
        let splits: Vec<SplitRecord> = targets.into_iter().map(record).collect();
        let open: Vec<SplitRecord> =
            splits.iter().filter(|s| s.split.end > Some(s.offset)).cloned().collect();
        let views = state.views_of(cursor);
        let graph = self.graph(&state, attached, &views, false)?;
        let backfill = state.source_mut(self.source)?.backfill.as_mut().expect("seen above, under this lock");
        backfill.cursor.splits = splits.into_iter().map(|s| (s.split.id.clone(), s)).collect();
        backfill.rounds += 1;
        backfill.last = last;
        backfill.cursor.stage = Stage::Running;
        backfill.cursor.pipeline = Some(Pipeline::start(self.spec(cursor, source, graph, open, true))?);
        Ok(())
    }

    fn join(&self) -> Result<()> {
        let (cursor, views) = {
            let mut state = self.shared.state();
            let backfill = state.source_mut(self.source)?.backfill.take();
            let cursor = backfill.map_or(0, |b| b.cursor.id);
            (cursor, state.views_of(cursor))
        };
        self.move_views(&views, self.source, Change { delete_cursors: vec![cursor], ..Change::default() })
    }

    /// New splits and new ends, while the source runs.
    fn look(&self) -> Result<()> {
        let (attached, splits) = {
            let state = self.shared.state();
            let Ok(source) = state.source(self.source) else {
                return Ok(());
            };
            match &source.attached {
                Some(a)
                    if source.main.stage == Stage::Running
                        && !a.source.is_bounded()
                        && state.started == Some(false) =>
                {
                    let splits: Vec<Split> = source.main.splits.values().map(|s| s.split.clone()).collect();
                    (a.clone(), splits)
                }
                _ => return Ok(()),
            }
        };
        let found = self.find_splits(&attached)?;
        // Found splits are known from now on, so they are handed out before anything can fail.
        if !found.is_empty() {
            let state = self.shared.state();
            if let Some(pipeline) = &state.source(self.source)?.main.pipeline {
                pipeline.assign(found);
            }
        }
        let ends = attached.source.ends(&splits)?;
        self.shared.state().source_mut(self.source)?.main.ends = ends;
        Ok(())
    }
}

/// Takes over what pipelines report.
struct Watcher {
    shared: Weak<Shared>,
    source: u32,
    reader: Arc<dyn Source>,
    compactor: crossbeam::channel::Sender<()>,
}

impl Observer for Watcher {
    fn before_commit(&self, closed: &Closed, change: &mut Change) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let state = shared.state();
        if let (Ok(source), true) = (state.source(self.source), closed.cursor == self.source) {
            let mut totals = source.totals;
            totals.rows += closed.rows;
            totals.bad_rows += closed.bad_rows;
            change.put_totals.push((self.source, totals));
        }
        // A backfill meets the same bad records again; they are in the error table already.
        if closed.cursor != self.source {
            change.errors.retain(|e| e.view.is_some());
        }
    }

    fn closed(&self, closed: &Closed, version: Option<&Version>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut state = shared.state();
        let Ok(source) = state.source_mut(self.source) else {
            return;
        };
        let main = closed.cursor == self.source;
        let name = source.record.name.clone();
        if main {
            source.fresh_at_us = clock::unix_micros();
            source.totals.rows += closed.rows;
            source.totals.bad_rows += closed.bad_rows;
            source.main.advance(&closed.splits);
        } else if let Some(backfill) = &mut source.backfill {
            backfill.cursor.advance(&closed.splits);
        }
        let offsets = if main && version.is_some() {
            source.main.splits.iter().map(|(id, s)| (id.clone(), s.offset)).collect()
        } else {
            BTreeMap::new()
        };
        if let Some(version) = version {
            if state.epochs.len() == EPOCHS_MAX {
                state.epochs.pop_front();
            }
            state.epochs.push_back(EpochStatus {
                epoch: version.epoch,
                committed_at_us: version.committed_at_us,
                source_name: name,
                rows: closed.rows,
                bad_rows: closed.bad_rows,
                bytes: closed.bytes,
                commit_us: closed.commit_us,
            });
        }
        drop(state);
        shared.notify();
        if !offsets.is_empty() {
            self.reader.committed(&offsets);
        }
        // A full channel means that it has been told already.
        let _ = self.compactor.try_send(());
    }

    fn ended(&self, cursor: u32, outcome: Result<Stage>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut state = shared.state();
        let Ok(source) = state.source_mut(self.source) else {
            return;
        };
        let stage = match outcome {
            Ok(stage) => stage,
            Err(error) => {
                tracing::error!(source = source.record.name, %error, "source stopped");
                source.failure.get_or_insert(error);
                Stage::Stopped
            }
        };
        let own = if cursor == self.source {
            Some(&mut source.main)
        } else {
            source.backfill.as_mut().map(|b| &mut b.cursor).filter(|c| c.id == cursor)
        };
        if let Some(own) = own {
            own.stage = stage;
        }
        if let Some(supervisor) = &source.supervisor {
            let _ = supervisor.send(Event::Changed);
        }
        drop(state);
        shared.notify();
    }
}
