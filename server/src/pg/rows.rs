//! A statement's rows on their way to the client: encoded a chunk at a time, a portion of them if asked so.

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{FieldDescription, RowDescription};
use siltstone_sql::RowStream;

use super::report::Report;
use super::wire::TextInto;
use crate::batches::Batches;
use crate::value::Column;
use crate::value::oid;

/// Longest row that the protocol can carry.
const ROW_BYTES_MAX: usize = (1 << 30) - 1;

/// How each column is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formats(Vec<i16>);

impl Formats {
    /// None for text throughout, one for all columns, or one for each.
    pub(crate) fn new(codes: Vec<i16>, columns: usize) -> Result<Self, Report> {
        match codes.len() {
            0 | 1 => Ok(Self(codes)),
            n if n == columns => Ok(Self(codes)),
            n => {
                let message = format!("bind message has {n} result formats but query has {columns} columns");
                Err(Report::new("08P01", message))
            }
        }
    }

    fn code(&self, column: usize) -> i16 {
        match self.0.as_slice() {
            [] => 0,
            [all] => *all,
            each => each.get(column).copied().unwrap_or(0),
        }
    }
}

/// Rows that are still to be sent.
pub(crate) struct Rows {
    schema: SchemaRef,
    batches: Batches,
    current: Option<(Vec<Column>, usize, usize)>,
    formats: Formats,
}

impl Rows {
    /// `schema` is what the client was told; columns of another type are brought to it.
    pub(crate) fn new(rows: RowStream, schema: SchemaRef, formats: Formats) -> Self {
        Self { schema, batches: Batches::new(rows), current: None, formats }
    }

    /// Waits until there is a row to send; `false` at the end.
    pub(crate) async fn ready(&mut self) -> Result<bool, Report> {
        loop {
            if self.current.as_ref().is_some_and(|(_, next, end)| next < end) {
                return Ok(true);
            }
            let Some(batch) = self.batches.next().await else { return Ok(false) };
            let batch = batch?;
            let columns = batch.columns().iter().enumerate().map(|(i, c)| self.column(i, c));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            self.current = Some((columns, 0, batch.num_rows()));
        }
    }

    /// Appends rows that are there, at most `rows_max` and about `bytes_max`; the answer is how many.
    pub(crate) fn take(
        &mut self,
        out: &mut Vec<u8>,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<usize, Report> {
        let Some((columns, next, end)) = &mut self.current else { return Ok(0) };
        let start = out.len();
        let mut taken = 0;
        while *next < *end && taken < rows_max && out.len() - start < bytes_max {
            write_row(out, columns, *next, &self.formats)?;
            *next += 1;
            taken += 1;
        }
        Ok(taken)
    }

    fn column(&self, index: usize, array: &ArrayRef) -> Result<Column, Report> {
        let told = self.schema.fields().get(index).map(|f| f.data_type());
        let array = match told {
            Some(told) if oid::of(told) != oid::of(array.data_type()) => {
                &cast(array, told).map_err(internal)?
            }
            _ => array,
        };
        Column::new(array).map_err(internal)
    }
}

fn internal(error: arrow::error::ArrowError) -> Report {
    Report::new("XX000", format!("sending a result: {error}"))
}

fn write_row(out: &mut Vec<u8>, columns: &[Column], row: usize, formats: &Formats) -> Result<(), Report> {
    let start = out.len();
    out.push(b'D');
    out.extend([0; 4]);
    out.extend(i16::try_from(columns.len()).unwrap_or(i16::MAX).to_be_bytes());
    for (i, column) in columns.iter().enumerate() {
        if formats.code(i) == 1 || column.is_null(row) {
            column.write_sized(row, out);
            continue;
        }
        let at = out.len();
        out.extend([0; 4]);
        // Writing to memory cannot fail.
        let _ = column.write_text(row, &mut TextInto(out));
        let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    let length = out.len() - start - 1;
    if length > ROW_BYTES_MAX {
        out.truncate(start);
        return Err(Report::new("54000", format!("row of {length} bytes is longer than {ROW_BYTES_MAX}")));
    }
    out[start + 1..start + 5].copy_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    Ok(())
}

/// What the client is told of a result's columns.
pub(crate) fn description(schema: &SchemaRef, formats: &Formats) -> PgWireBackendMessage {
    let field = |(i, field): (usize, &std::sync::Arc<arrow::datatypes::Field>)| {
        let kind = oid::of(field.data_type());
        FieldDescription::new(field.name().clone(), 0, 0, kind, oid::size(kind), -1, formats.code(i))
    };
    let fields = schema.fields().iter().enumerate().map(field).collect();
    PgWireBackendMessage::RowDescription(RowDescription::new(fields))
}
