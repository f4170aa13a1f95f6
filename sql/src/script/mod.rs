//! Scripts as psql reads them: `\i`, `\ir`, `\set`, variables in place of `:name`, `:'name'` and `:"name"`.
//!
//! Nothing is replaced inside of literals and comments, so that they may hold colons and quotes. Statements
//! end at semicolons; each keeps the file and the line where it begins.

mod lexer;
mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Result;
use lexer::{Lexer, Piece};
use reader::Reader;

/// One statement of a script, without its semicolon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptStatement {
    pub sql: String,
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

/// Reads a file and what it includes.
///
/// # Errors
/// 58030 for a file that cannot be read, 42601 for what is not a script: an undefined variable, an unknown
/// command, a literal without an end.
pub fn load(path: &Path, variables: &BTreeMap<String, String>) -> Result<Vec<ScriptStatement>> {
    let mut reader = Reader::new(variables);
    reader.file(path)?;
    Ok(reader.finish())
}

/// Reads a text; what it includes is relative to the working directory.
///
/// # Errors
/// As [`load`].
pub fn from_text(text: &str, variables: &BTreeMap<String, String>) -> Result<Vec<ScriptStatement>> {
    let mut reader = Reader::new(variables);
    reader.text(text, Path::new("-"))?;
    Ok(reader.finish())
}

/// Whether a buffer that is being typed holds complete statements only.
pub fn is_complete(text: &str) -> bool {
    let mut lexer = Lexer::new(text);
    let mut open = false;
    while let Some(piece) = lexer.next_piece() {
        match piece {
            Piece::Semicolon | Piece::Command(_) => open = false,
            Piece::Unfinished(_) => return false,
            Piece::Comment | Piece::Space => {}
            Piece::Text | Piece::Literal | Piece::Variable { .. } => open = true,
        }
    }
    !open
}

#[cfg(test)]
mod tests;
