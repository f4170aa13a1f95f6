//! Where `siltstone sql` sends statements: to the process that owns the directory, or to the directory
//! itself when nobody does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone_sql::{Answer, Database, Session};

use super::config::Settings;
use super::failure::{self, Failure};
use super::{engine, opening};
use crate::batches::Batches;
use crate::channel::{Client, Part};
use crate::keyword;
use crate::remark::Remark;
use crate::task;

/// How often the owner is asked for again while it starts or ends.
const ATTEMPTS_MAX: usize = 20;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) enum Target {
    Owner { client: Client, dir: PathBuf },
    Own { database: Arc<Database>, session: Arc<Session>, started: bool },
}

impl Target {
    /// Asks the owner if there is one, else opens the directory.
    pub(super) async fn find(settings: &Settings, dir: &Path, may_create: bool) -> Result<Self, Failure> {
        let asking = |e: &std::io::Error| Failure::io(format!("asking the owner of {}", dir.display()), e);
        let mut attempt = 0;
        loop {
            if let Some(client) = Client::connect(dir).await.map_err(|e| asking(&e))? {
                return Ok(Self::Owner { client, dir: dir.to_owned() });
            }
            if !may_create && !dir.exists() {
                return Err(Failure::new(format!("data directory {} does not exist", dir.display()))
                    .with_hint("siltstone run and siltstone serve make it, and so does CREATE here"));
            }
            match opening::open(settings, dir, opening::QUERY_OWNER).await {
                Ok(database) => {
                    let session = Arc::new(database.session());
                    return Ok(Self::Own { database, session, started: false });
                }
                Err(failure) if failure.code == failure::BUSY && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                    task::sleep(ATTEMPT_PAUSE).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// A database that this process has open and running.
    pub(super) fn shared(database: Arc<Database>) -> Self {
        let session = Arc::new(database.session());
        Self::Own { database, session, started: true }
    }

    /// Runs statements; `take` gets what comes, in order. Dropping the future ends the work.
    pub(super) async fn run(
        &mut self,
        sql: &str,
        take: &mut (dyn FnMut(Part) -> Result<(), Remark> + Send),
    ) -> Result<(), Remark> {
        match self {
            Self::Owner { client, .. } => client.run(sql, take).await,
            Self::Own { database, session, started } => {
                for statement in session.parse(sql).map_err(Remark::from)? {
                    // A pure query reads the last epoch; only rows need the pipelines to become one.
                    if !*started && keyword::first(statement.text()) == "INSERT" {
                        let engine = Arc::clone(database.engine());
                        let begun = task::start_blocking(move || engine.start(false)).await;
                        begun.map_err(|e| Remark::from(siltstone_sql::Error::from(e)))?;
                        *started = true;
                    }
                    run_own(session, &statement, take).await?;
                }
                Ok(())
            }
        }
    }

    /// Makes the target fit for use again after a statement was given up.
    pub(super) async fn renew(&mut self) -> Result<(), Failure> {
        if let Self::Owner { client, dir } = self {
            let again = Client::connect(dir).await.map_err(|e| Failure::io("asking the owner again", &e))?;
            *client = again.ok_or_else(|| Failure::new("the process that owned the directory has ended"))?;
        }
        Ok(())
    }

    /// Ends what was started.
    pub(super) async fn close(self) {
        if let Self::Own { database, .. } = self {
            engine::stop(&database).await;
        }
    }
}

async fn run_own(
    session: &Arc<Session>,
    statement: &siltstone_sql::Statement,
    take: &mut (dyn FnMut(Part) -> Result<(), Remark> + Send),
) -> Result<(), Remark> {
    let (session, statement) = (Arc::clone(session), statement.clone());
    let outcome = task::start_statement(async move { session.execute(&statement, &[]).await }).await;
    let outcome = outcome.map_err(Remark::from)?;
    for notice in outcome.notices {
        take(Part::Notice(notice.into()))?;
    }
    let tag = match outcome.result {
        Answer::Done { tag } => tag,
        Answer::Rows { schema, rows, tag } => {
            let mut rows = Batches::new(rows);
            take(Part::Columns(schema))?;
            let mut count = 0;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(Remark::from)?;
                count += batch.num_rows();
                take(Part::Rows(batch))?;
            }
            if tag == "SELECT" { format!("SELECT {count}") } else { tag.to_owned() }
        }
    };
    take(Part::Tag(tag))
}
