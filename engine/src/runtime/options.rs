//! What an engine is told at its start, and how its one memory budget is divided.

use std::sync::Arc;
use std::time::Duration;

use crate::lake::Lake;

/// The smallest budget an engine works with.
const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// How fresh the lake is, of an engine that says nothing else.
const LAKE_INTERVAL: Duration = Duration::from_secs(30);

/// Snapshots that are kept of a table, of an engine that says nothing else.
const LAKE_SNAPSHOTS: usize = 100;

/// Options of an engine.
#[derive(Clone, Debug)]
pub struct Options {
    /// One budget for the process; no less than 64 MiB is used.
    pub memory_bytes: u64,
    /// Threads that fold, for each source.
    pub workers: usize,
    /// Time after which an epoch closes; it closes earlier when its states fill their share of memory.
    pub epoch_interval: Duration,
    /// Where states and rows are pressed into files; `None`: they stay in the store.
    pub lake: Option<Arc<dyn Lake>>,
    /// How fresh the lake is to be.
    pub lake_interval: Duration,
    /// Snapshots of a table that are kept, but for tagged ones.
    pub lake_snapshots: usize,
    /// Told to another process that wants the directory.
    pub owner: String,
}

impl Default for Options {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory_bytes: 1 << 30,
            workers,
            epoch_interval: Duration::from_secs(1),
            lake: None,
            lake_interval: LAKE_INTERVAL,
            lake_snapshots: LAKE_SNAPSHOTS,
            owner: "siltstone".to_owned(),
        }
    }
}

impl Options {
    fn budget(&self) -> u64 {
        self.memory_bytes.max(MEMORY_BYTES_MIN)
    }

    /// For group tables while they fill; as much again may be on its way to the store.
    pub fn fold_memory_bytes(&self) -> u64 {
        self.budget() / 5
    }

    /// For the store's cache and write buffers.
    pub fn store_memory_bytes(&self) -> u64 {
        self.budget() / 5
    }

    /// For rows that are sorted on their way to a file; about twice as much is in use.
    pub fn sort_memory_bytes(&self) -> u64 {
        self.budget() / 16
    }

    /// For sorting, grouping and joining in queries; beyond it they spill or fail.
    pub fn query_memory_bytes(&self) -> u64 {
        self.budget() * 3 / 20
    }

    /// For groups of views that queries have merged, kept for the next ones.
    pub fn merged_memory_bytes(&self) -> u64 {
        self.budget() / 10
    }

    /// For groups that queries have folded of kept rows, kept for the next ones.
    pub fn folded_memory_bytes(&self) -> u64 {
        self.budget() / 32
    }
}
