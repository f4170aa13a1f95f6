//! Keeping pipelines going until they are done, fail, or the process is asked to stop.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use siltstone_engine::clock;
use siltstone_sql::Database;
use tokio::sync::watch;

use super::engine;
use super::failure::Failure;
use super::progress::Look;
use super::signal::Signals;
use crate::task;

/// How often the line on a terminal is renewed.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often a plain line is written.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// What ends the wait, besides a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Every pipeline is finished, or one has failed.
    Finished,
    /// Nothing: a failed pipeline is told of, and the others go on.
    Signal,
}

/// Shows progress until the end; then stops the pipelines.
pub(super) async fn keep(
    database: &Arc<Database>,
    signals: &mut Signals,
    stopping: &watch::Sender<bool>,
    until: Until,
) -> Result<(), Failure> {
    let started = clock::now();
    let first = look(database, started);
    let mut screen = Screen::new();
    let mut shown = first;
    let mut failed = String::new();
    let ended = loop {
        let tick = if screen.live { LIVE_INTERVAL } else { PLAIN_INTERVAL };
        let finished = async {
            match until {
                Until::Finished => engine::until_idle(database).await,
                Until::Signal => std::future::pending().await,
            }
        };
        tokio::select! {
            finished = finished => break finished.map(|()| "finished"),
            signal = signals.next() => {
                screen.clear();
                eprintln!("siltstone: {signal}, stopping");
                break Ok("stopped");
            }
            () = task::sleep(tick) => {}
        }
        let failure = database.engine().failure().or_else(|| database.engine().backfill_failure());
        if let Some(error) = failure.filter(|e| e.message() != failed) {
            screen.clear();
            error.message().clone_into(&mut failed);
            Failure::pipeline(error).print();
        }
        let now = look(database, started);
        if screen.live || now.differs(&shown) {
            screen.show(&now.line(&shown));
        }
        shown = now;
    };
    stopping.send_replace(true);
    tokio::select! {
        () = engine::stop(database) => {}
        _ = signals.end_at_next() => {}
    }
    screen.clear();
    let how = ended?;
    eprintln!("siltstone: {}", look(database, started).summary(&first, how));
    Ok(())
}

fn look(database: &Database, started: Instant) -> Look {
    Look::new(&database.engine().status(), clock::now().duration_since(started))
}

/// One line that changes on a terminal, plain lines elsewhere.
struct Screen {
    live: bool,
}

impl Screen {
    fn new() -> Self {
        Self { live: io::stderr().is_terminal() }
    }

    fn show(&mut self, line: &str) {
        let mut out = io::stderr().lock();
        // Progress that cannot be shown is no reason to stop.
        let _ = match self.live {
            true => write!(out, "\r\x1b[K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "siltstone: {line}"),
        };
    }

    fn clear(&mut self) {
        if self.live {
            eprint!("\r\x1b[K");
        }
    }
}
