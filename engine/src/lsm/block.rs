//! The block codec: one Arrow IPC stream of one batch, its buffers compressed with LZ4.
//!
//! The stream carries its schema, so a block is readable by itself. A BIGINT column whose values all fit in
//! fewer bits, as most counts do, stands in it as unsigned integers of that width: compressing it takes a
//! fraction of the time. A column of floats that are all decimals of a few digits, as prices are, stands in it as
//! DECIMAL of 32 bits; the idea is that of ALP (Afroozeh, Kuffo and Boncz, 2023), without its exceptions.
//! No column of a relation has these types, so a reader knows what they are.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, new_null_array,
};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{
    DECIMAL32_MAX_PRECISION, DataType, Decimal32Type, Field, Float64Type, Int64Type, Schema, UInt8Type,
    UInt16Type, UInt32Type,
};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::error::{Error, Result};

/// Powers of ten, by the scales of decimals that floats are tried as.
const POWERS: [f64; 7] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/// The greatest decimal of nine digits.
const DECIMAL_MAX: i32 = 999_999_999;

/// Encodes a batch.
pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let batch = with_columns(batch, narrow)?;
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut bytes = Vec::with_capacity(4096);
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &batch.schema(), options)?;
    writer.write(&batch)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// Decodes blocks, all columns or some.
#[derive(Clone, Debug, Default)]
pub struct BlockReader {
    /// `None` reads what is there.
    fields: Option<Vec<Field>>,
}

impl BlockReader {
    /// Reads these columns only, in this order and by their names. Those that a block lacks, since it is older
    /// than they are, are NULL; those of another type are cast.
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields: Some(fields) }
    }

    /// # Errors
    /// [`crate::error::Kind::Corrupt`] if the bytes are not a block.
    pub fn decode(&self, bytes: &[u8]) -> Result<RecordBatch> {
        let corrupt = |e| Error::corrupt("decoding a block").because(e);
        let open = |projection| StreamReader::try_new(Cursor::new(bytes), projection).map_err(corrupt);
        let mut reader = open(None)?;
        if let Some(fields) = &self.fields {
            let schema = reader.schema();
            let place = |field: &Field| schema.index_of(field.name()).ok();
            let mut wanted: Vec<usize> = fields.iter().filter_map(place).collect();
            // A block is decoded in its own column order.
            wanted.sort_unstable();
            reader = open(Some(wanted))?;
        }
        let batch = reader.next().ok_or_else(|| Error::corrupt("decoding a block: it is empty"))?;
        let batch = with_columns(&batch.map_err(corrupt)?, widen)?;
        match &self.fields {
            None => Ok(batch),
            Some(fields) => conform(&batch, fields),
        }
    }
}

/// The batch as these columns.
fn conform(batch: &RecordBatch, fields: &[Field]) -> Result<RecordBatch> {
    let column = |field: &Field| match batch.column_by_name(field.name()) {
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => Ok(cast(column, field.data_type())?),
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.to_vec())), columns, &options)?)
}

/// The batch with other columns in the place of some.
fn with_columns(batch: &RecordBatch, other: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(other).collect::<Result<Vec<_>>>()?;
    let fields = batch.schema_ref().fields().iter().zip(&columns).map(|(field, column)| {
        if field.data_type() == column.data_type() {
            return Arc::clone(field);
        }
        Arc::new(Field::clone(field).with_data_type(column.data_type().clone()))
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), batch.schema_ref().metadata().clone());
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?)
}

fn narrow(column: &ArrayRef) -> Result<ArrayRef> {
    if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        return Ok(decimals(values)?.unwrap_or_else(|| column.clone()));
    }
    let Some(values) = column.as_primitive_opt::<Int64Type>() else { return Ok(column.clone()) };
    let least = min(values).unwrap_or_default();
    let greatest = max(values).unwrap_or_default();
    Ok(match u64::try_from(greatest) {
        Ok(greatest) if least >= 0 => match greatest {
            0..=0xff => narrowed::<UInt8Type>(values, |v| v as u8),
            0x100..=0xffff => narrowed::<UInt16Type>(values, |v| v as u16),
            0x1_0000..=0xffff_ffff => narrowed::<UInt32Type>(values, |v| v as u32),
            _ => column.clone(),
        },
        _ => column.clone(),
    })
}

fn narrowed<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<Int64Type>,
    cut: impl Fn(i64) -> T::Native,
) -> ArrayRef {
    Arc::new(values.unary::<_, T>(cut))
}

/// The floats as decimals from which they come back bit by bit; `None` if one of them does not.
fn decimals(floats: &Float64Array) -> Result<Option<ArrayRef>> {
    let mut decimals = Vec::with_capacity(floats.len());
    for (scale, power) in (0..).zip(POWERS) {
        decimals.clear();
        decimals.extend(floats.values().iter().map_while(|&float| decimal(float, power)));
        if decimals.len() == floats.len() {
            let decimals = PrimitiveArray::<Decimal32Type>::new(decimals.into(), floats.nulls().cloned());
            return Ok(Some(Arc::new(decimals.with_precision_and_scale(DECIMAL32_MAX_PRECISION, scale)?)));
        }
    }
    Ok(None)
}

/// The float times a power of ten, if dividing by that gives the same float, sign of zero and all.
#[inline(always)]
fn decimal(float: f64, power: f64) -> Option<i32> {
    // Adding this leaves no bits for a fraction: it rounds.
    const ROUNDING: f64 = (3_u64 << 51) as f64;
    let decimal = (float * power + ROUNDING - ROUNDING) as i32;
    let is_same = (f64::from(decimal) / power).to_bits() == float.to_bits();
    (is_same && (-DECIMAL_MAX..=DECIMAL_MAX).contains(&decimal)).then_some(decimal)
}

fn widen(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => cast(column, &DataType::Int64)?,
        DataType::Decimal32(_, scale) => {
            let power = usize::try_from(*scale).ok().and_then(|scale| POWERS.get(scale));
            let power = *power.ok_or_else(|| Error::corrupt("decoding a block: a scale of no power"))?;
            let decimals = column.as_primitive::<Decimal32Type>();
            Arc::new(decimals.unary::<_, Float64Type>(|decimal| f64::from(decimal) / power))
        }
        _ => column.clone(),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_narrowed_comes_back_as_it_was() {
        let edges = [0, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, i64::MAX];
        for edge in edges.into_iter().flat_map(|edge| [edge, edge - 1, -edge]) {
            let columns: [(&str, ArrayRef); 4] = [
                ("some", Arc::new(Int64Array::from(vec![Some(edge), None, Some(7)]))),
                ("none", Arc::new(Int64Array::from(vec![None, None, None]))),
                ("other", Arc::new(Int32Array::from(vec![1, 2, 3]))),
                ("text", Arc::new(StringArray::from(vec!["a", "", "b"]))),
            ];
            let batch = RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, column)| (name, column, true)),
            )
            .expect("columns of one length");
            let bytes = encode(&batch).expect("encodes");
            assert_eq!(BlockReader::default().decode(&bytes).expect("decodes"), batch, "{edge}");
            let schema = batch.schema();
            let fields = [3, 0].map(|i| schema.field(i).clone()).to_vec();
            let some = BlockReader::new(fields).decode(&bytes).expect("decodes");
            assert_eq!(some, batch.project(&[3, 0]).expect("there are two"), "{edge}");
            let later =
                [Field::new("new", DataType::Int64, true), Field::new("other", DataType::Int64, true)];
            let later = BlockReader::new(later.to_vec()).decode(&bytes).expect("decodes");
            assert_eq!(later.column(0).null_count(), 3);
            assert_eq!(later.column(1).as_ref(), &Int64Array::from(vec![1, 2, 3]));
        }
    }

    fn stored(values: Vec<Option<f64>>) -> DataType {
        let column: ArrayRef = Arc::new(Float64Array::from(values));
        let batch = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).expect("one column");
        let decoded = BlockReader::default().decode(&encode(&batch).expect("encodes")).expect("decodes");
        let bits = |batch: &RecordBatch| {
            let floats = batch.column(0).as_primitive::<Float64Type>();
            floats.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>()
        };
        assert_eq!(bits(&decoded), bits(&batch));
        assert_eq!(decoded.schema(), batch.schema());
        narrow(batch.column(0)).expect("narrows").data_type().clone()
    }

    #[test]
    fn prices_are_decimals_and_what_is_none_stays_a_float() {
        let decimal = |scale| DataType::Decimal32(DECIMAL32_MAX_PRECISION, scale);
        assert_eq!(stored(vec![Some(0.0), None, Some(12.0)]), decimal(0));
        assert_eq!(stored(vec![Some(0.5), None, Some(-3.07)]), decimal(2));
        assert_eq!(stored(vec![Some(0.0001), Some(99_999.999_9)]), decimal(4));
        assert_eq!(stored(vec![Some(0.643_694), Some(999.999_999)]), decimal(6));
        assert_eq!(stored(Vec::new()), decimal(0));
        let others = [-0.0, 0.1 + 0.2, f64::NAN, f64::INFINITY, f64::MIN, 1e-300, 1e9, 1e-7, 1e300];
        for other in others {
            assert_eq!(stored(vec![Some(1.25), Some(other)]), DataType::Float64, "{other}");
        }
    }

    proptest! {
        #[test]
        fn floats_come_back_bit_by_bit(
            values in prop::collection::vec(
                prop::option::of(prop_oneof![
                    (-2_000_000_000_i64..2_000_000_000, 0_i32..7).prop_map(|(n, e)| n as f64 / 10_f64.powi(e)),
                    any::<u64>().prop_map(f64::from_bits),
                ]),
                0..4,
            ),
        ) {
            stored(values);
        }
    }
}
