//! Text to dates, times of day and timestamps: ISO 8601 and the form that PostgreSQL prints.
//!
//! As in PostgreSQL a fraction is rounded to microseconds, `24:00` and second 60 carry over, and a
//! `timestamp` without time zone ignores a zone that is written. A `timestamptz` without one is UTC.

use siltstone_engine::calendar;

use super::value::{Fault, trim};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// The last year that a timestamp in microseconds is taken of, as in PostgreSQL.
const YEAR_MAX: i64 = 294_276;
/// Hours that a zone may be away from UTC.
const ZONE_HOURS_MAX: i64 = 15;

/// Days since 1970-01-01.
pub(crate) fn date(text: &[u8]) -> Result<i32, Fault> {
    let mut text = Text { rest: trim(text) };
    let days = text.date()?;
    text.end()?;
    i32::try_from(days).map_err(|_| Fault::OutOfRange)
}

/// Microseconds since midnight.
pub(crate) fn time(text: &[u8]) -> Result<i64, Fault> {
    let mut text = Text { rest: trim(text) };
    let micros = text.time()?;
    text.end()?;
    Ok(micros)
}

/// Microseconds since 1970-01-01 00:00; in UTC if `zoned`.
pub(crate) fn timestamp(text: &[u8], zoned: bool) -> Result<i64, Fault> {
    let mut text = Text { rest: trim(text) };
    let days = text.date()?;
    let (mut micros, mut away) = (0, 0);
    if !text.rest.is_empty() {
        if !text.take(b'T') && !text.take(b't') && !text.take(b' ') {
            return Err(Fault::NotA);
        }
        text.rest = trim(text.rest);
        micros = text.time()?;
        away = text.zone()?;
        text.end()?;
    }
    let local = days.checked_mul(DAY).and_then(|d| d.checked_add(micros)).ok_or(Fault::OutOfRange)?;
    Ok(if zoned { local - away * SECOND } else { local })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is left to read.
struct Text<'a> {
    rest: &'a [u8],
}

impl Text<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let there = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(there)..];
        there
    }

    /// A number of so many digits.
    fn digits(&mut self, least: usize, most: usize) -> Result<i64, Fault> {
        let count = self.rest.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return Err(Fault::NotA);
        }
        let value = self.rest[..count].iter().fold(0, |v, b| v * 10 + i64::from(b - b'0'));
        self.rest = &self.rest[count..];
        Ok(value)
    }

    fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::NotA) }
    }

    /// `YYYY-MM-DD`, in days since 1970.
    fn date(&mut self) -> Result<i64, Fault> {
        let year = self.digits(4, 6)?;
        let month = if self.take(b'-') { self.digits(1, 2)? } else { return Err(Fault::NotA) };
        let day = if self.take(b'-') { self.digits(1, 2)? } else { return Err(Fault::NotA) };
        let real = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
        if !real || year == 0 || year > YEAR_MAX {
            return Err(Fault::OutOfRange);
        }
        Ok(calendar::days(year, month as u32, day as u32))
    }

    /// `HH:MM[:SS[.ffffff]]`, in microseconds.
    fn time(&mut self) -> Result<i64, Fault> {
        let hour = self.digits(1, 2)?;
        let minute = if self.take(b':') { self.digits(2, 2)? } else { return Err(Fault::NotA) };
        let second = if self.take(b':') { self.digits(2, 2)? } else { 0 };
        let mut fraction = 0;
        if self.take(b'.') {
            let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return Err(Fault::NotA);
            }
            for place in 0..6 {
                let digit = if place < digits { self.rest[place] - b'0' } else { 0 };
                fraction = fraction * 10 + i64::from(digit);
            }
            fraction += i64::from(digits > 6 && self.rest[6] >= b'5');
            self.rest = &self.rest[digits..];
        }
        let micros = ((hour * 60 + minute) * 60 + second) * SECOND + fraction;
        let real = hour <= 24 && minute < 60 && second <= 60 && micros <= DAY;
        if real { Ok(micros) } else { Err(Fault::OutOfRange) }
    }

    /// `Z`, `UTC`, `+HH`, `+HHMM`, `+HH:MM[:SS]`, or nothing: seconds east of UTC.
    fn zone(&mut self) -> Result<i64, Fault> {
        self.rest = trim(self.rest);
        if self.take(b'Z') || self.take(b'z') {
            return Ok(0);
        }
        if self.rest.eq_ignore_ascii_case(b"UTC") || self.rest.eq_ignore_ascii_case(b"GMT") {
            self.rest = &[];
            return Ok(0);
        }
        let sign = match self.rest.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Ok(0),
        };
        self.rest = &self.rest[1..];
        let hours = self.digits(1, 2)?;
        let minutes = if self.take(b':') || !self.rest.is_empty() { self.digits(2, 2)? } else { 0 };
        let seconds = if self.take(b':') { self.digits(2, 2)? } else { 0 };
        if hours > ZONE_HOURS_MAX || minutes > 59 || seconds > 59 {
            return Err(Fault::OutOfRange);
        }
        Ok(sign * ((hours * 60 + minutes) * 60 + seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"2024-02-29"), Ok(19_782));
        assert_eq!(date(b"1969-12-31"), Ok(-1));
        assert_eq!(date(b"0001-01-01"), Ok(-719_162));
        assert_eq!(date(b"2023-02-29"), Err(Fault::OutOfRange));
        assert_eq!(date(b"2023-13-01"), Err(Fault::OutOfRange));
        assert_eq!(date(b"20230101"), Err(Fault::NotA));
        assert_eq!(date(b"2023-01-01 x"), Err(Fault::NotA));
    }

    #[test]
    fn timestamps_in_both_forms() {
        let second = 1_718_445_045 * SECOND;
        for text in [
            "2024-06-15 09:50:45",
            "2024-06-15T09:50:45Z",
            "2024-06-15 09:50:45+00",
            "2024-06-15t09:50:45.0000004 UTC",
        ] {
            assert_eq!(timestamp(text.as_bytes(), true), Ok(second), "{text}");
            assert_eq!(timestamp(text.as_bytes(), false), Ok(second), "{text}");
        }
        assert_eq!(timestamp(b"2024-06-15T11:50:45.5+02:00", true), Ok(second + 500_000));
        assert_eq!(timestamp(b"2024-06-15 09:50:45-0530", true), Ok(second + 19_800 * SECOND));
        // Without time zone, a zone that is written says nothing.
        assert_eq!(timestamp(b"2024-06-15T09:50:45+02:00", false), Ok(second));
        assert_eq!(timestamp(b"2024-06-15", false), Ok(19_889 * DAY));
        assert_eq!(timestamp(b"1999-12-31 24:00", false), Ok(10_957 * DAY));
        assert_eq!(timestamp(b"1999-12-31 24:00:01", false), Err(Fault::OutOfRange));
        assert_eq!(timestamp(b"1999-12-31 25:00", false), Err(Fault::OutOfRange));
        assert_eq!(timestamp(b"1999-12-31 10", false), Err(Fault::NotA));
        assert_eq!(timestamp(b"yesterday", false), Err(Fault::NotA));
    }

    #[test]
    fn times_are_microseconds() {
        assert_eq!(time(b"00:00"), Ok(0));
        assert_eq!(time(b"23:59:59.9999996"), Ok(DAY));
        assert_eq!(time(b"12:61"), Err(Fault::OutOfRange));
    }
}
