//! A session: its settings, its prepared statements, and whether it thinks that it is in a transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::sql::sqlparser::ast::DataType as SqlType;

use crate::database::Database;
use crate::error::{Error, Result, sqlstate};
use crate::outcome::{Notice, Outcome};
use crate::parse::{Command, SetValue};
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

impl Prepared {
    /// What stands for its text.
    pub fn text(&self) -> String {
        match &self.command {
            Command::Query(query) => query.to_string(),
            _ => String::new(),
        }
    }
}

impl Database {
    /// A session with default settings.
    pub fn session(self: &Arc<Self>) -> Session {
        Session { database: Arc::clone(self), state: Mutex::default() }
    }
}

impl Session {
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

    pub(super) fn change(&self, name: &str, value: &SetValue) -> Result<Outcome> {
        match value {
            SetValue::Default => self.state().settings.reset(name)?,
            SetValue::Text(value) => self.set(name, value)?,
        }
        Ok(Outcome::done("SET", Vec::new()))
    }

    pub(super) fn reset(&self, name: Option<&str>) -> Result<Outcome> {
        match name {
            Some(name) => self.state().settings.reset(name)?,
            None => self.state().settings.reset_all(),
        }
        Ok(Outcome::done("RESET", Vec::new()))
    }

    /// Every statement stands alone. A block that writes is told so once, and again if it is rolled back.
    pub(super) fn transaction(&self, tag: &'static str) -> Outcome {
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

    pub(super) fn write_in_block(&self) -> Option<Notice> {
        let mut state = self.state();
        if !state.block.open || state.block.wrote {
            return None;
        }
        state.block.wrote = true;
        Some(
            Notice::told("this statement takes effect at once, not at COMMIT")
                .with_hint("there are no transactions: each statement is durable when it returns"),
        )
    }

    pub(super) fn discard(&self) -> Outcome {
        *self.state() = State::default();
        Outcome::done("DISCARD ALL", Vec::new())
    }

    pub(super) fn prepare(&self, name: String, types: Vec<SqlType>, command: Command) -> Result<Outcome> {
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

    pub(super) fn deallocate(&self, name: Option<&str>) -> Result<Outcome> {
        match name {
            None => self.state().prepared.clear(),
            Some(name) => {
                self.state().prepared.remove(name).ok_or_else(|| not_prepared(name))?;
            }
        }
        Ok(Outcome::done(if name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }, Vec::new()))
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
