//! The one module of this crate that reads a clock.
#![allow(clippy::disallowed_methods, reason = "this is the module made for it")]

use std::time::{Duration, Instant};

/// What `work` returned, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let answer = work();
    (answer, started.elapsed())
}
