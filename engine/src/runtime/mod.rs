//! The engine at work: pipelines and their committers, the supervisor that starts and stops them,
//! compaction in the background, and snapshots to read from.

mod backfill;
mod compactor;
mod definition;
mod engine;
mod fold;
mod keeper;
mod kept;
mod lake;
mod maintenance;
mod options;
mod part;
mod pipeline;
mod press;
mod report;
mod snapshot;
mod state;
mod status;
mod supervisor;
mod watcher;

pub use definition::CreatedView;
pub use engine::{Engine, StoredRelation};
pub use fold::FoldLimits;
pub use lake::{AsOf, CompactionRow, FileRow, Past, SnapshotRow};
pub use options::Options;
pub use part::{BatchIter, RowPart, RunId};
pub use snapshot::{ErrorRow, GapRow, Snapshot};
pub use status::{
    EPOCHS_MAX, EpochStatus, OperatorStatus, PipelineState, SourceStatus, SplitStatus, Status, ViewState,
    ViewStatus,
};

pub use crate::dataflow::{AdHoc, Condition};
pub use crate::lake::Wanted;
pub use crate::lsm::{KeyCondition, RelationKind, Scan};
