//! Time buckets: what `date_trunc` gives, as whole numbers.

use std::ops::Range;

use crate::calendar;

/// The unit of a time bucket. A coarser one is made of finer ones where [`Granularity::nests_in`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    Second,
    Minute,
    Hour,
    Day,
    /// From Monday on.
    Week,
    Month,
    Quarter,
    Year,
}

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// Days from Monday, 29 December 1969 to 1 January 1970.
const EPOCH_WEEKDAY: i64 = 3;

impl Granularity {
    /// The unit that `date_trunc` names so.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "second" => Self::Second,
            "minute" => Self::Minute,
            "hour" => Self::Hour,
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// Every bucket of this granularity lies within one of `coarser`.
    pub fn nests_in(self, coarser: Self) -> bool {
        if self == coarser {
            return true;
        }
        match coarser {
            Self::Second => false,
            Self::Minute => self == Self::Second,
            Self::Hour => matches!(self, Self::Second | Self::Minute),
            Self::Day => matches!(self, Self::Second | Self::Minute | Self::Hour),
            Self::Week | Self::Month => matches!(self, Self::Second | Self::Minute | Self::Hour | Self::Day),
            Self::Quarter => !matches!(self, Self::Week | Self::Year),
            Self::Year => self != Self::Week,
        }
    }

    /// How many of them a year has, about.
    pub fn per_year(self) -> f64 {
        match self {
            Self::Second => 31_557_600.0,
            Self::Minute => 525_960.0,
            Self::Hour => 8_766.0,
            Self::Day => 365.25,
            Self::Week => 52.2,
            Self::Month => 12.0,
            Self::Quarter => 4.0,
            Self::Year => 1.0,
        }
    }

    /// Bits that hold the number of any bucket of 64-bit microseconds, as a positive number above 0.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Second => 46,
            Self::Minute => 40,
            Self::Hour => 34,
            Self::Day => 29,
            Self::Week => 26,
            Self::Month => 24,
            Self::Quarter => 23,
            Self::Year => 21,
        }
    }

    /// The number of the bucket that holds a time in microseconds since 1970; 0 holds 1 January 1970.
    #[inline(always)]
    pub fn bucket(self, us: i64) -> i64 {
        match self {
            Self::Second => us.div_euclid(SECOND_US),
            Self::Minute => us.div_euclid(60 * SECOND_US),
            Self::Hour => us.div_euclid(3600 * SECOND_US),
            Self::Day => us.div_euclid(DAY_US),
            Self::Week => (us.div_euclid(DAY_US) + EPOCH_WEEKDAY).div_euclid(7),
            Self::Month => month_of(us.div_euclid(DAY_US)),
            Self::Quarter => month_of(us.div_euclid(DAY_US)).div_euclid(3),
            Self::Year => month_of(us.div_euclid(DAY_US)).div_euclid(12),
        }
    }

    /// When a bucket begins, in microseconds since 1970; the least time there is if it began before that.
    pub fn start(self, bucket: i64) -> i64 {
        let us = match self {
            Self::Second => bucket.checked_mul(SECOND_US),
            Self::Minute => bucket.checked_mul(60 * SECOND_US),
            Self::Hour => bucket.checked_mul(3600 * SECOND_US),
            Self::Day => bucket.checked_mul(DAY_US),
            Self::Week => (bucket * 7 - EPOCH_WEEKDAY).checked_mul(DAY_US),
            Self::Month => first_day(bucket).checked_mul(DAY_US),
            Self::Quarter => first_day(bucket * 3).checked_mul(DAY_US),
            Self::Year => first_day(bucket * 12).checked_mul(DAY_US),
        };
        us.unwrap_or(if bucket < 0 { i64::MIN } else { i64::MAX })
    }

    /// The times of a bucket.
    pub fn range(self, bucket: i64) -> Range<i64> {
        self.start(bucket)..self.start(bucket + 1)
    }
}

/// Months from January 1970 to a day, given in days since 1 January 1970.
fn month_of(days: i64) -> i64 {
    let (year, month, _) = calendar::civil(days);
    (year - 1970) * 12 + i64::from(month) - 1
}

/// Days from 1 January 1970 to the first of a month, given in months since January 1970.
fn first_day(months: i64) -> i64 {
    calendar::days(months.div_euclid(12) + 1970, months.rem_euclid(12) as u32 + 1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Granularity; 8] = [
        Granularity::Second,
        Granularity::Minute,
        Granularity::Hour,
        Granularity::Day,
        Granularity::Week,
        Granularity::Month,
        Granularity::Quarter,
        Granularity::Year,
    ];

    /// 2024-02-29 23:59:59.5, a Thursday.
    const LEAP_DAY: i64 = 1_709_251_199_500_000;

    #[test]
    fn buckets_begin_where_date_trunc_says() {
        let starts = [
            (Granularity::Second, 1_709_251_199),
            (Granularity::Minute, 1_709_251_140),
            (Granularity::Hour, 1_709_247_600),
            (Granularity::Day, 1_709_164_800),
            (Granularity::Week, 1_708_905_600),
            (Granularity::Month, 1_706_745_600),
            (Granularity::Quarter, 1_704_067_200),
            (Granularity::Year, 1_704_067_200),
        ];
        for (granularity, seconds) in starts {
            let start = granularity.start(granularity.bucket(LEAP_DAY));
            assert_eq!(start, seconds * SECOND_US, "{}", granularity.name());
        }
        assert_eq!(Granularity::Year.start(Granularity::Year.bucket(-1)), -365 * DAY_US);
        assert_eq!(Granularity::Week.start(Granularity::Week.bucket(0)), -3 * DAY_US);
    }

    #[test]
    fn every_time_is_in_its_bucket_and_coarser_ones_hold_finer_ones() {
        let mut times = vec![0, -1, LEAP_DAY, i64::MIN, i64::MAX, -62_135_596_800 * SECOND_US];
        // Steps of about 17 days over four centuries, and some odd microseconds.
        times.extend((-4_300..4_300).map(|i| i * 17 * DAY_US + i * 7_777_777));
        for &us in &times {
            for fine in ALL {
                let bucket = fine.bucket(us);
                let range = fine.range(bucket);
                assert!(range.start <= us && (us < range.end || us == i64::MAX), "{} {us}", fine.name());
                assert!(bucket.unsigned_abs() < 1 << (fine.bits() - 2), "{} {us}", fine.name());
                for coarse in ALL.into_iter().filter(|c| fine.nests_in(*c)) {
                    // The first bucket begins before the least time there is.
                    if range.start > i64::MIN {
                        assert_eq!(coarse.bucket(range.start), coarse.bucket(us), "{us} {coarse:?} {fine:?}");
                    }
                }
            }
        }
    }
}
