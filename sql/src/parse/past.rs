//! `FOR SYSTEM_TIME AS OF` and `FOR SYSTEM_VERSION AS OF` behind the name of a relation.
//!
//! The grammar that we build on has neither in PostgreSQL's dialect. So they are taken out of the tokens before
//! a text is parsed, and put into the tables of the parsed query that stand before them. Each must find its
//! table: none is dropped.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, ObjectNamePart, Query, TableFactor, TableVersion, Value, Visit, VisitMut, Visitor,
    VisitorMut,
};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use siltstone_engine::runtime::AsOf;

use super::{Command, Explain, Failed, NESTING_MAX, refuse, snapshot};
use crate::error::{Error, Result};

/// Tokens that a clause may have.
const TOKENS_MAX: usize = 1_000;

/// A clause that was taken out.
#[derive(Clone, Debug)]
pub struct Clause {
    /// Where the last part of the name before it stands.
    name: Location,
    /// Where it stands itself.
    pub place: Location,
    version: TableVersion,
}

/// The tokens without such clauses, and the clauses.
pub fn take(
    dialect: &dyn Dialect,
    tokens: Vec<TokenWithSpan>,
) -> std::result::Result<(Vec<TokenWithSpan>, Vec<Clause>), Failed> {
    let Some(first) = (0..tokens.len()).find(|&at| starts(&tokens[at..]).is_some()) else {
        return Ok((tokens, Vec::new()));
    };
    let mut left = tokens[..first].to_vec();
    let (mut clauses, mut at) = (Vec::new(), first);
    while let Some(token) = tokens.get(at) {
        let Some(kind) = starts(&tokens[at..]) else {
            left.push(token.clone());
            at += 1;
            continue;
        };
        let window = tokens[at..tokens.len().min(at + TOKENS_MAX)].to_vec();
        let mut parser =
            Parser::new(dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(window);
        let version = clause(&mut parser, kind)?;
        let name = left.iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
        let name = name.map_or(token.span.start, |name| name.span.start);
        clauses.push(Clause { name, place: token.span.start, version });
        at += parser.index();
    }
    Ok((left, clauses))
}

/// Which clause begins with these tokens, by its second word.
fn starts(tokens: &[TokenWithSpan]) -> Option<&'static str> {
    if !is_word(&tokens[0].token, "FOR") {
        return None;
    }
    let next = tokens[1..].iter().find(|token| !matches!(token.token, Token::Whitespace(_)))?;
    ["SYSTEM_TIME", "SYSTEM_VERSION"].into_iter().find(|word| is_word(&next.token, word))
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

fn clause(parser: &mut Parser<'_>, kind: &str) -> std::result::Result<TableVersion, Failed> {
    parser.next_token();
    parser.next_token();
    for word in ["AS", "OF"] {
        if !is_word(&parser.peek_token_ref().token, word) {
            return Err(refuse(format!("FOR {kind} without AS OF")).into());
        }
        parser.next_token();
    }
    if kind == "SYSTEM_TIME" {
        return Ok(TableVersion::ForSystemTimeAsOf(parser.parse_expr()?));
    }
    let value = match snapshot::version(parser)? {
        AsOf::Tag(tag) => Value::SingleQuotedString(tag),
        AsOf::Version(number) | AsOf::Time(number) => Value::Number(number.to_string(), false),
    };
    Ok(TableVersion::VersionAsOf(Expr::Value(value.into())))
}

/// Puts clauses into the tables of a parsed statement.
///
/// # Errors
/// 42601 for one that does not stand behind the name of a table of a query.
pub fn put(command: &mut Command, clauses: Vec<Clause>) -> Result<()> {
    let mut put = Put { clauses };
    if let Some(query) = query_of(command) {
        let _ = VisitMut::visit(query, &mut put);
    }
    if put.clauses.is_empty() {
        return Ok(());
    }
    if matches!(command, Command::CreateView(_)) {
        return Err(refuse("FOR SYSTEM_TIME or FOR SYSTEM_VERSION in a materialized view")
            .with_hint("a view follows its source; look at the past in the query"));
    }
    Err(Error::syntax("FOR SYSTEM_TIME and FOR SYSTEM_VERSION stand behind the name of a table or view")
        .with_hint("write FROM t FOR SYSTEM_TIME AS OF '2024-06-01', and an alias behind that"))
}

fn query_of(command: &mut Command) -> Option<&mut Query> {
    match command {
        Command::Query(query) | Command::Explain(Explain::Query { query, .. }) => Some(query),
        Command::Insert(insert) => Some(&mut insert.query),
        Command::Prepare { statement, .. } => query_of(statement),
        _ => None,
    }
}

struct Put {
    clauses: Vec<Clause>,
}

impl VisitorMut for Put {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, version, .. } = factor
            && let Some(place) = place(name)
            && let Some(found) = self.clauses.iter().position(|clause| clause.name == place)
        {
            *version = Some(self.clauses.remove(found).version);
        }
        ControlFlow::Continue(())
    }
}

fn place(name: &ObjectName) -> Option<Location> {
    match name.0.last()? {
        ObjectNamePart::Identifier(ident) => Some(ident.span.start),
        ObjectNamePart::Function(_) => None,
    }
}

/// Whether a query reads a table as it was.
pub fn is_in(query: &Query) -> bool {
    struct Find;
    impl Visitor for Find {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            match factor {
                TableFactor::Table { version: Some(_), .. } => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Visit::visit(query, &mut Find).is_break()
}

#[cfg(test)]
mod tests {
    use super::is_in;
    use crate::parse::{Command, parse};

    fn text(sql: &str) -> String {
        let statements = parse(sql).expect("statements");
        match statements.last().expect("one").command() {
            Command::Query(query) => {
                assert_eq!(is_in(query), query.to_string().contains(" AS OF "), "{sql}");
                query.to_string()
            }
            other => panic!("{other:?} is no query"),
        }
    }

    #[test]
    fn clauses_find_the_tables_before_them() {
        for (sql, found) in [
            (
                "select 1; select * from t, public.\"V\" for system_time /* then */ as of now() - interval '1' day as o",
                "SELECT * FROM t, public.\"V\" AS o FOR SYSTEM_TIME AS OF now() - INTERVAL '1' DAY",
            ),
            (
                "select * from t For System_Version As Of 5 a join t for system_version as of 'x' b on a.k = b.k",
                "SELECT * FROM t a VERSION AS OF 5 JOIN t b VERSION AS OF 'x' ON a.k = b.k",
            ),
            (
                "with w as (select k from t for system_version as of 7) select (select max(k) from w), 'for system_time'",
                "WITH w AS (SELECT k FROM t VERSION AS OF 7) SELECT (SELECT max(k) FROM w), 'for system_time'",
            ),
            ("select system_time from t order by 1", "SELECT system_time FROM t ORDER BY 1"),
        ] {
            assert_eq!(text(sql), found);
        }
    }

    #[test]
    fn a_clause_without_a_table_is_an_error_at_its_place() {
        let error = parse("select 1; select k from t as x for system_version as of 5")
            .expect_err("an alias before it");
        assert_eq!((error.sqlstate(), error.position()), ("42601", Some(32)));
        let error = parse("select k from t for system_version as of").expect_err("no version");
        assert_eq!(error.sqlstate(), "42601");
    }
}
