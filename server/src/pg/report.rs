//! Errors and notices as the protocol has them.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use siltstone_sql::{Error, Notice};

/// What is told to a client when something fails.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) position: Option<usize>,
}

impl Report {
    pub(crate) fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        let sqlstate = sqlstate.to_owned();
        Self { sqlstate, message: message.into(), detail: None, hint: None, position: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message; `severity` is `ERROR`, or `FATAL` if the connection ends with it.
    pub(crate) fn message(&self, severity: &str) -> PgWireBackendMessage {
        let mut fields = vec![
            (b'S', severity.to_owned()),
            (b'V', severity.to_owned()),
            (b'C', self.sqlstate.clone()),
            (b'M', self.message.clone()),
        ];
        fields.extend(self.detail.clone().map(|d| (b'D', d)));
        fields.extend(self.hint.clone().map(|h| (b'H', h)));
        fields.extend(self.position.map(|p| (b'P', p.to_string())));
        PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields))
    }
}

impl From<Error> for Report {
    fn from(error: Error) -> Self {
        Self {
            sqlstate: error.sqlstate().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position: error.position(),
        }
    }
}

/// A notice as a message.
pub(crate) fn notice(notice: &Notice) -> PgWireBackendMessage {
    let mut fields = vec![
        (b'S', notice.severity.to_owned()),
        (b'V', notice.severity.to_owned()),
        (b'C', notice.sqlstate.clone()),
        (b'M', notice.message.clone()),
    ];
    fields.extend(notice.hint.clone().map(|h| (b'H', h)));
    PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields))
}
