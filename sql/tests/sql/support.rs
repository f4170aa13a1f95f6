//! A database in a directory of its own, and answers as text.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use siltstone_engine::connector::Registry;
use siltstone_engine::runtime::Options;
use siltstone_sql::{Answer, Database, Error, Outcome, Result, Session};
use tempfile::TempDir;

use crate::connector::{Count, Push};

/// How long a source may take to be read.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(30);

pub fn registry() -> Arc<Registry> {
    Arc::new(Registry::default().with(Arc::new(Push)).with(Arc::new(Count)))
}

pub fn open(dir: &Path) -> Arc<Database> {
    let options = Options {
        memory_bytes: 256 << 20,
        workers: 2,
        epoch_interval: Duration::from_millis(20),
        owner: "a test".to_owned(),
        ..Options::default()
    };
    Database::open(dir, options, registry()).expect("a directory that opens")
}

/// A started database. The directory goes when it is dropped.
pub fn started() -> (TempDir, Arc<Database>) {
    let dir = tempfile::tempdir().expect("a directory");
    let database = open(dir.path());
    database.engine().start(false).expect("pipelines that start");
    (dir, database)
}

pub async fn run(session: &Session, sql: &str) -> Result<Outcome> {
    let statements = session.parse(sql)?;
    let mut last = None;
    for statement in &statements {
        last = Some(session.execute(statement, &[]).await?);
    }
    last.ok_or_else(|| Error::syntax("no statement"))
}

pub async fn rows(outcome: Outcome) -> Result<Vec<String>> {
    match outcome.result {
        Answer::Done { tag } => Ok(vec![tag]),
        Answer::Rows { rows, .. } => {
            let batches: Vec<RecordBatch> = rows.try_collect().await?;
            Ok(batches.iter().flat_map(lines).collect())
        }
    }
}

pub async fn ask(session: &Session, sql: &str) -> Result<Vec<String>> {
    rows(run(session, sql).await?).await
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a type that can be shown"))
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Waits until every bounded source is read.
pub async fn settled(database: &Arc<Database>) {
    let engine = Arc::clone(database.engine());
    let idle = tokio::task::spawn_blocking(move || engine.wait_idle(IDLE_WAIT_MAX)).await.expect("no panic");
    assert!(idle.expect("pipelines that run"), "the sources were not read in time");
}
