//! Values that clients send, from PostgreSQL's text or binary form, as arrays of length one.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano};

use super::binary::{EPOCH_DAYS, EPOCH_MICROS};
use super::numeric;
use super::oid;

/// Most decimal digits of a `numeric` that a parameter can have.
const NUMERIC_DIGITS_MAX: usize = 38;
/// Most elements of an array that a parameter can have.
const ELEMENTS_MAX: usize = 1 << 20;

/// Reads text as a value of that type.
///
/// # Errors
/// What is wrong with it, in PostgreSQL's words as far as there are any.
pub(crate) fn from_text(text: &str, data_type: &DataType) -> Result<ArrayRef, String> {
    let wrong = || format!("invalid input syntax for type {}: \"{text}\"", oid::name(data_type));
    Ok(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Arc::new(StringArray::from(vec![text])),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            let bytes = match text.strip_prefix("\\x") {
                Some(hex) => unhex(hex).ok_or_else(wrong)?,
                None => text.as_bytes().to_vec(),
            };
            Arc::new(BinaryArray::from(vec![bytes.as_slice()]))
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) => decimal(text.trim()).ok_or_else(wrong)?,
        DataType::List(element) => {
            let items = elements(text).ok_or_else(wrong)?;
            let read = |item: Option<String>| match item {
                None => Ok(new_null_array(element.data_type(), 1)),
                Some(item) => from_text(&item, element.data_type()),
            };
            list(items.into_iter().map(read).collect::<Result<_, _>>()?, element.data_type())?
        }
        DataType::Timestamp(_, None) => parse(without_offset(text.trim()), data_type).ok_or_else(wrong)?,
        DataType::Date32 => parse(text.trim().get(..10).unwrap_or(text), data_type).ok_or_else(wrong)?,
        _ => parse(text.trim(), data_type).ok_or_else(wrong)?,
    })
}

/// Reads the binary form of a value of the type with that number.
///
/// # Errors
/// If the bytes are no such value, or the type is not known.
pub(crate) fn from_binary(bytes: &[u8], type_oid: u32) -> Result<ArrayRef, String> {
    let wrong = || format!("incorrect binary data format for type {type_oid}");
    macro_rules! number {
        ($kind:ty) => {
            <$kind>::from_be_bytes(bytes.try_into().map_err(|_| wrong())?)
        };
    }
    Ok(match type_oid {
        oid::BOOL => Arc::new(BooleanArray::from(vec![number!(u8) != 0])),
        oid::INT2 => Arc::new(Int16Array::from(vec![number!(i16)])),
        oid::INT4 => Arc::new(Int32Array::from(vec![number!(i32)])),
        oid::INT8 => Arc::new(Int64Array::from(vec![number!(i64)])),
        oid::OID => Arc::new(Int64Array::from(vec![i64::from(number!(u32))])),
        oid::FLOAT4 => Arc::new(Float32Array::from(vec![number!(f32)])),
        oid::FLOAT8 => Arc::new(Float64Array::from(vec![number!(f64)])),
        oid::NUMERIC => {
            let text = numeric::from_binary(bytes).ok_or_else(wrong)?;
            decimal(&text)
                .ok_or_else(|| format!("numeric {text} has more than {NUMERIC_DIGITS_MAX} digits"))?
        }
        oid::BYTEA => Arc::new(BinaryArray::from(vec![bytes])),
        oid::DATE => {
            Arc::new(Date32Array::from(vec![number!(i32).checked_add(EPOCH_DAYS).ok_or_else(wrong)?]))
        }
        oid::TIME => Arc::new(Time64MicrosecondArray::from(vec![number!(i64)])),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let micros = number!(i64).checked_add(EPOCH_MICROS).ok_or_else(wrong)?;
            let array = TimestampMicrosecondArray::from(vec![micros]);
            if type_oid == oid::TIMESTAMPTZ { Arc::new(array.with_timezone("UTC")) } else { Arc::new(array) }
        }
        oid::INTERVAL if bytes.len() == 16 => {
            let micros = i64::from_be_bytes(bytes[..8].try_into().map_err(|_| wrong())?);
            let days = i32::from_be_bytes(bytes[8..12].try_into().map_err(|_| wrong())?);
            let months = i32::from_be_bytes(bytes[12..].try_into().map_err(|_| wrong())?);
            let nanos = micros.checked_mul(1_000).ok_or_else(wrong)?;
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, nanos)]))
        }
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN | oid::JSON => {
            let text =
                std::str::from_utf8(bytes).map_err(|_| "invalid byte sequence for encoding \"UTF8\"")?;
            Arc::new(StringArray::from(vec![text]))
        }
        _ if oid::element(type_oid).is_some() => binary_list(bytes, type_oid).ok_or_else(wrong)??,
        _ => return Err(format!("parameters of the type with OID {type_oid} cannot be read in binary form")),
    })
}

fn parse(text: &str, data_type: &DataType) -> Option<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let array = cast_with_options(&StringArray::from(vec![text]), data_type, &strict).ok()?;
    array.is_valid(0).then_some(array)
}

/// `2024-10-20 12:00:00+02` without the zone, which a `timestamp` does not have.
fn without_offset(text: &str) -> &str {
    let time = text.get(10..).unwrap_or("");
    match time.find(['+', '-', 'Z']) {
        Some(at) => text[..10 + at].trim_end(),
        None => text,
    }
}

/// A decimal with exactly the decimals that the text has.
fn decimal(text: &str) -> Option<ArrayRef> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let mut digits = format!("{whole}{fraction}");
    if scale < 0 {
        let zeros = usize::try_from(scale.checked_neg()?).ok()?;
        if zeros > NUMERIC_DIGITS_MAX {
            return None;
        }
        digits.push_str(&"0".repeat(zeros));
        scale = 0;
    }
    let value: i128 = digits.parse().ok()?;
    let scale = i8::try_from(scale).ok()?;
    let array = Decimal128Array::from(vec![value]);
    Some(Arc::new(array.with_precision_and_scale(u8::try_from(NUMERIC_DIGITS_MAX).ok()?, scale).ok()?))
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The elements of `{a,"b c",NULL}`; only one dimension.
fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let mut item = String::new();
        let mut quoted = false;
        loop {
            match chars.next() {
                None | Some(',') => break,
                Some('{' | '}') => return None,
                Some('\\') => item.push(chars.next()?),
                Some('"') => {
                    quoted = true;
                    loop {
                        match chars.next()? {
                            '"' => break,
                            '\\' => item.push(chars.next()?),
                            c => item.push(c),
                        }
                    }
                }
                Some(c) => item.push(c),
            }
        }
        let null = !quoted && item.trim().eq_ignore_ascii_case("null");
        items.push((!null).then(|| if quoted { item } else { item.trim().to_owned() }));
        if items.len() > ELEMENTS_MAX {
            return None;
        }
    }
    Some(items)
}

fn binary_list(bytes: &[u8], type_oid: u32) -> Option<Result<ArrayRef, String>> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let element_oid = u32::try_from(word(8)?).ok()?;
    let element = oid::data_type(oid::element(type_oid)?)?;
    let count = match word(0)? {
        0 => 0,
        1 => usize::try_from(word(12)?).ok().filter(|n| *n <= ELEMENTS_MAX)?,
        _ => return None,
    };
    let mut at = 20;
    let mut items = Vec::new();
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            items.push(new_null_array(&element, 1));
            continue;
        };
        match from_binary(bytes.get(at..at.checked_add(length)?)?, element_oid) {
            Ok(item) => items.push(item),
            Err(e) => return Some(Err(e)),
        }
        at += length;
    }
    Some(list(items, &element))
}

/// One list of those elements, brought to one type (decimals may differ in scale).
fn list(items: Vec<ArrayRef>, element: &DataType) -> Result<ArrayRef, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |item: &ArrayRef| cast_with_options(item, element, &strict).map_err(|e| e.to_string());
    let items = items.iter().map(cast).collect::<Result<Vec<_>, _>>()?;
    let parts: Vec<&dyn Array> = items.iter().map(AsRef::as_ref).collect();
    let values = if parts.is_empty() {
        new_empty_array(element)
    } else {
        concat(&parts).map_err(|e| e.to_string())?
    };
    let field = Arc::new(Field::new_list_field(element.clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    ListArray::try_new(field, offsets, values, None)
        .map(|a| Arc::new(a) as ArrayRef)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::super::Column;
    use super::*;

    fn shown(array: &ArrayRef) -> String {
        let mut out = String::new();
        Column::new(array).expect("shown").write_text(0, &mut out).expect("a string takes everything");
        out
    }

    #[test]
    fn text_and_binary_forms_read_back() {
        let cases = [
            ("42", DataType::Int32, oid::INT4),
            ("-0.5", DataType::Float64, oid::FLOAT8),
            ("t", DataType::Boolean, oid::BOOL),
            ("123.4500", DataType::Decimal128(38, 4), oid::NUMERIC),
            ("2024-02-29", DataType::Date32, oid::DATE),
            ("2024-10-20 12:00:00.25", DataType::Timestamp(TimeUnit::Microsecond, None), oid::TIMESTAMP),
            ("2024-10-20 12:00:00+00", oid::data_type(oid::TIMESTAMPTZ).expect("known"), oid::TIMESTAMPTZ),
            ("\\x00ff", DataType::Binary, oid::BYTEA),
            ("{1,NULL,3}", DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true))), 1016),
        ];
        for (text, data_type, type_oid) in cases {
            let array = from_text(text, &data_type).expect(text);
            assert_eq!(shown(&array), text);
            let mut bytes = Vec::new();
            Column::new(&array).expect(text).write_binary(0, &mut bytes);
            assert_eq!(shown(&from_binary(&bytes, type_oid).expect(text)), text);
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let error = from_text("abc", &DataType::Int32).expect_err("no number");
        assert_eq!(error, "invalid input syntax for type integer: \"abc\"");
        assert!(from_text("1.5x", &DataType::Decimal128(38, 2)).is_err());
        assert!(from_binary(&[1, 2, 3], oid::INT4).is_err());
    }

    #[test]
    fn a_timestamp_has_no_zone_and_a_date_no_time() {
        let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert_eq!(shown(&from_text("2024-10-20 12:00:00+02", &plain).expect("read")), "2024-10-20 12:00:00");
        assert_eq!(shown(&from_text("2024-10-20 +00", &DataType::Date32).expect("read")), "2024-10-20");
    }
}
