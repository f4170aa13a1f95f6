//! The one error of this crate. A kind exists only where the caller acts differently on it.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong: change it (an option, a definition, a value).
    Invalid,
    /// The named object does not exist.
    NotFound,
    /// The named object exists already.
    Exists,
    /// A number does not fit its type.
    OutOfRange,
    /// Understood, but not built.
    Unsupported,
    /// Another process or object holds what is needed.
    Busy,
    /// A named limit was reached.
    Exhausted,
    /// Records that should have been read are no longer there.
    Gap,
    /// Whoever asked for the work has called it off.
    Cancelled,
    /// The engine is shutting down, or stopped writing after a failed fsync.
    Closed,
    /// A disk, file or network operation failed.
    Io,
    /// Stored bytes are not what was written.
    Corrupt,
}

/// An error: its kind, what was being done to what, what to do about it, and its cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, source: None }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A disk, file or network operation failed; `message` says which, on what.
    pub fn io(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(Kind::Io, message).because(source)
    }

    /// Stored bytes are not what was written.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// Adds what the reader of the message can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same error for a second receiver: the cause is kept as text.
    pub fn duplicate(&self) -> Self {
        Self { kind: self.kind, message: self.to_string(), hint: self.hint.clone(), source: None }
    }
}

impl fmt::Display for Error {
    /// The message and every cause below it, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            write!(f, ": {inner}")?;
            cause = inner.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

impl From<std::num::TryFromIntError> for Error {
    fn from(source: std::num::TryFromIntError) -> Self {
        Self::new(Kind::OutOfRange, source.to_string())
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(source: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError;
        let kind = match &source {
            ArrowError::IoError(..) => Kind::Io,
            ArrowError::ArithmeticOverflow(_) => Kind::OutOfRange,
            _ => Kind::Invalid,
        };
        Self::new(kind, source.to_string())
    }
}
