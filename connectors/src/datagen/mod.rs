//! The connector `datagen`: rows made up from a seed.
//!
//! Row `offset` of split `s` of `n` is event `offset * n + s`, so that the events of all splits together do
//! not depend on how many there are, and a reader goes on anywhere with the same rows.

pub mod ad;
mod fill;
mod random;
mod reader;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use siltstone_engine::connector::{
    Connector, Decoder, OptionSpec, Source, SourceSpec, Split, SplitId, SplitReader,
};
use siltstone_engine::error::Result;

use crate::format::RowsDecoder;
use crate::option;
use fill::Filler;
use reader::DatagenReader;

/// Most splits of a source.
const SPLITS_MAX: u64 = 1024;

/// The connector `datagen`.
#[derive(Debug)]
pub struct DatagenConnector;

impl Connector for DatagenConnector {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[
            OptionSpec { name: "seed", required: false, help: "number that the rows depend on; default 1" },
            OptionSpec { name: "rows", required: false, help: "how many rows there are; default: no end" },
            OptionSpec {
                name: "rate",
                required: false,
                help: "rows per second, of all splits; default: no limit",
            },
            OptionSpec {
                name: "splits",
                required: false,
                help: "pieces that are read side by side; default 2",
            },
        ]
    }

    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        let seed = option::number(&spec.options, "seed", 0, u64::MAX)?.unwrap_or(1);
        let rows = option::number(&spec.options, "rows", 0, 1u64 << 50)?;
        let rate = option::number(&spec.options, "rate", 0.001, 1e9)?;
        let splits = option::number(&spec.options, "splits", 1, SPLITS_MAX)?.unwrap_or(2);
        let generator = Arc::new(ad::Generator::new(seed, rows.unwrap_or(ad::YEAR_ROWS)));
        // A column that cannot be filled is refused now.
        Filler::new(&spec.schema, generator.clone(), seed)?;
        Ok(Arc::new(DatagenSource { schema: spec.schema.clone(), generator, seed, rows, rate, splits }))
    }
}

struct DatagenSource {
    schema: SchemaRef,
    generator: Arc<ad::Generator>,
    seed: u64,
    rows: Option<u64>,
    rate: Option<f64>,
    splits: u64,
}

impl Source for DatagenSource {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        let all = (0..self.splits).map(|number| Split {
            id: format!("datagen/{number}").into(),
            start: 0,
            end: self.rows.map(|rows| rows.saturating_sub(number).div_ceil(self.splits) as i64),
            detail: number.to_string(),
        });
        Ok(all.filter(|s| known.iter().all(|k| k.id != s.id)).collect())
    }

    fn is_bounded(&self) -> bool {
        self.rows.is_some()
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        let filler = Filler::new(&self.schema, self.generator.clone(), self.seed)?;
        Ok(Box::new(DatagenReader::new(filler, self.splits, self.rate)))
    }

    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(RowsDecoder::new(self.schema.clone(), wanted)))
    }

    /// Rows without end have none.
    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        Ok(splits.iter().filter_map(|s| Some((s.id.clone(), s.end?))).collect())
    }
}

#[cfg(test)]
mod tests;
