//! PostgreSQL's `numeric`, as text and in its binary form (groups of four decimal digits).

use std::fmt;

const NUMERIC_NEGATIVE: u16 = 0x4000;

/// Digits of an unscaled integer with its decimal point put in.
pub(crate) fn write(out: &mut impl fmt::Write, unscaled: &str, scale: i8) -> fmt::Result {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |d| ("-", d));
    out.write_str(sign)?;
    let Ok(scale) = usize::try_from(scale) else {
        out.write_str(digits)?;
        let zeros = if digits == "0" { 0 } else { usize::from(scale.unsigned_abs()) };
        return (0..zeros).try_for_each(|_| out.write_char('0'));
    };
    if scale == 0 {
        return out.write_str(digits);
    }
    if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        return write!(out, "{whole}.{fraction}");
    }
    write!(out, "0.{digits:0>scale$}")
}

/// The binary form: number of groups, weight of the first, sign, decimals shown, groups.
pub(crate) fn to_binary(out: &mut Vec<u8>, unscaled: &str, scale: i8) {
    let (negative, digits) = unscaled.strip_prefix('-').map_or((false, unscaled), |d| (true, d));
    let mut digits = digits.to_owned();
    if scale < 0 {
        digits.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
    }
    let decimals = usize::try_from(scale).unwrap_or(0);
    let whole = digits.len().saturating_sub(decimals);
    let (left, right) = digits.split_at(whole);
    let right = format!("{right:0>decimals$}");
    // Groups align at the decimal point: pad the whole part on the left, the decimals on the right.
    let left_width = left.len().next_multiple_of(4);
    let right_width = right.len().next_multiple_of(4);
    let aligned = format!("{left:0>left_width$}{right:0<right_width$}");
    let mut groups: Vec<u16> = aligned
        .as_bytes()
        .chunks(4)
        .map(|c| c.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')))
        .collect();
    let mut weight = i16::try_from(left_width / 4).unwrap_or(i16::MAX) - 1;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let leading = groups.iter().take_while(|g| **g == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).unwrap_or(0);
    if groups.is_empty() {
        weight = 0;
    }
    let sign = if negative && !groups.is_empty() { NUMERIC_NEGATIVE } else { 0 };
    out.extend(u16::try_from(groups.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(u16::try_from(decimals).unwrap_or(0).to_be_bytes());
    groups.iter().for_each(|g| out.extend(g.to_be_bytes()));
}

/// The text of a value in binary form; `None` if the bytes are not one.
pub(crate) fn from_binary(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    let count = usize::from(word(0)?);
    let weight = i32::from(i16::from_be_bytes(word(2)?.to_be_bytes()));
    let sign = word(4)?;
    let decimals = usize::from(word(6)?);
    match sign {
        0 | NUMERIC_NEGATIVE => {}
        0xC000 => return Some("NaN".to_owned()),
        _ => return None,
    }
    let group = |i: i32| -> Option<u16> {
        match usize::try_from(i) {
            Ok(i) if i < count => word(8 + 2 * i),
            _ => Some(0),
        }
    };
    let mut text = String::new();
    for i in 0..=weight.max(0) {
        let value = if weight < 0 { 0 } else { group(i)? };
        text.push_str(&format!("{value:04}"));
    }
    let whole = text.trim_start_matches('0');
    let mut out = if sign == NUMERIC_NEGATIVE { "-".to_owned() } else { String::new() };
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if decimals > 0 {
        let mut fraction = String::new();
        let mut at = weight + 1;
        if weight < 0 {
            // Groups between the point and the first stored one are zero.
            at = 0;
            fraction.push_str(&"0000".repeat(usize::try_from(-weight - 1).unwrap_or(0)));
        }
        while fraction.len() < decimals {
            fraction.push_str(&format!("{:04}", group(at)?));
            at += 1;
        }
        fraction.truncate(decimals);
        out.push('.');
        out.push_str(&fraction);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unscaled: &str, scale: i8) -> String {
        let mut out = String::new();
        write(&mut out, unscaled, scale).expect("a string takes everything");
        out
    }

    #[test]
    fn text_has_the_point_in_its_place() {
        assert_eq!(text("12345", 2), "123.45");
        assert_eq!(text("-5", 3), "-0.005");
        assert_eq!(text("0", 2), "0.00");
        assert_eq!(text("7", -2), "700");
    }

    #[test]
    fn binary_form_reads_back_as_the_same_text() {
        let values = [("0", 0), ("12345", 2), ("-5", 3), ("10000", 0), ("1", 16), ("99999999", 4)];
        for (unscaled, scale) in values {
            let mut bytes = Vec::new();
            to_binary(&mut bytes, unscaled, scale);
            assert_eq!(from_binary(&bytes).as_deref(), Some(text(unscaled, scale).as_str()));
        }
        // As PostgreSQL sends 123.45: two groups, weight 0, scale 2, 0123 4500.
        let mut bytes = Vec::new();
        to_binary(&mut bytes, "12345", 2);
        assert_eq!(bytes, [0, 2, 0, 0, 0, 0, 0, 2, 0, 123, 0x11, 0x94]);
    }
}
