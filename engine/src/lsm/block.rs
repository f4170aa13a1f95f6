//! The block codec: one Arrow IPC stream of one batch, its buffers compressed with LZ4.
//!
//! The stream carries its schema, so a block is readable by itself. A BIGINT column whose values all fit in
//! fewer bits, as most counts do, stands in it as unsigned integers of that width: compressing it takes a
//! fraction of the time. SQL has no unsigned types, so a reader knows what they are.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt8Type, UInt16Type, UInt32Type};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::error::{Error, Result};

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
    projection: Option<Vec<usize>>,
}

impl BlockReader {
    /// Reads these columns only, in this order; `None` reads all.
    pub fn new(projection: Option<&[usize]>) -> Self {
        Self { projection: projection.map(<[usize]>::to_vec) }
    }

    /// # Errors
    /// [`crate::error::Kind::Corrupt`] if the bytes are not a block.
    pub fn decode(&self, bytes: &[u8]) -> Result<RecordBatch> {
        let corrupt = |e| Error::corrupt("decoding a block").because(e);
        let mut reader =
            StreamReader::try_new(Cursor::new(bytes), self.projection.clone()).map_err(corrupt)?;
        let batch = reader.next().ok_or_else(|| Error::corrupt("decoding a block: it is empty"))?;
        with_columns(&batch.map_err(corrupt)?, widen)
    }
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

fn widen(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => cast(column, &DataType::Int64)?,
        _ => column.clone(),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};

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
            let some = BlockReader::new(Some(&[3, 0])).decode(&bytes).expect("decodes");
            assert_eq!(some, batch.project(&[3, 0]).expect("there are two"), "{edge}");
        }
    }
}
