//! The block codec: one Arrow IPC stream of one batch, its buffers compressed with LZ4.
//!
//! The stream carries its schema, so a block is readable by itself.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::error::{Error, Result};

/// Encodes a batch.
pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<u8>> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut bytes = Vec::with_capacity(4096);
    let mut writer = StreamWriter::try_new_with_options(&mut bytes, &batch.schema(), options)?;
    writer.write(batch)?;
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
        batch.map_err(corrupt)
    }
}
