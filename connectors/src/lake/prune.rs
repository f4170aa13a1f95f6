//! Row groups and pages of a data file that cannot have wanted rows, by their statistics and bloom filters.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Scalar};
use arrow::compute::kernels::cmp::{gt, gt_eq, lt, lt_eq};
use arrow::compute::{and_kleene, cast, or_kleene};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::bloom_filter::Sbbf;
use parquet::errors::Result as ParquetResult;
use siltstone_engine::lake::{ColumnCondition, Wanted};

use super::input::Input;

/// Values of a list that are looked for one by one.
const VALUES_MAX: usize = 16;

/// One condition, with the statistics of its column.
pub(super) struct Pruner<'f> {
    footer: &'f ArrowReaderMetadata,
    statistics: StatisticsConverter<'f>,
    column: usize,
    wanted: &'f Wanted,
}

impl<'f> Pruner<'f> {
    /// `None` if nothing can be told.
    pub fn new(footer: &'f ArrowReaderMetadata, condition: &'f ColumnCondition) -> Option<Self> {
        let (metadata, wanted) = (footer.metadata(), &condition.wanted);
        let schema = metadata.file_metadata().schema_descr();
        let statistics = StatisticsConverter::try_new(&condition.column, footer.schema(), schema).ok()?;
        let column = statistics.parquet_column_index()?;
        // NaN is greater than all numbers, and in no statistics.
        let is_float = statistics.arrow_field().data_type().is_floating();
        (!is_float).then_some(Self { footer, statistics, column, wanted })
    }

    /// Whether a row group may have wanted rows.
    pub fn may_have(&self, input: &Input, group: usize) -> bool {
        let row_group = self.footer.metadata().row_group(group);
        let within = || -> ParquetResult<bool> {
            let least = self.statistics.row_group_mins([row_group])?;
            let greatest = self.statistics.row_group_maxes([row_group])?;
            Ok(self.may_be_between(&least, &greatest).first().copied().unwrap_or(true))
        };
        // What cannot be told is read.
        within().unwrap_or(true) && self.may_be_in_bloom_filter(input, group)
    }

    fn may_be_in_bloom_filter(&self, input: &Input, group: usize) -> bool {
        let chunk = self.footer.metadata().row_group(group).column(self.column);
        let Wanted::OneOf(values) = self.wanted else { return true };
        if chunk.bloom_filter_offset().is_none() || values.len() > VALUES_MAX {
            return true;
        }
        let Ok(Some(filter)) = Sbbf::read_from_column_chunk(chunk, input) else { return true };
        // Values are hashed as they are stored.
        let Ok(values) = cast(values, self.statistics.arrow_field().data_type()) else { return true };
        match values.data_type() {
            DataType::Utf8 => values.as_string::<i32>().iter().flatten().any(|text| filter.check(text)),
            DataType::Int32 => {
                values.as_primitive::<Int32Type>().iter().flatten().any(|number| filter.check(&number))
            }
            DataType::Int64 => {
                values.as_primitive::<Int64Type>().iter().flatten().any(|number| filter.check(&number))
            }
            _ => true,
        }
    }

    /// The rows of a row group whose pages may have wanted ones; `None` if that cannot be told.
    pub fn pages(&self, group: usize) -> Option<Vec<Range<u64>>> {
        let metadata = self.footer.metadata();
        let (columns, offsets) = (metadata.column_index()?, metadata.offset_index()?);
        let least = self.statistics.data_page_mins(columns, offsets, [&group]).ok()?;
        let greatest = self.statistics.data_page_maxes(columns, offsets, [&group]).ok()?;
        let pages = offsets.get(group)?.get(self.column)?.page_locations();
        let wanted = self.may_be_between(&least, &greatest);
        if wanted.len() != pages.len() {
            return None;
        }
        let end = metadata.row_group(group).num_rows().unsigned_abs();
        let starts = pages.iter().map(|page| page.first_row_index.unsigned_abs());
        let ends = starts.clone().skip(1).chain([end]);
        let rows = starts.zip(ends).zip(wanted);
        Some(rows.filter(|(_, wanted)| *wanted).map(|((start, end), _)| start..end).collect())
    }

    /// For each pair of bounds, whether wanted values may be between them.
    fn may_be_between(&self, least: &ArrayRef, greatest: &ArrayRef) -> Vec<bool> {
        let own = || -> Result<BooleanArray, arrow::error::ArrowError> {
            let (Wanted::OneOf(value) | Wanted::From { value, .. } | Wanted::To { value, .. }) = self.wanted;
            let (least, greatest) = (cast(least, value.data_type())?, cast(greatest, value.data_type())?);
            match self.wanted {
                Wanted::From { inclusive: true, .. } => gt_eq(&greatest, &Scalar::new(value)),
                Wanted::From { .. } => gt(&greatest, &Scalar::new(value)),
                Wanted::To { inclusive: true, .. } => lt_eq(&least, &Scalar::new(value)),
                Wanted::To { .. } => lt(&least, &Scalar::new(value)),
                Wanted::OneOf(values) if values.len() > VALUES_MAX => {
                    Ok(BooleanArray::from(vec![true; least.len()]))
                }
                Wanted::OneOf(values) => {
                    let mut any = BooleanArray::from(vec![false; least.len()]);
                    for nth in 0..values.len() {
                        let value = Scalar::new(values.slice(nth, 1));
                        let within = and_kleene(&lt_eq(&least, &value)?, &gt_eq(&greatest, &value)?)?;
                        any = or_kleene(&any, &within)?;
                    }
                    Ok(any)
                }
            }
        };
        match own() {
            Ok(own) => own.iter().map(|may| may.unwrap_or(true)).collect(),
            Err(_) => vec![true; least.len()],
        }
    }
}

/// The rows that are in a range of both; each list is sorted and its ranges are apart.
pub(super) fn both(a: &[Range<u64>], b: &[Range<u64>]) -> Vec<Range<u64>> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| a.start.max(b.start)..a.end.min(b.end)));
    pairs.filter(|range| range.start < range.end).collect()
}
