//! Folding kept rows for a query: some threads take part after part, each with a table of its own, and merge these
//! at the end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use crossbeam::channel::{Sender, bounded};

use super::part::{BatchIter, RowPart};
use crate::clock;
use crate::dataflow::{AdHoc, AdHocFold};
use crate::error::Result;
use crate::rollup::Dictionaries;

/// Batches that wait to be taken.
const BATCHES_WAITING_MAX: usize = 1;

/// What a fold may use.
#[derive(Clone)]
pub struct FoldLimits {
    pub threads: usize,
    /// Whether all its tables together may hold so many bytes.
    pub may_hold: Arc<dyn Fn(usize) -> bool + Send + Sync>,
    /// Nobody waits for the groups any more.
    pub is_stopped: Arc<AtomicBool>,
}

/// Reads the rows of a part.
type Read = Box<dyn Fn(&RowPart) -> BatchIter + Send + Sync>;

struct Fold {
    read: Read,
    ad_hoc: Arc<AdHoc>,
    dictionaries: Dictionaries,
    limits: FoldLimits,
    parts: Mutex<VecDeque<RowPart>>,
    /// Bytes of all tables.
    bytes: AtomicUsize,
    merged: Mutex<Merged>,
}

/// What the threads that are done have come to.
struct Merged {
    /// Threads that are not.
    busy: usize,
    groups: Option<AdHocFold>,
}

/// The groups of the rows of all parts.
pub(super) fn fold(
    parts: Vec<RowPart>,
    read: Read,
    ad_hoc: Arc<AdHoc>,
    limits: FoldLimits,
) -> Result<BatchIter> {
    let threads = limits.threads.clamp(1, parts.len().max(1));
    let (sender, receiver) = bounded(BATCHES_WAITING_MAX);
    let fold = Arc::new(Fold {
        read,
        dictionaries: ad_hoc.dictionaries(),
        ad_hoc,
        limits,
        parts: Mutex::new(parts.into()),
        bytes: AtomicUsize::new(0),
        merged: Mutex::new(Merged { busy: threads, groups: None }),
    });
    for _ in 0..threads {
        let sender = sender.clone();
        let started = clock::spawn("fold", {
            let fold = Arc::clone(&fold);
            move || {
                if let Err(error) = clock::guarded("a fold", || fold.work(&sender)) {
                    fold.stop();
                    // Whoever asked may be gone.
                    let _ = sender.send(Err(error));
                }
            }
        });
        if let Err(error) = started {
            fold.stop();
            return Err(error);
        }
    }
    Ok(Box::new(receiver.into_iter()))
}

impl Fold {
    fn stop(&self) {
        self.limits.is_stopped.store(true, Ordering::Relaxed);
    }

    fn work(&self, out: &Sender<Result<RecordBatch>>) -> Result<()> {
        let mut own = AdHocFold::new(Arc::clone(&self.ad_hoc), self.dictionaries.clone());
        let mut held = 0;
        loop {
            let Some(part) = lock(&self.parts).pop_front() else { break };
            for batch in (self.read)(&part) {
                if self.limits.is_stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                own.add(&batch?, part.is_within)?;
                if !self.may_hold(&mut held, own.bytes()) {
                    let groups = own.take()?;
                    self.may_hold(&mut held, 0);
                    if out.send(Ok(groups)).is_err() {
                        return Ok(());
                    }
                }
            }
        }
        let mut merged = lock(&self.merged);
        merged.busy -= 1;
        if let Some(others) = merged.groups.take() {
            own.absorb(others)?;
        }
        if merged.busy > 0 {
            merged.groups = Some(own);
            return Ok(());
        }
        drop(merged);
        let groups = own.take()?;
        if groups.num_rows() > 0 {
            // Whoever asked may be gone.
            let _ = out.send(Ok(groups));
        }
        (self.limits.may_hold)(0);
        Ok(())
    }

    /// Whether a table that held `held` bytes may hold so many.
    fn may_hold(&self, held: &mut usize, bytes: usize) -> bool {
        if *held == bytes {
            return true;
        }
        let change = bytes.wrapping_sub(std::mem::replace(held, bytes));
        (self.limits.may_hold)(self.bytes.fetch_add(change, Ordering::Relaxed).wrapping_add(change))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
