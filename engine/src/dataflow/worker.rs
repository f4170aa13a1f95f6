//! A worker: reads the splits it is given, pushes them through its graph, and answers barriers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use super::graph::micros;
use super::{Barrier, Emission, Graph, Metrics};
use crate::clock;
use crate::connector::{Gap, Poll, Split, SplitId, SplitReader};
use crate::error::{Error, Kind, Result};

/// Records asked for at once.
const POLL_ROWS: usize = 8192;

/// The longest wait for records, and so for a barrier's answer while none come.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// What a pipeline tells a worker.
#[derive(Debug)]
pub enum Control {
    Assign(Split, i64),
    Barrier,
    Stop,
}

/// What the workers of a pipeline have in hand, all together.
#[derive(Debug, Default)]
pub struct Load {
    /// Splits that are read.
    pub splits: AtomicUsize,
    /// Bytes of state.
    pub bytes: AtomicUsize,
}

/// What a worker is made of.
pub struct WorkerSpec {
    pub number: usize,
    pub reader: Box<dyn SplitReader>,
    pub graph: Graph,
    /// Splits with an end, which whichever worker is free takes next.
    pub queue: Arc<Mutex<VecDeque<(Split, i64)>>>,
    pub control: Receiver<Control>,
    /// To the committer; each emission with the worker's number.
    pub out: Sender<(usize, Emission)>,
    /// State bytes of one worker at most; divided by all workers of the process that run now.
    pub fold_bytes: usize,
    pub workers: Arc<AtomicUsize>,
    pub load: Arc<Load>,
    pub skips_gaps: bool,
    pub read: Arc<Metrics>,
    pub exchange: Arc<Metrics>,
}

/// A worker's loop and what it has read since the last barrier.
pub struct Worker {
    spec: WorkerSpec,
    open: BTreeSet<SplitId>,
    barrier: Barrier,
    /// Bytes of state when they were last looked at.
    bytes: usize,
    /// It waits for its next epoch.
    full: bool,
}

impl Worker {
    pub fn new(spec: WorkerSpec) -> Self {
        spec.workers.fetch_add(1, Ordering::Relaxed);
        Self { spec, open: BTreeSet::new(), barrier: Barrier::default(), bytes: 0, full: false }
    }

    /// Runs until told to stop. An error is the last emission.
    pub fn run(mut self) {
        if let Err(error) = clock::guarded("a worker", || self.work()) {
            // The committer may be gone already; then nobody is left to tell.
            let _ = self.spec.out.send((self.spec.number, Emission::Failed(error)));
        }
    }

    fn work(&mut self) -> Result<()> {
        loop {
            if !self.obey()? {
                return Ok(());
            }
            if self.full {
                continue;
            }
            if self.open.is_empty() && !self.take_split()? {
                continue;
            }
            let start = clock::now();
            let polled = self.spec.reader.poll(POLL_ROWS, POLL_TIMEOUT)?;
            self.spec.read.add(0, micros(start), 0);
            self.handle(polled)?;
            if self.weigh() > self.limit() {
                self.full = true;
                self.send(Emission::Full)?;
            } else if self.spec.reader.is_pressed() {
                self.send(Emission::Full)?;
            }
        }
    }

    /// Handles all waiting control messages; waits for one if there is nothing else to do. False: stop.
    fn obey(&mut self) -> Result<bool> {
        let nothing_to_do = || self.full || (self.open.is_empty() && self.queue().is_empty());
        let mut wait = nothing_to_do();
        loop {
            let message = if wait {
                self.spec.control.recv_timeout(POLL_TIMEOUT).map_err(|e| e == RecvTimeoutError::Disconnected)
            } else {
                self.spec.control.try_recv().map_err(|e| e == TryRecvError::Disconnected)
            };
            wait = false;
            match message {
                Ok(Control::Assign(split, from)) => self.assign(&split, from)?,
                Ok(Control::Barrier) => self.close()?,
                Ok(Control::Stop) | Err(true) => return Ok(false),
                Err(false) => return Ok(true),
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<(Split, i64)>> {
        self.spec.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_split(&mut self) -> Result<bool> {
        let next = self.queue().pop_front();
        match next {
            Some((split, from)) => self.assign(&split, from).map(|()| true),
            None => Ok(false),
        }
    }

    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        self.spec.reader.assign(split, from)?;
        if self.open.insert(split.id.clone()) {
            self.spec.load.splits.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Bytes of this worker's state, which become part of the load.
    fn weigh(&mut self) -> usize {
        let before = std::mem::replace(&mut self.bytes, self.spec.graph.bytes());
        self.spec.load.bytes.fetch_add(self.bytes.wrapping_sub(before), Ordering::Relaxed);
        self.bytes
    }

    fn handle(&mut self, polled: Poll) -> Result<()> {
        match polled {
            Poll::Records(fetch) => {
                let emissions = self.spec.graph.push(fetch.payload)?;
                self.barrier.progress.extend(fetch.progress);
                emissions.into_iter().try_for_each(|e| self.send(e))
            }
            Poll::Idle => Ok(()),
            Poll::Gap(gap) if self.spec.skips_gaps => {
                self.barrier.progress.insert(gap.split.clone(), gap.to);
                self.send(Emission::Gap(gap))
            }
            Poll::Gap(gap) => {
                let Gap { split, from, to, reason } = &gap;
                let message = format!("records {from} to {to} of {split} are gone: {reason}");
                self.send(Emission::Lost(gap))?;
                Err(Error::new(Kind::Gap, message).with_hint(
                    "the gap is in siltstone.gaps; to go on behind it, set the source's option gap.policy to \
                     'skip' in its script and run that again",
                ))
            }
            Poll::Finished(split) => {
                let was_open = self.open.remove(&split);
                self.barrier.finished.push(split);
                // One that another worker has just taken from the queue may be missed: one more epoch then.
                let last = was_open && self.spec.load.splits.fetch_sub(1, Ordering::AcqRel) == 1;
                if last && self.queue().is_empty() { self.send(Emission::Idle) } else { Ok(()) }
            }
        }
    }

    /// Ends the epoch: what belongs to it, then the barrier.
    fn close(&mut self) -> Result<()> {
        let emissions = self.spec.graph.barrier()?;
        self.weigh();
        emissions.into_iter().try_for_each(|e| self.send(e))?;
        let mut barrier = std::mem::take(&mut self.barrier);
        barrier.rows = self.spec.graph.take_rows();
        barrier.idle = self.open.is_empty() && self.queue().is_empty();
        self.full = false;
        self.send(Emission::Barrier(barrier))
    }

    /// Waits while the committer is behind: this is the back-pressure.
    fn send(&self, emission: Emission) -> Result<()> {
        let start = clock::now();
        self.spec
            .out
            .send((self.spec.number, emission))
            .map_err(|_| Error::new(Kind::Closed, "the pipeline has ended"))?;
        self.spec.exchange.add(0, 0, micros(start));
        Ok(())
    }

    fn limit(&self) -> usize {
        self.spec.fold_bytes / self.spec.workers.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.spec.workers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Splits that are assigned once and for all, in turn to each worker; the others wait in the queue.
pub fn divide(splits: Vec<(Split, i64)>, workers: usize) -> BTreeMap<usize, Vec<(Split, i64)>> {
    let mut shares: BTreeMap<usize, Vec<(Split, i64)>> = BTreeMap::new();
    for (i, split) in splits.into_iter().enumerate() {
        shares.entry(i % workers).or_default().push(split);
    }
    shares
}
