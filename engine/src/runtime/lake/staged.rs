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
    let lake = shared.options.lake.as_ref()?;
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
        if rows < FILE_ROWS_MIN {
            return Ok(None);
        }
        let shared = self.shared.upgrade();
        let shared = shared.ok_or_else(|| Error::new(Kind::Closed, "the engine is gone"))?;
        let store = &shared.store;
        let sorted = Sorted::new(batches, &self.target)?;
        if sorted.parts.len() * FILE_ROWS_MIN > rows {
            return Ok(None);
        }
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
        Ok(Some(runs))
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("table", &self.target.spec.name).finish_non_exhaustive()
    }
}
