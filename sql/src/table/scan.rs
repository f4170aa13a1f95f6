//! Reading the engine's blocking iterators from the planner's asynchronous plans.
//!
//! A part that is in memory is handed over as it is. Any other is read by a blocking task of its own that hands
//! batches through a channel of bounded length; when the stream is dropped, the next hand-over fails and the
//! task ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt;
use siltstone_engine::runtime::Scan;

/// Batches that wait between a reader and the plan.
const BATCHES_WAITING_MAX: usize = 2;

/// Rows of a batch that the plan gets; larger ones are cut.
const BATCH_ROWS_MAX: usize = 8_192;

/// Starts reading one part, of the columns asked for. Does not block.
pub type Part = Arc<dyn Fn(&Reading<'_>) -> Result<Scan> + Send + Sync>;

/// What a part is read with.
pub struct Reading<'c> {
    pub context: &'c TaskContext,
    /// Set when nobody waits for more.
    pub is_stopped: Arc<AtomicBool>,
}

/// A scan of parts.
pub struct ScanExec {
    label: String,
    schema: SchemaRef,
    parts: Vec<Part>,
    /// What limits what is read, as text.
    filters: String,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    /// The parts give batches with as many columns as `schema` has; with none, they give one that is left out.
    pub fn new(label: String, schema: SchemaRef, parts: Vec<Part>, statistics: Statistics) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(parts.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (statistics, properties) = (Arc::new(statistics), Arc::new(properties));
        Self { label, schema, parts, filters: String::new(), statistics, properties }
    }

    /// Shows these filters as what limits the scan.
    #[must_use]
    pub fn with_filters(mut self, filters: &[Expr]) -> Self {
        self.filters = filters.iter().map(ToString::to_string).collect::<Vec<_>>().join(" AND ");
        self
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "SiltstoneScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no input") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let stop = Stop::default();
        let reading = Reading { context: &context, is_stopped: Arc::clone(&stop.0) };
        let scan = self.parts.get(partition).map(|part| part(&reading)).transpose()?;
        let batches = match scan.unwrap_or(Scan::Ready(Vec::new())) {
            Scan::Ready(batches) => {
                let batches = batches.into_iter().map(|batch| conform(batch, &schema));
                let batches = batches.collect::<Result<Vec<_>>>()?.into_iter().flat_map(pieces).map(Ok);
                let stream = futures::stream::iter(batches);
                return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)));
            }
            Scan::Blocking(batches) => batches,
        };
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&schema), BATCHES_WAITING_MAX);
        let sender = builder.tx();
        builder.spawn_blocking(move || {
            for batch in batches {
                for piece in pieces(conform(batch.map_err(external)?, &schema)?) {
                    if sender.blocking_send(Ok(piece)).is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        let rows = builder.build().inspect(move |_| {
            // Dropped with the stream.
            let _ = &stop;
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        Ok(match partition {
            Some(_) if self.parts.len() > 1 => Arc::new(Statistics::new_unknown(&self.schema)),
            _ => Arc::clone(&self.statistics),
        })
    }
}

/// Tells a reader, when it is dropped, that nobody waits for more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The batch in pieces of a size that operators can work with.
fn pieces(batch: RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(BATCH_ROWS_MAX);
    starts.map(move |start| batch.slice(start, BATCH_ROWS_MAX.min(batch.num_rows() - start)))
}

/// The batch with the scan's own schema, whose fields are named and nullable as the relation says.
fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = if schema.fields().is_empty() { Vec::new() } else { batch.columns().to_vec() };
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn external(error: siltstone_engine::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanExec")
            .field("label", &self.label)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(
            f,
            "SiltstoneScan: {}, parts={}, columns=[{}]",
            self.label,
            self.parts.len(),
            columns.join(", ")
        )?;
        if self.filters.is_empty() { Ok(()) } else { write!(f, ", keys=[{}]", self.filters) }
    }
}
