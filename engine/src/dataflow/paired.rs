//! Large tables that two workers fold into, so that a group is held once and not by each of them.
//!
//! A worker begins every epoch with a table of its own, which costs no lock and stays in its cache. When that
//! has grown large it becomes that of a pair of workers, or is merged into it. Each worker leaves the pair's
//! table at its barrier; who leaves last takes the groups along.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::Result;
use crate::rollup::GroupTable;

/// Bytes from which on a table is shared: by then most probes miss the cache anyway.
const OWN_BYTES_MAX: usize = 16 << 20;
/// Workers that share one table. More would wait for each other.
const SHARERS: usize = 2;

/// The tables of a view that are shared, by pair of workers and epoch.
#[derive(Debug, Default)]
pub struct Pairs {
    tables: Mutex<BTreeMap<(usize, u64), Weak<Paired>>>,
    /// Groups of the table that was left last, 0 if it was not shared.
    groups: AtomicUsize,
}

/// A table, and the bytes that it had when a worker was last done with it.
pub struct Paired {
    table: Mutex<GroupTable>,
    bytes: AtomicUsize,
}

impl Paired {
    fn lock(&self) -> MutexGuard<'_, GroupTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker folds into.
pub enum Table {
    Own(Box<GroupTable>),
    Paired(Arc<Paired>),
}

impl Table {
    /// Works on the table, alone.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut GroupTable) -> T) -> T {
        match self {
            Self::Own(table) => work(table),
            Self::Paired(paired) => {
                let mut table = paired.lock();
                let done = work(&mut table);
                paired.bytes.store(table.bytes(), Ordering::Relaxed);
                done
            }
        }
    }

    /// Shares the table if it has grown large.
    pub fn grown(self, pairs: &Pairs, worker: usize, epoch: u64) -> Result<Self> {
        match self {
            Self::Own(table) if table.bytes() > OWN_BYTES_MAX => pairs.join(*table, worker, epoch),
            other => Ok(other),
        }
    }

    /// The groups, unless another worker still folds into them.
    pub fn leave(self, pairs: &Pairs) -> Option<Box<GroupTable>> {
        match self {
            Self::Own(table) => {
                pairs.groups.store(0, Ordering::Relaxed);
                Some(table)
            }
            Self::Paired(paired) => {
                let last = Arc::into_inner(paired)?;
                let table = last.table.into_inner().unwrap_or_else(PoisonError::into_inner);
                pairs.groups.store(table.len(), Ordering::Relaxed);
                Some(Box::new(table))
            }
        }
    }

    /// This worker's share of the bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Own(table) => table.bytes(),
            Self::Paired(paired) => paired.bytes.load(Ordering::Relaxed) / Arc::strong_count(paired),
        }
    }
}

impl Pairs {
    fn join(&self, own: GroupTable, worker: usize, epoch: u64) -> Result<Table> {
        let place = (worker / SHARERS, epoch);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(paired) = tables.get(&place).and_then(Weak::upgrade) {
            drop(tables);
            let mut table = Table::Paired(paired);
            // It is likely to become as large as the last.
            let groups = self.groups.load(Ordering::Relaxed);
            table.with(|table| {
                table.reserve(groups);
                table.absorb(own)
            })?;
            return Ok(table);
        }
        let paired = Arc::new(Paired { bytes: AtomicUsize::new(own.bytes()), table: Mutex::new(own) });
        tables.retain(|_, table| table.strong_count() > 0);
        tables.insert(place, Arc::downgrade(&paired));
        Ok(Table::Paired(paired))
    }
}
