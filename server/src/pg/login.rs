//! From the first byte to the first `ReadyForQuery`.
//!
//! Invariant: whatever goes wrong here is FATAL, and the connection ends with it. Nothing that a client
//! sends is run before its login is done.

use std::net::SocketAddr;
use std::sync::Arc;

use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, Startup,
};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use siltstone_sql::{Database, Notice, Session};

use super::access::Access;
use super::cancel::{CONNECTIONS_MAX, Connections, Seat};
use super::report::{self, Report};
use super::wire::{Broken, Wire};

/// Settings that clients are told of, now and when they change.
pub(crate) const REPORTED: [&str; 10] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "is_superuser",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
];

/// How a login ended.
pub(crate) enum Login {
    Done {
        session: Session,
        seat: Seat,
    },
    /// It was only a request to cancel another connection's statement.
    Cancel,
    /// It failed; the client has yet to be told.
    Refused(Report),
    Gone,
}

impl From<Broken> for Login {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Gone => Self::Gone,
            Broken::Protocol(what) => Self::Refused(Report::new("08P01", what)),
        }
    }
}

/// Lets a client in.
pub(crate) async fn login(
    wire: &mut Wire,
    address: SocketAddr,
    database: &Arc<Database>,
    access: &Access,
    connections: &Arc<Connections>,
) -> Login {
    let startup = match wire.receive().await {
        Ok(PgWireFrontendMessage::Startup(startup)) => startup,
        Ok(PgWireFrontendMessage::CancelRequest(request)) => {
            connections.cancel(request.pid, &request.secret_key);
            return Login::Cancel;
        }
        Ok(_) => return Login::Refused(Report::new("08P01", "expected a startup message")),
        Err(broken) => return broken.into(),
    };
    wire.started();
    let version = match agree_on_version(wire, &startup) {
        Ok(version) => version,
        Err(report) => return Login::Refused(report),
    };
    let Some(user) = startup.parameters.get("user").filter(|u| !u.is_empty()) else {
        return Login::Refused(Report::new("28000", "no PostgreSQL user name specified in startup packet"));
    };
    match access.authenticate(wire, user).await {
        Ok(Ok(())) => {}
        Ok(Err(report)) => return Login::Refused(report),
        Err(broken) => return broken.into(),
    }
    let Some(seat) = connections.enter(address, version) else {
        let report = Report::new("53300", format!("there are {CONNECTIONS_MAX} connections already"));
        return Login::Refused(report.with_hint("close one, or share them with a pooler"));
    };
    let session = database.session();
    let notices = apply_parameters(&session, &startup);

    wire.put(&PgWireBackendMessage::Authentication(Authentication::Ok));
    for name in REPORTED {
        let value = setting(&session, name);
        wire.put(&PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value)));
    }
    let who = ParameterStatus::new("session_authorization".to_owned(), user.clone());
    wire.put(&PgWireBackendMessage::ParameterStatus(who));
    let key = BackendKeyData::new(seat.pid, seat.secret.clone());
    wire.put(&PgWireBackendMessage::BackendKeyData(key));
    notices.iter().for_each(|n| wire.put(&report::notice(n)));
    wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)));
    wire.logged_in();
    match wire.flush().await {
        Ok(()) => Login::Done { session, seat },
        Err(broken) => broken.into(),
    }
}

/// What a setting is, as clients are told.
pub(crate) fn setting(session: &Session, name: &str) -> String {
    let known = || match name {
        "server_version" => concat!("15.0 (Siltstone ", env!("CARGO_PKG_VERSION"), ")"),
        "server_encoding" | "client_encoding" => "UTF8",
        "is_superuser" | "integer_datetimes" | "standard_conforming_strings" => "on",
        "DateStyle" => "ISO, MDY",
        "IntervalStyle" => "postgres",
        "TimeZone" => "UTC",
        _ => "",
    };
    session.setting(name).unwrap_or_else(|| known().to_owned())
}

/// 3.0 and 3.2 are spoken; newer minor versions are talked down to 3.2.
fn agree_on_version(wire: &mut Wire, startup: &Startup) -> Result<ProtocolVersion, Report> {
    let (major, minor) = (startup.protocol_number_major, startup.protocol_number_minor);
    if major != 3 {
        let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
        return Err(Report::new("08P01", message));
    }
    let version = if minor < 2 { ProtocolVersion::PROTOCOL3_0 } else { ProtocolVersion::PROTOCOL3_2 };
    let extensions: Vec<String> =
        startup.parameters.keys().filter(|k| k.starts_with("_pq_.")).cloned().collect();
    if minor > 2 || minor == 1 || !extensions.is_empty() {
        let newest = NegotiateProtocolVersion::new(version.into(), extensions);
        wire.put(&PgWireBackendMessage::NegotiateProtocolVersion(newest));
    }
    Ok(version)
}

/// Applies the settings that came with the startup message. One that cannot be had is a warning: drivers
/// send their machine's time zone unasked, and must get in all the same.
fn apply_parameters(session: &Session, startup: &Startup) -> Vec<Notice> {
    let plain = startup.parameters.iter().map(|(name, value)| (name.clone(), value.clone()));
    let skipped = ["user", "database", "options", "replication"];
    let plain = plain.filter(|(name, _)| !skipped.contains(&name.as_str()) && !name.starts_with("_pq_."));
    let options = startup.parameters.get("options").map_or("", String::as_str);
    let warn = |(name, value): (String, String)| {
        let error = session.set(&name, &value).err()?;
        Some(Notice {
            severity: "WARNING",
            sqlstate: error.sqlstate().to_owned(),
            message: format!("setting {name} to \"{value}\": {}", error.message()),
            hint: error.hint().map(str::to_owned),
        })
    };
    plain.chain(split_options(options)).filter_map(warn).collect()
}

/// The settings in `-c name=value --name=value`; a backslash keeps a space.
fn split_options(options: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => words.last_mut().expect("there is always a word").extend(chars.next()),
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().expect("there is always a word").push(c),
        }
    }
    let bare = words.iter().filter(|w| !w.is_empty() && *w != "-c");
    let stripped = bare.map(|w| w.strip_prefix("--").or_else(|| w.strip_prefix("-c")).unwrap_or(w));
    stripped.filter_map(|w| w.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::split_options;

    #[test]
    fn options_of_a_connection_string() {
        let split = split_options(r"-c statement_timeout=5s --search_path=a\ b -cx=1");
        let expected = [("statement_timeout", "5s"), ("search_path", "a b"), ("x", "1")];
        assert_eq!(split, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }
}
