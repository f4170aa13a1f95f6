//! Waiting for asynchronous libraries from any thread.
//!
//! The futures run on a runtime of their own, and the caller waits on a channel: so it may be called within
//! another runtime too, where starting one would panic.

use std::sync::mpsc;

use siltstone_engine::error::{Error, Kind, Result};
use tokio::runtime::{Builder, Runtime};

use super::cause::Cause;

/// A runtime with one worker.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Taken when dropped.
    runtime: Option<Runtime>,
}

impl Tasks {
    pub fn new() -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("lake").enable_all();
        Ok(Self { runtime: Some(builder.build().doing("starting the lake's runtime")?) })
    }

    /// What the future gives. Blocks.
    pub fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().expect("the runtime is there until the drop");
        runtime.spawn(async move { sender.send(future.await) });
        receiver.recv().map_err(|_| Error::new(Kind::Closed, "an operation of the lake was given up"))
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // An ordinary drop waits, which another runtime's thread may not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
