//! One thread for each source: asks [`checkpoint::decide`] what to do and does it; looks for new splits
//! and for the ends of open ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::lake::row_files;
use super::pipeline::{Pipeline, PipelineSpec};
use super::state::{Attached, Event, Shared, State};
use super::watcher::Watcher;
use crate::checkpoint::{Action, Stage, decide};
use crate::connector::{Source, Split};
use crate::dataflow::{FoldSpec, GraphSpec};
use crate::error::{Error, Kind, Result};
use crate::lsm::{Change, SplitRecord};

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
            if let Err(error) = self.settle()
                && !self.shared.state().stopping
            {
                self.fail(error);
            }
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Changed) => {}
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.look()
                        && !self.shared.state().stopping
                    {
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
                Action::Round { last } => match self.round(&attached, last) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => self.fail_backfill(error),
                },
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

    fn start_main(&self, attached: &Attached) -> Result<()> {
        self.find_splits(attached)?;
        let definition = &attached.definition;
        let many = definition.keeps_rows && attached.source.is_bounded();
        let files = many.then(|| row_files(&self.shared, self.source, definition)).flatten();
        let mut state = self.shared.state();
        // Looking for splits took its time: nothing may start behind the end.
        if state.stopping {
            return Ok(());
        }
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
            if state.stopping {
                return Ok(());
            }
            state.source_mut(self.source)?.main.ends = found;
        }
        let mut graph = self.graph(&state, attached, &views, definition.keeps_rows)?;
        graph.files = files;
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

    pub(super) fn graph(
        &self,
        state: &State,
        attached: &Attached,
        views: &[u32],
        keeps_rows: bool,
    ) -> Result<GraphSpec> {
        let options = &self.shared.options;
        // Half of what a worker has for all its tables.
        let cells_bytes = options.fold_memory_bytes() / (2 * options.workers.max(1) as u64);
        let cells_bytes = usize::try_from(cells_bytes).unwrap_or(usize::MAX);
        let mut folds = Vec::with_capacity(views.len());
        for id in views {
            let view = state.views.get(id).and_then(|v| v.attached.as_ref());
            let view = view.ok_or_else(|| Error::corrupt(format!("view {id} has no definition")))?;
            folds.push(FoldSpec {
                id: *id,
                definition: view.definition.clone(),
                layout: view.layout.clone(),
                cells_bytes,
            });
        }
        Ok(GraphSpec::new(attached.definition.clone(), folds, keeps_rows))
    }

    pub(super) fn spec(
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

    pub(super) fn move_views(&self, views: &[u32], cursor: u32, mut change: Change) -> Result<()> {
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
