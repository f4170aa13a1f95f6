//! Our dialect: PostgreSQL's, plus `CREATE SOURCE`, `WATERMARK FOR`, `CREATE MATERIALIZED VIEW` that is kept
//! current, and `SHOW SOURCES` and its kin.
//!
//! A text is parsed whole before any of it runs. What parses is either run or refused by name with 0A000;
//! nothing is accepted and ignored, but for the transaction statements that drivers send by themselves.

mod alter;
mod catalogue;
mod compatibility;
mod create;
pub mod name;
mod partition;
mod past;
mod position;
mod query;
mod relation;
mod retain;
mod session;
mod snapshot;

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, ObjectName, Query};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

pub use alter::{Action, Alter, ColumnChange};
pub use catalogue::{Drop, Show};
pub use create::{COLUMNS_MAX, PUSH};
pub use partition::{PartitionBy, PartitionClause};
pub use query::{Explain, Insert};
pub use relation::{ColumnClause, CreateSource, CreateView, Watermark};
pub use retain::Retain;
pub use session::SetValue;
pub use snapshot::SnapshotAction;

use crate::error::{Error, Result, sqlstate};
use position::{Position, split_location};

/// Expressions and queries may be nested this deeply.
const NESTING_MAX: usize = 100;

/// Bytes a text of statements may have.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// One parsed statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text it was found in, and where in it.
    whole: Arc<str>,
    start: usize,
    end: usize,
    command: Arc<Command>,
}

impl Statement {
    /// The statement's own text, without the semicolon.
    pub fn text(&self) -> &str {
        &self.whole[self.start..self.end]
    }

    /// Whether it asks for rows of a query: `SELECT`, `WITH`, `VALUES`, `TABLE`.
    pub fn is_query(&self) -> bool {
        matches!(*self.command, Command::Query(_))
    }

    pub(crate) fn command(&self) -> &Command {
        &self.command
    }

    /// Turns the place of an error into a position in the whole text.
    pub(crate) fn locate(&self, error: Error) -> Error {
        match error.place() {
            Some((line, column)) if error.position().is_none() => {
                let position = Position::new(&self.whole).character(Location { line, column });
                error.with_position(position)
            }
            _ => error,
        }
    }
}

/// What a statement asks for.
#[derive(Clone, Debug)]
pub enum Command {
    CreateSource(Box<CreateSource>),
    CreateView(CreateView),
    Alter(Box<Alter>),
    Drop(Drop),
    /// All tables and views, if none is named.
    Optimize(Option<ObjectName>),
    Show(Show),
    Describe(ObjectName),
    Query(Box<Query>),
    Insert(Insert),
    Explain(Explain),
    Set {
        name: String,
        value: SetValue,
    },
    Reset(Option<String>),
    /// `BEGIN`, `COMMIT`, `ROLLBACK`: acknowledged with this tag.
    Transaction(&'static str),
    DiscardAll,
    Prepare {
        name: String,
        types: Vec<ast::DataType>,
        statement: Box<Command>,
    },
    Execute {
        name: String,
        arguments: Vec<ast::Expr>,
    },
    Deallocate(Option<String>),
}

/// A parser's failure or ours.
pub(crate) enum Failed {
    Parser(ParserError),
    Ours(Error),
}

impl From<ParserError> for Failed {
    fn from(error: ParserError) -> Self {
        Self::Parser(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// Splits and parses a text. Empty statements are left out.
///
/// # Errors
/// 42601 with the position, or 0A000 with the name of what is not there.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::new(sqlstate::TOO_COMPLEX, format!("a text may have {TEXT_BYTES_MAX} bytes")));
    }
    let position = Position::new(text);
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
        let message = error.message.trim_end().to_owned();
        Error::syntax(message).with_position(position.character(error.location))
    })?;
    let parser = || Parser::new(&dialect).with_recursion_limit(NESTING_MAX);
    let (tokens, mut clauses) =
        past::take(&dialect, tokens).map_err(|failed| located(failed, &parser(), &position))?;
    let mut parser = parser().with_tokens_with_locations(tokens);
    let whole: Arc<str> = Arc::from(text);
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let start = position.byte(first.span.start);
        let command = command(&mut parser).and_then(|command| end(&mut parser).map(|()| command));
        let mut command = command.map_err(|failed| located(failed, &parser, &position))?;
        let end = match parser.peek_token() {
            token if token.token == Token::EOF => text.len(),
            token => position.byte(token.span.start),
        };
        let end = start + text[start..end].trim_end().len();
        let own = clauses.iter().take_while(|clause| position.byte(clause.place) < end).count();
        if own > 0 {
            let own: Vec<_> = clauses.drain(..own).collect();
            let place = position.character(own[0].place);
            past::put(&mut command, own).map_err(|error| error.with_position(place))?;
        }
        let command = rewritten(command, &text[start..end])?;
        statements.push(Statement { whole: Arc::clone(&whole), start, end, command: Arc::new(command) });
    }
}

/// What is planned for a query or the query of an insert. The text of a definition stays as it is.
fn rewritten(command: Command, text: &str) -> Result<Command> {
    Ok(match command {
        Command::Query(query) => Command::Query(compatibility::rewrite(query, text)?),
        Command::Explain(Explain::Query { query, analyze, verbose }) => {
            let text = query.to_string();
            Command::Explain(Explain::Query {
                query: compatibility::rewrite(query, &text)?,
                analyze,
                verbose,
            })
        }
        Command::Explain(Explain::Route(query)) => {
            let text = query.to_string();
            Command::Explain(Explain::Route(compatibility::rewrite(query, &text)?))
        }
        Command::Insert(mut insert) => {
            let text = insert.query.to_string();
            insert.query = compatibility::rewrite(insert.query, &text)?;
            Command::Insert(insert)
        }
        Command::Prepare { name, types, statement } => {
            let text = match statement.as_ref() {
                Command::Query(query) => query.to_string(),
                _ => String::new(),
            };
            Command::Prepare { name, types, statement: Box::new(rewritten(*statement, &text)?) }
        }
        other => other,
    })
}

fn end(parser: &mut Parser<'_>) -> Result<(), Failed> {
    match parser.peek_token_ref().token {
        Token::SemiColon | Token::EOF => Ok(()),
        _ => Ok(parser.expected("end of statement", parser.peek_token())?),
    }
}

/// The error a client sees: PostgreSQL's words where the parser has a token to point at.
fn located(failed: Failed, parser: &Parser<'_>, position: &Position<'_>) -> Error {
    let error = match failed {
        Failed::Ours(error) => {
            let here = position.character(parser.peek_token_ref().span.start);
            let here =
                if error.sqlstate() == sqlstate::SYNTAX_ERROR { error.position().or(here) } else { None };
            return error.with_position(here);
        }
        Failed::Parser(ParserError::RecursionLimitExceeded) => {
            return Error::new(sqlstate::TOO_COMPLEX, format!("statements may be nested {NESTING_MAX} deep"));
        }
        Failed::Parser(ParserError::TokenizerError(message) | ParserError::ParserError(message)) => message,
    };
    let (message, location) = split_location(&error);
    let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: ")) {
        Some((expected, "EOF")) => format!("syntax error at end of input: expected {expected}"),
        Some((expected, found)) => format!("syntax error at or near \"{found}\": expected {expected}"),
        None => format!("syntax error: {message}"),
    };
    Error::syntax(message).with_position(location.and_then(|location| position.character(location)))
}

fn command(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let word = match &parser.peek_token_ref().token {
        Token::LParen => return query::query(parser).map(Command::Query),
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => return Ok(parser.expected("a statement", parser.peek_token())?),
    };
    match word.as_str() {
        "SELECT" | "WITH" | "VALUES" => return query::query(parser).map(Command::Query),
        "TABLE" => return query::table(parser),
        _ => {}
    }
    parser.next_token();
    match word.as_str() {
        "CREATE" => create::parse(parser),
        "ALTER" => alter::parse(parser),
        "OPTIMIZE" => snapshot::optimize(parser),
        "DROP" => catalogue::drop(parser),
        "SHOW" => catalogue::show(parser),
        "DESCRIBE" | "DESC" => Ok(Command::Describe(parser.parse_object_name(false)?)),
        "INSERT" => query::insert(parser).map(Command::Insert),
        "EXPLAIN" => query::explain(parser).map(Command::Explain),
        "SET" => session::set(parser),
        "RESET" => session::reset(parser),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" => session::transaction(parser, &word),
        "DISCARD" => session::discard(parser),
        "PREPARE" => session::prepare(parser),
        "EXECUTE" => session::execute(parser),
        "DEALLOCATE" => session::deallocate(parser),
        known if REFUSED.contains(&known) => Err(refuse(known).into()),
        _ => {
            parser.prev_token();
            Ok(parser.expected("a statement", parser.peek_token())?)
        }
    }
}

/// Statements of PostgreSQL that are not there.
const REFUSED: &[&str] = &[
    "ANALYZE",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COMMENT",
    "COPY",
    "DECLARE",
    "DELETE",
    "DO",
    "FETCH",
    "GRANT",
    "IMPORT",
    "LISTEN",
    "LOAD",
    "LOCK",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "REVOKE",
    "SAVEPOINT",
    "SECURITY",
    "SUBSCRIBE",
    "TRUNCATE",
    "UNLISTEN",
    "UPDATE",
    "UPSERT",
    "VACUUM",
];

/// What is understood, but not built.
pub(crate) fn refuse(what: impl std::fmt::Display) -> Error {
    Error::unsupported(what)
}

/// Takes the next token if it is this unquoted word.
pub(crate) fn accept(parser: &mut Parser<'_>, word: &str) -> bool {
    let next = matches!(&parser.peek_token_ref().token,
        Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
    if next {
        parser.next_token();
    }
    next
}

pub(crate) fn expect(parser: &mut Parser<'_>, word: &str) -> Result<(), ParserError> {
    if accept(parser, word) { Ok(()) } else { parser.expected(word, parser.peek_token()) }
}

/// The next token, as text.
pub(crate) fn found(parser: &Parser<'_>) -> String {
    parser.peek_token_ref().token.to_string()
}
