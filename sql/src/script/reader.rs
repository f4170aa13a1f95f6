//! Reads scripts: puts variables in, follows includes, collects statements.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ScriptStatement;
use super::lexer::{Lexer, Piece, Quote};
use crate::error::{Error, Result, sqlstate};

/// Files may include each other this deeply.
const INCLUDE_DEPTH_MAX: usize = 32;

/// Bytes a script may have.
const SCRIPT_BYTES_MAX: u64 = 64 << 20;

pub struct Reader {
    variables: BTreeMap<String, String>,
    /// The files being read, the outermost first.
    open: Vec<PathBuf>,
    statements: Vec<ScriptStatement>,
}

/// A statement that has begun.
#[derive(Default)]
struct Partial {
    sql: String,
    line: Option<usize>,
}

impl Reader {
    pub fn new(variables: &BTreeMap<String, String>) -> Self {
        Self { variables: variables.clone(), open: Vec::new(), statements: Vec::new() }
    }

    pub fn finish(self) -> Vec<ScriptStatement> {
        self.statements
    }

    pub fn file(&mut self, path: &Path) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::new(sqlstate::IO_ERROR, format!("reading script {}: {error}", path.display()))
        };
        let whole = path.canonicalize().map_err(failed)?;
        if self.open.contains(&whole) {
            return Err(Error::syntax(format!("script {} includes itself", path.display())));
        }
        if self.open.len() >= INCLUDE_DEPTH_MAX {
            return Err(Error::new(
                sqlstate::TOO_COMPLEX,
                format!("scripts may include each other {INCLUDE_DEPTH_MAX} deep"),
            ));
        }
        if whole.metadata().map_err(failed)?.len() > SCRIPT_BYTES_MAX {
            let message = format!("script {} is larger than {SCRIPT_BYTES_MAX} bytes", path.display());
            return Err(Error::new(sqlstate::TOO_COMPLEX, message));
        }
        let bytes = std::fs::read(&whole).map_err(failed)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::syntax(format!("script {} is not UTF-8", path.display())))?;
        self.open.push(whole);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let read = self.text(text, path);
        self.open.pop();
        read
    }

    pub fn text(&mut self, text: &str, file: &Path) -> Result<()> {
        let mut lexer = Lexer::new(text);
        let mut partial = Partial::default();
        while let Some(piece) = lexer.next_piece() {
            let line = || text[..lexer.start()].matches('\n').count() + 1;
            let placed = |error: Error| error.context(format!("{}:{}", file.display(), line()));
            match piece {
                Piece::Semicolon => self.end(&mut partial, file),
                Piece::Space | Piece::Comment => {
                    if partial.line.is_some() {
                        partial.sql.push_str(lexer.slice());
                    }
                }
                Piece::Literal | Piece::Text => partial.push(lexer.slice(), line()),
                Piece::Variable { name, quote } => {
                    let value = self.value(name, quote).map_err(placed)?;
                    partial.push(&value, line());
                }
                Piece::Command(command) => self.command(command, file).map_err(placed)?,
                Piece::Unfinished(what) => {
                    return Err(placed(Error::syntax(format!("{what} without an end"))));
                }
            }
        }
        self.end(&mut partial, file);
        Ok(())
    }

    fn end(&mut self, partial: &mut Partial, file: &Path) {
        let Partial { sql, line } = std::mem::take(partial);
        if let Some(line) = line {
            self.statements.push(ScriptStatement {
                sql: sql.trim_end().to_owned(),
                file: file.to_owned(),
                line,
            });
        }
    }

    fn value(&self, name: &str, quote: Quote) -> Result<String> {
        let value = self.variables.get(name).ok_or_else(|| {
            Error::syntax(format!("variable \"{name}\" is not set"))
                .with_hint(format!("give it with -v {name}=VALUE, or with \\set {name} VALUE in the script"))
        })?;
        Ok(match quote {
            Quote::None => value.clone(),
            Quote::Literal => format!("'{}'", value.replace('\'', "''")),
            Quote::Name => format!("\"{}\"", value.replace('"', "\"\"")),
        })
    }

    fn command(&mut self, command: &str, file: &Path) -> Result<()> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match name {
            "i" | "include" => {
                let path = self.argument(rest)?;
                let path = self.beside(Path::new(&path), file, false);
                self.file(&path)
            }
            "ir" | "include_relative" => {
                let path = self.argument(rest)?;
                let path = self.beside(Path::new(&path), file, true);
                self.file(&path)
            }
            "set" => {
                let (name, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                    return Err(Error::syntax(format!("\\set takes a name and a value, not \"{rest}\"")));
                }
                let value = self.argument(value.trim())?;
                self.variables.insert(name.to_owned(), value);
                Ok(())
            }
            "unset" => {
                self.variables.remove(rest);
                Ok(())
            }
            // What psql prints, a script that is run does not need.
            "echo" | "qecho" | "timing" | "pset" => Ok(()),
            other => Err(Error::unsupported(format!("\\{other} in a script"))
                .with_hint("scripts know \\i, \\ir, \\set and \\unset")),
        }
    }

    /// A command's argument: variables put in, quotes taken off.
    fn argument(&self, text: &str) -> Result<String> {
        let mut value = String::new();
        let mut lexer = Lexer::new(text);
        while let Some(piece) = lexer.next_piece() {
            match piece {
                Piece::Variable { name, quote: Quote::None | Quote::Literal } => {
                    value.push_str(&self.value(name, Quote::None)?);
                }
                Piece::Literal if lexer.slice().starts_with('\'') => {
                    let inner = lexer.slice();
                    value.push_str(&inner[1..inner.len() - 1].replace("''", "'"));
                }
                Piece::Unfinished(what) => return Err(Error::syntax(format!("{what} without an end"))),
                _ => value.push_str(lexer.slice()),
            }
        }
        Ok(value)
    }

    /// The file that `path` means in `file`: in the working directory, else beside the including file.
    fn beside(&self, path: &Path, file: &Path, beside_first: bool) -> PathBuf {
        let directory = file.parent().filter(|_| !self.open.is_empty());
        let beside = directory.map_or_else(|| path.to_owned(), |directory| directory.join(path));
        if path.is_absolute() || (!beside_first && path.exists()) { path.to_owned() } else { beside }
    }
}

impl Partial {
    fn push(&mut self, text: &str, line: usize) {
        self.line.get_or_insert(line);
        self.sql.push_str(text);
    }
}
