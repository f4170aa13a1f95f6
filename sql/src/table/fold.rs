//! Groups that are folded of a table's kept rows when a query asks for them, and those that were lately.
//!
//! What was folded is found again by what it was folded from: the very runs of rows. So it is never stale, and rows
//! that come later make it unused, unless they are of files that the query does not read.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit};
use siltstone_engine::runtime::{AdHoc, BatchIter, FoldLimits, KeyCondition, RowPart, RunId, Scan, Snapshot};

use super::scan::Reading;
use crate::plan::Offer;

/// Of the memory of all queries, a fold holds at most this part: what merges its groups has to sort and to spill.
const POOL_PART: usize = 8;

/// Of all groups that are kept, those of one fold are at most this part.
const PART_MAX: usize = 4;

/// Folds whose groups are kept: a plan looks through all of its table's.
const FOLDS_MAX: usize = 64;

/// What is folded.
#[derive(Debug)]
pub struct Fold {
    pub table: u32,
    /// Rows of other times are not needed.
    pub times: RangeInclusive<i64>,
    pub ad_hoc: Arc<AdHoc>,
    /// Rows that do not meet these, of the table's columns, do not count.
    pub conditions: Vec<KeyCondition>,
    /// What the groups can answer.
    pub offer: Offer,
}

impl Fold {
    pub fn parts(&self, snapshot: &Snapshot) -> Result<Vec<RowPart>> {
        snapshot.row_parts(self.table, &self.times).map_err(|e| DataFusionError::External(Box::new(e)))
    }

    /// Begins to fold, or gives what was folded before.
    pub fn groups(
        self: &Arc<Self>,
        folds: &Arc<Folds>,
        snapshot: &Snapshot,
        threads: usize,
        reading: &Reading<'_>,
    ) -> Result<Scan> {
        let parts = self.parts(snapshot)?;
        let key = Key::of(&self.ad_hoc, &parts);
        if let Some(kept) = folds.get(&key) {
            return Ok(Scan::Ready(kept));
        }
        let pool = reading.context.memory_pool();
        let bytes_max = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / POOL_PART,
            _ => usize::MAX,
        };
        let room = MemoryConsumer::new("fold").register(pool);
        let may_hold = Arc::new(move |bytes| bytes <= bytes_max && room.try_resize(bytes).is_ok());
        let is_stopped = Arc::clone(&reading.is_stopped);
        let limits = FoldLimits { threads, may_hold, is_stopped: Arc::clone(&is_stopped) };
        let groups = snapshot.fold_rows(self.table, parts, &self.ad_hoc, &self.conditions, limits);
        let groups = groups.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let kept = Keeping {
            key,
            fold: Arc::clone(self),
            folds: Arc::clone(folds),
            kept: Some(Vec::new()),
            bytes: 0,
            is_stopped,
        };
        Ok(Scan::Blocking(kept.of(groups)))
    }
}

/// What was folded, of which runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    ad_hoc: String,
    runs: Vec<RunId>,
}

impl Key {
    fn of(ad_hoc: &AdHoc, parts: &[RowPart]) -> Self {
        Self { ad_hoc: ad_hoc.identity().to_owned(), runs: parts.iter().map(RowPart::id).collect() }
    }
}

/// Groups that were folded lately, the least recently used dropped first.
pub struct Folds {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    of: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    fold: Arc<Fold>,
    groups: Vec<RecordBatch>,
    bytes: usize,
    used: u64,
}

impl Folds {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    fn get(&self, key: &Key) -> Option<Vec<RecordBatch>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.of.get_mut(key)?;
        entry.used = now;
        Some(entry.groups.clone())
    }

    fn insert(&self, key: Key, entry: Entry) {
        let mut kept = self.lock();
        kept.clock += 1;
        kept.bytes += entry.bytes;
        let entry = Entry { used: kept.clock, ..entry };
        if let Some(before) = kept.of.insert(key, entry) {
            kept.bytes -= before.bytes;
        }
        while kept.bytes > self.bytes_max || kept.of.len() > FOLDS_MAX {
            let oldest = kept.of.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            let Some(entry) = oldest.and_then(|key| kept.of.remove(&key)) else { break };
            kept.bytes -= entry.bytes;
        }
    }

    /// What of a table is kept that holds at a snapshot, with the number of groups.
    pub fn of(&self, table: u32, snapshot: &Snapshot) -> Vec<(Arc<Fold>, u64)> {
        let kept = self.lock();
        let entries = kept.of.iter().filter(|(_, entry)| entry.fold.table == table);
        let current = entries.filter(|(key, entry)| {
            entry.fold.parts(snapshot).is_ok_and(|parts| Key::of(&entry.fold.ad_hoc, &parts) == **key)
        });
        let rows = |entry: &Entry| entry.groups.iter().map(|batch| batch.num_rows() as u64).sum();
        current.map(|(_, entry)| (Arc::clone(&entry.fold), rows(entry))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Folds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folds").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

/// Groups on their way, kept when all of them have come.
struct Keeping {
    key: Key,
    fold: Arc<Fold>,
    folds: Arc<Folds>,
    /// `None` once they are too many.
    kept: Option<Vec<RecordBatch>>,
    bytes: usize,
    /// Then what came is not all there is.
    is_stopped: Arc<AtomicBool>,
}

impl Keeping {
    fn of(mut self, groups: BatchIter) -> BatchIter {
        let mut groups = groups.fuse();
        Box::new(std::iter::from_fn(move || {
            let next = groups.next();
            match &next {
                Some(Ok(batch)) => {
                    self.bytes += batch.get_array_memory_size();
                    if self.bytes > self.folds.bytes_max / PART_MAX {
                        self.kept = None;
                    }
                    self.kept.iter_mut().for_each(|kept| kept.push(batch.clone()));
                }
                Some(Err(_)) => self.kept = None,
                None => {
                    let is_whole = !self.is_stopped.load(Ordering::Relaxed);
                    if let Some(groups) = self.kept.take().filter(|_| is_whole) {
                        let (fold, bytes) = (Arc::clone(&self.fold), self.bytes);
                        self.folds.insert(self.key.clone(), Entry { fold, groups, bytes, used: 0 });
                    }
                }
            }
            next
        }))
    }
}
