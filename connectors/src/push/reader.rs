//! The reader of the queue.

use std::sync::Arc;
use std::time::Duration;

use siltstone_engine::clock;
use siltstone_engine::connector::{Fetch, Payload, Poll, Split, SplitId, SplitReader};
use siltstone_engine::error::Result;

use super::queue::{BYTES_MAX, Piece, Queue, ROWS_MAX};

/// Reads the queue once it is assigned the split; the readers of other workers stay idle.
pub(super) struct PushReader {
    queue: Arc<Queue>,
    assigned: Option<Assigned>,
    /// Rows and bytes read since [`SplitReader::is_pressed`] was last true.
    read: (usize, usize),
}

struct Assigned {
    split: SplitId,
    ticket: u64,
    /// The next row's offset.
    position: i64,
    end: Option<i64>,
}

impl PushReader {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, assigned: None, read: (0, 0) }
    }
}

impl SplitReader for PushReader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        let ticket = self.queue.assign(from)?;
        self.assigned = Some(Assigned { split: split.id.clone(), ticket, position: from, end: split.end });
        Ok(())
    }

    fn poll(&mut self, rows_max: usize, timeout: Duration) -> Result<Poll> {
        let Some(assigned) = &mut self.assigned else {
            clock::sleep(timeout);
            return Ok(Poll::Idle);
        };
        let Assigned { split, ticket, position, end } = assigned;
        if end.is_some_and(|end| *position >= end) {
            let finished = Poll::Finished(split.clone());
            self.queue.release(*ticket);
            self.assigned = None;
            return Ok(finished);
        }
        let left = end.map_or(usize::MAX, |end| usize::try_from(end - *position).unwrap_or(0));
        let Some(Piece { offset, batch, bytes }) = self.queue.next(*ticket, rows_max.min(left), timeout)?
        else {
            return Ok(Poll::Idle);
        };
        *position = offset + batch.num_rows() as i64;
        self.read = (self.read.0 + batch.num_rows(), self.read.1 + bytes);
        let progress = vec![(split.clone(), *position)];
        Ok(Poll::Records(Fetch { payload: Payload::Rows { split: split.clone(), offset, batch }, progress }))
    }

    /// All that was read waits in the queue for an epoch: after a third of what has room there is no time to
    /// lose.
    fn is_pressed(&mut self) -> bool {
        let (rows, bytes) = self.read;
        let pressed = rows >= ROWS_MAX / 3 || bytes >= BYTES_MAX / 3;
        if pressed {
            self.read = (0, 0);
        }
        pressed
    }
}

impl Drop for PushReader {
    fn drop(&mut self) {
        if let Some(assigned) = self.assigned.take() {
            self.queue.release(assigned.ticket);
        }
    }
}
