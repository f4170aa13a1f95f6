//! Rows that are columns already (Parquet, push): brought to the source's schema, NOT NULL checked.
//!
//! Only conversions that mean the same value are made. A value that its column cannot hold makes its row
//! a bad one, which the error table shows as text, since there are no bytes.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use siltstone_engine::connector::{BadRow, Decoded, Decoder, Payload, SplitId, without_unread};
use siltstone_engine::error::{Error, Kind, Result};

use super::column::type_name;

/// Passes rows on. The decoder of sources whose payloads are never bytes.
#[derive(Debug)]
pub(crate) struct RowsDecoder {
    schema: SchemaRef,
    wanted: Vec<bool>,
}

impl RowsDecoder {
    pub(crate) fn new(schema: SchemaRef, wanted: &[bool]) -> Self {
        Self { schema, wanted: wanted.to_vec() }
    }

    pub(crate) fn decode_rows(&self, split: &SplitId, offset: i64, batch: &RecordBatch) -> Result<Decoded> {
        let decoded = self.conforming(split, offset, batch)?;
        Ok(Decoded { batch: without_unread(&decoded.batch, &self.wanted)?, ..decoded })
    }

    fn conforming(&self, split: &SplitId, offset: i64, batch: &RecordBatch) -> Result<Decoded> {
        let (batch, faults) = conform(batch, &self.schema)?;
        if faults.is_empty() {
            return Ok(Decoded { batch, origins: Vec::new(), bad: Vec::new() });
        }
        let mut good = vec![true; batch.num_rows()];
        let mut bad = Vec::new();
        for fault in faults {
            if std::mem::replace(&mut good[fault.row], false) {
                let raw = fault.text.as_deref().map(str::as_bytes);
                bad.push(BadRow::new(split, offset + fault.row as i64, fault.reason, raw));
            }
        }
        bad.sort_by_key(|b| b.offset);
        let batch = filter_record_batch(&batch, &BooleanArray::from(good))?;
        Ok(Decoded {
            batch: with_schema(&batch, batch.columns().to_vec(), &self.schema)?,
            origins: Vec::new(),
            bad,
        })
    }
}

impl Decoder for RowsDecoder {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        match payload {
            Payload::Rows { split, offset, batch } => self.decode_rows(split, *offset, batch),
            Payload::Text { split, .. } => Err(Error::invalid(format!("split {split} has text, not rows"))),
            Payload::Messages(_) => Err(Error::invalid("a source of rows got messages")),
        }
    }
}

/// A row that does not fit its schema.
#[derive(Debug)]
pub(crate) struct RowFault {
    pub(crate) row: usize,
    pub(crate) reason: String,
    /// The value that does not fit, if there is one.
    text: Option<String>,
}

/// Whether values of one type can stand for another's without changing their meaning.
pub(crate) fn can_conform(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        _ if from == to => true,
        (Dictionary(_, value), _) => can_conform(value, to),
        (Utf8 | LargeUtf8 | Utf8View, Utf8)
        | (Binary | LargeBinary | BinaryView | FixedSizeBinary(_), Binary) => true,
        // Text that an old writer has not marked as such.
        (Binary | LargeBinary | BinaryView, Utf8) => true,
        (from, Int16 | Int32 | Int64) => from.is_integer(),
        (from, Float32 | Float64) => from.is_numeric(),
        (from, Decimal128(..)) => {
            from.is_integer()
                || matches!(from, Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..))
        }
        (Date32 | Date64, Date32 | Timestamp(..)) => true,
        (Time32(_) | Time64(_), Time64(TimeUnit::Microsecond)) => true,
        (Timestamp(..), Timestamp(..)) => true,
        _ => false,
    }
}

/// Brings a batch to `schema`, column by column in order. The rows named in the answer do not fit and hold
/// NULL in that column, even if it is `NOT NULL`: the caller drops them or refuses the batch.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<(RecordBatch, Vec<RowFault>)> {
    if batch.num_columns() != schema.fields().len() {
        let message =
            format!("rows have {} columns, {} are expected", batch.num_columns(), schema.fields().len());
        return Err(Error::invalid(message));
    }
    let mut columns = Vec::with_capacity(batch.num_columns());
    let mut faults = Vec::new();
    for (array, field) in batch.columns().iter().zip(schema.fields()) {
        let converted =
            convert(array, field.data_type()).map_err(|e| e.context(format!("column {}", field.name())))?;
        if converted.null_count() > array.logical_null_count() {
            out_of_range(array, &converted, field.name(), field.data_type(), &mut faults)?;
        }
        if !field.is_nullable() && converted.null_count() > 0 {
            let missing = (0..array.len()).filter(|row| converted.is_null(*row));
            faults.extend(missing.map(|row| RowFault {
                row,
                reason: format!("column {}: NULL in a NOT NULL column", field.name()),
                text: None,
            }));
        }
        columns.push(converted);
    }
    // Rows that do not fit may hold NULLs that the schema forbids; they are allowed until dropped.
    let batch = if faults.is_empty() {
        with_schema(batch, columns, schema)?
    } else {
        let nullable = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let nullable = std::sync::Arc::new(arrow::datatypes::Schema::new(nullable.collect::<Vec<_>>()));
        with_schema(batch, columns, &nullable)?
    };
    Ok((batch, faults))
}

fn with_schema(batch: &RecordBatch, columns: Vec<ArrayRef>, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &rows)?)
}

/// What cannot be held becomes NULL.
fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    if !can_conform(array.data_type(), to) {
        let message = format!("type {} cannot be read as {}", type_name(array.data_type()), type_name(to));
        return Err(Error::new(Kind::Invalid, message));
    }
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    Ok(cast_with_options(array, to, &options)?)
}

/// Names the rows that became NULL.
fn out_of_range(
    from: &ArrayRef,
    to: &ArrayRef,
    column: &str,
    data_type: &DataType,
    faults: &mut Vec<RowFault>,
) -> Result<()> {
    let nulls = from.logical_nulls();
    let format = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(from.as_ref(), &format)?;
    for row in 0..from.len() {
        if to.is_null(row) && nulls.as_ref().is_none_or(|n| n.is_valid(row)) {
            let text = formatter.value(row).to_string();
            let reason = format!("column {column}: {text:?} is out of range for {}", type_name(data_type));
            faults.push(RowFault { row, reason, text: Some(text) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn batch(values: Vec<Option<i64>>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([(
            "a",
            Arc::new(Int64Array::from(values)) as ArrayRef,
            true,
        )])
        .unwrap()
    }

    fn decode(nullable: bool, values: Vec<Option<i64>>) -> Decoded {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, nullable)]));
        RowsDecoder::new(schema, &[true]).decode_rows(&"s".into(), 10, &batch(values)).unwrap()
    }

    #[test]
    fn a_value_out_of_range_makes_its_row_bad_and_no_other() {
        let decoded = decode(true, vec![Some(1), Some(1 << 40), None, Some(4)]);
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(4)]));
        assert_eq!(decoded.batch.column(0), &expected);
        assert_eq!(decoded.bad.len(), 1);
        assert_eq!(decoded.bad[0].offset, 11);
        assert!(decoded.bad[0].reason.contains("out of range for integer"), "{}", decoded.bad[0].reason);
    }

    #[test]
    fn a_null_is_bad_where_the_column_is_not_null() {
        let decoded = decode(false, vec![Some(1), None, Some(1 << 40)]);
        assert_eq!(decoded.batch.num_rows(), 1);
        assert_eq!(decoded.bad.iter().map(|b| b.offset).collect::<Vec<_>>(), [11, 12]);
        assert!(!decoded.batch.schema().field(0).is_nullable());
    }

    #[test]
    fn types_without_a_common_meaning_are_refused() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let text =
            RecordBatch::try_from_iter([("a", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]).unwrap();
        let error = conform(&text, &schema).unwrap_err();
        assert!(error.message().contains("column a: type varchar cannot be read as bigint"), "{error}");
    }
}
