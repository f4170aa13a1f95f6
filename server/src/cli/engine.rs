//! Starting the engine, waiting for it and stopping it, off the threads that talk.

use std::sync::Arc;
use std::time::Duration;

use siltstone_sql::Database;

use super::failure::Failure;
use crate::task;

/// Longest wait for the engine at one time.
const WAIT: Duration = Duration::from_secs(1);

/// Starts the pipelines.
pub(super) async fn start(database: &Arc<Database>, bounded: bool) -> Result<(), Failure> {
    let engine = Arc::clone(database.engine());
    task::start_blocking(move || engine.start(bounded)).await.map_err(Failure::pipeline)
}

/// Closes the last epoch and stops the pipelines.
pub(super) async fn stop(database: &Arc<Database>) {
    let engine = Arc::clone(database.engine());
    task::start_blocking(move || engine.stop()).await;
}

/// Waits until every pipeline is finished; an error if one has failed.
pub(super) async fn until_idle(database: &Database) -> Result<(), Failure> {
    loop {
        let engine = Arc::clone(database.engine());
        let idle = task::start_blocking(move || {
            let idle = engine.wait_idle(WAIT)?;
            match engine.failure() {
                Some(failure) => Err(failure),
                None => Ok(idle),
            }
        });
        if idle.await.map_err(Failure::pipeline)? {
            return Ok(());
        }
    }
}
