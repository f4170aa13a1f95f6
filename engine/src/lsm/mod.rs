//! The store: columnar blocks in fjall, and the small records that say which of them exist.
//!
//! A *run* is a sorted sequence of blocks of one relation; its blocks are keyed by relation, run and
//! position, and its record in the `meta` keyspace makes it exist. Blocks are written first, in any
//! order; then one atomic, fsynced batch adds the run's record together with offsets, error rows and the
//! epoch's number ([`Store::commit`]).
//!
//! Invariants:
//! - Blocks without a run record are invisible, and removed at the next start.
//! - A [`Version`] never changes. The blocks of a run stay until no version that names it is in use.
//! - After a failed commit nothing more is written by this process: what is on disk is unknown, and the
//!   next start reads it.

mod block;
mod bounds;
mod cache;
mod compaction;
mod filed;
mod merge;
mod owner;
mod range;
mod record;
mod run;
mod scan;
mod segment;
mod space;
mod store;
mod version;
mod view;

pub use block::BlockReader;
pub use bounds::Bounds;
pub use compaction::{Choice, choose};
pub use filed::{BoundsBuilder, StateFile, read_rows};
pub use merge::{Batches, Merge};
pub use owner::Ownership;
pub use range::{KeyCondition, KeyRange, ranges};
pub use record::{
    CursorRecord, ErrorRow, GapRecord, LakeRecord, PendingRecord, RelationKind, RelationRecord, RunFile,
    RunRecord, SnapshotRecord, SplitRecord, Totals,
};
pub use run::{Block, RunWriter};
pub use scan::read_all;
pub use store::{Change, Store, StoreOptions, Stored};
pub use version::{Run, Version};
pub use view::{Scan, read_view};
