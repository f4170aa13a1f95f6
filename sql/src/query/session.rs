//! A session: its settings, its prepared statements, and what each statement does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::DataType as SqlType;
use tokio::task::spawn_blocking;

use super::{describe, explain, insert, parameter, select, show};
use crate::database::Database;
use crate::definition::{self, Existing};
use crate::error::{Error, Result, sqlstate};
use crate::outcome::{Described, Notice, Outcome, Value};
use crate::parse::{self, Command, SetValue, Statement};
use crate::setting::Settings;

/// Statements a session may have prepared with `PREPARE`.
const PREPARED_MAX: usize = 1_000;

/// One client's conversation. `SET` stays with it.
pub struct Session {
    pub(super) database: Arc<Database>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    settings: Settings,
    prepared: BTreeMap<String, Prepared>,
    block: Block,
}

/// Whether the client thinks that it is in a transaction.
#[derive(Default)]
struct Block {
    open: bool,
    wrote: bool,
}

/// A statement that `PREPARE` named.
#[derive(Clone)]
pub(super) struct Prepared {
    pub types: Vec<SqlType>,
    pub command: Command,
}

impl Database {
    /// A session with default settings.
    pub fn session(self: &Arc<Self>) -> Session {
        Session { database: Arc::clone(self), state: Mutex::default() }
    }
}

impl Session {
    /// Splits and parses a text; one element for each statement, empty ones left out.
    ///
    /// # Errors
    /// 42601 with the position in the text, or 0A000 with the name of what is not there.
    #[allow(clippy::unused_self, reason = "what parses may come to depend on the session")]
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        parse::parse(sql)
    }

    /// Runs one statement. Dropping the future or the rows ends the work.
    pub async fn execute(&self, statement: &Statement, parameters: &[Value]) -> Result<Outcome> {
        self.run(statement, parameters, Existing::Refuse).await
    }

    /// As [`Session::execute`], for a script that is run again: a `CREATE` of what exists does nothing if the
    /// definition is the same, and names the differences if it is not.
    pub async fn apply(&self, statement: &Statement) -> Result<Outcome> {
        self.run(statement, &[], Existing::Compare).await
    }

    /// The types of a statement's parameters and of its columns. `hints` are types that the client gave.
    pub async fn describe(&self, statement: &Statement, hints: &[Option<DataType>]) -> Result<Described> {
        describe::describe(self, statement.command(), hints).await.map_err(|e| statement.locate(e))
    }

    /// `statement_timeout` of this session, `None` when 0.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.state().settings.statement_timeout()
    }

    /// The value that `SHOW` would give.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.state().settings.get(name)
    }

    /// As `SET` does.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.state().settings.set(name, value)
    }

    pub(super) fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    pub(super) fn prepared(&self, name: &str) -> Result<Prepared> {
        self.state().prepared.get(name).cloned().ok_or_else(|| not_prepared(name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, statement: &Statement, parameters: &[Value], existing: Existing) -> Result<Outcome> {
        self.dispatch(statement, parameters, existing).await.map_err(|error| statement.locate(error))
    }

    async fn dispatch(
        &self,
        statement: &Statement,
        parameters: &[Value],
        existing: Existing,
    ) -> Result<Outcome> {
        let mut early = Vec::new();
        if matches!(
            statement.command(),
            Command::CreateSource(_) | Command::CreateView(_) | Command::Drop(_) | Command::Insert(_)
        ) {
            early.extend(self.write_in_block());
        }
        let mut outcome = match statement.command().clone() {
            Command::Query(query) => select::query(self, &query, &[], parameters).await,
            Command::Insert(insert) => insert::insert(self, &insert, &[], parameters).await,
            Command::Explain(what) => explain::explain(self, &what, parameters).await,
            Command::CreateSource(create) => {
                let tag = format!("CREATE {}", create.kind());
                self.blocking(tag, move |database| definition::create_source(database, &create, existing))
                    .await
            }
            Command::CreateView(create) => {
                let tag = "CREATE MATERIALIZED VIEW".to_owned();
                self.blocking(tag, move |database| definition::create_view(database, &create, existing)).await
            }
            Command::Drop(drop) => {
                let tag = format!("DROP {}", drop.kind);
                self.blocking(tag, move |database| definition::drop(database, &drop)).await
            }
            Command::Show(what) => show::show(self, &what),
            Command::Describe(name) => show::columns(self, &name),
            Command::Execute { name, arguments } => self.execute_prepared(&name, &arguments).await,
            Command::Set { name, value } => self.change(&name, &value),
            Command::Reset(name) => self.reset(name.as_deref()),
            Command::Transaction(tag) => Ok(self.transaction(tag)),
            Command::DiscardAll => Ok(self.discard()),
            Command::Prepare { name, types, statement } => self.prepare(name, types, *statement),
            Command::Deallocate(name) => self.deallocate(name.as_deref()),
        }?;
        outcome.notices.splice(0..0, early);
        Ok(outcome)
    }

    /// Runs what waits for the disk off the async threads. Once begun it is carried through.
    async fn blocking(
        &self,
        tag: String,
        work: impl FnOnce(&Database) -> Result<Vec<Notice>> + Send + 'static,
    ) -> Result<Outcome> {
        let database = Arc::clone(&self.database);
        let done = spawn_blocking(move || work(&database)).await;
        let notices =
            done.map_err(|e| Error::new(sqlstate::INTERNAL, format!("the statement broke off: {e}")))??;
        Ok(Outcome::done(tag, notices))
    }

    fn change(&self, name: &str, value: &SetValue) -> Result<Outcome> {
        match value {
            SetValue::Default => self.state().settings.reset(name)?,
            SetValue::Text(value) => self.set(name, value)?,
        }
        Ok(Outcome::done("SET", Vec::new()))
    }

    fn reset(&self, name: Option<&str>) -> Result<Outcome> {
        match name {
            Some(name) => self.state().settings.reset(name)?,
            None => self.state().settings.reset_all(),
        }
        Ok(Outcome::done("RESET", Vec::new()))
    }

    /// Every statement stands alone. A block that writes is told so once, and again if it is rolled back.
    fn transaction(&self, tag: &'static str) -> Outcome {
        let mut state = self.state();
        let mut notices = Vec::new();
        match tag {
            "BEGIN" | "START TRANSACTION" => state.block = Block { open: true, wrote: false },
            "ROLLBACK" => {
                if state.block.wrote {
                    notices.push(
                        Notice::warning("what ran in this block stands").with_hint(
                            "there are no transactions: each statement is durable when it returns",
                        ),
                    );
                }
                state.block = Block::default();
            }
            "COMMIT" => state.block = Block::default(),
            _ => {}
        }
        Outcome::done(tag, notices)
    }

    fn write_in_block(&self) -> Option<Notice> {
        let mut state = self.state();
        if !state.block.open || state.block.wrote {
            return None;
        }
        state.block.wrote = true;
        Some(
            Notice::notice("this statement takes effect at once, not at COMMIT")
                .with_hint("there are no transactions: each statement is durable when it returns"),
        )
    }

    fn discard(&self) -> Outcome {
        *self.state() = State::default();
        Outcome::done("DISCARD ALL", Vec::new())
    }

    fn prepare(&self, name: String, types: Vec<SqlType>, command: Command) -> Result<Outcome> {
        let mut state = self.state();
        if state.prepared.contains_key(&name) {
            return Err(Error::new(
                sqlstate::DUPLICATE_PREPARED,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        if state.prepared.len() >= PREPARED_MAX {
            return Err(Error::new(
                sqlstate::TOO_MANY,
                format!("a session may prepare {PREPARED_MAX} statements"),
            ));
        }
        state.prepared.insert(name, Prepared { types, command });
        Ok(Outcome::done("PREPARE", Vec::new()))
    }

    fn deallocate(&self, name: Option<&str>) -> Result<Outcome> {
        match name {
            None => self.state().prepared.clear(),
            Some(name) => {
                self.state().prepared.remove(name).ok_or_else(|| not_prepared(name))?;
            }
        }
        Ok(Outcome::done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }, Vec::new()))
    }

    async fn execute_prepared(
        &self,
        name: &str,
        arguments: &[datafusion::sql::sqlparser::ast::Expr],
    ) -> Result<Outcome> {
        let prepared = self.prepared(name)?;
        let values = parameter::evaluate(self, arguments).await?;
        match &prepared.command {
            Command::Query(query) => select::query(self, query, &prepared.types, &values).await,
            Command::Insert(insert) => insert::insert(self, insert, &prepared.types, &values).await,
            _ => Err(Error::unsupported("EXECUTE of anything but a query or INSERT")),
        }
    }
}

fn not_prepared(name: &str) -> Error {
    Error::new(sqlstate::INVALID_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"))
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("settings", &self.settings()).finish_non_exhaustive()
    }
}
