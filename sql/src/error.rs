//! The one error of this crate: a SQLSTATE, a message, and what to do about it.
//!
//! Clients act on the five characters, people on the message and the hint. The message of the engine or of
//! the planner is kept; what stands around it (`Optimizer rule … failed`) is not.

use std::fmt;

use siltstone_engine::error::Kind;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The SQLSTATEs this crate gives.
pub mod sqlstate {
    pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub const CARDINALITY_VIOLATION: &str = "21000";
    pub const NUMERIC_OUT_OF_RANGE: &str = "22003";
    pub const INVALID_DATETIME: &str = "22007";
    pub const DIVISION_BY_ZERO: &str = "22012";
    pub const INVALID_PARAMETER_VALUE: &str = "22023";
    pub const INVALID_TEXT: &str = "22P02";
    pub const NOT_NULL_VIOLATION: &str = "23502";
    pub const INVALID_STATEMENT_NAME: &str = "26000";
    pub const DEPENDENT_OBJECTS: &str = "2BP01";
    pub const GENERATED_ALWAYS: &str = "428C9";
    pub const SYNTAX_ERROR: &str = "42601";
    pub const DUPLICATE_COLUMN: &str = "42701";
    pub const AMBIGUOUS_COLUMN: &str = "42702";
    pub const UNDEFINED_COLUMN: &str = "42703";
    pub const UNDEFINED_OBJECT: &str = "42704";
    pub const GROUPING_ERROR: &str = "42803";
    pub const DATATYPE_MISMATCH: &str = "42804";
    pub const WRONG_OBJECT_TYPE: &str = "42809";
    pub const UNDEFINED_FUNCTION: &str = "42883";
    pub const UNDEFINED_TABLE: &str = "42P01";
    pub const UNDEFINED_PARAMETER: &str = "42P02";
    pub const DUPLICATE_PREPARED: &str = "42P05";
    pub const DUPLICATE_TABLE: &str = "42P07";
    pub const INVALID_DEFINITION: &str = "42P17";
    pub const OUT_OF_MEMORY: &str = "53200";
    pub const TOO_MANY: &str = "54000";
    pub const TOO_COMPLEX: &str = "54001";
    pub const OBJECT_IN_USE: &str = "55006";
    pub const CANCELLED: &str = "57014";
    pub const SHUTDOWN: &str = "57P01";
    pub const SYSTEM_ERROR: &str = "58000";
    pub const IO_ERROR: &str = "58030";
    pub const INTERNAL: &str = "XX000";
    pub const CORRUPT: &str = "XX001";
}

/// An error as a client of a database knows it.
#[derive(Clone, Debug)]
pub struct Error(Box<Content>);

#[derive(Clone, Debug)]
struct Content {
    sqlstate: &'static str,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    /// Line and column of the text, both from 1, until whoever has the text makes a position of them.
    place: Option<(u64, u64)>,
}

impl Error {
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Content {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            place: None,
        }))
    }

    /// Understood, but not built.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(sqlstate::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    /// The text is not a statement.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(sqlstate::SYNTAX_ERROR, message)
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub fn with_hint_if(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.0.hint = hint;
        }
        self
    }

    /// Adds facts that would make the message too long.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says where in the text, as the number of a character counted from 1.
    #[must_use]
    pub fn with_position(mut self, position: Option<usize>) -> Self {
        self.0.position = position;
        self
    }

    /// Says where in the text, for whoever knows the text.
    #[must_use]
    pub(crate) fn at(mut self, place: Option<(u64, u64)>) -> Self {
        self.0.place = place;
        self
    }

    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        self.0.place
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.0.message = format!("{doing}: {}", self.0.message);
        self
    }

    pub fn sqlstate(&self) -> &str {
        self.0.sqlstate
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The number of a character of the statement, counted from 1.
    pub fn position(&self) -> Option<usize> {
        self.0.position
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl From<siltstone_engine::error::Error> for Error {
    fn from(error: siltstone_engine::error::Error) -> Self {
        let state = match error.kind() {
            Kind::Invalid => sqlstate::INVALID_PARAMETER_VALUE,
            Kind::NotFound => sqlstate::UNDEFINED_TABLE,
            Kind::Exists => sqlstate::DUPLICATE_TABLE,
            Kind::OutOfRange => sqlstate::NUMERIC_OUT_OF_RANGE,
            Kind::Unsupported => sqlstate::FEATURE_NOT_SUPPORTED,
            Kind::Busy => sqlstate::OBJECT_IN_USE,
            Kind::Exhausted => sqlstate::TOO_MANY,
            Kind::Gap => sqlstate::SYSTEM_ERROR,
            Kind::Cancelled => sqlstate::CANCELLED,
            Kind::Closed => sqlstate::SHUTDOWN,
            Kind::Io => sqlstate::IO_ERROR,
            Kind::Corrupt => sqlstate::CORRUPT,
        };
        Self::new(state, error.to_string()).with_hint_if(error.hint().map(str::to_owned))
    }
}
