//! Hands out generated rows, its splits in turn, no faster than the rate.

use std::time::{Duration, Instant};

use siltstone_engine::clock;
use siltstone_engine::connector::{Fetch, Payload, Poll, Split, SplitId, SplitReader};
use siltstone_engine::error::{Error, Result};

use super::fill::Filler;

/// Rows of the largest batch.
const BATCH_ROWS_MAX: usize = 1 << 14;
/// Rows are held back for so long to come together, unless the rate is lower than that.
const BATCH_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct DatagenReader {
    filler: Filler,
    /// Of the source, not of this reader.
    splits: u64,
    rate: Option<f64>,
    assigned: Vec<Assigned>,
    /// Whose turn it is.
    turn: usize,
}

struct Assigned {
    id: SplitId,
    number: u64,
    next: i64,
    end: Option<i64>,
    /// When and where the split's pace began.
    since: Instant,
    from: i64,
}

impl DatagenReader {
    pub(super) fn new(filler: Filler, splits: u64, rate: Option<f64>) -> Self {
        Self { filler, splits, rate, assigned: Vec::new(), turn: 0 }
    }

    /// Rows a split may hand out now, and how long until the next batch if there are none.
    fn due(&self, split: &Assigned) -> (i64, Duration) {
        let left = split.end.map_or(i64::MAX, |end| end - split.next);
        let Some(rate) = self.rate.map(|r| r / self.splits as f64) else { return (left, Duration::ZERO) };
        let elapsed = clock::now().saturating_duration_since(split.since).as_secs_f64();
        let behind = (split.from as f64 + elapsed * rate) as i64 - split.next;
        let batch = (rate * BATCH_INTERVAL.as_secs_f64()).clamp(1.0, BATCH_ROWS_MAX as f64) as i64;
        let batch = batch.min(left);
        if behind >= batch {
            return (behind.min(left), Duration::ZERO);
        }
        let until = ((split.next + batch - split.from) as f64 / rate - elapsed).max(0.001);
        (0, Duration::from_secs_f64(until))
    }

    /// A split that has rows now, or how long until one has.
    fn ready(&self) -> Result<(usize, i64), Duration> {
        let mut soonest = Duration::MAX;
        for turn in 0..self.assigned.len() {
            let index = (self.turn + turn) % self.assigned.len();
            let (rows, wait) = self.due(&self.assigned[index]);
            if wait.is_zero() {
                return Ok((index, rows));
            }
            soonest = soonest.min(wait);
        }
        Err(soonest)
    }
}

impl SplitReader for DatagenReader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        let number = split.detail.parse().map_err(|e| {
            Error::corrupt(format!("reading the detail '{}' of split {}", split.detail, split.id)).because(e)
        })?;
        let (id, end) = (split.id.clone(), split.end);
        self.assigned.push(Assigned { id, number, next: from, end, since: clock::now(), from });
        Ok(())
    }

    fn poll(&mut self, rows_max: usize, timeout: Duration) -> Result<Poll> {
        let deadline = clock::now() + timeout;
        let (index, rows) = loop {
            match self.ready() {
                Ok(found) => break found,
                Err(wait) => {
                    let left = deadline.saturating_duration_since(clock::now());
                    clock::sleep(wait.min(left));
                    if wait > left {
                        return Ok(Poll::Idle);
                    }
                }
            }
        };
        let split = &mut self.assigned[index];
        if rows <= 0 {
            return Ok(Poll::Finished(self.assigned.remove(index).id));
        }
        self.turn = index + 1;
        let count = rows.min(rows_max.clamp(1, BATCH_ROWS_MAX) as i64);
        let offset = split.next;
        let first = offset as u64 * self.splits + split.number;
        let batch = self.filler.rows(first, self.splits, count as usize)?;
        split.next += count;
        let id = split.id.clone();
        let progress = vec![(id.clone(), split.next)];
        Ok(Poll::Records(Fetch { payload: Payload::Rows { split: id, offset, batch }, progress }))
    }
}
