//! What an engine can be asked to do with its tables in the lake.

use super::status::{AsOf, CompactionRow, FileRow, SnapshotRow};
use crate::connector::SourceDefinition;
use crate::error::{Error, Kind, Result};
use crate::runtime::engine::Engine;
use crate::runtime::snapshot::BatchIter;

/// A snapshot of a relation that is read in the place of what is there now.
#[derive(Clone, Debug)]
pub struct Past {
    pub snapshot: i64,
    pub epoch: u64,
    pub rows: u64,
    parts: usize,
}

impl Past {
    /// Parts that may be read in parallel.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// The rows of a part, with those columns of the relation that `projection` names: of a view, those of
    /// [`crate::rollup::ViewDefinition::schema`]. Blocks.
    pub fn scan(&self, _part: usize, _projection: Option<&[usize]>) -> Result<BatchIter> {
        Err(no_lake())
    }
}

impl Engine {
    /// Presses everything that is hot into files and merges small files, of one relation or of all; returns when
    /// that is committed.
    pub fn optimize(&self, _relation: Option<u32>) -> Result<()> {
        Err(no_lake())
    }

    /// The snapshot of a relation to read.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn past(&self, _relation: u32, _at: &AsOf) -> Result<Past> {
        Err(no_lake())
    }

    /// Names a snapshot, so that it stays; `None` takes the name away.
    pub fn tag(&self, _relation: u32, _tag: &str, _snapshot: Option<&AsOf>) -> Result<()> {
        Err(no_lake())
    }

    /// Makes a relation what it was at a snapshot. Its source goes on from where it is.
    pub fn roll_back(&self, _relation: u32, _to: &AsOf) -> Result<()> {
        Err(no_lake())
    }

    /// Forgets snapshots, but for tagged ones and the last `keep` (at least the current one): those from before
    /// `older_than_us`, or all. The answer is how many.
    pub fn expire(&self, _relation: u32, _older_than_us: Option<i64>, _keep: usize) -> Result<usize> {
        Err(no_lake())
    }

    /// Stores another text for a source with more columns or wider ones, and goes on with it.
    pub fn alter_source(&self, id: u32, text: &str, definition: SourceDefinition) -> Result<()> {
        self.replace_source(id, text, definition)
    }

    /// All snapshots that there are, by table and age.
    pub fn lake_snapshots(&self) -> Result<Vec<SnapshotRow>> {
        Ok(Vec::new())
    }

    pub fn lake_files(&self) -> Result<Vec<FileRow>> {
        Ok(Vec::new())
    }

    pub fn lake_compactions(&self) -> Result<Vec<CompactionRow>> {
        Ok(Vec::new())
    }
}

fn no_lake() -> Error {
    Error::new(Kind::Unsupported, "this engine was opened without a lake")
}
