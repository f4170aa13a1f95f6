//! Dates and times of day as PostgreSQL writes them.

use std::fmt;

use siltstone_engine::calendar::civil;

pub(crate) const MICROS_A_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_A_DAY: i64 = 86_400 * MICROS_A_SECOND;

/// `2024-10-20`; the era comes at the end of the whole value, so [`write_era`] is a call of its own.
pub(crate) fn write_date(out: &mut impl fmt::Write, days: i64) -> fmt::Result {
    let (year, month, day) = civil(days);
    let shown = if year <= 0 { 1 - year } else { year };
    write!(out, "{shown:04}-{month:02}-{day:02}")
}

/// ` BC` for dates before our era, else nothing.
pub(crate) fn write_era(out: &mut impl fmt::Write, days: i64) -> fmt::Result {
    if civil(days).0 <= 0 { out.write_str(" BC") } else { Ok(()) }
}

/// `12:34:56`, with as many decimals as are needed.
pub(crate) fn write_time(out: &mut impl fmt::Write, micros: i64) -> fmt::Result {
    let seconds = micros / MICROS_A_SECOND;
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    let mut fraction = micros % MICROS_A_SECOND;
    if fraction == 0 {
        return Ok(());
    }
    let mut digits = 6;
    while fraction % 10 == 0 {
        fraction /= 10;
        digits -= 1;
    }
    write!(out, ".{fraction:0digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut out = String::new();
        write_date(&mut out, days).expect("a string takes everything");
        write_era(&mut out, days).expect("a string takes everything");
        out
    }

    #[test]
    fn dates_at_the_edges() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(20_016), "2024-10-20");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(date(-719_163), "0001-12-31 BC");
    }

    #[test]
    fn times_show_only_the_decimals_they_need() {
        let mut out = String::new();
        write_time(&mut out, 45_296_120_000).expect("a string takes everything");
        assert_eq!(out, "12:34:56.12");
    }
}
