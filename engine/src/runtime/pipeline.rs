//! A pipeline: the workers of one cursor, and the committer that closes their epochs.
//!
//! The committer asks for a barrier when the interval has passed, a worker is full or idle, or it is told
//! to stop; gathers what the workers give; and commits it while they fold on into fresh tables. So at
//! most two epochs of states are in memory: one filling, one on its way to the store.

mod spec;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, select, unbounded};

use crate::checkpoint::Stage;
use crate::clock;
use crate::connector::{Gap, Source, Split, SplitId};
use crate::dataflow::{
    Barrier, Control, Emission, Graph, Load, Metrics, ViewError, Worker, WorkerSpec, divide,
};
use crate::error::{Error, Kind, Result};
use crate::lsm::{Change, ErrorRow, GapRecord, RunRecord, RunWriter, SplitRecord, Store};
use crate::rollup::GroupTable;

use super::press::press_beside_sync;
pub use spec::{Closed, Observer, PipelineSpec};

/// Emissions on their way from the workers of a pipeline to its committer.
const EMISSIONS_MAX: usize = 16;

/// Bytes of bad rows after which an epoch closes early.
const BAD_BYTES_MAX: usize = 4 << 20;

/// An epoch lasts so many times as long as closing takes: in a replay at most [`REPLAY_INTERVAL_MAX`], else
/// between [`LIVE_INTERVAL_MIN`] and the interval that was asked for.
const COMMIT_SHARE: u32 = 10;
const LIVE_INTERVAL_MIN: Duration = Duration::from_millis(100);
const REPLAY_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// The same where somebody waits for the epoch; at most the interval that was asked for.
const COMMIT_SHARE_HURRIED: u32 = 2;
/// A guess at what closing takes, for an epoch that is larger than the last.
const COMMIT_TIME_A_MEGABYTE: Duration = Duration::from_millis(3);

/// The longest wait for a worker's barrier without a look at whether the engine stops.
const WAIT: Duration = Duration::from_millis(50);

/// How often a full disk is looked at.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// A running pipeline.
pub struct Pipeline {
    control: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    pub views: Vec<u32>,
    /// What it reads.
    pub source: Arc<dyn Source>,
    /// For each worker, its operators.
    pub metrics: Vec<Vec<Arc<Metrics>>>,
    abandon: Arc<AtomicBool>,
}

enum Command {
    Assign(Vec<SplitRecord>),
    Close,
    Stop,
}

impl Pipeline {
    pub fn start(spec: PipelineSpec) -> Result<Self> {
        let (control, commands) = unbounded();
        let (out, emissions) = bounded(EMISSIONS_MAX);
        let queue: Arc<Mutex<VecDeque<(Split, i64)>>> = Arc::default();
        let views = spec.graph.views.iter().map(|v| v.id).collect();
        let source = spec.source.clone();
        let mut metrics = Vec::new();
        let mut workers = Vec::new();
        let commit = Metrics::new("commit");
        let wanted = spec.graph.wanted();
        let load: Arc<Load> = Arc::default();
        for number in 0..spec.workers {
            let graph = Graph::new(&spec.graph, number, spec.source.decoder(&wanted)?);
            let (read, exchange) = (Metrics::new("read"), Metrics::new("exchange"));
            let mut all = vec![read.clone()];
            all.extend(graph.metrics());
            all.push(exchange.clone());
            metrics.push(all);
            let (control, messages) = unbounded();
            let worker = Worker::new(WorkerSpec {
                number,
                reader: spec.source.reader()?,
                graph,
                queue: queue.clone(),
                control: messages,
                out: out.clone(),
                fold_bytes: spec.fold_bytes,
                workers: spec.worker_count.clone(),
                load: load.clone(),
                skips_gaps: spec.source.skips_gaps(),
                read,
                exchange,
            });
            let thread = clock::spawn(format!("fold {}.{number}", spec.cursor), move || worker.run())?;
            workers.push((control, thread));
        }
        if let Some(first) = metrics.first_mut() {
            first.push(commit.clone());
        }
        let abandon = Arc::new(AtomicBool::new(false));
        let name = format!("commit {}", spec.cursor);
        let committer = Committer {
            splits: BTreeMap::new(),
            done: BTreeSet::new(),
            last: clock::now(),
            commit_time: Duration::ZERO,
            usual_commit_time: Duration::ZERO,
            was_empty: false,
            lost_files: false,
            queue,
            workers,
            emissions,
            commands,
            commit,
            load,
            abandon: abandon.clone(),
            spec,
        };
        let thread = Some(clock::spawn(name, move || committer.run())?);
        Ok(Self { control, thread, views, source, metrics, abandon })
    }

    /// Gives it splits that were found while it runs.
    pub fn assign(&self, splits: Vec<SplitRecord>) {
        // A pipeline that has ended has nobody left to read them; the next one will.
        let _ = self.control.send(Command::Assign(splits));
    }

    /// Closes the epoch without waiting for its interval.
    pub fn close_epoch(&self) {
        let _ = self.control.send(Command::Close);
    }

    /// Closes the last epoch and ends the pipeline; waits until it has.
    pub fn stop(mut self) {
        let _ = self.control.send(Command::Stop);
        self.join();
    }

    /// Ends the pipeline without closing its epoch: what it folds is no longer wanted.
    pub fn abandon(mut self) {
        self.abandon.store(true, Ordering::Release);
        let _ = self.control.send(Command::Stop);
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported by its own hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

struct Committer {
    spec: PipelineSpec,
    splits: BTreeMap<SplitId, SplitRecord>,
    /// Splits read to their end, or to the end of this run.
    done: BTreeSet<SplitId>,
    queue: Arc<Mutex<VecDeque<(Split, i64)>>>,
    workers: Vec<(Sender<Control>, JoinHandle<()>)>,
    emissions: Receiver<(usize, Emission)>,
    commands: Receiver<Command>,
    commit: Arc<Metrics>,
    load: Arc<Load>,
    abandon: Arc<AtomicBool>,
    last: Instant,
    /// How long closing the last epoch took that was committed.
    commit_time: Duration,
    /// The less of that and the one before: one commit that had to wait for the disk says nothing of the next.
    usual_commit_time: Duration,
    /// The last epoch had nothing to commit.
    was_empty: bool,
    /// Files of kept rows could not be made durable.
    lost_files: bool,
}

/// What the workers have given for the epoch that is open.
#[derive(Default)]
struct Open<'s> {
    groups: BTreeMap<u32, Vec<GroupTable>>,
    kept: Option<RunWriter<'s>>,
    /// Kept rows in files.
    filed: Vec<RunRecord>,
    bad: Vec<ViewError>,
    bad_bytes: usize,
    gaps: Vec<Gap>,
    /// By worker.
    barriers: BTreeMap<usize, Barrier>,
    /// To be closed at once.
    due: bool,
    /// To be closed as soon as that is no waste: somebody waits for it.
    hurried: bool,
}

impl Committer {
    fn run(mut self) {
        let mut outcome = clock::guarded("a committer", || self.work());
        // What the files held is read again from the last epoch on, and goes to the store.
        if let (true, Err(error)) = (self.lost_files, &outcome) {
            self.spec.observer.lost_files(error);
            outcome = Ok(Stage::Stopped);
        }
        for (control, _) in &self.workers {
            let _ = control.send(Control::Stop);
        }
        // Workers blocked on a full channel go on when it has no reader.
        let (_, closed) = bounded(0);
        self.emissions = closed;
        for (control, thread) in self.workers.drain(..) {
            drop(control);
            let _ = thread.join();
        }
        self.spec.observer.ended(self.spec.cursor, outcome);
    }

    fn work(&mut self) -> Result<Stage> {
        let splits = std::mem::take(&mut self.spec.splits);
        self.assign(splits);
        let store = self.spec.store.clone();
        // Nothing to read: the first epoch need not wait.
        let mut open = Open { due: self.splits.is_empty() && self.spec.ends, ..Open::default() };
        loop {
            let stop = self.wait_until_due(&store, &mut open)?;
            if self.abandon.load(Ordering::Acquire) {
                return Ok(Stage::Stopped);
            }
            let barriers = self.close(&store, &mut open)?;
            if self.abandon.load(Ordering::Acquire) {
                return Ok(Stage::Stopped);
            }
            let idle = barriers.iter().all(|b| b.idle) && self.splits.keys().all(|id| self.done.contains(id));
            if stop {
                return Ok(if idle && self.spec.ends { Stage::Finished } else { Stage::Stopped });
            }
            if idle && self.spec.ends {
                return Ok(Stage::Finished);
            }
        }
    }

    /// Splits that have an end by nature are taken by whichever worker is free, in order; the others are
    /// divided for good.
    fn assign(&mut self, splits: Vec<SplitRecord>) {
        let run = |s: &SplitRecord| (Split { end: self.spec.end_of(&s.split), ..s.split.clone() }, s.offset);
        let (queued, fixed): (Vec<_>, Vec<_>) =
            splits.iter().map(run).partition(|_| self.spec.source.is_bounded());
        self.splits.extend(splits.into_iter().map(|s| (s.split.id.clone(), s)));
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(queued);
        for (worker, share) in divide(fixed, self.workers.len()) {
            for (split, from) in share {
                let _ = self.workers[worker].0.send(Control::Assign(split, from));
            }
        }
    }

    /// Takes emissions until the epoch should close; true if the pipeline is to stop behind it.
    fn wait_until_due<'s>(&mut self, store: &'s Store, open: &mut Open<'s>) -> Result<bool> {
        loop {
            let deadline = self.last + self.interval(open.hurried);
            while let Ok(command) = self.commands.try_recv() {
                if self.obey(command, open) {
                    return Ok(true);
                }
            }
            if open.due || clock::now() >= deadline {
                return Ok(false);
            }
            let wait = deadline.saturating_duration_since(clock::now()).min(WAIT);
            select! {
                recv(self.emissions) -> emission => {
                    let (worker, emission) = emission.map_err(|_| gone())?;
                    self.take(store, open, worker, emission)?;
                }
                recv(self.commands) -> command => {
                    if self.obey(command.unwrap_or(Command::Stop), open) {
                        return Ok(true);
                    }
                }
                default(wait) => {}
            }
        }
    }

    /// The time between epochs: as long as keeps the cost of closing small. At most what was asked for, but
    /// where history is replayed, so that nobody waits for the newest event.
    fn interval(&self, hurried: bool) -> Duration {
        let interval = self.spec.interval;
        if hurried {
            return interval.min(self.usual_commit_time * COMMIT_SHARE_HURRIED);
        }
        if !self.spec.source.is_bounded() {
            let shorter = (self.usual_commit_time * COMMIT_SHARE).max(LIVE_INTERVAL_MIN);
            return if self.was_empty { interval } else { interval.min(shorter) };
        }
        let megabytes = self.load.bytes.load(Ordering::Relaxed) >> 20;
        let expected = COMMIT_TIME_A_MEGABYTE * u32::try_from(megabytes).unwrap_or(u32::MAX);
        let longer = self.commit_time.max(expected) * COMMIT_SHARE;
        interval.max(longer.min(REPLAY_INTERVAL_MAX))
    }

    /// True: stop.
    fn obey(&mut self, command: Command, open: &mut Open<'_>) -> bool {
        match command {
            Command::Assign(splits) => self.assign(splits),
            Command::Close => open.hurried = true,
            Command::Stop => return true,
        }
        false
    }

    fn take<'s>(
        &self,
        store: &'s Store,
        open: &mut Open<'s>,
        worker: usize,
        emission: Emission,
    ) -> Result<()> {
        match emission {
            Emission::Groups { view, table } => open.groups.entry(view).or_default().push(*table),
            Emission::Kept(batch) => {
                // A large run goes to the disk ahead of its epoch.
                self.wait_for_room(store);
                open.kept
                    .get_or_insert_with(|| RunWriter::begin(store, self.spec.source_id))
                    .write_block(&batch)?;
            }
            Emission::Filed(runs) => open.filed.extend(runs),
            Emission::Bad(rows) => {
                let bytes = |e: &ViewError| e.row.raw.as_ref().map_or(0, Vec::len) + e.row.reason.len() + 64;
                open.bad_bytes += rows.iter().map(bytes).sum::<usize>();
                open.bad.extend(rows);
                open.due |= open.bad_bytes > BAD_BYTES_MAX;
            }
            Emission::Gap(gap) => {
                open.gaps.push(gap);
                open.due = true;
            }
            Emission::Lost(gap) => self.record(store, gap)?,
            Emission::Full | Emission::Idle => open.due = true,
            Emission::Barrier(barrier) => {
                open.barriers.insert(worker, barrier);
            }
            Emission::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Records a gap at which the pipeline stops, by itself: the offsets stay before it. The next start meets
    /// it again, and it is told once.
    fn record(&self, store: &Store, gap: Gap) -> Result<()> {
        let source = self.spec.source_id;
        let is_known = |g: &GapRecord| g.source == source && g.gap == gap;
        if !store.gaps(u64::MAX)?.iter().any(is_known) {
            let gaps = vec![GapRecord { epoch: 0, source, at_us: clock::unix_micros(), gap }];
            store.commit(Change { closes_epoch: true, gaps, ..Change::default() })?;
        }
        Ok(())
    }

    /// Barrier, gather, commit. What a worker emits behind its barrier, while others have not come to
    /// theirs, is the next epoch's.
    fn close<'s>(&mut self, store: &'s Store, open: &mut Open<'s>) -> Result<Vec<Barrier>> {
        let start = clock::now();
        for (control, _) in &self.workers {
            control.send(Control::Barrier).map_err(|_| gone())?;
        }
        let mut next = Open::default();
        while open.barriers.len() < self.workers.len() {
            match self.emissions.recv_timeout(WAIT) {
                Ok((worker, emission)) => {
                    // The last split of all may have ended before one worker's barrier and behind another's.
                    next.due |= matches!(emission, Emission::Idle);
                    let behind = open.barriers.contains_key(&worker);
                    self.take(store, if behind { &mut next } else { open }, worker, emission)?;
                }
                Err(RecvTimeoutError::Timeout) if self.abandon.load(Ordering::Acquire) => {
                    return Ok(Vec::new());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
        if !self.wait_for_room(store) {
            return Ok(Vec::new());
        }
        let mut closing = std::mem::replace(open, next);
        let barriers: Vec<Barrier> = std::mem::take(&mut closing.barriers).into_values().collect();
        self.last = clock::now();
        self.commit(store, closing, &barriers, start)?;
        Ok(barriers)
    }

    /// Waits while the disk is full. The workers fill their tables meanwhile, and then wait, too. False if the
    /// epoch is no longer wanted.
    fn wait_for_room(&self, store: &Store) -> bool {
        let bytes = self.load.bytes.load(Ordering::Relaxed) as u64;
        let mut waited = false;
        while !store.has_room(bytes) {
            if self.abandon.load(Ordering::Acquire) {
                return false;
            }
            if !waited {
                tracing::error!(dir = %store.dir().display(), "the disk is full; waiting for room");
                waited = true;
            }
            clock::sleep(ROOM_WAIT);
        }
        if waited {
            tracing::warn!(dir = %store.dir().display(), "there is room on the disk again; going on");
        }
        true
    }

    fn commit(&mut self, store: &Store, open: Open<'_>, barriers: &[Barrier], start: Instant) -> Result<()> {
        let mut closed = Closed { cursor: self.spec.cursor, ..Closed::default() };
        for barrier in barriers {
            closed.rows += barrier.rows;
            closed.splits.extend(self.advance(barrier)?);
        }
        closed.bad_rows = open.bad.iter().filter(|e| e.view.is_none()).count() as u64;
        self.was_empty = closed.splits.is_empty() && open.bad.is_empty() && open.gaps.is_empty();
        if self.was_empty {
            self.spec.observer.closed(&closed, None);
            return Ok(());
        }
        let mut change = Change { closes_epoch: true, ..Change::default() };
        let path = |run: &RunRecord| Some(run.file.as_ref()?.file.path.clone());
        closed.filed = open.filed.iter().filter_map(path).collect();
        let location = open.filed.first().and_then(|run| Some(&run.file.as_ref()?.location));
        let files = location.map(|location| (location.as_str(), closed.filed.as_slice()));
        let (pressed, lost) =
            press_beside_sync(store, &self.spec.graph, open.groups, self.spec.workers, files);
        self.lost_files = lost;
        change.add_runs = pressed?;
        if let Some(kept) = open.kept {
            change.add_runs.extend(kept.finish(0)?);
        }
        change.add_runs.extend(open.filed);
        closed.bytes = change.add_runs.iter().map(|r| r.bytes).sum();
        change.put_splits = closed.splits.iter().map(|s| (self.spec.cursor, s.clone())).collect();
        let source = self.spec.source_id;
        let error = |e: ViewError| ErrorRow { epoch: 0, source, view: e.view, row: e.row };
        change.errors = open.bad.into_iter().map(error).collect();
        let at_us = clock::unix_micros();
        change.gaps = open.gaps.into_iter().map(|gap| GapRecord { epoch: 0, source, at_us, gap }).collect();
        self.spec.observer.before_commit(&closed, &mut change);
        let version = store.commit(change)?;
        let commit_time = start.elapsed();
        self.usual_commit_time = commit_time.min(self.commit_time);
        self.commit_time = commit_time;
        closed.commit_us = u64::try_from(self.commit_time.as_micros()).unwrap_or(u64::MAX);
        self.commit.add(closed.rows, closed.commit_us, 0);
        self.spec.observer.closed(&closed, Some(&version));
        Ok(())
    }

    /// The splits that a barrier moves, as they are after it.
    fn advance(&mut self, barrier: &Barrier) -> Result<Vec<SplitRecord>> {
        let mut moved: BTreeMap<SplitId, SplitRecord> = BTreeMap::new();
        for (id, &offset) in &barrier.progress {
            if let Some(split) = self.splits.get_mut(id) {
                if let Some(end) = self.spec.end_of(&split.split).filter(|end| offset > *end) {
                    return Err(Error::corrupt(format!("{id} was read to {offset}, past its end at {end}")));
                }
                split.offset = offset;
                moved.insert(id.clone(), split.clone());
            }
        }
        for id in &barrier.finished {
            if let Some(split) = self.splits.get_mut(id) {
                let end = self.spec.end_of(&split.split);
                split.offset = end.map_or(split.offset, |end| end.max(split.offset));
                // The end of a run alone is not that of the split.
                split.finished = split.split.end == end;
                self.done.insert(id.clone());
                moved.insert(id.clone(), split.clone());
            }
        }
        Ok(moved.into_values().collect())
    }
}

fn gone() -> Error {
    Error::new(Kind::Closed, "a worker ended unexpectedly")
}
