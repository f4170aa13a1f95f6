//! What an operator is: it takes batches and barriers, and gives batches to those below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use super::Emission;
use super::memo::Memo;
use crate::connector::{BadRow, Messages, Origin, Payload, SplitId};
use crate::error::Result;

/// What moves along the edges of a graph.
#[derive(Clone, Debug)]
pub enum Packet {
    /// Records as the source gave them.
    Payload(Arc<Payload>),
    Rows(Rows),
}

impl Packet {
    /// Rows in it, as far as they are counted yet.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Rows(rows) => rows.batch.num_rows() as u64,
            Self::Payload(_) => 0,
        }
    }
}

/// Rows, and where each came from.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Text may have dictionaries, and columns that nobody reads are of type Null.
    pub batch: RecordBatch,
    pub origins: Origins,
    /// Codes of keys, which belong to these very rows.
    pub codes: Memo,
}

/// The payload behind rows, kept so that a row found bad late can still be shown as it came.
#[derive(Clone, Debug)]
pub struct Origins {
    pub payload: Arc<Payload>,
    /// Empty when the payload was rows already: then row `i` is at the payload's offset plus `i`.
    pub rows: Arc<Vec<Origin>>,
    /// If rows were taken out: the number each remaining row had.
    pub kept: Option<Arc<Vec<u32>>>,
}

impl Origins {
    /// Row `row` as an error row.
    pub fn bad_row(&self, row: usize, reason: String) -> BadRow {
        let row = self.kept.as_ref().map_or(row, |kept| kept[row] as usize);
        match (&*self.payload, self.rows.get(row)) {
            (Payload::Messages(Messages { bytes, splits, .. }), Some(o)) => {
                let raw = &bytes[o.start as usize..o.end as usize];
                BadRow::new(&splits[o.split as usize], o.offset, reason, Some(raw))
            }
            (Payload::Text { split, bytes, .. }, Some(o)) => {
                BadRow::new(split, o.offset, reason, Some(&bytes[o.start as usize..o.end as usize]))
            }
            (Payload::Rows { split, offset, batch }, _) => {
                let raw = row_as_text(batch, row);
                BadRow::new(split, offset + row as i64, reason, Some(raw.as_bytes()))
            }
            (Payload::Text { split, offset, .. }, None) => BadRow::new(split, *offset, reason, None),
            (Payload::Messages(_), None) => BadRow::new(&SplitId::from(""), 0, reason, None),
        }
    }
}

fn row_as_text(batch: &RecordBatch, row: usize) -> String {
    let value =
        |i: usize| arrow::util::display::array_value_to_string(batch.column(i), row).unwrap_or_default();
    (0..batch.num_columns()).map(value).collect::<Vec<_>>().join(",")
}

impl Rows {
    /// Only the rows numbered in `keep`.
    pub fn take(&self, keep: Vec<u32>) -> Result<Self> {
        let before = self.origins.kept.as_ref();
        let kept = keep.iter().map(|&i| before.map_or(i, |b| b[i as usize])).collect();
        let batch = take_record_batch(&self.batch, &UInt32Array::from(keep))?;
        let origins = Origins { kept: Some(Arc::new(kept)), ..self.origins.clone() };
        Ok(Self { batch, origins, codes: Memo::default() })
    }
}

/// Where an operator puts what it makes.
#[derive(Default)]
pub struct Output {
    /// To the operators below.
    pub packets: Vec<Packet>,
    /// Out of the graph.
    pub emissions: Vec<Emission>,
}

/// A step of the graph. One instance for each worker; all state is its own.
pub trait Operator: Send {
    /// A packet from above.
    fn process(&mut self, packet: Packet, out: &mut Output) -> Result<()>;

    /// The end of an epoch: give out what belongs to it.
    fn barrier(&mut self, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// Bytes of state held.
    fn bytes(&self) -> usize {
        0
    }
}

/// What an operator has done, read by `siltstone.operators`.
#[derive(Debug)]
pub struct Metrics {
    pub operator: String,
    rows: AtomicU64,
    busy_us: AtomicU64,
    blocked_us: AtomicU64,
}

impl Metrics {
    pub fn new(operator: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            operator: operator.into(),
            rows: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            blocked_us: AtomicU64::new(0),
        })
    }

    pub fn add(&self, rows: u64, busy_us: u64, blocked_us: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.busy_us.fetch_add(busy_us, Ordering::Relaxed);
        self.blocked_us.fetch_add(blocked_us, Ordering::Relaxed);
    }

    /// Rows, busy and blocked microseconds.
    pub fn read(&self) -> (u64, u64, u64) {
        let load = |a: &AtomicU64| a.load(Ordering::Relaxed);
        (load(&self.rows), load(&self.busy_us), load(&self.blocked_us))
    }
}
