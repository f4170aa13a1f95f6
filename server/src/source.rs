//! Handing rows to a source, and knowing when they are durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use siltstone_engine::connector::SplitId;
use siltstone_sql::Result;

use crate::opened::Shared;

/// A source or table that rows are pushed to. Clones push to the same.
#[derive(Clone)]
pub struct SourceHandle {
    shared: Arc<Shared>,
    id: u32,
    name: String,
}

/// The place of rows that were pushed: an offset of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub split: SplitId,
    /// Behind the last row; when this offset is durable, they all are.
    pub offset: i64,
}

impl SourceHandle {
    pub(crate) fn new(shared: Arc<Shared>, id: u32, name: &str) -> Self {
        Self { shared, id, name: name.to_owned() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Queues rows with the source's columns (generated ones left out), waiting while the queue is full.
    /// They are counted, and survive a crash, once [`SourceHandle::wait_for`] has returned for the ticket.
    ///
    /// # Errors
    /// If the columns are not the source's, or it is not one that rows can be pushed to.
    pub fn push(&self, batch: RecordBatch) -> Result<Ticket> {
        let (split, offset) = self.shared.database.engine().push(self.id, batch)?;
        Ok(Ticket { split, offset })
    }

    /// As [`SourceHandle::push`].
    ///
    /// # Errors
    /// As [`SourceHandle::push`].
    pub async fn push_async(&self, batch: RecordBatch) -> Result<Ticket> {
        let this = self.clone();
        self.shared.runtime.start_blocking(move || this.push(batch)).await
    }

    /// Waits until all those rows are durable and visible; the answer is the epoch that shows them.
    ///
    /// # Errors
    /// If time runs out (they may still become durable later), or the pipeline has failed.
    pub fn wait_for(&self, tickets: &[Ticket], limit: Duration) -> Result<u64> {
        let mut offsets = BTreeMap::new();
        for ticket in tickets {
            let offset = offsets.entry(Arc::clone(&ticket.split)).or_insert(ticket.offset);
            *offset = ticket.offset.max(*offset);
        }
        Ok(self.shared.database.engine().wait_for(self.id, &offsets, limit)?)
    }

    /// As [`SourceHandle::wait_for`].
    ///
    /// # Errors
    /// As [`SourceHandle::wait_for`].
    pub async fn wait_for_async(&self, tickets: &[Ticket], limit: Duration) -> Result<u64> {
        let (this, tickets) = (self.clone(), tickets.to_vec());
        self.shared.runtime.start_blocking(move || this.wait_for(&tickets, limit)).await
    }
}
