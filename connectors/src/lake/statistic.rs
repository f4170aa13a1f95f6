//! A data file as its manifest describes it: counts, sizes and bounds of its columns, from its Parquet footer.

use std::collections::HashMap;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveType, Struct,
    TableMetadata,
};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use siltstone_engine::error::{Error, Result};
use siltstone_engine::lake::{FileRecord, Transform};

use super::cause::Cause;
use super::schema;

/// Characters or bytes of a bound.
const BOUND_LENGTH_MAX: usize = 16;

/// What a manifest says of a file, whose footer this is.
pub(super) fn data_file(
    table: &TableMetadata,
    file: &FileRecord,
    footer: &ParquetMetaData,
) -> Result<DataFile> {
    let mut columns = Columns::default();
    let mut splits = Vec::new();
    for group in footer.row_groups() {
        splits.push(group.columns().first().map_or(0, |column| column.byte_range().0.cast_signed()));
        for column in group.columns() {
            let name = column.column_path().string();
            let field = table.current_schema().field_by_name(&name);
            let Some((id, of)) = field.and_then(|f| Some((f.id, f.field_type.as_primitive_type()?))) else {
                return Err(Error::invalid(format!(
                    "{} has a column {name} that the table lacks",
                    file.path
                )));
            };
            columns.add(id, of, column)?;
        }
    }
    let spec = table.default_partition_spec();
    let partition = match (spec.fields().is_empty(), schema::transform(spec), file.partition) {
        (true, ..) => Struct::empty(),
        (_, Some(Transform::Day), Some(days)) => Struct::from_iter([Some(Literal::date(days))]),
        (_, _, value) => Struct::from_iter([value.map(Literal::int)]),
    };
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path(format!("{}/{}", table.location(), file.path))
        .partition_spec_id(spec.spec_id())
        .partition(partition)
        .record_count(file.rows)
        .file_size_in_bytes(file.bytes)
        .column_sizes(columns.sizes)
        .value_counts(columns.values)
        .null_value_counts(columns.nulls)
        .lower_bounds(columns.lower)
        .upper_bounds(columns.upper)
        .split_offsets(Some(splits));
    let order = table.default_sort_order();
    if !order.is_unsorted() {
        builder.sort_order_id(i32::try_from(order.order_id)?);
    }
    builder.build().asking(format!("describing {}", file.path))
}

/// By field id.
#[derive(Default)]
struct Columns {
    sizes: HashMap<i32, u64>,
    values: HashMap<i32, u64>,
    nulls: HashMap<i32, u64>,
    lower: HashMap<i32, Datum>,
    upper: HashMap<i32, Datum>,
}

impl Columns {
    fn add(&mut self, id: i32, of: &PrimitiveType, column: &ColumnChunkMetaData) -> Result<()> {
        *self.sizes.entry(id).or_default() += column.compressed_size().unsigned_abs();
        *self.values.entry(id).or_default() += column.num_values().unsigned_abs();
        let Some(statistics) = column.statistics() else { return Ok(()) };
        let nulls = statistics.null_count_opt().unwrap_or_default();
        *self.nulls.entry(id).or_default() += nulls;
        // Bounds hold for the file only if each part of it with values has some.
        let all_null = nulls == column.num_values().unsigned_abs();
        if all_null {
            return Ok(());
        }
        let unknown =
            |bounds: &HashMap<i32, Datum>| self.values[&id] > self.nulls[&id] && !bounds.contains_key(&id);
        let first = self.values[&id] - self.nulls[&id] == column.num_values().unsigned_abs() - nulls;
        if first || !unknown(&self.lower) {
            let lower = lower_bound(of, statistics)?;
            widen(&mut self.lower, id, lower, |new, old| new < old);
        }
        if first || !unknown(&self.upper) {
            let upper = upper_bound(of, statistics)?;
            widen(&mut self.upper, id, upper, |new, old| new > old);
        }
        Ok(())
    }
}

fn widen(bounds: &mut HashMap<i32, Datum>, id: i32, bound: Option<Datum>, wider: fn(&Datum, &Datum) -> bool) {
    match (bound, bounds.get(&id)) {
        (None, _) => {
            bounds.remove(&id);
        }
        (Some(bound), Some(old)) if !wider(&bound, old) => {}
        (Some(bound), _) => {
            bounds.insert(id, bound);
        }
    }
}

fn lower_bound(of: &PrimitiveType, statistics: &Statistics) -> Result<Option<Datum>> {
    let Some(bytes) = statistics.min_bytes_opt() else { return Ok(None) };
    match of {
        PrimitiveType::String => {
            let text = std::str::from_utf8(bytes).parsing("the bound of a text column")?;
            Ok(Some(Datum::string(text.chars().take(BOUND_LENGTH_MAX).collect::<String>())))
        }
        PrimitiveType::Binary => Ok(Some(Datum::binary(bytes.iter().copied().take(BOUND_LENGTH_MAX)))),
        _ => datum(of, bytes, statistics).map(Some),
    }
}

fn upper_bound(of: &PrimitiveType, statistics: &Statistics) -> Result<Option<Datum>> {
    let Some(bytes) = statistics.max_bytes_opt() else { return Ok(None) };
    match of {
        PrimitiveType::String => {
            let text = std::str::from_utf8(bytes).parsing("the bound of a text column")?;
            Ok(text_above(text).map(Datum::string))
        }
        PrimitiveType::Binary => Ok(bytes_above(bytes).map(Datum::binary)),
        _ => datum(of, bytes, statistics).map(Some),
    }
}

/// The bytes of Parquet's statistics are those of Iceberg's bounds but for the small decimals.
fn datum(of: &PrimitiveType, bytes: &[u8], statistics: &Statistics) -> Result<Datum> {
    let reversed: Vec<u8>;
    let bytes = match (of, statistics) {
        (PrimitiveType::Decimal { .. }, Statistics::Int32(_) | Statistics::Int64(_)) => {
            reversed = bytes.iter().rev().copied().collect();
            &reversed
        }
        _ => bytes,
    };
    Datum::try_from_bytes(bytes, of.clone()).parsing("the bound of a column")
}

/// A short text that is not less than this one.
fn text_above(text: &str) -> Option<String> {
    if text.chars().count() <= BOUND_LENGTH_MAX {
        return Some(text.to_owned());
    }
    let mut start: Vec<char> = text.chars().take(BOUND_LENGTH_MAX).collect();
    while let Some(last) = start.pop() {
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            start.push(next);
            return Some(start.into_iter().collect());
        }
    }
    None
}

fn bytes_above(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() <= BOUND_LENGTH_MAX {
        return Some(bytes.to_vec());
    }
    let mut start = bytes[..BOUND_LENGTH_MAX].to_vec();
    while let Some(last) = start.pop() {
        if let Some(next) = last.checked_add(1) {
            start.push(next);
            return Some(start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_upper_bound_is_above_the_value() {
        assert_eq!(text_above("short").as_deref(), Some("short"));
        assert_eq!(text_above("aaaaaaaaaaaaaaaazzz").as_deref(), Some("aaaaaaaaaaaaaaab"));
        let highest = format!("b{}", "\u{10ffff}".repeat(20));
        assert_eq!(text_above(&highest).as_deref(), Some("c"));
        assert_eq!(text_above(&"\u{10ffff}".repeat(20)), None);
        assert_eq!(bytes_above(&[[1].as_slice(), &[255; 20]].concat()), Some(vec![2]));
        assert_eq!(bytes_above(&[255; 20]), None);
    }
}
