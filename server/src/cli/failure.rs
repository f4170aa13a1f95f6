//! Why a command failed: what it says on standard error, and its exit code.

use std::fmt;
use std::io;

use crate::remark::Remark;

pub(super) const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const BUSY: u8 = 3;
pub(super) const SQL: u8 = 4;

/// SQLSTATE for an object that another process or object holds.
const OBJECT_IN_USE: &str = "55006";

/// SQLSTATE for a file that cannot be read.
const IO_ERROR: &str = "58030";

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    remark: Box<Remark>,
    /// Where in a script, as `file:line`.
    place: Option<String>,
}

impl Failure {
    /// Input, disk or network failed.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { code: FAILED, remark: Box::new(Remark::error("", message)), place: None }
    }

    /// The command was asked for in the wrong way.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::new(message) }
    }

    /// A statement was refused or failed.
    pub(super) fn sql(remark: impl Into<Remark>) -> Self {
        Self { code: SQL, remark: Box::new(remark.into()), place: None }
    }

    /// Reading a script failed.
    pub(super) fn script(error: siltstone_sql::Error) -> Self {
        if error.sqlstate() != IO_ERROR {
            return Self::sql(error);
        }
        Self { code: FAILED, ..Self::sql(error) }
            .with_hint("give the script's path as seen from the working directory; includes by \\ir are relative to their script")
    }

    /// Opening the directory failed.
    pub(super) fn opening(error: siltstone_sql::Error) -> Self {
        let code = if error.sqlstate() == OBJECT_IN_USE { BUSY } else { FAILED };
        Self { code, remark: Box::new(error.into()), place: None }
    }

    /// A pipeline failed.
    pub(super) fn pipeline(error: siltstone_engine::error::Error) -> Self {
        Self { code: FAILED, remark: Box::new(siltstone_sql::Error::from(error).into()), place: None }
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.remark.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(super) fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// Doing something with a file or socket failed.
    pub(super) fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(format!("{doing}: {error}"))
    }

    pub(super) fn print(&self) {
        eprintln!("{self}");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.remark.message)?;
        if let Some(place) = &self.place {
            write!(f, "\n  at {place}")?;
        }
        if !self.remark.sqlstate.is_empty() {
            write!(f, "\n  SQLSTATE: {}", self.remark.sqlstate)?;
        }
        if let Some(detail) = &self.remark.detail {
            write!(f, "\n  detail: {detail}")?;
        }
        if let Some(hint) = &self.remark.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<siltstone_sql::Error> for Failure {
    fn from(error: siltstone_sql::Error) -> Self {
        Self::sql(error)
    }
}
