//! When a relation's hot states are pressed into files: a pure function.
//!
//! Pressing rewrites the partitions that the hot states touch. So it waits until that is worth it: whenever the
//! bytes ever written stay within [`WRITE_AMPLIFICATION_MAX`] times the hot bytes that went in. A relation whose
//! partitions are closed once time has moved on, or whose groups are few, is pressed at each interval; one
//! with many groups that change at random is when the hot states have grown to a part of it.

use std::time::Duration;

/// Bytes written to files for each byte of hot states that went into them, at most, over the relation's life.
pub const WRITE_AMPLIFICATION_MAX: u64 = 4;

/// Hot states below this are pressed whatever it costs, once in so many intervals.
const PATIENCE_INTERVALS: u32 = 120;

/// What is known of a relation before it is pressed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressure {
    /// Encoded bytes that are not in files.
    pub hot_bytes: u64,
    /// Since the oldest of them became durable.
    pub hot_age: Duration,
    /// Since the last snapshot.
    pub snapshot_age: Duration,
    /// Bytes of the files that would be written anew.
    pub rewrite_bytes: u64,
    /// Hot bytes that went into files so far, and bytes of files that were written for them.
    pub pressed_bytes: u64,
    pub written_bytes: u64,
}

/// Whether to press now. `interval` is how fresh the files are to be.
pub fn is_due(pressure: &Pressure, interval: Duration) -> bool {
    let Pressure { hot_bytes, rewrite_bytes, pressed_bytes, written_bytes, .. } = *pressure;
    if hot_bytes == 0 || pressure.snapshot_age < interval {
        return false;
    }
    let written = written_bytes + rewrite_bytes + hot_bytes;
    let worth_it = written <= WRITE_AMPLIFICATION_MAX * (pressed_bytes + hot_bytes);
    worth_it || pressure.hot_age >= interval * PATIENCE_INTERVALS
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn pressure(hot_bytes: u64, rewrite_bytes: u64) -> Pressure {
        Pressure { hot_bytes, rewrite_bytes, snapshot_age: INTERVAL, ..Pressure::default() }
    }

    #[test]
    fn what_is_small_is_pressed_at_each_interval_and_what_would_rewrite_much_waits() {
        assert!(is_due(&pressure(10, 0), INTERVAL));
        assert!(is_due(&pressure(10, 30), INTERVAL));
        assert!(!is_due(&pressure(10, 31), INTERVAL));
        assert!(!is_due(&pressure(0, 0), INTERVAL), "there is nothing to press");
        let early = Pressure { snapshot_age: INTERVAL / 2, ..pressure(10, 0) };
        assert!(!is_due(&early, INTERVAL));
        let old = Pressure { hot_age: INTERVAL * PATIENCE_INTERVALS, ..pressure(10, 1000) };
        assert!(is_due(&old, INTERVAL), "a late event is not left out for ever");
    }

    #[test]
    fn a_view_of_random_keys_is_written_a_bounded_number_of_times() {
        // A million groups of 50 bytes; each interval changes 2,000 of them.
        let (mut own, mut presses) = (Pressure { snapshot_age: INTERVAL, ..Pressure::default() }, 0);
        let mut files = 0_u64;
        for _ in 0..10_000 {
            own.hot_bytes += 100_000;
            own.rewrite_bytes = files;
            if is_due(&own, INTERVAL) {
                files = (files + own.hot_bytes).min(50_000_000);
                own.pressed_bytes += own.hot_bytes;
                own.written_bytes += files;
                own.hot_bytes = 0;
                presses += 1;
            }
        }
        assert!(presses > 30, "{presses}");
        assert!(own.written_bytes <= WRITE_AMPLIFICATION_MAX * own.pressed_bytes);
    }
}
