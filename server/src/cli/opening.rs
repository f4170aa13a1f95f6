//! Opening a data directory for a command, and applying a script to it.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use siltstone_sql::script::ScriptStatement;
use siltstone_sql::{Answer, Database, Session};

use super::config::Settings;
use super::engine;
use super::failure::{self, Failure};
use crate::keyword;
use crate::print::{Format, Printer};
use crate::remark::Remark;
use crate::task;

/// How often a directory is tried again that only `siltstone sql` holds, which is never for long.
const ATTEMPTS_MAX: usize = 50;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);
/// How `siltstone sql` names itself as owner.
pub(super) const QUERY_OWNER: &str = "siltstone sql";

/// Opens or makes the directory.
pub(super) async fn open(settings: &Settings, dir: &Path, owner: &str) -> Result<Arc<Database>, Failure> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).map_err(|e| Failure::io(format!("making data directory {}", dir.display()), &e))?;
    let registry = Arc::new(siltstone_connectors::registry());
    let mut attempts = 0;
    loop {
        let (dir, registry) = (dir.to_owned(), Arc::clone(&registry));
        let (settings, who) = (settings.clone(), owner.to_owned());
        let open = move || Database::open(&dir, settings.options(&dir, &who)?, registry);
        let opened = task::start_blocking(open).await;
        let failure = match opened {
            Ok(database) => return Ok(database),
            Err(error) => Failure::opening(error),
        };
        let passing = owner != QUERY_OWNER && failure.to_string().contains(QUERY_OWNER);
        if failure.code != failure::BUSY || !passing || attempts >= ATTEMPTS_MAX {
            return Err(failure);
        }
        attempts += 1;
        task::sleep(ATTEMPT_PAUSE).await;
    }
}

/// Makes a script's definitions, up to the first statement that needs the pipelines (a query, an `INSERT`);
/// the answer is the rest. A definition that is there already is no change; another of the same name is an
/// error.
pub(super) async fn define<'a>(
    session: &Session,
    statements: &'a [ScriptStatement],
) -> Result<&'a [ScriptStatement], Failure> {
    let first = statements.iter().position(|s| needs_pipelines(&s.sql)).unwrap_or(statements.len());
    let (definitions, rest) = statements.split_at(first);
    for statement in definitions {
        apply_one(session, statement).await?;
    }
    Ok(rest)
}

/// Runs the rest, once the pipelines have started. With `bounded`, a query waits for the input's end.
pub(super) async fn apply(
    database: &Database,
    session: &Session,
    statements: &[ScriptStatement],
    bounded: bool,
) -> Result<(), Failure> {
    for statement in statements {
        if bounded && keyword::first(&statement.sql) == "SELECT" {
            engine::until_idle(database).await?;
        }
        apply_one(session, statement).await?;
    }
    Ok(())
}

fn needs_pipelines(sql: &str) -> bool {
    matches!(keyword::first(sql).as_str(), "INSERT" | "SELECT" | "WITH" | "TABLE" | "VALUES" | "")
}

async fn apply_one(session: &Session, statement: &ScriptStatement) -> Result<(), Failure> {
    let place = || format!("{}:{}", statement.file.display(), statement.line);
    run_one(session, &statement.sql).await.map_err(|failure| failure.at(place()))
}

async fn run_one(session: &Session, sql: &str) -> Result<(), Failure> {
    for statement in session.parse(sql)? {
        let outcome = session.apply(&statement).await?;
        for notice in outcome.notices {
            eprintln!("{}", Remark::from(notice));
        }
        if let Answer::Rows { schema, mut rows, tag } = outcome.result {
            let mut printer = Printer::new(io::stdout(), Format::Table);
            let printed = |e: io::Error| Failure::io("writing to standard output", &e);
            printer.columns(&schema).map_err(printed)?;
            while let Some(batch) = rows.next().await {
                printer.rows(&batch?).map_err(printed)?;
            }
            printer.done(tag).map_err(printed)?;
            io::stdout().flush().map_err(printed)?;
        }
    }
    Ok(())
}
