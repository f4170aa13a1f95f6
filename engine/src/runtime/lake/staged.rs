//! Rows of a table written as files while history is read: they are part of the table's runs with their epoch, and
//! of a snapshot soon after.

use std::fmt;
use std::sync::{Arc, Weak};

use arrow::array::RecordBatch;

use super::press::{filed, path, write_rows};
use super::sorted::Sorted;
use super::target::Target;
use super::work::Work;
use crate::clock;
use crate::connector::SourceDefinition;
use crate::dataflow::RowFiles;
use crate::error::{Error, Kind, Result};
use crate::lake::fault;
use crate::lsm::RunRecord;
use crate::runtime::state::Shared;

/// Rows of a partition that are worth a file. Of fewer there would be too many files.
const FILE_ROWS_MIN: usize = 32 << 10;

/// Bytes of rows that are sorted at once at most.
const BYTES_MAX: u64 = 64 << 20;

/// Writes the rows of one table.
pub struct Staged {
    shared: Weak<Shared>,
    target: Target,
    location: String,
    bytes: usize,
}

/// What writes the rows of a table that is read from history; `None` without a lake, or while it cannot be reached.
pub fn row_files(
    shared: &Arc<Shared>,
    table: u32,
    definition: &SourceDefinition,
) -> Option<Arc<dyn RowFiles>> {
    let lake = shared.options.lake.as_ref().filter(|_| !shared.keeper.is_without_files(table))?;
    let target = Target::table(table, definition);
    let location = {
        let _one = shared.keeper.work();
        Work { shared, lake, cancelled: &|| Ok(()) }.location(&target)
    };
    match location {
        Ok(location) => {
            let bytes = usize::try_from(shared.options.sort_memory_bytes().min(BYTES_MAX)).unwrap_or(0);
            Some(Arc::new(Staged { shared: Arc::downgrade(shared), target, location, bytes }))
        }
        Err(error) => {
            tracing::warn!(table = definition.name, %error, "rows are kept in the store first");
            None
        }
    }
}

impl RowFiles for Staged {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn write(&self, batches: &[RecordBatch]) -> Result<Option<Vec<RunRecord>>> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let shared = self.shared.upgrade();
        let shared = shared.ok_or_else(|| Error::new(Kind::Closed, "the engine is gone"))?;
        let sorted = Sorted::new(batches, &self.target)?;
        let is_small = rows < FILE_ROWS_MIN.max(sorted.parts.len() * FILE_ROWS_MIN);
        if is_small
            || shared.keeper.is_without_files(self.target.relation())
            || !shared.store.has_room(bytes as u64)
        {
            return Ok(None);
        }
        match self.files(&shared, &sorted) {
            Ok(runs) => Ok(Some(runs)),
            // The rows are still there: they go to the store.
            Err(error) => {
                tracing::warn!(table = self.target.spec.name, %error, "rows are kept in the store first");
                shared.keeper.set_without_files(self.target.relation());
                Ok(None)
            }
        }
    }
}

impl Staged {
    fn files(&self, shared: &Shared, sorted: &Sorted<'_>) -> Result<Vec<RunRecord>> {
        let store = &shared.store;
        let mut runs = Vec::with_capacity(sorted.parts.len());
        for (partition, range) in &sorted.parts {
            let name = format!("{}-{}.parquet", clock::unix_micros(), store.allocate_run());
            let path = path(&self.target, *partition, &name);
            shared.keeper.writing(&path);
            let run = fault::step("epoch-file", || {
                let file = store.lake()?.write(&self.target.spec, &self.location, &path)?;
                write_rows(store, self.target.relation(), file, sorted.rows(range.clone()))
            })?;
            runs.push(filed(run, &self.location, path, *partition));
        }
        Ok(runs)
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("table", &self.target.spec.name).finish_non_exhaustive()
    }
}
