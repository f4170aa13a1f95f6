//! Text to decimals, exactly: no float in between. Digits beyond the scale round half away from zero, as
//! in PostgreSQL.

use super::value::{Fault, trim};

/// Most digits of a `Decimal128`.
const DIGITS_MAX: i64 = 38;

/// The value of `text` times `10^scale`, if it has at most `precision` digits.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, Fault> {
    let text = trim(text);
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = split_exponent(text)?;
    let point = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..point], mantissa.get(point + 1..).unwrap_or_default());
    let digits = || whole.iter().chain(fraction);
    if digits().next().is_none() || !digits().all(u8::is_ascii_digit) {
        return Err(Fault::NotA);
    }
    // Leading zeros count for nothing; `keep` digits of the rest stand before the cut at the scale.
    let zeros = digits().take_while(|b| **b == b'0').count();
    let significant = whole.len() + fraction.len() - zeros;
    if significant == 0 {
        return Ok(0);
    }
    let keep = (whole.len() as i64 - zeros as i64).saturating_add(exponent).saturating_add(i64::from(scale));
    if keep < 0 {
        return Ok(0);
    }
    if keep > DIGITS_MAX {
        return Err(Fault::OutOfRange);
    }
    let keep = keep as usize;
    let mut value = 0i128;
    for at in 0..keep {
        let digit = if at < significant { digits().nth(zeros + at).map_or(0, |b| b - b'0') } else { 0 };
        value = value * 10 + i128::from(digit);
    }
    if keep < significant && digits().nth(zeros + keep).is_some_and(|b| *b >= b'5') {
        value += 1;
    }
    if value >= 10i128.pow(u32::from(precision)) {
        return Err(Fault::OutOfRange);
    }
    Ok(if negative { -value } else { value })
}

/// The part before `e`, and the exponent behind it (held within what any column could need).
fn split_exponent(text: &[u8]) -> Result<(&[u8], i64), Fault> {
    let Some(at) = text.iter().position(|b| matches!(b, b'e' | b'E')) else { return Ok((text, 0)) };
    let (negative, digits) = match &text[at + 1..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::NotA);
    }
    let value = digits.iter().fold(0i64, |v, b| (v * 10 + i64::from(b - b'0')).min(1 << 40));
    Ok((&text[..at], if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_round_half_away_from_zero() {
        for (text, value) in [
            ("1.23", Ok(123)),
            ("-1.235", Ok(-124)),
            ("1.2349", Ok(123)),
            ("0.005", Ok(1)),
            ("0.0049", Ok(0)),
            ("-0.00", Ok(0)),
            (".5", Ok(50)),
            ("5.", Ok(500)),
            ("1e3", Ok(100_000)),
            ("12345e-4", Ok(123)),
            ("1e-99999999999999999999", Ok(0)),
            ("0e99999999999999999999", Ok(0)),
            ("1e99999999999999999999", Err(Fault::OutOfRange)),
            ("9999999.99", Ok(999_999_999)),
            ("9999999.995", Err(Fault::OutOfRange)),
            ("10000000", Err(Fault::OutOfRange)),
            ("", Err(Fault::NotA)),
            (".", Err(Fault::NotA)),
            ("1.2.3", Err(Fault::NotA)),
            ("1e", Err(Fault::NotA)),
            ("NaN", Err(Fault::NotA)),
        ] {
            assert_eq!(decimal(text.as_bytes(), 9, 2), value, "{text}");
        }
        let most = "99999999999999999999999999999999999999";
        assert_eq!(decimal(most.as_bytes(), 38, 0), Ok(10i128.pow(38) - 1));
        assert_eq!(decimal(b"100000000000000000000000000000000000000", 38, 0), Err(Fault::OutOfRange));
    }
}
