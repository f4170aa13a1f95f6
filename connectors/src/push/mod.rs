//! The connector `push`: rows that this process is handed, by an embedding program or by `INSERT INTO`.
//!
//! There is one split, `push`; its offsets count rows. Rows that were handed out stay in the queue until an
//! epoch that holds them is durable, so that a pipeline that starts over finds them again. What the process
//! takes down with it was never acknowledged.

mod queue;
mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use siltstone_engine::connector::{
    Connector, Decoder, OptionSpec, PushPort, Source, SourceSpec, Split, SplitId, SplitReader,
};
use siltstone_engine::error::{Error, Result};

use crate::format::{Column, RowsDecoder, conform};
use queue::Queue;
use reader::PushReader;

/// The only split.
const SPLIT: &str = "push";

/// The connector `push`.
#[derive(Debug)]
pub struct PushConnector;

impl Connector for PushConnector {
    fn name(&self) -> &'static str {
        "push"
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        // A type that no format decodes is refused here too, so that every source takes the same types.
        spec.schema.fields().iter().try_for_each(|f| Column::new(f).map(|_| ()))?;
        Ok(Arc::new(PushSource { schema: spec.schema.clone(), queue: Arc::default() }))
    }
}

struct PushSource {
    schema: SchemaRef,
    queue: Arc<Queue>,
}

impl Source for PushSource {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        let split = Split { id: SPLIT.into(), start: 0, end: None, detail: String::new() };
        Ok(if known.is_empty() { vec![split] } else { Vec::new() })
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn is_replayable(&self) -> bool {
        false
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(PushReader::new(self.queue.clone())))
    }

    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(RowsDecoder::new(self.schema.clone(), wanted)))
    }

    /// Before a reader says where counting starts, nothing is there to be read.
    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        let end = self.queue.end();
        Ok(splits.iter().map(|s| (s.id.clone(), end.unwrap_or(s.start))).collect())
    }

    fn committed(&self, offsets: &BTreeMap<SplitId, i64>) {
        if let Some(offset) = offsets.get(SPLIT) {
            self.queue.committed(*offset);
        }
    }

    fn push_port(&self) -> Option<&dyn PushPort> {
        Some(self)
    }
}

impl PushPort for PushSource {
    /// Refuses the whole batch if a row of it does not fit the schema.
    fn push(&self, batch: RecordBatch) -> Result<(SplitId, i64)> {
        let (batch, faults) = conform(&batch, &self.schema)?;
        if let Some(fault) = faults.first() {
            return Err(Error::invalid(format!("pushing row {}: {}", fault.row, fault.reason)));
        }
        Ok((SPLIT.into(), self.queue.push(batch)?))
    }
}

#[cfg(test)]
mod tests;
