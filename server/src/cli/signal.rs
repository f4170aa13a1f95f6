//! SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Exit code of a process that was asked twice.
const IMPATIENT: i32 = 130;

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals from here on.
    pub(super) fn new() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|e| Failure::io("taking signals", &e));
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Waits for a signal; the answer is its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Waits for a second signal and ends the process.
    pub(super) async fn end_at_next(&mut self) -> ! {
        self.next().await;
        std::process::exit(IMPATIENT)
    }
}
