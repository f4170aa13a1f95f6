//! The smallest connectors that an engine can run on: `push`, and `count`, which has its rows from the start.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use siltstone_engine::connector::{
    Connector, Decoded, Decoder, Fetch, OptionSpec, Payload, Poll, PushPort, Source, SourceSpec, Split,
    SplitId, SplitReader, without_unread,
};
use siltstone_engine::error::{Error, Result};

/// Rows that are handed over.
pub struct Push;

#[derive(Default)]
struct Queue {
    batches: Mutex<Vec<(i64, RecordBatch)>>,
    filled: Condvar,
}

struct PushSource(Arc<Queue>);

impl Connector for Push {
    fn name(&self) -> &'static str {
        "push"
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn source(&self, _spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(PushSource(Arc::default())))
    }
}

impl Source for PushSource {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        let split = Split { id: "push".into(), start: 0, end: None, detail: String::new() };
        Ok(if known.is_empty() { vec![split] } else { Vec::new() })
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn is_replayable(&self) -> bool {
        false
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(PushReader { queue: Arc::clone(&self.0), next: None }))
    }

    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(Columns { wanted: wanted.to_vec() }))
    }

    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        let end = self.0.end();
        Ok(splits.iter().map(|split| (split.id.clone(), end)).collect())
    }

    fn push_port(&self) -> Option<&dyn PushPort> {
        Some(self)
    }
}

impl PushPort for PushSource {
    fn push(&self, batch: RecordBatch) -> Result<(SplitId, i64)> {
        let mut batches = self.0.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let start = batches.last().map_or(0, |(start, last)| start + last.num_rows() as i64);
        let end = start + batch.num_rows() as i64;
        batches.push((start, batch));
        self.0.filled.notify_all();
        Ok(("push".into(), end))
    }
}

impl Queue {
    fn end(&self) -> i64 {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.last().map_or(0, |(start, last)| start + last.num_rows() as i64)
    }
}

struct PushReader {
    queue: Arc<Queue>,
    next: Option<i64>,
}

impl SplitReader for PushReader {
    fn assign(&mut self, _split: &Split, from: i64) -> Result<()> {
        self.next = Some(from);
        Ok(())
    }

    fn poll(&mut self, _rows_max: usize, timeout: Duration) -> Result<Poll> {
        let Some(next) = self.next else { return Ok(Poll::Idle) };
        let batches = self.queue.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let there =
            |batches: &[(i64, RecordBatch)]| batches.iter().find(|(start, _)| *start == next).cloned();
        let (batches, _) = self
            .queue
            .filled
            .wait_timeout_while(batches, timeout, |batches| there(batches).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let Some((offset, batch)) = there(&batches) else { return Ok(Poll::Idle) };
        let end = offset + batch.num_rows() as i64;
        self.next = Some(end);
        let split: SplitId = "push".into();
        let payload = Payload::Rows { split: split.clone(), offset, batch };
        Ok(Poll::Records(Fetch { payload, progress: vec![(split, end)] }))
    }
}

/// `rows` rows whose first column counts from 0 and whose others are NULL; can be read again.
pub struct Count;

struct CountSource {
    schema: SchemaRef,
    rows: i64,
}

impl Connector for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[
            OptionSpec { name: "rows", required: true, help: "how many rows there are" },
            OptionSpec { name: "pace", required: false, help: "not used" },
        ]
    }

    fn is_operational(&self, option: &str) -> bool {
        option == "pace"
    }

    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        let text = spec.options.get("rows").map_or("", String::as_str);
        let rows =
            text.parse().map_err(|_| Error::invalid(format!("option rows is not a number: '{text}'")))?;
        if *spec.schema.field(0).data_type() != DataType::Int64 {
            return Err(Error::invalid("the first column must be BIGINT"));
        }
        Ok(Arc::new(CountSource { schema: spec.schema.clone(), rows }))
    }
}

impl Source for CountSource {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        let split = Split { id: "numbers/0".into(), start: 0, end: Some(self.rows), detail: String::new() };
        Ok(if known.is_empty() { vec![split] } else { Vec::new() })
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(CountReader { schema: self.schema.clone(), next: None, end: self.rows }))
    }

    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(Columns { wanted: wanted.to_vec() }))
    }

    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        Ok(splits.iter().map(|split| (split.id.clone(), self.rows)).collect())
    }
}

struct CountReader {
    schema: SchemaRef,
    next: Option<(SplitId, i64)>,
    end: i64,
}

impl SplitReader for CountReader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        self.end = split.end.unwrap_or(self.end);
        self.next = Some((split.id.clone(), from));
        Ok(())
    }

    fn poll(&mut self, rows_max: usize, _timeout: Duration) -> Result<Poll> {
        let Some((split, offset)) = self.next.take() else { return Ok(Poll::Idle) };
        if offset >= self.end {
            return Ok(Poll::Finished(split));
        }
        let end = self.end.min(offset + rows_max as i64);
        let rows = usize::try_from(end - offset).unwrap_or_default();
        let columns = self.schema.fields().iter().enumerate().map(|(index, field)| match index {
            0 => Arc::new(Int64Array::from_iter_values(offset..end)) as ArrayRef,
            _ => new_null_array(field.data_type(), rows),
        });
        let batch = RecordBatch::try_new(self.schema.clone(), columns.collect())?;
        self.next = Some((split.clone(), end));
        let payload = Payload::Rows { split: split.clone(), offset, batch };
        Ok(Poll::Records(Fetch { payload, progress: vec![(split, end)] }))
    }
}

struct Columns {
    wanted: Vec<bool>,
}

impl Decoder for Columns {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        match payload {
            Payload::Rows { batch, .. } => Ok(Decoded {
                batch: without_unread(batch, &self.wanted)?,
                origins: Vec::new(),
                bad: Vec::new(),
            }),
            _ => Err(Error::invalid("only columns come here")),
        }
    }
}
