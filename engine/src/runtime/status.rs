//! What the engine says of itself: the facts behind the system tables, the progress line and the lag.

use crate::connector::SplitId;

/// Where a pipeline (a source's readers and the views they feed) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineState {
    /// Nothing to do: no view and no kept rows, or not started.
    Idle,
    Running,
    /// Every split was read to its end and the last epoch is durable.
    Finished,
    /// Stopped by an error; see the source's `error`.
    Failed,
}

impl PipelineState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub epoch: u64,
    pub sources: Vec<SourceStatus>,
    pub splits: Vec<SplitStatus>,
    pub views: Vec<ViewStatus>,
    pub operators: Vec<OperatorStatus>,
    /// The last epochs, oldest first; at most [`EPOCHS_MAX`].
    pub epochs: Vec<EpochStatus>,
}

/// Epochs that are remembered for `siltstone.epochs`.
pub const EPOCHS_MAX: usize = 1024;

#[derive(Clone, Debug)]
pub struct SourceStatus {
    pub id: u32,
    pub name: String,
    pub connector: String,
    pub keeps_rows: bool,
    pub state: PipelineState,
    pub error: Option<String>,
    /// Rows that became durable since the directory was created, and bad ones beside them.
    pub rows: u64,
    pub bad_rows: u64,
    /// Rows and bytes kept, for a table.
    pub kept_rows: u64,
    pub kept_bytes: u64,
}

#[derive(Clone, Debug)]
pub struct SplitStatus {
    pub source: u32,
    pub source_name: String,
    /// What reads it; empty for kept rows, which the engine reads itself.
    pub connector: String,
    pub split: SplitId,
    /// `main`, or `backfill` for the readers of views that are catching up.
    pub cursor: &'static str,
    /// First offset, next offset to read as of the last epoch, and the end as far as it is known.
    pub start: i64,
    pub offset: i64,
    pub end: Option<i64>,
    pub finished: bool,
}

impl SplitStatus {
    /// Records (or bytes, for text files) between the offset and the end.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end - self.offset).max(0))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// Reads its source from the beginning, apart from the other views.
    Backfilling,
    /// Holds the same events as every other view of its source.
    Current,
    /// Could not be read from the beginning; the views beside it go on.
    Failed,
}

impl ViewState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backfilling => "backfilling",
            Self::Current => "current",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ViewStatus {
    pub id: u32,
    pub name: String,
    pub source: u32,
    pub source_name: String,
    pub state: ViewState,
    /// Why it does not catch up, if it has failed to or waits for others that have.
    pub error: Option<String>,
    /// The view whose groups it is derived from; `None` if events are folded into it.
    pub fed_by: Option<String>,
    /// Group rows in all runs (a group may stand in several until they are compacted), their bytes, runs.
    pub rows: u64,
    pub bytes: u64,
    pub runs: u64,
    /// The epoch of the last change.
    pub epoch: u64,
    /// Microseconds since the last epoch of its source became visible.
    pub freshness_us: i64,
}

#[derive(Clone, Debug)]
pub struct OperatorStatus {
    pub source_name: String,
    pub cursor: &'static str,
    pub worker: usize,
    /// `read`, `decode`, `project`, `fold <view>`, `keep`, `exchange`, `commit`.
    pub operator: String,
    pub rows: u64,
    pub busy_us: u64,
    /// Time spent waiting for room downstream.
    pub blocked_us: u64,
}

#[derive(Clone, Debug)]
pub struct EpochStatus {
    pub epoch: u64,
    /// When it became visible, microseconds since 1970 UTC.
    pub committed_at_us: i64,
    pub source_name: String,
    pub rows: u64,
    pub bad_rows: u64,
    /// Encoded bytes of its blocks.
    pub bytes: u64,
    /// From the barrier to durable and visible.
    pub commit_us: u64,
}
