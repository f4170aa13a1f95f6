//! An open Siltstone directory, for the program that embeds it.
//!
//! Invariants: pipelines run from `open` to `close` (or to the drop of the last clone); rows that a call
//! returned as durable are on disk; no call depends on the caller's runtime.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use siltstone_connectors::lake::IcebergLake;
use siltstone_engine::error::{Error, Kind};
use siltstone_engine::runtime::{Options, RelationKind, Status};
use siltstone_sql::{Answer, Database, Notice, Result, Statement, Value};

use crate::opened::Shared;
use crate::source::SourceHandle;
use crate::task::{Runtime, cores};

/// Memory of an instance that says nothing else.
const MEMORY_BYTES: u64 = 512 << 20;
/// Time between epochs of an instance that says nothing else.
const EPOCH_INTERVAL: Duration = Duration::from_secs(1);

/// An open directory. Clones are the same instance.
#[derive(Clone)]
pub struct Siltstone {
    shared: Arc<Shared>,
}

/// A query that is planned. It stays usable while relations are created and dropped, as long as those that it
/// names are there.
#[derive(Clone)]
pub struct Prepared {
    shared: Arc<Shared>,
    statement: Statement,
}

/// How to open a directory.
#[derive(Clone, Debug)]
pub struct Builder {
    dir: PathBuf,
    options: Options,
}

/// What statements answered besides rows.
#[derive(Default)]
pub struct Executed {
    /// One for each statement: `CREATE TABLE`, `INSERT 0 3`, `SELECT 5`, …
    pub tags: Vec<String>,
    pub notices: Vec<Notice>,
}

impl Siltstone {
    /// Opens or creates a directory with 512 MiB of memory, a worker for each core and an epoch a second,
    /// and starts its pipelines.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder(dir).open()
    }

    /// Opens with other settings.
    pub fn builder(dir: impl AsRef<Path>) -> Builder {
        let options = Options {
            memory_bytes: MEMORY_BYTES,
            workers: cores(),
            epoch_interval: EPOCH_INTERVAL,
            owner: "an embedding program".to_owned(),
            ..Options::default()
        };
        Builder { dir: dir.as_ref().to_owned(), options }
    }

    /// Runs one or more statements. Rows that they return are read and dropped.
    ///
    /// # Errors
    /// The first statement's that fails; those before it stay done.
    pub fn execute(&self, sql: &str) -> Result<Executed> {
        self.shared.runtime.wait(execute(Arc::clone(&self.shared), sql.to_owned()))
    }

    /// As [`Siltstone::execute`]; dropping the future ends the work.
    ///
    /// # Errors
    /// As [`Siltstone::execute`].
    pub async fn execute_async(&self, sql: &str) -> Result<Executed> {
        self.shared.runtime.start(execute(Arc::clone(&self.shared), sql.to_owned())).await
    }

    /// The rows of one query, all read at one epoch.
    ///
    /// # Errors
    /// If `sql` is not exactly one statement that returns rows, or it fails.
    pub fn query(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.shared.runtime.wait(query(Arc::clone(&self.shared), sql.to_owned()))
    }

    /// As [`Siltstone::query`]; dropping the future ends the work.
    ///
    /// # Errors
    /// As [`Siltstone::query`].
    pub async fn query_async(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.shared.runtime.start(query(Arc::clone(&self.shared), sql.to_owned())).await
    }

    /// Plans one query, to be asked again and again with other values for its parameters `$1`, `$2`, …
    ///
    /// ```no_run
    /// # fn main() -> siltstone::Result<()> {
    /// # let db = siltstone::Siltstone::open("data")?;
    /// let page = db.prepare("SELECT hour, n FROM hits_by_hour WHERE page = $1 AND hour >= $2")?;
    /// for name in ["/home", "/about"] {
    ///     for batch in page.query(&[name.into(), "2024-06-01 12:00:00".into()])? {
    ///         println!("{name}: {} hours", batch.num_rows());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If `sql` is not exactly one query, or it cannot be planned.
    pub fn prepare(&self, sql: &str) -> Result<Prepared> {
        self.shared.runtime.wait(prepare(Arc::clone(&self.shared), sql.to_owned()))
    }

    /// A source or table to push rows to, by its name.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn source(&self, name: &str) -> Result<SourceHandle> {
        let stored = self.shared.database.engine().stored();
        let found = stored.iter().find(|r| r.kind != RelationKind::View && r.name == name);
        let relation =
            found.ok_or_else(|| Error::new(Kind::NotFound, format!("no source or table \"{name}\"")))?;
        Ok(SourceHandle::new(Arc::clone(&self.shared), relation.id, name))
    }

    /// What the engine says of its sources, views and epochs.
    pub fn status(&self) -> Status {
        self.shared.database.engine().status()
    }

    /// Waits until every source that ends was read to its end; `false` when time ran out before.
    ///
    /// # Errors
    /// If a pipeline has failed.
    pub fn wait_idle(&self, limit: Duration) -> Result<bool> {
        let engine = self.shared.database.engine();
        let idle = engine.wait_idle(limit)?;
        match engine.failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(idle),
        }
    }

    /// Closes the last epoch and stops the pipelines. Other clones can still query, but no longer write.
    pub fn close(self) {
        self.shared.database.engine().stop();
    }
}

impl Prepared {
    /// The rows of the query with these values for its parameters, all read at one epoch: the newest one.
    /// Texts stand for values of any type, as literals in quotes do.
    ///
    /// # Errors
    /// If a value is missing or does not fit its parameter's type, or the query fails.
    pub fn query(&self, values: &[Value]) -> Result<Vec<RecordBatch>> {
        self.shared.runtime.wait(rows(Arc::clone(&self.shared), self.statement.clone(), values.to_vec()))
    }

    /// As [`Prepared::query`]; dropping the future ends the work.
    ///
    /// # Errors
    /// As [`Prepared::query`].
    pub async fn query_async(&self, values: &[Value]) -> Result<Vec<RecordBatch>> {
        let rows = rows(Arc::clone(&self.shared), self.statement.clone(), values.to_vec());
        self.shared.runtime.start(rows).await
    }
}

impl Builder {
    /// One budget for everything: states, caches and queries.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.options.memory_bytes = bytes;
        self
    }

    /// Folding threads for each source.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.options.workers = workers.max(1);
        self
    }

    /// How often rows become durable and visible at least, but where history is replayed.
    #[must_use]
    pub fn epoch_interval(mut self, interval: Duration) -> Self {
        self.options.epoch_interval = interval;
        self
    }

    /// How fresh the tables in the lake are to be.
    #[must_use]
    pub fn lake_interval(mut self, interval: Duration) -> Self {
        self.options.lake_interval = interval;
        self
    }

    /// Snapshots that are kept of each table in the lake, at least one.
    #[must_use]
    pub fn lake_snapshots(mut self, snapshots: usize) -> Self {
        self.options.lake_snapshots = snapshots.max(1);
        self
    }

    /// Opens or creates the directory and starts its pipelines.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be read.
    pub fn open(self) -> Result<Siltstone> {
        let runtime = Runtime::new(self.options.workers)?;
        let registry = Arc::new(siltstone_connectors::registry());
        let entered = runtime.handle().enter();
        let mut options = self.options;
        options.lake = Some(IcebergLake::local(&self.dir.join("lake"))?);
        let database = Database::open(&self.dir, options, registry)?;
        database.engine().start(false)?;
        drop(entered);
        let session = database.session();
        Ok(Siltstone { shared: Arc::new(Shared { database, runtime, session }) })
    }
}

async fn execute(shared: Arc<Shared>, sql: String) -> Result<Executed> {
    let mut executed = Executed::default();
    for statement in shared.session.parse(&sql)? {
        let outcome = shared.session.execute(&statement, &[]).await?;
        executed.notices.extend(outcome.notices);
        executed.tags.push(match outcome.result {
            Answer::Done { tag } => tag,
            Answer::Rows { mut rows, tag, .. } => {
                let mut count = 0;
                while let Some(batch) = rows.try_next().await? {
                    count += batch.num_rows();
                }
                format!("{tag} {count}")
            }
        });
    }
    Ok(executed)
}

async fn query(shared: Arc<Shared>, sql: String) -> Result<Vec<RecordBatch>> {
    let statement = one(&shared, &sql)?;
    rows(shared, statement, Vec::new()).await
}

/// The one statement of a text.
fn one(shared: &Shared, sql: &str) -> Result<Statement> {
    let mut statements = shared.session.parse(sql)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (last, others) => {
            let count = others + usize::from(last.is_some());
            Err(Error::invalid(format!("a query is one statement, and this is {count}")).into())
        }
    }
}

async fn prepare(shared: Arc<Shared>, sql: String) -> Result<Prepared> {
    let statement = one(&shared, &sql)?;
    if !statement.is_query() {
        return Err(Error::invalid("only a query can be prepared").with_hint("use execute").into());
    }
    shared.session.describe(&statement, &[]).await?;
    Ok(Prepared { shared, statement })
}

async fn rows(shared: Arc<Shared>, statement: Statement, values: Vec<Value>) -> Result<Vec<RecordBatch>> {
    match shared.session.execute(&statement, &values).await?.result {
        Answer::Rows { rows, .. } => rows.try_collect().await,
        Answer::Done { tag } => {
            let error = Error::invalid(format!("{tag} returns no rows")).with_hint("use execute");
            Err(error.into())
        }
    }
}
