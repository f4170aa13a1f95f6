//! A table of the lake, as the engine describes it, and the trait of whoever keeps it.

use std::fmt;
use std::ops::Range;

use arrow::datatypes::{Field, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{ColumnCondition, FileRecord, FileWriter, Files};
use crate::calendar;
use crate::error::Result;

/// What the values of a time column are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    Day,
    Month,
    Year,
}

const DAY_US: i64 = 86_400_000_000;

impl Transform {
    /// The transform of that SQL name.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "day" => Self::Day,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Days, months or years since 1970 of a time in microseconds: what Iceberg's transform of the same name
    /// gives.
    pub fn of_micros(self, us: i64) -> i32 {
        self.of_days(i32::try_from(us.div_euclid(DAY_US)).unwrap_or(if us < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The same of a date in days since 1970.
    pub fn of_days(self, days: i32) -> i32 {
        if self == Self::Day {
            return days;
        }
        let (year, month, _) = calendar::civil(i64::from(days));
        let (year, month) = (i32::try_from(year).unwrap_or(i32::MAX), month.cast_signed());
        match self {
            Self::Month => (year - 1970) * 12 + month - 1,
            _ => year - 1970,
        }
    }
}

/// How a table is cut into partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The place of a column of type timestamp or date.
    pub column: usize,
    pub transform: Transform,
}

/// What a relation's table in the lake looks like.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// The relation's number, kept as a property of the table.
    pub relation: u32,
    /// The table's name in the catalog.
    pub name: String,
    /// The columns of its files. A column keeps its id as long as its name.
    pub schema: SchemaRef,
    pub partition: Option<Partition>,
    /// The columns that files are sorted by, ascending, NULL first.
    pub sort: Vec<usize>,
    /// Columns that get a bloom filter where files are large.
    pub bloom: Vec<usize>,
}

/// A table as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    pub name: String,
    /// The relation that made it, if one of ours did.
    pub relation: Option<u32>,
    /// The folder that all its files are in.
    pub location: String,
    /// The metadata file.
    pub metadata: String,
    /// The snapshot that readers see; `None` before the first.
    pub current: Option<i64>,
    /// All snapshots that there are, oldest first.
    pub snapshots: Vec<i64>,
    /// Named ones, but for the main branch.
    pub tags: Vec<SnapshotRef>,
}

/// A name for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRef {
    pub name: String,
    pub snapshot: i64,
}

/// What a commit does to the files of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Adds files.
    #[default]
    Append,
    /// Adds files in the place of others, with other rows.
    Overwrite,
    /// Adds files in the place of others, with the same rows.
    Replace,
    /// Removes files.
    Delete,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Overwrite => "overwrite",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }
}

/// One snapshot, to be added to a table behind `parent`.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    pub spec: &'a TableSpec,
    /// Its number, chosen by the engine and never used before.
    pub snapshot: i64,
    /// The snapshot that must be the current one.
    pub parent: Option<i64>,
    pub operation: Operation,
    pub added: &'a [FileRecord],
    /// Paths of files that are no longer part of the table.
    pub removed: &'a [String],
    /// For the snapshot's summary.
    pub properties: Vec<(String, String)>,
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Keeps columnar files and the tables that name them. Paths of files are relative to their table's location.
///
/// A commit is all or nothing. When [`Lake::commit`] fails its outcome is unknown: [`Lake::load`] tells.
pub trait Lake: Send + Sync + fmt::Debug {
    /// A table of the catalog.
    fn load(&self, name: &str) -> Result<Option<TableState>>;

    /// All tables of the catalog that relations of ours have made.
    fn tables(&self) -> Result<Vec<TableState>>;

    /// Creates a table without snapshots, durably.
    ///
    /// # Errors
    /// [`crate::error::Kind::Exists`] if there is one of that name.
    fn create(&self, spec: &TableSpec) -> Result<TableState>;

    /// Gives a table the columns of `spec`: those that it lacks are added, those of another type widened.
    fn evolve(&self, spec: &TableSpec) -> Result<TableState>;

    /// Removes a table from the catalog, then all its files.
    fn remove(&self, table: &TableState) -> Result<()>;

    /// Deletes what a removal that was cut off has left. No table may be created meanwhile.
    fn clean(&self) -> Result<()>;

    /// Adds a snapshot; the answer is the table with it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Exists`] if another snapshot than `parent` is the current one: nothing was done.
    /// After any other error the snapshot may be there or come to be there.
    fn commit(&self, commit: &Commit<'_>) -> Result<TableState>;

    /// Makes an older snapshot the current one.
    fn roll_back(&self, name: &str, to: i64) -> Result<TableState>;

    /// Gives a snapshot a name, or takes the name away.
    fn tag(&self, name: &str, tag: &str, snapshot: Option<i64>) -> Result<TableState>;

    /// Takes snapshots out of the table; their files stay.
    fn expire(&self, name: &str, snapshots: &[i64]) -> Result<TableState>;

    /// The data files of a snapshot, in no order.
    fn files(&self, name: &str, snapshot: i64) -> Result<Vec<FileRecord>>;

    /// Paths of all metadata (manifests, their lists, metadata files) that the snapshots left need.
    fn metadata_files(&self, name: &str) -> Result<Vec<String>>;

    /// Begins a data file.
    fn write(&self, spec: &TableSpec, location: &str, path: &str) -> Result<Box<dyn FileWriter>>;

    /// Makes files durable that were written, and the folders that name them.
    fn sync(&self, location: &str, paths: &[String]) -> Result<()>;

    /// Rows of a file, as these columns: those that it lacks are NULL, those of a narrower type widened, and text
    /// that is asked for with a dictionary comes with one only where the file has it so. Rows that do not
    /// meet all conditions may be left out. Blocks.
    fn read(
        &self,
        location: &str,
        file: &FileRecord,
        columns: &[Field],
        rows: Range<u64>,
        conditions: &[ColumnCondition],
    ) -> Result<Files>;

    /// All files below a location: path and bytes.
    fn list(&self, location: &str) -> Result<Vec<(String, u64)>>;

    /// Deletes files; those that are not there are deleted already.
    fn delete(&self, location: &str, paths: &[String]) -> Result<()>;
}
