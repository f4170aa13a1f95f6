//! How far the pipelines are, in one line: a pure function of two looks at the engine.

use std::time::Duration;

use siltstone_engine::runtime::{PipelineState, Status, ViewState};

/// A look at the engine, as far as progress is concerned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    at: Duration,
    pub(super) rows: u64,
    pub(super) bad_rows: u64,
    epoch: u64,
    /// Read of what has an end, and all of it.
    read: i64,
    whole: i64,
    backfilling: usize,
    sources: usize,
    finished: usize,
}

impl Look {
    /// `at` is the time since the process started.
    pub(super) fn new(status: &Status, at: Duration) -> Self {
        let ended = status.splits.iter().filter_map(|s| s.end.map(|end| (s, end)));
        let (read, whole) = ended.fold((0, 0), |(read, whole), (split, end)| {
            let length = (end - split.start).max(0);
            (read + (split.offset - split.start).clamp(0, length), whole + length)
        });
        Self {
            at,
            rows: status.sources.iter().map(|s| s.rows).sum(),
            bad_rows: status.sources.iter().map(|s| s.bad_rows).sum(),
            epoch: status.epoch,
            read,
            whole,
            backfilling: status.views.iter().filter(|v| v.state == ViewState::Backfilling).count(),
            sources: status.sources.len(),
            finished: status.sources.iter().filter(|s| s.state == PipelineState::Finished).count(),
        }
    }

    /// Whether anything has moved, or has yet to.
    pub(super) fn differs(&self, before: &Self) -> bool {
        self.rows != before.rows || self.read < self.whole || self.backfilling > 0
    }

    /// The line, with speeds since `before`.
    pub(super) fn line(&self, before: &Self) -> String {
        let seconds = self.at.saturating_sub(before.at).as_secs_f64().max(0.001);
        let speed = self.rows.saturating_sub(before.rows) as f64 / seconds;
        let mut line = format!("{} rows, {} rows/s", grouped(self.rows), grouped(speed as u64));
        if self.whole > 0 {
            let lag = self.whole - self.read;
            line.push_str(&format!(", {:.1} %", 100.0 * self.read as f64 / self.whole as f64));
            line.push_str(&format!(", lag {}", grouped(u64::try_from(lag).unwrap_or(0))));
            let pace = (self.read - before.read) as f64 / seconds;
            if lag > 0 && pace > 0.0 {
                line.push_str(&format!(", ETA {}", clock(lag as f64 / pace)));
            }
        }
        if self.backfilling > 0 {
            line.push_str(&format!(", {} views backfilling", self.backfilling));
        }
        if self.bad_rows > 0 {
            line.push_str(&format!(", {} bad rows", grouped(self.bad_rows)));
        }
        line.push_str(&format!(", epoch {}", self.epoch));
        line
    }

    /// The last line: what became of this run, which began at `first`.
    pub(super) fn summary(&self, first: &Self, how: &str) -> String {
        let seconds = self.at.saturating_sub(first.at).as_secs_f64();
        let rows = self.rows.saturating_sub(first.rows);
        let speed = rows as f64 / seconds.max(0.001);
        let mut line = format!(
            "{how}: {} rows in {seconds:.1} s ({} rows/s), {} in all, {} of {} sources at their end, epoch {}",
            grouped(rows),
            grouped(speed as u64),
            grouped(self.rows),
            self.finished,
            self.sources,
            self.epoch
        );
        if self.bad_rows > 0 {
            line.push_str(&format!(", {} bad rows (see siltstone.errors)", grouped(self.bad_rows)));
        }
        line
    }
}

/// `1,234,567`.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1:02:03`, `2:03`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{:02}", seconds % 60)
    } else {
        format!("{minutes}:{:02}", seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_speed_share_lag_and_rest() {
        let before = Look::default();
        let now = Look {
            at: Duration::from_secs(2),
            rows: 1_500_000,
            read: 250,
            whole: 1_000,
            epoch: 7,
            ..Look::default()
        };
        assert_eq!(now.line(&before), "1,500,000 rows, 750,000 rows/s, 25.0 %, lag 750, ETA 0:06, epoch 7");
    }

    #[test]
    fn a_summary_counts_this_run_only() {
        let first = Look { rows: 100, ..Look::default() };
        let last = Look {
            at: Duration::from_secs(10),
            rows: 300,
            bad_rows: 2,
            sources: 1,
            finished: 1,
            epoch: 3,
            ..first
        };
        let line = last.summary(&first, "finished");
        assert!(line.starts_with("finished: 200 rows in 10.0 s (20 rows/s), 300 in all"), "{line}");
        assert!(line.ends_with("2 bad rows (see siltstone.errors)"), "{line}");
    }
}
