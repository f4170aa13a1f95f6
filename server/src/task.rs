//! The only module of this crate that starts tasks and threads, waits for time to pass and asks for it.
//! `clippy.toml` bans the calls everywhere else.
#![allow(clippy::disallowed_methods, reason = "this is the module made for it")]

use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "server")]
use std::sync::OnceLock;
use std::sync::mpsc;
use std::task::{Context, Poll};
#[cfg(feature = "server")]
use std::time::Duration;

use siltstone_engine::error::Error;
use siltstone_sql::Result;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// More than one, so that a few statements that never pause leave room for others.
#[cfg(feature = "server")]
const STATEMENT_THREADS_A_CORE: usize = 4;

/// A runtime of our own, usable from any thread, in another runtime or not.
pub(crate) struct Runtime {
    /// `None` only while it is dropped.
    inner: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let inner = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("siltstone-task")
            .enable_all()
            .build()
            .map_err(|e| Error::io("starting the task runtime", e))?;
        Ok(Self { inner: Some(inner) })
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.inner.as_ref().expect("a runtime is there until it is dropped").handle()
    }

    /// Starts work; dropping the answer ends it.
    pub(crate) fn start<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(self.handle().spawn(work))
    }

    /// Starts blocking work.
    pub(crate) fn start_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Task<T> {
        Task(self.handle().spawn_blocking(work))
    }

    /// Runs work to its end and blocks this thread for it: on this thread, which saves two changes of threads,
    /// unless it belongs to a runtime.
    pub(crate) fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        if Handle::try_current().is_err() {
            return self.handle().block_on(work);
        }
        let (send, receive) = mpsc::sync_channel(1);
        let task = self.start(async move {
            // The receiver waits below; only its panic could have taken it away.
            let _ = send.send(work.await);
        });
        match receive.recv() {
            Ok(answer) => answer,
            Err(_) => {
                drop(task);
                panic!("the work of a blocking call panicked")
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Unlike a plain drop, this is allowed inside another runtime.
        if let Some(runtime) = self.inner.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work that was started; dropping it ends the work at its next pause.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            Poll::Ready(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts work in the current runtime that goes on by itself.
#[cfg(feature = "server")]
pub(crate) fn detach(work: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(work));
}

/// Starts work in the current runtime; dropping the answer ends it.
#[cfg(feature = "server")]
pub(crate) fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task(tokio::spawn(work))
}

/// Starts a statement's work, on threads that do nothing else: however long it computes without a pause,
/// connections are accepted, answered and cancelled meanwhile. Dropping the answer ends it.
#[cfg(feature = "server")]
pub(crate) fn start_statement<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    static STATEMENTS: OnceLock<Option<Runtime>> = OnceLock::new();
    let threads = cores() * STATEMENT_THREADS_A_CORE;
    match STATEMENTS.get_or_init(|| Runtime::new(threads).ok()) {
        Some(runtime) => runtime.start(work),
        None => start(work),
    }
}

/// Runs blocking work beside the current runtime's tasks.
#[cfg(feature = "server")]
pub(crate) fn start_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
    Task(tokio::task::spawn_blocking(work))
}

/// Waits for time to pass.
#[cfg(feature = "server")]
pub(crate) async fn sleep(wait: Duration) {
    tokio::time::sleep(wait).await;
}

/// `work`'s answer, or `None` when time ran out; the work is dropped then.
#[cfg(feature = "server")]
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Resolves at that moment, never if there is none.
#[cfg(feature = "server")]
pub(crate) async fn until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
