//! The loop of one connection: a message, its answer, the next.
//!
//! Errors end a statement, never the loop; what is FATAL ends the loop. While a statement runs, four things
//! can end it: a cancel request, `statement_timeout`, the client's going away, the server's stop. The work
//! itself ends with it, because dropping a statement's future or row stream ends it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::ParameterStatus;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use siltstone_engine::clock;
use siltstone_sql::{Answer, Outcome, Session, Statement, Value};
use tokio::sync::watch;

use super::cancel::Seat;
use super::login::{REPORTED, setting};
use super::portal::{Portal, Prepared};
use super::report::{self, Report};
use super::rows::{Formats, Rows, description};
use super::wire::{Broken, Wire};
use crate::keyword;
use crate::task;

/// Rows that are encoded before the answer's size is looked at.
const CHUNK_BYTES: usize = 64 << 10;

pub(crate) struct Connection {
    pub(super) wire: Wire,
    pub(super) session: Arc<Session>,
    pub(super) seat: Seat,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) status: TransactionStatus,
    pub(super) prepared: HashMap<String, Arc<Prepared>>,
    pub(super) portals: HashMap<String, Portal>,
    told: HashMap<&'static str, String>,
}

/// Why a message was not answered to its end.
pub(super) enum Stop {
    Error(Report),
    /// The connection ends with it.
    Fatal(Report),
    Gone,
}

impl From<Report> for Stop {
    fn from(report: Report) -> Self {
        Self::Error(report)
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Gone => Self::Gone,
            Broken::Protocol(what) => Self::Fatal(Report::new("08P01", what)),
        }
    }
}

impl Connection {
    pub(crate) fn new(wire: Wire, session: Session, seat: Seat, stopping: watch::Receiver<bool>) -> Self {
        let told = REPORTED.iter().map(|name| (*name, setting(&session, name))).collect();
        let (prepared, portals) = (HashMap::new(), HashMap::new());
        let status = TransactionStatus::Idle;
        Self { wire, session: Arc::new(session), seat, stopping, status, prepared, portals, told }
    }

    /// Serves the client until it leaves.
    pub(crate) async fn serve(mut self) {
        let mut skipping = false;
        loop {
            let message = tokio::select! {
                message = self.wire.receive() => message,
                _ = self.stopping.wait_for(|stopping| *stopping) => {
                    self.wire.put(&shutdown().message("FATAL"));
                    break;
                }
            };
            let answered = match message {
                Ok(PgWireFrontendMessage::Terminate(_)) => break,
                Ok(PgWireFrontendMessage::Sync(_)) => {
                    skipping = false;
                    self.sync().await
                }
                Ok(_) if skipping => Ok(()),
                Ok(PgWireFrontendMessage::Query(query)) => self.query(&query.query).await,
                Ok(message) => {
                    let answered = self.extended(message).await;
                    skipping = matches!(answered, Err(Stop::Error(_)));
                    answered
                }
                Err(broken) => Err(broken.into()),
            };
            match answered {
                Ok(()) => {}
                Err(Stop::Error(report)) => {
                    self.fail(&report);
                    if self.wire.flush().await.is_err() {
                        break;
                    }
                }
                Err(Stop::Fatal(report)) => {
                    self.wire.put(&report.message("FATAL"));
                    break;
                }
                Err(Stop::Gone) => break,
            }
        }
        // The client may be gone already.
        let _ = self.wire.close().await;
    }

    /// The simple protocol: all statements of a string, up to the first that fails.
    async fn query(&mut self, sql: &str) -> Result<(), Stop> {
        self.portals.remove("");
        match self.run_all(sql).await {
            Ok(()) => {}
            Err(Stop::Error(report)) => self.fail(&report),
            Err(other) => return Err(other),
        }
        self.ready().await
    }

    async fn run_all(&mut self, sql: &str) -> Result<(), Stop> {
        let statements = self.session.parse(sql).map_err(Report::from)?;
        if statements.is_empty() {
            self.wire.put(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for statement in &statements {
            let deadline = self.deadline();
            match self.begin(statement, Vec::new(), deadline).await? {
                Answer::Done { tag } => self.done(&tag),
                Answer::Rows { schema, rows, tag } => {
                    let formats = Formats::default();
                    self.wire.put(&description(&schema, &formats));
                    let mut rows = Rows::new(rows, schema, formats);
                    let sent = self.send(&mut rows, usize::MAX, deadline).await?;
                    self.complete(tag, sent);
                }
            }
        }
        Ok(())
    }

    /// Runs a statement up to its rows.
    pub(super) async fn begin(
        &mut self,
        statement: &Statement,
        values: Vec<Value>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Stop> {
        let word = keyword::first(statement.text());
        let mut statement = statement.clone();
        if self.status == TransactionStatus::Error {
            if !matches!(word.as_str(), "ROLLBACK" | "COMMIT" | "END" | "ABORT") {
                let message =
                    "current transaction is aborted, commands ignored until end of transaction block";
                return Err(Report::new("25P02", message).into());
            }
            // As in PostgreSQL, even COMMIT can only roll back now.
            statement = self.session.parse("ROLLBACK").map_err(Report::from)?.pop().unwrap_or(statement);
        }
        if word == "DEALLOCATE" && self.deallocate(statement.text()) {
            return Ok(Answer::Done { tag: word });
        }
        self.seat.forget();
        let session = Arc::clone(&self.session);
        let work = task::start_statement(async move { session.execute(&statement, &values).await });
        let outcome: Outcome = self.guard(deadline, async { Ok(work.await?) }).await?;
        outcome.notices.iter().for_each(|n| self.wire.put(&report::notice(n)));
        Ok(outcome.result)
    }

    /// Sends rows, at most `rows_max`; the answer is how many.
    pub(super) async fn send(
        &mut self,
        rows: &mut Rows,
        rows_max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize, Stop> {
        let mut sent = 0;
        while sent < rows_max && self.guard(deadline, rows.ready()).await? {
            sent += rows.take(self.wire.answer(), rows_max - sent, CHUNK_BYTES)?;
            if self.wire.answer_is_full() {
                self.flush(deadline).await?;
            }
        }
        Ok(sent)
    }

    /// Waits for work, and for whatever may end it before.
    pub(super) async fn guard<T>(
        &mut self,
        deadline: Option<Instant>,
        work: impl Future<Output = Result<T, Report>>,
    ) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.seat.cancelled() => Err(cancelled("user request").into()),
            () = task::until(deadline) => Err(cancelled("statement timeout").into()),
            _ = self.stopping.wait_for(|stopping| *stopping) => Err(Stop::Fatal(shutdown())),
            done = work => Ok(done?),
            () = self.wire.gone() => Err(Stop::Gone),
        }
    }

    /// Sends what there is to a client that may read slowly.
    async fn flush(&mut self, deadline: Option<Instant>) -> Result<(), Stop> {
        tokio::select! {
            biased;
            () = self.seat.cancelled() => Err(cancelled("user request").into()),
            () = task::until(deadline) => Err(cancelled("statement timeout").into()),
            _ = self.stopping.wait_for(|stopping| *stopping) => Err(Stop::Fatal(shutdown())),
            sent = self.wire.flush() => Ok(sent?),
        }
    }

    /// When a statement that begins now must have ended.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.session.statement_timeout().and_then(|limit| clock::now().checked_add(limit))
    }

    /// Answers the end of a statement that returned rows.
    pub(super) fn complete(&mut self, tag: &str, rows: usize) {
        let tag = if tag == "SELECT" { format!("SELECT {rows}") } else { tag.to_owned() };
        self.wire.put(&PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)));
    }

    /// Answers the end of a statement that did something.
    pub(super) fn done(&mut self, tag: &str) {
        match tag {
            "BEGIN" | "START TRANSACTION" => self.status = TransactionStatus::Transaction,
            "COMMIT" | "ROLLBACK" | "DISCARD ALL" => {
                self.status = TransactionStatus::Idle;
                self.portals.clear();
            }
            _ => {}
        }
        if matches!(tag, "SET" | "RESET" | "DISCARD ALL") {
            self.tell_settings();
        }
        if matches!(tag, "DISCARD ALL" | "DEALLOCATE ALL") {
            self.prepared.clear();
        }
        self.wire.put(&PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.to_owned())));
    }

    fn tell_settings(&mut self) {
        for (name, told) in &mut self.told {
            let now = setting(&self.session, name);
            if now != *told {
                told.clone_from(&now);
                let status = ParameterStatus::new((*name).to_owned(), now);
                self.wire.put(&PgWireBackendMessage::ParameterStatus(status));
            }
        }
    }

    fn fail(&mut self, report: &Report) {
        self.wire.put(&report.message("ERROR"));
        if self.status == TransactionStatus::Transaction {
            self.status = TransactionStatus::Error;
        }
    }

    /// The end of a statement string, or of a group of extended messages.
    pub(super) async fn ready(&mut self) -> Result<(), Stop> {
        if self.status == TransactionStatus::Idle {
            // Portals live as long as their transaction.
            self.portals.clear();
        }
        self.wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(self.status)));
        Ok(self.wire.flush().await?)
    }
}

fn cancelled(why: &str) -> Report {
    Report::new("57014", format!("canceling statement due to {why}"))
}

fn shutdown() -> Report {
    Report::new("57P01", "terminating connection due to administrator command")
}
