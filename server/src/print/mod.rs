//! Results on standard output: as a table for people, as CSV or JSON lines for programs.

mod csv;
mod json;
mod table;

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::value::Column;
use table::Table;

/// How results are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As psql shows them
    #[default]
    Table,
    /// RFC 4180, with a header
    Csv,
    /// One object a line
    Json,
}

/// Shows one statement's result after the other.
pub(crate) struct Printer<W> {
    out: W,
    format: Format,
    schema: Option<SchemaRef>,
    table: Table,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Format) -> Self {
        Self { out, format, schema: None, table: Table::default() }
    }

    /// A result with these columns begins.
    pub(crate) fn columns(&mut self, schema: &SchemaRef) -> io::Result<()> {
        self.schema = Some(SchemaRef::clone(schema));
        self.table = Table::new(schema);
        match self.format {
            Format::Csv => csv::header(&mut self.out, schema),
            Format::Table | Format::Json => Ok(()),
        }
    }

    pub(crate) fn rows(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns = batch.columns().iter().map(Column::new).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(io::Error::other)?;
        match self.format {
            Format::Table => self.table.rows(&mut self.out, &columns, batch.num_rows()),
            Format::Csv => csv::rows(&mut self.out, &columns, batch.num_rows()),
            Format::Json => {
                let schema = batch.schema();
                json::rows(&mut self.out, &schema, &columns, batch.num_rows())
            }
        }
    }

    /// The statement is done.
    pub(crate) fn done(&mut self, tag: &str) -> io::Result<()> {
        match (self.format, self.schema.take()) {
            (Format::Table, Some(_)) => self.table.end(&mut self.out)?,
            (Format::Table, None) => writeln!(self.out, "{tag}")?,
            (Format::Csv | Format::Json, _) => {}
        }
        self.out.flush()
    }
}
