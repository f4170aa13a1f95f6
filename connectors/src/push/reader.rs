//! The reader of the queue.

use std::sync::Arc;
use std::time::Duration;

use siltstone_engine::clock;
use siltstone_engine::connector::{Fetch, Payload, Poll, Split, SplitId, SplitReader};
use siltstone_engine::error::Result;

use super::queue::Queue;

/// Reads the queue once it is assigned the split; the readers of other workers stay idle.
pub(super) struct PushReader {
    queue: Arc<Queue>,
    assigned: Option<(SplitId, u64)>,
}

impl PushReader {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, assigned: None }
    }
}

impl SplitReader for PushReader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        let ticket = self.queue.assign(from)?;
        self.assigned = Some((split.id.clone(), ticket));
        Ok(())
    }

    fn poll(&mut self, rows_max: usize, timeout: Duration) -> Result<Poll> {
        let Some((split, ticket)) = &self.assigned else {
            clock::sleep(timeout);
            return Ok(Poll::Idle);
        };
        let Some((offset, batch)) = self.queue.next(*ticket, rows_max, timeout)? else {
            return Ok(Poll::Idle);
        };
        let progress = vec![(split.clone(), offset + batch.num_rows() as i64)];
        Ok(Poll::Records(Fetch { payload: Payload::Rows { split: split.clone(), offset, batch }, progress }))
    }
}

impl Drop for PushReader {
    fn drop(&mut self) {
        if let Some((_, ticket)) = self.assigned.take() {
            self.queue.release(ticket);
        }
    }
}
