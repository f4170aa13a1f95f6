//! Values as PostgreSQL prints them.

use std::fmt::{self, Write};

use super::calendar::{MICROS_A_DAY, write_date, write_era, write_time};
use super::{Cells, Column, numeric};

impl Column {
    /// Writes a value that is not NULL.
    pub(crate) fn write_text(&self, row: usize, out: &mut impl Write) -> fmt::Result {
        match &self.cells {
            Cells::Null => Ok(()),
            Cells::Bool(a) => out.write_str(if a.value(row) { "t" } else { "f" }),
            Cells::Int16(a) => write!(out, "{}", a.value(row)),
            Cells::Int32(a) => write!(out, "{}", a.value(row)),
            Cells::Int64(a) => write!(out, "{}", a.value(row)),
            Cells::Float32(a) => write_float(out, &format!("{:e}", a.value(row)), 6),
            Cells::Float64(a) => write_float(out, &format!("{:e}", a.value(row)), 15),
            Cells::Decimal128(a, scale) => numeric::write(out, &a.value(row).to_string(), *scale),
            Cells::Decimal256(a, scale) => numeric::write(out, &a.value(row).to_string(), *scale),
            Cells::Text(a) => out.write_str(a.value(row)),
            Cells::Bytes(a) => write_bytes(out, a.value(row)),
            Cells::Date(a) => {
                let days = i64::from(a.value(row));
                write_date(out, days)?;
                write_era(out, days)
            }
            Cells::Time(a) => write_time(out, a.value(row)),
            Cells::Timestamp(a, zoned) => write_timestamp(out, a.value(row), *zoned),
            Cells::Interval(a) => {
                let v = a.value(row);
                write_interval(out, v.months, v.days, v.nanoseconds / 1_000)
            }
            Cells::List(list, inner) => {
                let ends = list.value_offsets();
                let at = |i: usize| usize::try_from(ends[i]).unwrap_or(0);
                out.write_char('{')?;
                for (i, item) in (at(row)..at(row + 1)).enumerate() {
                    if i > 0 {
                        out.write_char(',')?;
                    }
                    inner.write_element(item, out)?;
                }
                out.write_char('}')
            }
            Cells::Record(columns) => {
                out.write_char('(')?;
                for (i, (_, column)) in columns.iter().enumerate() {
                    if i > 0 {
                        out.write_char(',')?;
                    }
                    if !column.is_null(row) {
                        let mut text = String::new();
                        column.write_text(row, &mut text)?;
                        write_quoted_if(out, &text, |c| matches!(c, '(' | ')' | ','), false)?;
                    }
                }
                out.write_char(')')
            }
        }
    }

    /// An element of an array: quoted where its text could be mistaken for the array's own.
    fn write_element(&self, row: usize, out: &mut impl Write) -> fmt::Result {
        if self.is_null(row) {
            return out.write_str("NULL");
        }
        let mut text = String::new();
        self.write_text(row, &mut text)?;
        if matches!(self.cells, Cells::List(..)) {
            return out.write_str(&text);
        }
        write_quoted_if(out, &text, |c| matches!(c, '{' | '}' | ','), text.eq_ignore_ascii_case("null"))
    }

    /// Whether tables align it to the right.
    pub(crate) fn is_number(&self) -> bool {
        matches!(
            self.cells,
            Cells::Int16(_)
                | Cells::Int32(_)
                | Cells::Int64(_)
                | Cells::Float32(_)
                | Cells::Float64(_)
                | Cells::Decimal128(..)
                | Cells::Decimal256(..)
        )
    }
}

fn write_quoted_if(
    out: &mut impl Write,
    text: &str,
    special: impl Fn(char) -> bool,
    always: bool,
) -> fmt::Result {
    let odd = |c: char| special(c) || c == '"' || c == '\\' || c.is_whitespace();
    if !always && !text.is_empty() && !text.contains(odd) {
        return out.write_str(text);
    }
    out.write_char('"')?;
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.write_char('\\')?;
        }
        out.write_char(c)?;
    }
    out.write_char('"')
}

/// `scientific` is the shortest form that reads back as the same number (`1.25e3`). From `digits` digits
/// before the point on, and below 0.0001, PostgreSQL shows the exponent.
fn write_float(out: &mut impl Write, scientific: &str, digits: i32) -> fmt::Result {
    let named = match scientific {
        "inf" => "Infinity",
        "-inf" => "-Infinity",
        "NaN" => "NaN",
        _ => "",
    };
    if !named.is_empty() {
        return out.write_str(named);
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| fmt::Error)?;
    if exponent < -4 || exponent >= digits {
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let plain: String = mantissa.chars().filter(|c| *c != '.').collect();
    out.write_str(sign)?;
    match usize::try_from(exponent) {
        Err(_) => {
            write!(out, "0.{:0>width$}", plain, width = plain.len() + exponent.unsigned_abs() as usize - 1)
        }
        Ok(e) if e + 1 >= plain.len() => write!(out, "{plain:0<width$}", width = e + 1),
        Ok(e) => write!(out, "{}.{}", &plain[..=e], &plain[e + 1..]),
    }
}

fn write_bytes(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    out.write_str("\\x")?;
    bytes.iter().try_for_each(|b| write!(out, "{b:02x}"))
}

fn write_timestamp(out: &mut impl Write, micros: i64, zoned: bool) -> fmt::Result {
    let days = micros.div_euclid(MICROS_A_DAY);
    write_date(out, days)?;
    out.write_char(' ')?;
    write_time(out, micros.rem_euclid(MICROS_A_DAY))?;
    if zoned {
        out.write_str("+00")?;
    }
    write_era(out, days)
}

fn write_interval(out: &mut impl Write, months: i32, days: i32, micros: i64) -> fmt::Result {
    let mut parts = Vec::new();
    let mut part = |n: i32, one: &str| {
        if n != 0 {
            parts.push(format!("{n} {one}{}", if n == 1 { "" } else { "s" }));
        }
    };
    part(months / 12, "year");
    part(months % 12, "mon");
    part(days, "day");
    if micros != 0 || parts.is_empty() {
        let mut time = if micros < 0 { "-".to_owned() } else { String::new() };
        write_time(&mut time, micros.saturating_abs())?;
        parts.push(time);
    }
    out.write_str(&parts.join(" "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, ArrayRef, BinaryArray, Float32Array, Float64Array, ListArray, StringArray,
        TimestampNanosecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    fn shown(array: ArrayRef) -> Vec<String> {
        let column = Column::new(&array).expect("a type that can be shown");
        let show = |row| {
            let mut out = String::new();
            column.write_text(row, &mut out).expect("a string takes everything");
            out
        };
        (0..array.len()).map(show).collect()
    }

    #[test]
    fn floats_as_postgresql_prints_them() {
        let values =
            vec![0.1, 1e15, 123_456.75, -0.0, 1e-5, 1e-4, 1.5e300, f64::NAN, f64::NEG_INFINITY, 100.0];
        assert_eq!(
            shown(Arc::new(Float64Array::from(values))),
            ["0.1", "1e+15", "123456.75", "-0", "1e-05", "0.0001", "1.5e+300", "NaN", "-Infinity", "100"]
        );
        assert_eq!(shown(Arc::new(Float32Array::from(vec![0.1, 1e6]))), ["0.1", "1e+06"]);
    }

    #[test]
    fn timestamps_of_every_unit_in_one_form() {
        let zoned = TimestampNanosecondArray::from(vec![1_500_000_000, -1_000]).with_timezone("UTC");
        assert_eq!(shown(Arc::new(zoned)), ["1970-01-01 00:00:01.5+00", "1969-12-31 23:59:59.999999+00"]);
    }

    #[test]
    fn arrays_and_bytes() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
        assert_eq!(shown(Arc::new(list)), ["{1,NULL}"]);
        assert_eq!(shown(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))), ["\\x00ff"]);
        assert_eq!(shown(Arc::new(StringArray::from(vec!["as it is"]))), ["as it is"]);
    }
}
