//! Text to booleans, numbers and bytes, by PostgreSQL's input rules: spaces around are allowed, nothing
//! else is; a number that does not fit is out of range, not cut or rounded to infinity.

use std::fmt;

/// Why a text is not a value of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not written as the type is.
    NotA,
    /// It is, but the type cannot hold it.
    OutOfRange,
    /// There is none, and the column is `NOT NULL`.
    Null,
    /// A JSON value of another kind than the column takes.
    Kind(&'static str),
    /// The batch holds more text than its offsets can count.
    Full,
}

/// Characters of a bad value that a reason quotes.
const QUOTED_CHARS_MAX: usize = 60;

/// The reason of a bad row: `column ts: "abc" is not a bigint`.
pub(crate) fn reason(column: &str, type_name: &str, text: &[u8], fault: Fault) -> String {
    let text = Excerpt(text);
    let a = if type_name.starts_with('i') { "an" } else { "a" };
    match fault {
        Fault::NotA => format!("column {column}: {text} is not {a} {type_name}"),
        Fault::OutOfRange => format!("column {column}: {text} is out of range for {type_name}"),
        Fault::Null => format!("column {column}: NULL in a NOT NULL column"),
        Fault::Kind(kind) => format!("column {column}: {text} is {kind}, {a} {type_name} is expected"),
        Fault::Full => format!("column {column}: too much text in one batch"),
    }
}

/// A value as a reason shows it: quoted, cut, without line ends.
struct Excerpt<'a>(&'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.0[..self.0.len().min(4 * QUOTED_CHARS_MAX)];
        let text = String::from_utf8_lossy(head);
        let cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        let more = if cut.len() < self.0.len() { "…" } else { "" };
        write!(f, "\"{}{more}\"", cut.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
    }
}

/// Without the spaces around it.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Unambiguous prefixes of true, false, yes, no, on, off, and 1, 0; case does not matter.
pub(crate) fn boolean(text: &[u8]) -> Result<bool, Fault> {
    let mut lower = [0u8; 5];
    let text = trim(text);
    if text.is_empty() || text.len() > lower.len() {
        return Err(Fault::NotA);
    }
    let lower = &mut lower[..text.len()];
    lower.copy_from_slice(text);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    let starts = |word: &[u8]| word.starts_with(lower);
    if starts(b"true") || starts(b"yes") || lower == b"on" || lower == b"1" {
        Ok(true)
    } else if starts(b"false") || starts(b"no") || lower == b"of" || lower == b"off" || lower == b"0" {
        Ok(false)
    } else {
        Err(Fault::NotA)
    }
}

/// A whole number that fits `i64`; narrower columns check their own range.
pub(crate) fn integer(text: &[u8]) -> Result<i64, Fault> {
    let text = if text.first().is_some_and(|b| b.is_ascii_digit()) { text } else { trim(text) };
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    // Eighteen digits always fit.
    if digits.len() <= 18 && !digits.is_empty() {
        let mut value = 0i64;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return integer_end(digits, byte);
            }
            value = value * 10 + i64::from(digit);
        }
        return Ok(if negative { -value } else { value });
    }
    long_integer(digits, negative)
}

/// A byte that is no digit: spaces may follow a number.
#[cold]
fn integer_end(digits: &[u8], byte: u8) -> Result<i64, Fault> {
    let trimmed = trim(digits);
    if byte.is_ascii_whitespace() && trimmed.len() < digits.len() && digits.starts_with(trimmed) {
        return integer(trimmed);
    }
    Err(Fault::NotA)
}

#[cold]
fn long_integer(digits: &[u8], negative: bool) -> Result<i64, Fault> {
    let digits = trim(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::NotA);
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = i64::from(byte - b'0');
        let next = value
            .checked_mul(10)
            .and_then(|v| if negative { v.checked_sub(digit) } else { v.checked_add(digit) });
        value = next.ok_or(Fault::OutOfRange)?;
    }
    Ok(value)
}

/// A double; `NaN` and `Infinity` may be written out, a number may not overflow or vanish.
pub(crate) fn double(text: &[u8]) -> Result<f64, Fault> {
    let text = number_text(text)?;
    let value: f64 = text.parse().map_err(|_| Fault::NotA)?;
    if !value.is_finite() || value == 0.0 {
        limits(text, value.is_infinite()).map(|()| value)
    } else {
        Ok(value)
    }
}

/// A real, by the same rules.
pub(crate) fn single(text: &[u8]) -> Result<f32, Fault> {
    let text = number_text(text)?;
    let value: f32 = text.parse().map_err(|_| Fault::NotA)?;
    if !value.is_finite() || value == 0.0 {
        limits(text, value.is_infinite()).map(|()| value)
    } else {
        Ok(value)
    }
}

fn number_text(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(trim(text)).map_err(|_| Fault::NotA)
}

/// Infinity must have been written as a word, zero with zeros.
#[cold]
fn limits(text: &str, infinite: bool) -> Result<(), Fault> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    if infinite && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(Fault::OutOfRange);
    }
    if !infinite && mantissa.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        return Err(Fault::OutOfRange);
    }
    Ok(())
}

/// PostgreSQL's hex form of bytes: `\x` and pairs of hex digits.
pub(crate) fn bytes(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let hex = text.strip_prefix(b"\\x").ok_or(Fault::NotA)?;
    if !hex.len().is_multiple_of(2) {
        return Err(Fault::NotA);
    }
    let digit = |b: u8| (b as char).to_digit(16).ok_or(Fault::NotA);
    let start = out.len();
    for pair in hex.chunks_exact(2) {
        match (digit(pair[0]), digit(pair[1])) {
            (Ok(high), Ok(low)) => out.push((high << 4 | low) as u8),
            _ => {
                out.truncate(start);
                return Err(Fault::NotA);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_or_refused() {
        for (text, value) in [
            ("0", Ok(0)),
            (" -12 ", Ok(-12)),
            ("7 ", Ok(7)),
            ("+5", Ok(5)),
            ("0000000000000000000000042", Ok(42)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Fault::OutOfRange)),
            ("", Err(Fault::NotA)),
            ("-", Err(Fault::NotA)),
            ("1.0", Err(Fault::NotA)),
            ("1e3", Err(Fault::NotA)),
            ("1 2", Err(Fault::NotA)),
            ("- 1", Err(Fault::NotA)),
            ("12345678901234567890x", Err(Fault::NotA)),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn doubles_do_not_overflow_silently() {
        assert_eq!(double(b"1.5e3"), Ok(1500.0));
        assert_eq!(double(b" -Infinity "), Ok(f64::NEG_INFINITY));
        assert!(double(b"nan").is_ok_and(f64::is_nan));
        assert_eq!(double(b"1e999"), Err(Fault::OutOfRange));
        assert_eq!(double(b"1e-999"), Err(Fault::OutOfRange));
        assert_eq!(double(b"0e-999"), Ok(0.0));
        assert_eq!(double(b""), Err(Fault::NotA));
        assert_eq!(double(b"1,5"), Err(Fault::NotA));
        assert_eq!(single(b"1e39"), Err(Fault::OutOfRange));
    }

    #[test]
    fn booleans_take_their_words() {
        for text in ["t", "TRUE", " yes ", "on", "1", "tr"] {
            assert_eq!(boolean(text.as_bytes()), Ok(true), "{text}");
        }
        for text in ["f", "False", "no", "off", "0", "of"] {
            assert_eq!(boolean(text.as_bytes()), Ok(false), "{text}");
        }
        for text in ["", "o", "2", "truely", "nope"] {
            assert_eq!(boolean(text.as_bytes()), Err(Fault::NotA), "{text}");
        }
    }

    #[test]
    fn bytes_are_hex() {
        let mut out = vec![1];
        assert_eq!(bytes(b"\\xdeAD", &mut out), Ok(()));
        assert_eq!(bytes(b"\\xd", &mut out), Err(Fault::NotA));
        assert_eq!(bytes(b"\\xdegg", &mut out), Err(Fault::NotA));
        assert_eq!(out, [1, 0xde, 0xad]);
    }

    #[test]
    fn a_reason_names_column_type_and_value() {
        assert_eq!(reason("ts", "bigint", b"abc", Fault::NotA), "column ts: \"abc\" is not a bigint");
        let long = reason("ts", "bigint", &[b'x'; 500], Fault::NotA);
        assert!(long.len() < 120 && long.contains('…'), "{long}");
    }
}
