//! A statement's rows, made by a task of their own.
//!
//! So a long computation between two batches never keeps whoever waits for them from noticing that they are
//! no longer wanted; a short queue holds the statement back when they are taken slowly.

use arrow::array::RecordBatch;
use futures::StreamExt;
use siltstone_sql::{Result, RowStream};
use tokio::sync::mpsc;

use crate::task::{self, Task};

/// Batches that wait to be taken.
const AHEAD_MAX: usize = 2;

/// Rows to be taken; dropping it ends the work.
pub(crate) struct Batches {
    queue: mpsc::Receiver<Result<RecordBatch>>,
    _producer: Task<()>,
}

impl Batches {
    pub(crate) fn new(mut rows: RowStream) -> Self {
        let (sender, queue) = mpsc::channel(AHEAD_MAX);
        let producer = task::start_statement(async move {
            while let Some(batch) = rows.next().await {
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { queue, _producer: producer }
    }

    /// The next batch; `None` at the end. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.queue.recv().await
    }
}
