//! From payloads to typed columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde::{Deserialize, Serialize};

use super::{Payload, SplitId};
use crate::error::Result;

/// Bytes of a bad record that are kept in the error table; the rest is cut off.
pub const RAW_BYTES_MAX: usize = 4096;

/// Turns payloads into columns. One for each worker; may keep buffers between calls.
pub trait Decoder: Send {
    /// Decodes all of `payload`. The good rows' columns are the source's physical schema, in order, but for
    /// those types that [`super::Source::decoder`] allows to differ.
    ///
    /// # Errors
    /// Never for bad data: that is in [`Decoded::bad`].
    fn decode(&mut self, payload: &Payload) -> Result<Decoded>;
}

/// A decoded payload.
#[derive(Debug)]
pub struct Decoded {
    pub batch: RecordBatch,
    /// Where each row of `batch` came from, so that a row found bad later can be shown as it was.
    /// Empty for payloads that were columns already.
    pub origins: Vec<Origin>,
    pub bad: Vec<BadRow>,
}

/// `batch` with a `NullArray` for each column that is not wanted, as [`super::Source::decoder`] says.
pub fn without_unread(batch: &RecordBatch, wanted: &[bool]) -> Result<RecordBatch> {
    if wanted.iter().all(|w| *w) {
        return Ok(batch.clone());
    }
    let is_wanted = |column: usize| wanted.get(column).copied().unwrap_or(true);
    let schema = batch.schema();
    let fields = schema.fields().iter().enumerate().map(|(i, field)| match is_wanted(i) {
        true => field.clone(),
        false => Arc::new(field.as_ref().clone().with_data_type(DataType::Null).with_nullable(true)),
    });
    let columns = batch.columns().iter().enumerate().map(|(i, column)| match is_wanted(i) {
        true => column.clone(),
        false => Arc::new(NullArray::new(batch.num_rows())) as ArrayRef,
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone());
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), columns.collect(), &rows)?)
}

/// Where a row came from: a span of its payload's bytes, and its place in a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`super::Messages::splits`]; 0 for a text payload.
    pub split: u32,
    pub offset: i64,
    pub start: u32,
    pub end: u32,
}

/// A record that is not a row, as the error table keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    #[serde(with = "super::split::id_as_text")]
    pub split: SplitId,
    pub offset: i64,
    /// What is wrong with it, naming the column where there is one.
    pub reason: String,
    /// The record's bytes, at most [`RAW_BYTES_MAX`]; `None` if it had no value.
    #[serde(with = "bytes_as_hex")]
    pub raw: Option<Vec<u8>>,
    /// The record's length in bytes before it was cut.
    pub raw_bytes: u64,
}

impl BadRow {
    /// Keeps a record that could not be decoded, cut to [`RAW_BYTES_MAX`].
    pub fn new(split: &SplitId, offset: i64, reason: impl Into<String>, raw: Option<&[u8]>) -> Self {
        let raw_bytes = raw.map_or(0, |r| r.len() as u64);
        let raw = raw.map(|r| r[..r.len().min(RAW_BYTES_MAX)].to_vec());
        Self { split: split.clone(), offset, reason: reason.into(), raw, raw_bytes }
    }
}

/// Raw bytes in records: hexadecimal digits, since the records are JSON.
mod bytes_as_hex {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(raw: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        let hex = |bytes: &Vec<u8>| {
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                write!(text, "{byte:02x}").expect("writing to a string does not fail");
            }
            text
        };
        raw.as_ref().map(hex).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let digit =
            |c: u8| char::from(c).to_digit(16).ok_or_else(|| Error::custom("not a hexadecimal digit"));
        let byte = |pair: &[u8]| match *pair {
            [high, low] => Ok((digit(high)? * 16 + digit(low)?) as u8),
            _ => Err(Error::custom("an odd number of hexadecimal digits")),
        };
        text.as_bytes().chunks(2).map(byte).collect::<Result<_, _>>().map(Some)
    }
}
