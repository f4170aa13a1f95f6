//! How CSV is written: delimiter, quotes, and the text that means NULL.

use siltstone_engine::error::{Error, Result};

use super::framing::Framing;
use super::{DELIMITER, ESCAPE, NULL, QUOTE};
use crate::option::{self, Options};

/// How CSV is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: u8,
    pub escape: u8,
    /// The unquoted text that means NULL.
    pub null: String,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: b'"', escape: b'"', null: String::new() }
    }
}

impl Dialect {
    pub(crate) fn from_options(options: &Options) -> Result<Self> {
        let delimiter = option::byte(options, DELIMITER.name, b',')?;
        let quote = option::byte(options, QUOTE.name, b'"')?;
        let escape = option::byte(options, ESCAPE.name, quote)?;
        let null = options.get(NULL.name).cloned().unwrap_or_default();
        if delimiter == quote || delimiter == escape {
            return Err(Error::invalid("options 'delimiter' and 'quote' or 'escape' are the same character"));
        }
        if null.bytes().any(|b| b == delimiter || b == quote || b == b'\n' || b == b'\r') {
            return Err(Error::invalid(format!(
                "option 'null': '{null}' holds a delimiter, quote or line end"
            )));
        }
        Ok(Self { delimiter, quote, escape, null })
    }

    pub(crate) fn framing(&self) -> Framing {
        Framing::Quoted { quote: self.quote, escape: self.escape }
    }
}
