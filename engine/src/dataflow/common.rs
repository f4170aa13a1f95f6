//! Large tables that two workers fold into, so that a group is held once and not by each of them.
//!
//! A worker begins every epoch with a table of its own, which costs no lock and stays in its cache. When that
//! has grown large it becomes the common one of a pair of workers, or is merged into it. Each worker leaves
//! the common table at its barrier; who leaves last takes the groups along.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::Result;
use crate::rollup::GroupTable;

/// Bytes from which on a table is shared: by then most probes miss the cache anyway.
const OWN_BYTES_MAX: usize = 16 << 20;
/// Workers that share one table. More would wait for each other.
const SHARERS: usize = 2;

/// The common tables of a view, by pair of workers and epoch.
#[derive(Debug, Default)]
pub struct Commons {
    tables: Mutex<BTreeMap<(usize, u64), Weak<Common>>>,
}

/// A table, and the bytes that it had when it was last left alone.
struct Common {
    table: Mutex<GroupTable>,
    bytes: AtomicUsize,
}

impl Common {
    fn lock(&self) -> MutexGuard<'_, GroupTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker folds into.
pub enum Table {
    Own(GroupTable),
    Common(CommonTable),
}

/// A worker's part in a common table.
pub struct CommonTable(Arc<Common>);

impl Table {
    /// Works on the table, alone.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut GroupTable) -> T) -> T {
        match self {
            Self::Own(table) => work(table),
            Self::Common(CommonTable(common)) => {
                let mut table = common.lock();
                let done = work(&mut table);
                common.bytes.store(table.bytes(), Ordering::Relaxed);
                done
            }
        }
    }

    /// Shares the table if it has grown large.
    pub fn grown(self, commons: &Commons, worker: usize, epoch: u64) -> Result<Self> {
        match self {
            Self::Own(table) if table.bytes() > OWN_BYTES_MAX => commons.join(table, worker, epoch),
            other => Ok(other),
        }
    }

    /// The groups, unless another worker still folds into them.
    pub fn leave(self) -> Option<GroupTable> {
        match self {
            Self::Own(table) => Some(table),
            Self::Common(CommonTable(common)) => {
                let last = Arc::into_inner(common)?;
                Some(last.table.into_inner().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// This worker's share of the bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Own(table) => table.bytes(),
            Self::Common(CommonTable(common)) => {
                common.bytes.load(Ordering::Relaxed) / Arc::strong_count(common)
            }
        }
    }
}

impl Commons {
    fn join(&self, own: GroupTable, worker: usize, epoch: u64) -> Result<Table> {
        let place = (worker / SHARERS, epoch);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(common) = tables.get(&place).and_then(Weak::upgrade) {
            drop(tables);
            let mut table = Table::Common(CommonTable(common));
            table.with(|table| table.absorb(own))?;
            return Ok(table);
        }
        let common = Arc::new(Common { bytes: AtomicUsize::new(own.bytes()), table: Mutex::new(own) });
        tables.retain(|_, table| table.strong_count() > 0);
        tables.insert(place, Arc::downgrade(&common));
        Ok(Table::Common(CommonTable(common)))
    }
}
