//! The proleptic Gregorian calendar in days since 1 January 1970.
//!
//! After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": a year begins in March, so that the
//! day that not every year has is its last; 400 years are one era of 146,097 days.

/// Days in 400 years.
const ERA: i64 = 146_097;
/// Days from 1 March of the year 0 to 1 January 1970.
const EPOCH: i64 = 719_468;

/// Year (0 is 1 BC), month and day of the month, both from 1.
#[inline]
pub fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + EPOCH;
    let era = days.div_euclid(ERA);
    let day = days.rem_euclid(ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month as u32, day_of_month as u32)
}

/// Days from 1 January 1970 to a date; the inverse of [`civil`].
#[inline]
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * ERA + 365 * year + year / 4 - year / 100 + day_of_year - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        let known = [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (19_782, (2024, 2, 29)),
            (20_016, (2024, 10, 20)),
            (-719_162, (1, 1, 1)),
            (-719_163, (0, 12, 31)),
        ];
        for (day, date) in known {
            assert_eq!(civil(day), date);
            assert_eq!(days(date.0, date.1, date.2), day);
        }
    }

    #[test]
    fn every_day_of_an_era_comes_back_and_follows_the_one_before() {
        let mut before = civil(-EPOCH - 1);
        for day in -EPOCH..ERA {
            let date = civil(day);
            assert_eq!(days(date.0, date.1, date.2), day);
            assert!(date > before, "{date:?} after {before:?}");
            before = date;
        }
    }
}
