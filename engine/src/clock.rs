//! The only module that reads a clock, sleeps or starts threads, so that everything else stays
//! repeatable. `clippy.toml` bans the calls everywhere else.
#![allow(clippy::disallowed_methods, reason = "this is the module made for it")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

/// A monotonic instant.
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds since 1970-01-01 UTC by the system's clock.
pub fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Waits, for back-off between retries and for nothing else.
pub fn sleep(wait: Duration) {
    std::thread::sleep(wait);
}

/// Starts a named thread.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let name = name.into();
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(work)
        .map_err(|e| Error::io(format!("starting thread {name}"), e))
}

/// Does the same work on several threads, this one among them; the first error there is. A panic in any of
/// them goes on in this one.
pub fn in_parallel(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let own = work();
        others.into_iter().map(joined).fold(own, Result::and)
    })
}

/// Does one thing on a thread of its own and another on this one; the error of this one comes first.
pub fn beside<A: Send, B>(
    other: impl FnOnce() -> Result<A> + Send,
    own: impl FnOnce() -> Result<B>,
) -> Result<(A, B)> {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        let own = own();
        let other = joined(other);
        own.and_then(|own| Ok((other?, own)))
    })
}

/// What a thread has come to; a panic in it goes on in this one.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Does the work; a panic in it becomes an error, so that whoever waits for the thread learns of it.
pub fn guarded<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Error::corrupt(format!("{what} panicked: {text}"))
            .with_hint("this is a defect of the program; what was committed before is not touched by it"))
    })
}
