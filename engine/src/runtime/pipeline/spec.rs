//! What a pipeline is made of, and who is told of what it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::checkpoint::Stage;
use crate::connector::{Source, Split, SplitId};
use crate::dataflow::GraphSpec;
use crate::error::{Error, Result};
use crate::lsm::{Change, SplitRecord, Store, Version};

/// What a pipeline is made of.
pub struct PipelineSpec {
    pub store: Arc<Store>,
    pub cursor: u32,
    pub source_id: u32,
    pub source: Arc<dyn Source>,
    pub graph: GraphSpec,
    /// Not yet read to their end.
    pub splits: Vec<SplitRecord>,
    /// Where splits without an end of their own end for this run. Such an end is not stored: the next run
    /// goes on behind it.
    pub run_ends: BTreeMap<SplitId, i64>,
    /// It ends by itself when all splits are read to their end.
    pub ends: bool,
    pub workers: usize,
    pub fold_bytes: usize,
    pub worker_count: Arc<AtomicUsize>,
    pub interval: Duration,
    pub observer: Arc<dyn Observer>,
}

impl PipelineSpec {
    /// Where a split ends: by itself, or for this run.
    pub fn end_of(&self, split: &Split) -> Option<i64> {
        split.end.or_else(|| self.run_ends.get(&split.id).copied())
    }
}

/// Who is told what a pipeline does. Called on its thread.
pub trait Observer: Send + Sync {
    /// Called under the store's commit: adds what else the epoch changes (totals).
    fn before_commit(&self, closed: &Closed, change: &mut Change);
    /// An epoch is durable and visible, or was empty (`version` is `None`).
    fn closed(&self, closed: &Closed, version: Option<&Version>);
    /// Files that kept rows were written to are not durable: the epoch does not come to be.
    fn lost_files(&self, error: &Error);
    /// The pipeline's thread is about to end.
    fn ended(&self, cursor: u32, outcome: Result<Stage>);
}

/// An epoch of one pipeline.
#[derive(Debug, Default)]
pub struct Closed {
    pub cursor: u32,
    pub rows: u64,
    pub bad_rows: u64,
    pub bytes: u64,
    /// Splits that moved, as they are now.
    pub splits: Vec<SplitRecord>,
    pub commit_us: u64,
    /// Paths of the files that were written for it.
    pub filed: Vec<String>,
}
