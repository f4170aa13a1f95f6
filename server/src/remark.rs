//! An error or a notice as people read it, and as it goes through the directory's socket.

use std::fmt;

use serde::{Deserialize, Serialize};
use siltstone_sql::{Error, Notice};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Severity {
    Error,
    Warning,
    Notice,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Remark {
    pub(crate) severity: Severity,
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// The number of a character of the statement, counted from 1.
    pub(crate) position: Option<u32>,
}

impl Remark {
    pub(crate) fn error(sqlstate: &str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            sqlstate: sqlstate.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
        }
    }
}

impl From<Error> for Remark {
    fn from(error: Error) -> Self {
        Self {
            severity: Severity::Error,
            sqlstate: error.sqlstate().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            position: error.position().and_then(|p| u32::try_from(p).ok()),
        }
    }
}

impl From<Notice> for Remark {
    fn from(notice: Notice) -> Self {
        Self {
            severity: if notice.severity == "WARNING" { Severity::Warning } else { Severity::Notice },
            sqlstate: notice.sqlstate,
            message: notice.message,
            detail: None,
            hint: notice.hint,
            position: None,
        }
    }
}

impl fmt::Display for Remark {
    /// As psql shows it: `ERROR:  message`, then what else there is, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
        };
        write!(f, "{severity}:  {}", self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\nDETAIL:  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nHINT:  {hint}")?;
        }
        if self.severity == Severity::Error {
            write!(f, "\nSQLSTATE:  {}", self.sqlstate)?;
        }
        Ok(())
    }
}
