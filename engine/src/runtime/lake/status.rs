//! What the engine says of its tables in the lake.

use crate::lake::{Operation, Totals};

/// A snapshot of a relation's table.
#[derive(Clone, Debug)]
pub struct SnapshotRow {
    pub relation: u32,
    pub table: String,
    pub snapshot: i64,
    pub parent: Option<i64>,
    /// The epoch that it shows.
    pub epoch: u64,
    /// Microseconds since 1970 UTC.
    pub committed_at_us: i64,
    pub operation: Operation,
    /// The metadata file that was written with it.
    pub metadata: String,
    pub is_current: bool,
    pub tags: Vec<String>,
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
    /// Of its numeric columns, as they were recorded when they were written.
    pub totals: Totals,
}

/// A data file of the current snapshot, or one that waits to be committed.
#[derive(Clone, Debug)]
pub struct FileRow {
    pub relation: u32,
    pub table: String,
    /// The whole path.
    pub path: String,
    /// As a date, month or year (`2024-06-01`, `2024-06`, `2024`); `None` without partitions or for NULL.
    pub partition: Option<String>,
    pub rows: u64,
    pub bytes: u64,
    pub committed: bool,
}

/// What the lake has cost a relation since it was created, and its last work.
#[derive(Clone, Debug)]
pub struct CompactionRow {
    pub relation: u32,
    pub table: String,
    /// Encoded bytes that are not in files yet.
    pub hot_bytes: u64,
    /// Encoded bytes that went into files, and bytes of files that were written, rewriting among them.
    pub pressed_bytes: u64,
    pub written_bytes: u64,
    pub files: u64,
    pub snapshots: u64,
    /// Why the last attempt failed; `None` once one has succeeded.
    pub error: Option<String>,
}

/// Which snapshot of a relation to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The newest at that moment, microseconds since 1970 UTC.
    Time(i64),
    /// Its number.
    Version(i64),
    Tag(String),
}
