//! `retain`: how long the rows of a table or the groups of a view are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::name::literal;
use crate::error::{Error, Result, sqlstate};

/// The option's name.
pub const RETAIN: &str = "retain";

/// What it takes for no end.
const FOREVER: &str = "forever";

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// The longest: about the years that times reach back.
const DAYS_MAX: u64 = 365 * 200_000;

/// A time span, and how it was written.
#[derive(Clone, Debug)]
pub struct Retain {
    text: String,
    pub span: Duration,
}

impl Retain {
    /// Takes the option out of those of a definition; `'forever'` is as good as none.
    pub fn take(options: &mut BTreeMap<String, String>) -> Result<Option<Self>> {
        options.remove(RETAIN).map_or(Ok(None), |text| Self::parse(&text))
    }

    /// Numbers with units: `7 days`, `1 month 12 hours`. A month has 30 days, a year 365.
    fn parse(text: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if text.eq_ignore_ascii_case(FOREVER) {
            return Ok(None);
        }
        match seconds(text) {
            Some(whole) if whole > 0 && whole <= DAYS_MAX * DAY => {
                Ok(Some(Self { text: text.to_owned(), span: Duration::from_secs(whole) }))
            }
            _ => Err(Error::new(
                sqlstate::INVALID_PARAMETER_VALUE,
                format!("option \"{RETAIN}\" takes a time span, not '{text}'"),
            )
            .with_hint("write it as '7 days', '12 hours' or '1 month'; 'forever' keeps everything")),
        }
    }

    /// As an option in a canonical text.
    pub fn canonical(&self) -> String {
        format!("{RETAIN} = {}", literal(&self.text))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn seconds(text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        sum = sum.checked_add(number.checked_mul(unit(&rest[..letters])?)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(sum)
}

fn unit(name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    Some(match name.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hour" | "hours" => 60 * MINUTE,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "mon" | "mons" | "month" | "months" => 30 * DAY,
        "y" | "year" | "years" => 365 * DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_units() {
        for (text, days) in [("7 days", 7), ("1 month", 30), ("2y", 730), ("1 week 48 hours", 9)] {
            let retain = Retain::parse(text).expect("a span").expect("an end");
            assert_eq!(retain.span, Duration::from_secs(days * DAY), "{text}");
        }
        assert!(Retain::parse("Forever").expect("a word").is_none());
        for text in ["", "7", "days", "0 days", "-1 day", "1 fortnight", "999999999999 years", "1.5 days"] {
            let error = Retain::parse(text).expect_err("no span");
            assert_eq!(error.sqlstate(), "22023", "{text}");
        }
    }
}
