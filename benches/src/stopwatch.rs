//! The one module of this crate that reads a clock, and that waits.
#![allow(clippy::disallowed_methods, reason = "this is the module made for it")]

use std::io;
use std::time::{Duration, Instant};

/// Between two looks at a condition that is waited for.
const POLL: Duration = Duration::from_millis(20);

/// Runs from its start on.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What `work` returned, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let watch = Stopwatch::start();
    let answer = work();
    (answer, watch.elapsed())
}

/// Looks again and again until `done` answers true.
///
/// # Errors
/// What `done` failed with, or that the time ran out.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let watch = Stopwatch::start();
    while !done()? {
        if watch.elapsed() > limit {
            return Err(io::Error::other(format!("{what}: not within {} s", limit.as_secs())));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
