//! The bounded queue between those who push and the one reader.
//!
//! Invariants: entries are contiguous; what lies before `committed` is gone, everything else is kept, read
//! or not; only the reader that was assigned last reads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use siltstone_engine::clock;
use siltstone_engine::error::{Error, Kind, Result};

/// Rows that are kept, read or not, before a push waits. One batch larger than this is taken alone.
pub(super) const ROWS_MAX: usize = 1 << 22;
/// Bytes that are kept before a push waits.
pub(super) const BYTES_MAX: usize = 128 << 20;
/// How long a push waits for a first reader, or for room, before it gives up.
const PUSH_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a push waits for another reader after the last one has gone.
const READER_WAIT_MAX: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something was pushed, or the reader changed.
    filled: Condvar,
    /// Something was committed, or the reader changed.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    rows: usize,
    bytes: usize,
    /// Where the next push counts from; `None` until a reader was assigned.
    end: Option<i64>,
    /// Where the reader goes on.
    next: i64,
    /// Who may read: counts assignments.
    ticket: u64,
    reader: bool,
}

#[derive(Debug)]
struct Entry {
    start: i64,
    batch: RecordBatch,
    bytes: usize,
}

/// Rows that are read.
pub(super) struct Piece {
    pub(super) offset: i64,
    pub(super) batch: RecordBatch,
    /// Its share of what was pushed with it.
    pub(super) bytes: usize,
}

impl Entry {
    fn end(&self) -> i64 {
        self.start + self.batch.num_rows() as i64
    }
}

impl Queue {
    /// A reader takes over at `from`; the answer is its ticket.
    pub(super) fn assign(&self, from: i64) -> Result<u64> {
        let mut state = self.lock();
        let first = state.entries.front().map(|e| e.start).or(state.end);
        if first.is_some_and(|first| from < first) {
            let message = format!("reading pushed rows from {from}: only those from {first:?} on are kept");
            return Err(Error::new(Kind::Gap, message));
        }
        state.end = state.end.max(Some(from));
        state.next = from;
        state.ticket += 1;
        state.reader = true;
        self.filled.notify_all();
        self.freed.notify_all();
        Ok(state.ticket)
    }

    /// The reader with that ticket is gone.
    pub(super) fn release(&self, ticket: u64) {
        let mut state = self.lock();
        if state.ticket == ticket {
            state.reader = false;
            self.freed.notify_all();
        }
    }

    /// Queues rows; the answer is the offset behind them.
    pub(super) fn push(&self, batch: RecordBatch) -> Result<i64> {
        let (rows, bytes) = (batch.num_rows(), batch.get_array_memory_size());
        let started = clock::now();
        let mut state = self.lock();
        let mut without_reader = None;
        loop {
            if state.reader {
                without_reader = None;
                let room = state.rows + rows <= ROWS_MAX && state.bytes + bytes <= BYTES_MAX;
                if room || state.entries.is_empty() {
                    break;
                }
            }
            let wait = wait_left(&state, started, &mut without_reader)?;
            state = self.freed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let start = state.end.unwrap_or_default();
        let end = start + rows as i64;
        state.end = Some(end);
        if rows > 0 {
            state.rows += rows;
            state.bytes += bytes;
            state.entries.push_back(Entry { start, batch, bytes });
            self.filled.notify_all();
        }
        Ok(end)
    }

    /// The next rows for the reader with that ticket: at most `rows_max`, `None` if none come in time.
    pub(super) fn next(&self, ticket: u64, rows_max: usize, timeout: Duration) -> Result<Option<Piece>> {
        let deadline = clock::now() + timeout;
        let mut state = self.lock();
        loop {
            if state.ticket != ticket {
                return Err(Error::new(Kind::Closed, "reading pushed rows: another reader has taken over"));
            }
            let next = state.next;
            let read = state.entries.partition_point(|e| e.end() <= next);
            if let Some(entry) = state.entries.get(read) {
                let (skip, rows) = ((next - entry.start) as usize, entry.batch.num_rows());
                let batch = entry.batch.slice(skip, (rows - skip).min(rows_max.max(1)));
                let bytes = entry.bytes / rows * batch.num_rows();
                state.next += batch.num_rows() as i64;
                return Ok(Some(Piece { offset: next, batch, bytes }));
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(None);
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Rows before `offset` are durable: forgets them.
    pub(super) fn committed(&self, offset: i64) {
        let mut state = self.lock();
        while state.entries.front().is_some_and(|e| e.end() <= offset) {
            if let Some(entry) = state.entries.pop_front() {
                state.rows -= entry.batch.num_rows();
                state.bytes -= entry.bytes;
            }
        }
        self.freed.notify_all();
    }

    /// The offset behind the last row, once it is known.
    pub(super) fn end(&self) -> Option<i64> {
        self.lock().end
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a push may go on waiting in this state, or the error that ends it.
fn wait_left(state: &State, started: Instant, without_reader: &mut Option<Instant>) -> Result<Duration> {
    let now = clock::now();
    if !state.reader && state.end.is_some() {
        let since = *without_reader.get_or_insert(now);
        let left = (since + READER_WAIT_MAX).saturating_duration_since(now);
        if left.is_zero() {
            return Err(Error::new(Kind::Closed, "pushing rows: nobody reads the queue any more"));
        }
        return Ok(left);
    }
    let left = (started + PUSH_WAIT_MAX).saturating_duration_since(now);
    if !left.is_zero() {
        return Ok(left);
    }
    let seconds = PUSH_WAIT_MAX.as_secs();
    Err(if state.end.is_none() {
        Error::new(Kind::Exhausted, format!("pushing rows: nobody has read the queue for {seconds} s"))
            .with_hint("a source without a view is not read; create a view over it, or a table")
    } else {
        Error::new(Kind::Exhausted, format!("pushing rows: the queue has been full for {seconds} s"))
            .with_hint("see siltstone.operators for what holds the pipeline up")
    })
}
