//! Reading a relation as it was at a snapshot.

use std::sync::Arc;

use arrow::datatypes::Field;

use super::status::AsOf;
use super::target::{Rows, Target};
use crate::error::{Error, Kind, Result};
use crate::lake::{FileRecord, Lake, TableState};
use crate::lsm::SnapshotRecord;
use crate::runtime::part::BatchIter;

/// A snapshot of a relation that is read in the place of what is there now.
#[derive(Clone)]
pub struct Past {
    pub snapshot: i64,
    pub epoch: u64,
    pub rows: u64,
    target: Target,
    lake: Arc<dyn Lake>,
    location: String,
    files: Arc<Vec<FileRecord>>,
}

impl Past {
    pub fn new(
        target: Target,
        lake: Arc<dyn Lake>,
        table: &TableState,
        (snapshot, epoch): (i64, u64),
        files: Arc<Vec<FileRecord>>,
    ) -> Self {
        let rows = files.iter().map(|file| file.rows).sum();
        Self { snapshot, epoch, rows, target, lake, location: table.location.clone(), files }
    }

    /// Parts that may be read in parallel.
    pub fn parts(&self) -> usize {
        self.files.len()
    }

    /// The rows of a part, with those columns of the relation that `projection` names: of a view, those of
    /// [`crate::rollup::ViewDefinition::schema`]. Blocks.
    pub fn scan(&self, part: usize, projection: Option<&[usize]>) -> Result<BatchIter> {
        let file = self.files.get(part);
        let file = file.ok_or_else(|| Error::invalid(format!("there is no part {part}")))?;
        let fields = match &self.target.rows {
            Rows::Kept => self.target.fields(),
            Rows::States(layout) => layout.output().fields().iter().map(|f| f.as_ref().clone()).collect(),
        };
        let fields: Vec<Field> = match projection {
            None => fields,
            Some(wanted) => wanted.iter().map(|&i| fields[i].clone()).collect(),
        };
        self.lake.read(&self.location, file, &fields, 0..file.rows, &[])
    }
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// The snapshot that is meant.
pub fn choose(table: &TableState, own: &[SnapshotRecord], at: &AsOf) -> Result<i64> {
    let unknown = |what: String| {
        Error::new(Kind::NotFound, format!("{} has no snapshot {what}", table.name))
            .with_hint("siltstone.snapshots lists those that there are")
    };
    match at {
        AsOf::Version(snapshot) if table.snapshots.contains(snapshot) => Ok(*snapshot),
        AsOf::Version(snapshot) => Err(unknown(snapshot.to_string())),
        AsOf::Tag(name) => {
            let tag = table.tags.iter().find(|tag| tag.name == *name);
            tag.map(|tag| tag.snapshot).ok_or_else(|| unknown(format!("named '{name}'")))
        }
        AsOf::Time(us) => {
            let before = own.iter().filter(|s| s.at_us <= *us && table.snapshots.contains(&s.snapshot));
            let newest = before.max_by_key(|s| s.at_us).map(|s| s.snapshot);
            newest.ok_or_else(|| unknown("from before that time".to_owned()))
        }
    }
}
