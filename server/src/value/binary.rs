//! Values in PostgreSQL's binary form: big-endian, times counted from 2000-01-01.

use arrow::array::Array;

use super::oid;
use super::{Cells, Column, numeric};

/// Days from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * super::calendar::MICROS_A_DAY;

impl Column {
    /// Appends a value that is not NULL, without its length.
    pub(crate) fn write_binary(&self, row: usize, out: &mut Vec<u8>) {
        match &self.cells {
            Cells::Null => {}
            Cells::Bool(a) => out.push(u8::from(a.value(row))),
            Cells::Int16(a) => out.extend(a.value(row).to_be_bytes()),
            Cells::Int32(a) => out.extend(a.value(row).to_be_bytes()),
            Cells::Int64(a) => out.extend(a.value(row).to_be_bytes()),
            Cells::Float32(a) => out.extend(a.value(row).to_be_bytes()),
            Cells::Float64(a) => out.extend(a.value(row).to_be_bytes()),
            Cells::Decimal128(a, scale) => numeric::to_binary(out, &a.value(row).to_string(), *scale),
            Cells::Decimal256(a, scale) => numeric::to_binary(out, &a.value(row).to_string(), *scale),
            Cells::Text(a) => out.extend(a.value(row).as_bytes()),
            Cells::Bytes(a) => out.extend(a.value(row)),
            Cells::Date(a) => out.extend(a.value(row).saturating_sub(EPOCH_DAYS).to_be_bytes()),
            Cells::Time(a) => out.extend(a.value(row).to_be_bytes()),
            Cells::Timestamp(a, _) => out.extend(a.value(row).saturating_sub(EPOCH_MICROS).to_be_bytes()),
            Cells::Interval(a) => {
                let v = a.value(row);
                out.extend((v.nanoseconds / 1_000).to_be_bytes());
                out.extend(v.days.to_be_bytes());
                out.extend(v.months.to_be_bytes());
            }
            Cells::List(list, inner) => {
                let ends = list.value_offsets();
                let at = |i: usize| usize::try_from(ends[i]).unwrap_or(0);
                let items = at(row)..at(row + 1);
                let has_null = items.clone().any(|i| inner.is_null(i));
                let count = i32::try_from(items.len()).unwrap_or(i32::MAX);
                // Dimensions (an empty array has none), whether there are NULLs, the element's type.
                out.extend(i32::from(count > 0).to_be_bytes());
                out.extend(i32::from(has_null).to_be_bytes());
                out.extend(oid::of(&list.value_type()).to_be_bytes());
                if count > 0 {
                    out.extend(count.to_be_bytes());
                    out.extend(1_i32.to_be_bytes());
                }
                items.for_each(|i| inner.write_sized(i, out));
            }
            Cells::Record(columns) => {
                out.extend(i32::try_from(columns.len()).unwrap_or(0).to_be_bytes());
                for (_, column) in columns {
                    out.extend(column.oid().to_be_bytes());
                    column.write_sized(row, out);
                }
            }
        }
    }

    /// Appends the value's length and the value; NULL is the length -1.
    pub(crate) fn write_sized(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend((-1_i32).to_be_bytes());
            return;
        }
        let at = out.len();
        out.extend([0; 4]);
        self.write_binary(row, out);
        let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn oid(&self) -> u32 {
        match &self.cells {
            Cells::Null | Cells::Text(_) => oid::TEXT,
            Cells::Bool(a) => oid::of(a.data_type()),
            Cells::Int16(a) => oid::of(a.data_type()),
            Cells::Int32(a) => oid::of(a.data_type()),
            Cells::Int64(a) => oid::of(a.data_type()),
            Cells::Float32(a) => oid::of(a.data_type()),
            Cells::Float64(a) => oid::of(a.data_type()),
            Cells::Decimal128(a, _) => oid::of(a.data_type()),
            Cells::Decimal256(a, _) => oid::of(a.data_type()),
            Cells::Bytes(a) => oid::of(a.data_type()),
            Cells::Date(a) => oid::of(a.data_type()),
            Cells::Time(a) => oid::of(a.data_type()),
            Cells::Timestamp(a, _) => oid::of(a.data_type()),
            Cells::Interval(a) => oid::of(a.data_type()),
            Cells::List(a, _) => oid::of(a.data_type()),
            Cells::Record(_) => oid::RECORD,
        }
    }
}
