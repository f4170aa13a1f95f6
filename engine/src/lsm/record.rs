//! The records of the `meta` keyspace, their keys and their bytes.
//!
//! A key is a family byte and the parts named below, integers big-endian; a value is JSON, so that a
//! later version can add fields. The page `docs/format.md` lists all families.
//!
//! | family | key behind it | value |
//! |---|---|---|
//! | 1 | | format number |
//! | 2 | | [`EpochRecord`]: the newest epoch |
//! | 3 | relation `u32` | [`RelationRecord`] |
//! | 4 | cursor `u32` | [`CursorRecord`] |
//! | 5 | cursor `u32`, split id | [`SplitRecord`] |
//! | 6 | relation `u32`, run `u64` | [`RunRecord`] |
//! | 7 | epoch `u64`, number `u32` | [`GapRecord`] |
//! | 8 | source `u32` | [`Totals`] |
//! | 9 | | the newest number of a relation or cursor, `u32` |
//! | 10 | relation `u32` | [`LakeRecord`] |
//! | 11 | relation `u32` | [`PendingRecord`] |
//! | 12 | relation `u32`, snapshot `i64` | [`SnapshotRecord`] |

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::range::KeyRange;
use crate::connector::{BadRow, Gap, Split};
use crate::error::{Error, Result};
use crate::lake::{FileRecord, Operation, Totals as FileTotals};

/// The format this version writes; it opens no other. In the first one a view's keys stood in the order of its
/// definition, and no run was a file.
pub(super) const FORMAT: u32 = 2;

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelationKind {
    Source,
    Table,
    View,
}

/// A definition, as its SQL text, and what the engine must know before the text is compiled again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationRecord {
    pub id: u32,
    pub kind: RelationKind,
    pub name: String,
    pub text: String,
    /// For a view: the relation whose rows it folds.
    pub source: Option<u32>,
    /// For a view: the cursor that feeds it; `None` until a backfill begins.
    pub cursor: Option<u32>,
    /// For a view: rows had come before it that cannot be read again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacks_rows: bool,
}

/// A set of offsets that move together: one for each source, one for each backfill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorRecord {
    pub id: u32,
    pub source: u32,
    pub backfill: bool,
}

/// A split and how far a cursor has read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRecord {
    pub split: Split,
    pub offset: i64,
    pub finished: bool,
}

/// A run: sorted blocks of one relation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub relation: u32,
    pub run: u64,
    /// The epoch that added it or, for a compacted run, the newest in it.
    pub epoch: u64,
    pub blocks: u32,
    pub rows: u64,
    pub bytes: u64,
    /// Of a view's run; an earlier version did not write them.
    #[serde(default)]
    pub bounds: Bounds,
    /// Where its rows are if they are not in blocks. Of a view, rows that go together are blocks all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<RunFile>,
}

/// A run's rows as a file of the relation's table in the lake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// That of the table.
    pub location: String,
    pub file: FileRecord,
    /// A snapshot of the table names it; else it is still to be committed.
    pub committed: bool,
}

/// What the lake has of a relation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LakeRecord {
    pub relation: u32,
    pub location: String,
    /// The snapshot whose files are the relation's runs.
    pub snapshot: Option<i64>,
    pub epoch: u64,
    pub committed_at_us: i64,
    /// Encoded bytes of runs that went into files, ever.
    pub pressed_bytes: u64,
    /// Bytes of the files that were written for that, ever.
    pub written_bytes: u64,
}

/// A commit to the lake that was begun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PendingRecord {
    pub relation: u32,
    pub location: String,
    /// The number that its snapshot has or is to have.
    pub snapshot: i64,
    pub parent: Option<i64>,
    pub operation: Operation,
    pub epoch: u64,
    pub at_us: i64,
    pub properties: Vec<(String, String)>,
    /// Runs that are no longer there behind it, and the files of those that were files.
    pub remove_runs: Vec<u64>,
    pub removed: Vec<String>,
    /// Encoded bytes among them that were in no snapshot.
    pub pressed_bytes: u64,
    /// Bytes of the files that were written.
    pub written_bytes: u64,
    /// `snapshot` is an older one that becomes the current one again.
    #[serde(default)]
    pub rolls_back: bool,
    /// Runs that are there behind it: set once their files are durable.
    pub added: Option<Vec<RunRecord>>,
    /// Of all rows behind it.
    pub totals: FileTotals,
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}

/// A snapshot that was committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    pub relation: u32,
    pub snapshot: i64,
    pub parent: Option<i64>,
    pub operation: Operation,
    pub epoch: u64,
    pub at_us: i64,
    /// The metadata file written with it.
    pub metadata: String,
    pub totals: FileTotals,
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}

impl RunRecord {
    /// Its rows are in blocks of the store.
    pub fn is_hot(&self) -> bool {
        self.file.is_none()
    }

    /// About how many rows have keys in these ranges. A range takes half of its first block and of its last.
    pub fn rows_about(&self, ranges: &[KeyRange]) -> u64 {
        let touched = ranges.iter().map(|range| self.bounds.positions(self.blocks, range).len() as u64);
        let whole = touched.filter(|&blocks| blocks > 0).map(|blocks| (blocks - 1).max(1));
        self.rows * whole.sum::<u64>().min(self.blocks.into()) / u64::from(self.blocks.max(1))
    }
}

/// The newest epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EpochRecord {
    pub epoch: u64,
    pub at_us: i64,
}

/// A gap, as it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    pub epoch: u64,
    pub source: u32,
    pub at_us: i64,
    pub gap: Gap,
}

/// Rows of a source that became durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub rows: u64,
    pub bad_rows: u64,
}

/// A row of the error table. A row that is good for its source and bad for one view names the view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRow {
    pub epoch: u64,
    pub source: u32,
    pub view: Option<String>,
    pub row: BadRow,
}

pub(super) mod key {
    //! Keys of the `meta`, `blocks` and `errors` keyspaces.

    pub const FORMAT: [u8; 1] = [1];
    pub const EPOCH: [u8; 1] = [2];
    pub const RELATIONS: [u8; 1] = [3];
    pub const CURSORS: [u8; 1] = [4];
    pub const SPLITS: [u8; 1] = [5];
    pub const RUNS: [u8; 1] = [6];
    pub const GAPS: [u8; 1] = [7];
    pub const TOTALS: [u8; 1] = [8];
    pub const NEWEST_ID: [u8; 1] = [9];
    pub const LAKES: [u8; 1] = [10];
    pub const PENDING: [u8; 1] = [11];
    pub const SNAPSHOTS: [u8; 1] = [12];

    fn with(family: [u8; 1], id: u32) -> Vec<u8> {
        let mut key = family.to_vec();
        key.extend_from_slice(&id.to_be_bytes());
        key
    }

    pub fn relation(id: u32) -> Vec<u8> {
        with(RELATIONS, id)
    }

    pub fn cursor(id: u32) -> Vec<u8> {
        with(CURSORS, id)
    }

    pub fn splits(cursor: u32) -> Vec<u8> {
        with(SPLITS, cursor)
    }

    pub fn split(cursor: u32, split: &str) -> Vec<u8> {
        let mut key = splits(cursor);
        key.extend_from_slice(split.as_bytes());
        key
    }

    /// The cursor in the key of a split.
    pub fn cursor_of_split(key: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(key.get(1..5)?.try_into().ok()?))
    }

    pub fn run(relation: u32, run: u64) -> Vec<u8> {
        let mut key = with(RUNS, relation);
        key.extend_from_slice(&run.to_be_bytes());
        key
    }

    pub fn gap(epoch: u64, number: u32) -> Vec<u8> {
        let mut key = GAPS.to_vec();
        key.extend_from_slice(&epoch.to_be_bytes());
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    pub fn totals(source: u32) -> Vec<u8> {
        with(TOTALS, source)
    }

    pub fn lake(relation: u32) -> Vec<u8> {
        with(LAKES, relation)
    }

    pub fn pending(relation: u32) -> Vec<u8> {
        with(PENDING, relation)
    }

    pub fn snapshots(relation: u32) -> Vec<u8> {
        with(SNAPSHOTS, relation)
    }

    pub fn snapshot(relation: u32, snapshot: i64) -> Vec<u8> {
        let mut key = snapshots(relation);
        key.extend_from_slice(&snapshot.to_be_bytes());
        key
    }

    /// Keyspace `blocks`: relation, run, position.
    pub fn block(relation: u32, run: u64, position: u32) -> Vec<u8> {
        let mut key = relation.to_be_bytes().to_vec();
        key.extend_from_slice(&run.to_be_bytes());
        key.extend_from_slice(&position.to_be_bytes());
        key
    }

    /// The relation and run in the key of a block.
    pub fn run_of_block(key: &[u8]) -> Option<(u32, u64)> {
        let relation = u32::from_be_bytes(key.get(..4)?.try_into().ok()?);
        let run = u64::from_be_bytes(key.get(4..12)?.try_into().ok()?);
        Some((relation, run))
    }

    /// Keyspace `errors`: epoch, number within it.
    pub fn errors(epoch: u64, number: u32) -> Vec<u8> {
        let mut key = epoch.to_be_bytes().to_vec();
        key.extend_from_slice(&number.to_be_bytes());
        key
    }
}

pub(super) fn to_bytes<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records have string keys only")
}

pub(super) fn from_bytes<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt(format!("reading a record of {what}")).because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_parts_do_and_give_them_back() {
        assert!(key::block(1, 2, 3) < key::block(1, 2, 4));
        assert!(key::block(1, 2, u32::MAX) < key::block(1, 3, 0));
        assert_eq!(key::run_of_block(&key::block(7, 1 << 40, 9)), Some((7, 1 << 40)));
        assert_eq!(key::cursor_of_split(&key::split(5, "topic/3")), Some(5));
        assert!(key::split(5, "a").starts_with(&key::splits(5)));
    }

    #[test]
    fn a_record_reads_back_and_other_bytes_are_refused() {
        let run =
            RunRecord { relation: 1, run: 2, epoch: 3, blocks: 4, rows: 5, bytes: 6, ..RunRecord::default() };
        assert_eq!(from_bytes::<RunRecord>("runs", &to_bytes(&run)).expect("reads"), run);
        let earlier = br#"{"relation":1,"run":2,"epoch":3,"blocks":4,"rows":5,"bytes":6}"#;
        assert_eq!(from_bytes::<RunRecord>("runs", earlier).expect("reads"), run, "without bounds");
        assert!(from_bytes::<RunRecord>("runs", b"{}").is_err());
    }
}
