//! Formats: how bytes become the typed columns of a source.
//!
//! A connector reads its format's options with [`Decoding::from_options`] and asks it for a decoder for
//! each worker. Decoders never fail on data: what is not a row is a bad row with its reason.
//!
//! There are two ways through each decoder. Plain records are taken many at once, column by column
//! (`gather.rs`, `fill.rs`); that way knows only values, not reasons, and leaves whatever it is not sure of to the
//! other, which takes one record by all the rules. Property tests hold the two together.

mod column;
mod csv;
mod decimal;
mod dialect;
mod dictionary;
mod fill;
mod framing;
mod gather;
mod json;
mod layout;
mod moment;
mod number;
mod rows;
mod token;
mod validity;
mod value;
mod values;
mod word;

pub use dialect::Dialect;
pub use framing::{Framing, Scan};
pub use layout::{Layout, Layouts};
pub(crate) use token::split;

pub(crate) use column::{Column, type_name};
pub(crate) use rows::{RowsDecoder, can_conform, conform};

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use siltstone_engine::connector::{Decoder, OptionSpec};
use siltstone_engine::error::{Error, Result};

use crate::option::{self, Options};
use gather::Gather;

/// `format`, for connectors whose records are bytes.
pub const FORMAT: OptionSpec =
    OptionSpec { name: "format", required: false, help: "csv or json: how a record is written" };
pub const DELIMITER: OptionSpec =
    OptionSpec { name: "delimiter", required: false, help: "csv: character between fields, default ','" };
pub const QUOTE: OptionSpec =
    OptionSpec { name: "quote", required: false, help: "csv: character around quoted fields, default '\"'" };
pub const ESCAPE: OptionSpec = OptionSpec {
    name: "escape",
    required: false,
    help: "csv: character before a quote inside a quoted field, default the quote itself",
};
pub const NULL: OptionSpec =
    OptionSpec { name: "null", required: false, help: "csv: unquoted text that means NULL, default empty" };
pub const RECORD_BYTES_MAX: OptionSpec = OptionSpec {
    name: "record.bytes.max",
    required: false,
    help: "bytes of the longest record; a longer one is a bad row; default 1048576, at most 33554432",
};

/// Default of `record.bytes.max`.
const RECORD_BYTES_DEFAULT: usize = 1 << 20;
/// The largest `record.bytes.max`, and the most that a reader buffers for one record.
pub const RECORD_BYTES_LIMIT: usize = 32 << 20;

/// A format of text records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Csv(Dialect),
    Json,
}

/// A format and the limits of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoding {
    pub format: Format,
    pub record_bytes_max: usize,
}

impl Decoding {
    /// Reads `format` and the options that belong to it. An option of another format is refused.
    pub fn from_options(options: &Options) -> Result<Self> {
        Self::new(option::required(options, FORMAT.name)?, options)
    }

    /// The same for a format that the connector has found out by itself.
    pub fn new(format: &str, options: &Options) -> Result<Self> {
        let format = match format.trim().to_ascii_lowercase().as_str() {
            "csv" => Format::Csv(Dialect::from_options(options)?),
            "json" | "jsonl" | "ndjson" => {
                let csv_only = [DELIMITER, QUOTE, ESCAPE, NULL].map(|o| o.name);
                if let Some(name) = csv_only.into_iter().chain(["header"]).find(|n| options.contains_key(*n))
                {
                    return Err(Error::invalid(format!(
                        "option '{name}' belongs to format 'csv', not to 'json'"
                    )));
                }
                Format::Json
            }
            other => {
                return Err(Error::invalid(format!("option 'format': '{other}' is not a format of records"))
                    .with_hint("use csv or json"));
            }
        };
        let max = option::number(options, RECORD_BYTES_MAX.name, 1, RECORD_BYTES_LIMIT)?;
        Ok(Self { format, record_bytes_max: max.unwrap_or(RECORD_BYTES_DEFAULT) })
    }

    /// A decoder whose CSV fields stand for the columns by position; `wanted` as in
    /// [`Source::decoder`](siltstone_engine::connector::Source::decoder).
    pub fn decoder(&self, schema: &SchemaRef, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        self.decoder_with(schema, wanted, Arc::new(Layouts::positional(schema.fields().len())))
    }

    /// A decoder that asks `layouts` which CSV field stands for which column of a split.
    pub fn decoder_with(
        &self,
        schema: &SchemaRef,
        wanted: &[bool],
        layouts: Arc<Layouts>,
    ) -> Result<Box<dyn Decoder>> {
        let (gather, max) = (Gather::new(schema, wanted)?, self.record_bytes_max);
        let rows = RowsDecoder::new(schema.clone(), wanted);
        Ok(match &self.format {
            Format::Csv(dialect) => {
                Box::new(csv::CsvDecoder::new(gather, rows, dialect.clone(), layouts, max))
            }
            Format::Json => Box::new(json::JsonDecoder::new(gather, rows, max)),
        })
    }

    /// How records are told apart in a text.
    pub fn framing(&self) -> Framing {
        match &self.format {
            Format::Csv(dialect) => dialect.framing(),
            Format::Json => Framing::Lines,
        }
    }
}
