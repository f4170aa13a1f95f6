//! Numbers as they are mostly written, in a few operations: digits, and digits with a point between them.
//! Whatever else may be a number is left to the general rules of [`super::value`].
//!
//! Eight digits are summed up at once as in Lemire's `fast_double_parser`; a double of few digits is exact
//! by one division (Clinger, "How to read floating point numbers accurately", 1990).

use super::value;
use super::word::{before8, load8, load16};

/// Powers of ten, which a double holds exactly, as far as fifteen digits need them.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The whole number that `bytes[start..end]` is; `None`: none that fits, by the type's input rules, or with
/// `json` by those of JSON.
#[inline(always)]
pub(crate) fn integer(json: bool, bytes: &[u8], start: usize, end: usize) -> Option<i64> {
    match natural(json, bytes, start, end) {
        Some(value) => Some(value),
        None => other_integer(json, bytes, start, end),
    }
}

#[inline(never)]
fn other_integer(json: bool, bytes: &[u8], start: usize, end: usize) -> Option<i64> {
    let text = &bytes[start..end];
    if text.first() == Some(&b'-')
        && let Some(value) = natural(json, bytes, start + 1, end)
    {
        return Some(-value);
    }
    if json && !is_json(text) { None } else { value::integer(text).ok() }
}

/// One to sixteen digits and nothing else.
#[inline(always)]
fn natural(json: bool, bytes: &[u8], start: usize, end: usize) -> Option<i64> {
    let length = end - start;
    if length == 0 || length > 16 || (json && length > 1 && bytes[start] == b'0') {
        return None;
    }
    if length <= 8 {
        let digits = (load8(bytes, start) ^ ZEROS) << (64 - 8 * length);
        are_digits(digits).then(|| eight_digits(digits) as i64)
    } else {
        sixteen_digits((load16(bytes, start) ^ ZEROS_16) << (128 - 8 * length)).map(|value| value as i64)
    }
}

/// The double that `bytes[start..end]` is, correctly rounded; `None` as for [`integer`].
#[inline(always)]
pub(crate) fn double(json: bool, bytes: &[u8], start: usize, end: usize) -> Option<f64> {
    let negative = start < end && bytes[start] == b'-';
    match fraction(json, bytes, start + usize::from(negative), end) {
        Some(value) => Some(if negative { -value } else { value }),
        None => other_double(json, bytes, start, end),
    }
}

#[inline(never)]
fn other_double(json: bool, bytes: &[u8], start: usize, end: usize) -> Option<f64> {
    let text = &bytes[start..end];
    if json && !is_json(text) { None } else { value::double(text).ok() }
}

/// At most sixteen digits and a point: with a point they are exact before they are divided, without one
/// they are rounded only once, too.
#[inline(always)]
fn fraction(json: bool, bytes: &[u8], start: usize, end: usize) -> Option<f64> {
    let length = end - start;
    if length == 0 || length > 16 {
        return None;
    }
    let text = load16(bytes, start);
    let point = match before8(text as u64, b'.') {
        8 => 8 + before8((text >> 64) as u64, b'.'),
        point => point,
    };
    let (digits, count, scale) = if point < length {
        let before = (1u128 << (8 * point)) - 1;
        (text & before | text >> 8 & !before, length - 1, length - 1 - point)
    } else {
        (text, length, 0)
    };
    if count == 0 {
        return None;
    }
    if json {
        let whole = count - scale;
        let zero_first = whole > 1 && bytes[start] == b'0';
        if whole == 0 || zero_first || (scale == 0 && point < length) {
            return None;
        }
    }
    let mantissa = sixteen_digits((digits ^ ZEROS_16) << (128 - 8 * count))?;
    Some(mantissa as i64 as f64 / POWERS[scale])
}

const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
const ZEROS_16: u128 = u128::from_ne_bytes([b'0'; 16]);

/// Each byte is at most nine.
#[inline(always)]
fn are_digits(digits: u64) -> bool {
    const OVER_NINE: u64 = u64::from_ne_bytes([0x80 - 10; 8]);
    (digits.wrapping_add(OVER_NINE) | digits) & u64::from_ne_bytes([0x80; 8]) == 0
}

/// The number of eight digits, the first one in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    const EVERY_FOURTH: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & EVERY_FOURTH).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & EVERY_FOURTH).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

#[inline(always)]
fn sixteen_digits(digits: u128) -> Option<u64> {
    let (first, last) = (digits as u64, (digits >> 64) as u64);
    (are_digits(first) & are_digits(last)).then(|| eight_digits(first) * 100_000_000 + eight_digits(last))
}

/// Whether a text is a number of JSON (RFC 8259).
pub(crate) fn is_json(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> Option<&[u8]> {
        let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
        (count > 0).then(|| &text[count..])
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let rest = match text {
        [b'0', rest @ ..] => Some(rest),
        _ => digits(text),
    };
    let rest = rest.and_then(|rest| match rest {
        [b'.', rest @ ..] => digits(rest),
        _ => Some(rest),
    });
    let rest = rest.and_then(|rest| match rest {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        _ => Some(rest),
    });
    rest.is_some_and(<[u8]>::is_empty)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// What stands around a number must not matter.
    fn check(text: &str, around: &str) {
        let bytes = format!("{around}{text}{around}").into_bytes();
        let (start, end) = (around.len(), around.len() + text.len());
        let is_number = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text)
            && text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        assert_eq!(is_json(text.as_bytes()), is_number, "{text}");
        let whole = value::integer(text.as_bytes()).ok();
        assert_eq!(integer(false, &bytes, start, end), whole, "{text}");
        assert_eq!(integer(true, &bytes, start, end), whole.filter(|_| is_number), "{text}");
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        let real = value::double(text.as_bytes()).ok();
        assert_eq!(bits(double(false, &bytes, start, end)), bits(real), "{text}");
        assert_eq!(bits(double(true, &bytes, start, end)), bits(real.filter(|_| is_number)), "{text}");
    }

    #[test]
    fn numbers_at_the_limits() {
        for text in [
            "",
            "0",
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            "-",
            ".",
            "1.",
            ".5",
            "-.5",
            "-1.",
            "0.0",
            "-0.0",
            "00.1",
            "1..2",
            "1.2.3",
            "9007199254740991",
            "9007199254740992",
            "9007199254740993",
            "90071992547409.93",
            "9999999999999999",
            "99999999999999999",
            "0.000000000000001",
            "123456789012345.6",
            "12345678",
            "123456789",
            "1234567a",
            "12345678a",
            "a",
            "1 ",
            " 1",
            "1e5",
            "1E+5",
            "1e",
            "1e-",
            "1e999",
            "1e-999",
            "NaN",
            "Infinity",
            "-Infinity",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "1:",
            "1/",
            "/1",
            ":",
            "\u{0}1",
            "ü",
            "1ü",
            "0.1\u{0}",
        ] {
            ["", "9", ".", "-", " ", "0000000000000000000"].iter().for_each(|around| check(text, around));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_by_the_general_rules(text in "[-+]?[0-9]{0,18}[.eE :ü]?[-0-9]{0,10}", around in "[0-9.]{0,20}") {
            check(&text, &around);
        }

        #[test]
        fn doubles_are_correctly_rounded(mantissa in 0u64..20_000_000_000_000_000, scale in 0usize..18, negative: bool) {
            let mut text = format!("{mantissa:018}");
            text.insert(text.len() - scale, '.');
            let text = text.trim_start_matches('0');
            check(&format!("{}{text}", if negative { "-" } else { "" }), "7");
        }
    }
}
