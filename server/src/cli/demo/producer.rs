//! The demo's events on their way to the topic: a thread that keeps a rate, and never runs so far ahead of
//! the rollups that the broker would drop something.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use siltstone_connectors::datagen::ad::{Generator, YEAR_ROWS};
use siltstone_connectors::kafka::MockBroker;
use siltstone_engine::clock;
use siltstone_engine::error::{Error, Kind, Result};
use siltstone_sql::Database;

use super::PARTITIONS;
use crate::cli::failure::Failure;

/// Events that are produced and not yet counted. The broker keeps 5 MiB a partition, some 20,000 events,
/// and drops older ones silently.
const AHEAD_MAX: u64 = 40_000;
/// Pause between two portions.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the last events may take to reach the broker.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Producer {
    produced: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Producer {
    pub(super) fn start(
        broker: Arc<MockBroker>,
        database: Arc<Database>,
        seed: u64,
        rate: u64,
    ) -> std::result::Result<Self, Failure> {
        let produced = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, end) = (Arc::clone(&produced), Arc::clone(&stop));
        let work = move || produce(&broker, &database, &Generator::new(seed, YEAR_ROWS), rate, &count, &end);
        let thread = clock::spawn("demo-producer", work).map_err(Failure::pipeline)?;
        Ok(Self { produced, stop, thread })
    }

    pub(super) fn produced(&self) -> u64 {
        self.produced.load(Ordering::Relaxed)
    }

    /// Ends it; the answer is how many events the broker has taken.
    pub(super) fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(ended) => ended.map(|()| self.produced.load(Ordering::Relaxed)),
            Err(_) => Err(Error::new(Kind::Closed, "the demo's producer has panicked")),
        }
    }
}

fn produce(
    broker: &MockBroker,
    database: &Database,
    generator: &Generator,
    rate: u64,
    produced: &AtomicU64,
    stop: &AtomicBool,
) -> Result<()> {
    let portion = (rate * PAUSE.as_millis() as u64 / 1_000).max(1);
    let started = clock::now();
    let mut held_back = Duration::ZERO;
    let mut number = 0;
    let mut payload = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let counted: u64 = database.engine().status().sources.iter().map(|s| s.rows).sum();
        if number >= counted + AHEAD_MAX {
            clock::sleep(PAUSE);
            held_back += PAUSE;
            continue;
        }
        for _ in 0..portion.min(counted + AHEAD_MAX - number) {
            let event = generator.event(number);
            payload.clear();
            event.put_json(&mut payload);
            let partition = i32::try_from(event.user % PARTITIONS as u64).unwrap_or(0);
            broker.produce(partition, event.country.as_bytes(), &payload)?;
            number += 1;
        }
        produced.store(number, Ordering::Relaxed);
        let due = Duration::from_secs_f64(number as f64 / rate as f64) + held_back;
        if let Some(rest) = due.checked_sub(clock::now().duration_since(started)) {
            clock::sleep(rest);
        }
    }
    broker.flush(FLUSH_LIMIT)
}
