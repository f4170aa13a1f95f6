//! `retain`: how long the rows of a table or the groups of a view are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use siltstone_engine::rollup::Granularity;

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

/// The step of a ladder that is for the rows themselves.
const RAW: &str = "raw";

/// What is kept how long, and how it was written.
#[derive(Clone, Debug)]
pub struct Retain {
    text: String,
    own: Option<Duration>,
    /// Of views over the relation, by their granularity.
    ladder: Vec<(Granularity, Option<Duration>)>,
}

impl Retain {
    /// Takes the option out of those of a definition.
    pub fn take(options: &mut BTreeMap<String, String>) -> Result<Option<Self>> {
        options.remove(RETAIN).map(|text| Self::parse(&text)).transpose()
    }

    /// A span, such as `7 days` or `1 month 12 hours` or `forever`; or a ladder of them, such as
    /// `raw 7 days, minute 90 days, day forever`. A month has 30 days, a year 365.
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let mut retain = Self { text: text.to_owned(), own: None, ladder: Vec::new() };
        if let Some(own) = span(text) {
            retain.own = own;
            return Ok(retain);
        }
        let refused = |what: String, hint: &str| {
            Error::new(sqlstate::INVALID_PARAMETER_VALUE, format!("option \"{RETAIN}\" {what}"))
                .with_hint(hint)
        };
        let mut seen = BTreeSet::new();
        for step in text.split(',') {
            let (name, rest) = step.trim().split_once(char::is_whitespace).unwrap_or((step.trim(), ""));
            let name = name.to_ascii_lowercase();
            let granularity = Granularity::by_name(&name);
            let Some(span) = span(rest.trim()).filter(|_| name == RAW || granularity.is_some()) else {
                let hint = "write it as '7 days', '12 hours', '1 month' or 'forever', or as a ladder: 'raw 7 \
                            days, minute 90 days, hour 2 years, day forever'";
                return Err(refused(format!("takes a time span, not '{text}'"), hint));
            };
            match granularity {
                Some(granularity) => retain.ladder.push((granularity, span)),
                None => retain.own = span,
            }
            if !seen.insert(name.clone()) {
                return Err(refused(format!("has two steps for {name}"), "leave one of them out"));
            }
        }
        Ok(retain)
    }

    /// How long the relation's own rows or groups are kept; `None` for ever.
    pub fn own(&self) -> Option<Duration> {
        self.own
    }

    /// How long groups of views of that granularity are kept, where those do not say: as the coarsest step does
    /// whose buckets are made of theirs or are theirs; `None` for ever.
    pub fn of_views(&self, granularity: Granularity) -> Option<Duration> {
        let made = self.ladder.iter().filter(|(step, _)| step.nests_in(granularity));
        made.max_by(|(a, _), (b, _)| b.per_year().total_cmp(&a.per_year()))?.1
    }

    /// Whether it says something of views.
    pub fn has_ladder(&self) -> bool {
        !self.ladder.is_empty()
    }

    /// Whether both keep the same.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.own, &self.ladder) == (other.own, &other.ladder)
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

/// A span, `Some(None)` if it has no end.
fn span(text: &str) -> Option<Option<Duration>> {
    if text.eq_ignore_ascii_case(FOREVER) {
        return Some(None);
    }
    let whole = seconds(text).filter(|&whole| whole > 0 && whole <= DAYS_MAX * DAY)?;
    Some(Some(Duration::from_secs(whole)))
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
            let retain = Retain::parse(text).expect("a span");
            assert_eq!(retain.own(), Some(Duration::from_secs(days * DAY)), "{text}");
        }
        assert!(Retain::parse("Forever").expect("a word").own().is_none());
        let refused = ["", "7", "days", "0 days", "-1 day", "1 fortnight", "999999999999 years", "1.5 days"];
        for text in refused.into_iter().chain(["raw", "day 1 day, day 2 days", "raw 1 day,", "eon 1 day"]) {
            let error = Retain::parse(text).expect_err("no span");
            assert_eq!(error.sqlstate(), "22023", "{text}");
        }
    }

    #[test]
    fn a_ladder_has_a_step_for_each_granularity() {
        let ladder = "raw 7 days, minute 90 days, hour 2 years, day forever";
        let retain = Retain::parse(ladder).expect("a ladder");
        let days = |days| Some(Duration::from_secs(days * DAY));
        assert_eq!(retain.own(), days(7));
        let kept = [
            (Granularity::Second, None),
            (Granularity::Minute, days(90)),
            (Granularity::Hour, days(730)),
            (Granularity::Day, None),
            (Granularity::Month, None),
        ];
        for (granularity, span) in kept {
            assert_eq!(retain.of_views(granularity), span, "{}", granularity.name());
        }
        assert!(retain.is_same(&Retain::parse(&ladder.to_uppercase()).expect("a ladder")));
    }
}
