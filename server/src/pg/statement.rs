//! The extended protocol: prepared statements, portals with their parameters, and rows in portions.

use std::sync::Arc;

use bytes::Bytes;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::EmptyQueryResponse;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use siltstone_sql::{Answer, Described, Statement, Value};

use super::connection::{Connection, Stop};
use super::portal::{Portal, Prepared, State};
use super::report::Report;
use super::rows::{Formats, Rows, description};
use crate::task;
use crate::value;
use crate::value::oid;

/// Prepared statements of a connection; more are refused with SQLSTATE 53400.
const PREPARED_MAX: usize = 4096;
/// Portals of a connection; more are refused with SQLSTATE 53400.
const PORTALS_MAX: usize = 256;

impl Connection {
    /// Answers a message of the extended protocol; the answer is sent at the next `Flush` or `Sync`.
    pub(super) async fn extended(&mut self, message: PgWireFrontendMessage) -> Result<(), Stop> {
        match message {
            PgWireFrontendMessage::Parse(parse) => self.parse(parse).await,
            PgWireFrontendMessage::Bind(bind) => self.bind(bind),
            PgWireFrontendMessage::Describe(describe) => self.describe(&describe),
            PgWireFrontendMessage::Execute(execute) => self.execute(execute).await,
            PgWireFrontendMessage::Close(close) => {
                self.close(close);
                Ok(())
            }
            PgWireFrontendMessage::Flush(_) => Ok(self.wire.flush().await?),
            // Left over from a COPY that was refused: to be ignored.
            PgWireFrontendMessage::CopyData(_)
            | PgWireFrontendMessage::CopyDone(_)
            | PgWireFrontendMessage::CopyFail(_) => Ok(()),
            _ => Err(Stop::Fatal(Report::new("08P01", "unexpected message"))),
        }
    }

    pub(super) async fn sync(&mut self) -> Result<(), Stop> {
        self.ready().await
    }

    async fn parse(&mut self, message: Parse) -> Result<(), Stop> {
        let name = message.name.unwrap_or_default();
        if !name.is_empty() && self.prepared.contains_key(&name) {
            return Err(Report::new("42P05", format!("prepared statement \"{name}\" already exists")).into());
        }
        if self.prepared.len() >= PREPARED_MAX {
            let report =
                Report::new("53400", format!("there are {PREPARED_MAX} prepared statements already"));
            return Err(report.with_hint("close or DEALLOCATE some").into());
        }
        let mut statements = self.session.parse(&message.query).map_err(Report::from)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Report::new("42601", message).into());
        }
        let prepared = match statements.pop() {
            None => {
                let described = Described { parameters: Vec::new(), columns: None };
                Prepared { statement: None, described, oids: Vec::new(), stated: Vec::new() }
            }
            Some(statement) => self.prepare(statement, &message.type_oids).await?,
        };
        self.prepared.insert(name, Arc::new(prepared));
        self.wire.put(&PgWireBackendMessage::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    async fn prepare(&mut self, statement: Statement, type_oids: &[u32]) -> Result<Prepared, Stop> {
        let hints: Vec<_> = type_oids.iter().map(|o| oid::data_type(*o)).collect();
        let deadline = self.deadline();
        self.seat.forget();
        let (session, described) = (Arc::clone(&self.session), statement.clone());
        let work = task::start_statement(async move { session.describe(&described, &hints).await });
        let described = self.guard(deadline, async { Ok(work.await?) }).await?;
        let count = described.parameters.len();
        let said = |i: usize| type_oids.get(i).copied().filter(|o| *o != 0 && *o != oid::UNKNOWN);
        let stated = (0..count).map(|i| said(i).is_some()).collect();
        let types = described.parameters.iter().enumerate();
        let oids = types.map(|(i, t)| said(i).unwrap_or_else(|| oid::of(t))).collect();
        Ok(Prepared { statement: Some(statement), described, oids, stated })
    }

    fn bind(&mut self, message: Bind) -> Result<(), Stop> {
        let name = message.statement_name.unwrap_or_default();
        let prepared = Arc::clone(self.prepared(&name)?);
        let wanted = prepared.oids.len();
        if message.parameters.len() != wanted {
            let given = message.parameters.len();
            let message = format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            );
            return Err(Report::new("08P01", message).into());
        }
        let codes = &message.parameter_format_codes;
        if codes.len() > 1 && codes.len() != wanted {
            let message =
                format!("bind message has {} parameter formats but {wanted} parameters", codes.len());
            return Err(Report::new("08P01", message).into());
        }
        let code = |i: usize| if codes.len() == 1 { codes[0] } else { codes.get(i).copied().unwrap_or(0) };
        let values = message.parameters.iter().enumerate();
        let values = values.map(|(i, bytes)| prepared.value(i, bytes.as_ref(), code(i) == 1));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let columns = prepared.described.columns.as_ref().map_or(0, |c| c.fields().len());
        let formats = Formats::new(message.result_column_format_codes, columns)?;

        let name = message.portal_name.unwrap_or_default();
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Report::new("42P03", format!("cursor \"{name}\" already exists")).into());
        }
        if self.portals.len() >= PORTALS_MAX {
            let report = Report::new("53400", format!("there are {PORTALS_MAX} open cursors already"));
            return Err(report.with_hint("close some").into());
        }
        self.portals.insert(name, Portal { prepared, formats, state: State::Bound(values) });
        self.wire.put(&PgWireBackendMessage::BindComplete(BindComplete::new()));
        Ok(())
    }

    fn describe(&mut self, message: &Describe) -> Result<(), Stop> {
        let name = message.name.clone().unwrap_or_default();
        let text = Formats::default();
        let (prepared, formats) = if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let prepared = Arc::clone(self.prepared(&name)?);
            let parameters = ParameterDescription::new(prepared.oids.clone());
            self.wire.put(&PgWireBackendMessage::ParameterDescription(parameters));
            (prepared, &text)
        } else {
            let portal = self.portals.get(&name).ok_or_else(|| no_portal(&name))?;
            (Arc::clone(&portal.prepared), &portal.formats)
        };
        let answer = match &prepared.described.columns {
            Some(schema) => description(schema, formats),
            None => PgWireBackendMessage::NoData(NoData::new()),
        };
        self.wire.put(&answer);
        Ok(())
    }

    async fn execute(&mut self, message: Execute) -> Result<(), Stop> {
        let name = message.name.unwrap_or_default();
        let rows_max = usize::try_from(message.max_rows).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
        // Taken out while it runs; a portal that failed does not come back.
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let deadline = self.deadline();
        self.seat.forget();
        if let State::Bound(values) = &mut portal.state {
            let values = std::mem::take(values);
            let Some(statement) = &portal.prepared.statement else {
                self.wire.put(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
                return Ok(());
            };
            match self.begin(statement, values, deadline).await? {
                Answer::Done { tag } => {
                    portal.state = State::Finished;
                    self.portals.insert(name, portal);
                    self.done(&tag);
                    return Ok(());
                }
                Answer::Rows { schema, rows, tag } => {
                    let told = portal.prepared.described.columns.clone().unwrap_or(schema);
                    portal.state = State::Running(Rows::new(rows, told, portal.formats.clone()), tag);
                }
            }
        }
        match &mut portal.state {
            State::Running(rows, tag) => {
                let tag = *tag;
                let sent = self.send(rows, rows_max, deadline).await?;
                if sent == rows_max {
                    self.wire.put(&PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
                } else {
                    portal.state = State::Finished;
                    self.complete(tag, sent);
                }
            }
            _ => self.complete("SELECT", 0),
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    fn close(&mut self, message: Close) {
        let name = message.name.unwrap_or_default();
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.prepared.remove(&name);
        } else {
            self.portals.remove(&name);
        }
        self.wire.put(&PgWireBackendMessage::CloseComplete(CloseComplete::new()));
    }

    /// `DEALLOCATE name` of a statement that came by the protocol; `false` if there is none.
    pub(super) fn deallocate(&mut self, sql: &str) -> bool {
        let mut words = sql.trim_end_matches(';').split_whitespace().skip(1);
        let name = words.by_ref().find(|w| !w.eq_ignore_ascii_case("prepare")).unwrap_or("");
        self.prepared.remove(name.trim_matches('"')).is_some()
    }

    fn prepared(&self, name: &str) -> Result<&Arc<Prepared>, Report> {
        let missing = || Report::new("26000", format!("prepared statement \"{name}\" does not exist"));
        self.prepared.get(name).ok_or_else(missing)
    }
}

impl Prepared {
    /// A parameter as it came.
    fn value(&self, index: usize, bytes: Option<&Bytes>, binary: bool) -> Result<Value, Report> {
        let Some(bytes) = bytes else { return Ok(Value::Null) };
        let kind = self.oids[index];
        let wrong = |what: String| {
            let mut report = Report::new("22P02", what);
            report.detail = Some(format!("parameter ${}", index + 1));
            report
        };
        if binary {
            return value::from_binary(bytes, kind).map(Value::Scalar).map_err(wrong);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Report::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
        let needed = &self.described.parameters[index];
        let data_type = oid::data_type(kind).filter(|_| self.stated[index]);
        value::from_text(text, data_type.as_ref().unwrap_or(needed)).map(Value::Scalar).map_err(wrong)
    }
}

fn no_portal(name: &str) -> Report {
    Report::new("34000", format!("portal \"{name}\" does not exist"))
}
