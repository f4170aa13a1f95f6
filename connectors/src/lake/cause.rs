//! What was being done when a library failed, said once at each call.

use siltstone_engine::error::{Error, Kind, Result};

/// Turns a library's error into one of ours.
pub(super) trait Cause<T> {
    /// A disk, file or network operation failed.
    fn doing(self, what: impl Into<String>) -> Result<T>;

    /// Stored bytes are not what was written.
    fn parsing(self, what: impl Into<String>) -> Result<T>;

    /// The request is wrong.
    fn asking(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Cause<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::io(what, source))
    }

    fn parsing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::corrupt(what).because(source))
    }

    fn asking(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::new(Kind::Invalid, what).because(source))
    }
}
