//! Lets go of the thread often enough that a query can be called off.
//!
//! A task that is cancelled ends where it next waits. The planner's operators wait only for their inputs, so
//! one that makes much of little (a join, a sort's output) may run for minutes without. Here each of them gets
//! a stream around it that steps back after some milliseconds; and a join that compares every pair gets its
//! probe side in small batches, so that it comes back to ask for more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, Statistics};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::Stream;
use siltstone_engine::clock;

/// How long a stream may run before it steps back.
const RUN_MAX: Duration = Duration::from_millis(5);

/// Rows of a batch that is compared with every row of the other side.
const PROBE_ROWS_MAX: usize = 64;

/// Rows of a batch whose matches are filtered again.
const FILTERED_PROBE_ROWS_MAX: usize = 512;

/// The plan with its operators paced.
pub fn paced(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let paced = plan.transform_up(|node| {
        let node = match probe_rows(node.as_ref()) {
            Some(rows) => {
                let children = node.children().into_iter().map(Arc::clone).enumerate();
                let children =
                    children.map(|(side, child)| if side == 1 { pace(child, rows) } else { child });
                let children = children.collect();
                node.with_new_children(children)?
            }
            None => node,
        };
        let steps_back = node.children().is_empty() || node.is::<FilterExec>() || node.is::<ProjectionExec>();
        Ok(if steps_back { Transformed::no(node) } else { Transformed::yes(pace(node, usize::MAX)) })
    });
    paced.map(|transformed| transformed.data)
}

/// How many rows of its right side a join should get at once, if that matters.
fn probe_rows(plan: &dyn ExecutionPlan) -> Option<usize> {
    if plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>() {
        return Some(PROBE_ROWS_MAX);
    }
    plan.downcast_ref::<HashJoinExec>().and_then(|join| join.filter().map(|_| FILTERED_PROBE_ROWS_MAX))
}

fn pace(input: Arc<dyn ExecutionPlan>, rows_max: usize) -> Arc<dyn ExecutionPlan> {
    let properties = Arc::clone(input.properties());
    Arc::new(PaceExec { input, rows_max, properties })
}

#[derive(Debug)]
struct PaceExec {
    input: Arc<dyn ExecutionPlan>,
    /// Larger batches are cut.
    rows_max: usize,
    properties: Arc<PlanProperties>,
}

impl ExecutionPlan for PaceExec {
    fn name(&self) -> &'static str {
        "PaceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows_max = self.rows_max;
        Ok(children
            .into_iter()
            .next()
            .map_or_else(|| self as Arc<dyn ExecutionPlan>, |input| pace(input, rows_max)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(PacedStream { input, rows_max: self.rows_max, rest: None, since: clock::now() }))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.input.partition_statistics(partition)
    }
}

impl DisplayAs for PaceExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PaceExec")
    }
}

struct PacedStream {
    input: SendableRecordBatchStream,
    rows_max: usize,
    /// What is left of a batch that was cut.
    rest: Option<RecordBatch>,
    /// When it last stepped back.
    since: Instant,
}

impl PacedStream {
    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        if batch.num_rows() <= self.rows_max {
            return batch;
        }
        self.rest = Some(batch.slice(self.rows_max, batch.num_rows() - self.rows_max));
        batch.slice(0, self.rows_max)
    }
}

impl Stream for PacedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let now = clock::now();
        if now.duration_since(self.since) > RUN_MAX {
            self.since = now;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(self.cut(rest))));
        }
        match self.input.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(batch))) => Poll::Ready(Some(Ok(self.cut(batch)))),
            other => other,
        }
    }
}

impl RecordBatchStream for PacedStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
