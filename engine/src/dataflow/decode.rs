//! Decode: payloads to typed columns, bad records aside.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};

use super::operator::{Operator, Origins, Output, Packet, Rows};
use super::{Emission, ViewError};
use crate::connector::Decoder;
use crate::error::Result;

pub struct Decode {
    pub decoder: Box<dyn Decoder>,
}

impl Operator for Decode {
    fn process(&mut self, packet: Packet, out: &mut Output) -> Result<()> {
        let Packet::Payload(payload) = packet else {
            out.packets.push(packet);
            return Ok(());
        };
        let decoded = self.decoder.decode(&payload)?;
        if !decoded.bad.is_empty() {
            let bad = decoded.bad.into_iter().map(|row| ViewError { view: None, row }).collect();
            out.emissions.push(Emission::Bad(bad));
        }
        if decoded.batch.num_rows() > 0 {
            let origins = Origins { payload, rows: Arc::new(decoded.origins), kept: None };
            out.packets.push(Packet::Rows(Rows { batch: spelled_out(&decoded.batch)?, origins }));
        }
        Ok(())
    }
}

/// Dictionaries as plain text, until the operators below take them as they are.
fn spelled_out(batch: &RecordBatch) -> Result<RecordBatch> {
    let coded = |data_type: &DataType| matches!(data_type, DataType::Dictionary(..));
    if !batch.columns().iter().any(|c| coded(c.data_type())) {
        return Ok(batch.clone());
    }
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, value) => Arc::new(field.as_ref().clone().with_data_type((**value).clone())),
        _ => field.clone(),
    });
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value),
        _ => Ok(column.clone()),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(RecordBatch::try_new(schema, columns.collect::<std::result::Result<_, _>>()?)?)
}
