//! Parsing queries, and what holds one: `INSERT`, `EXPLAIN`.

use datafusion::sql::sqlparser::ast::{ObjectName, Query, SetExpr};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Command, Failed, accept, expect, name, refuse};

/// `INSERT INTO name [(columns)] query`.
#[derive(Clone, Debug)]
pub struct Insert {
    pub name: ObjectName,
    pub columns: Vec<String>,
    pub query: Box<Query>,
}

/// `EXPLAIN`.
#[derive(Clone, Debug)]
pub enum Explain {
    Query {
        query: Box<Query>,
        analyze: bool,
        verbose: bool,
    },
    /// What may answer a query.
    Route(Box<Query>),
    View(ObjectName),
}

/// The rest of the grammar: a query, refused where it does more than ask.
pub(super) fn query(parser: &mut Parser<'_>) -> Result<Box<Query>, Failed> {
    let query = parser.parse_query()?;
    if !query.locks.is_empty() {
        return Err(refuse("SELECT … FOR UPDATE").into());
    }
    reads_only(&query.body)?;
    Ok(query)
}

fn reads_only(body: &SetExpr) -> Result<(), Failed> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => Err(refuse("SELECT INTO").into()),
        SetExpr::Query(query) => reads_only(&query.body),
        SetExpr::SetOperation { left, right, .. } => reads_only(left).and_then(|()| reads_only(right)),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(refuse("a statement inside WITH that writes").into())
        }
        _ => Ok(()),
    }
}

/// `TABLE name` is `SELECT * FROM name`.
pub(super) fn table(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    parser.next_token();
    let name = parser.parse_object_name(false)?;
    let text = format!("SELECT * FROM {name}");
    let mut inner = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text)?;
    Ok(Command::Query(inner.parse_query()?))
}

pub(super) fn insert(parser: &mut Parser<'_>) -> Result<Insert, Failed> {
    expect(parser, "INTO")?;
    let name = parser.parse_object_name(false)?;
    let mut columns = Vec::new();
    let list = matches!(parser.peek_token_ref().token, Token::LParen)
        && !matches!(&parser.peek_nth_token_ref(1).token,
            Token::Word(w) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES));
    if list {
        parser.expect_token(&Token::LParen)?;
        columns = parser.parse_comma_separated(Parser::parse_identifier)?.iter().map(name::fold).collect();
        parser.expect_token(&Token::RParen)?;
    }
    for clause in ["OVERRIDING", "DEFAULT"] {
        if accept(parser, clause) {
            return Err(refuse(format!("INSERT … {clause}")).into());
        }
    }
    let query = query(parser)?;
    for clause in ["RETURNING", "ON"] {
        if accept(parser, clause) {
            return Err(refuse(format!("INSERT … {clause}")).into());
        }
    }
    Ok(Insert { name, columns, query })
}

pub(super) fn explain(parser: &mut Parser<'_>) -> Result<Explain, Failed> {
    if parser.peek_token_ref().token == Token::LParen
        && matches!(&parser.peek_nth_token_ref(1).token, Token::Word(w) if w.keyword != Keyword::SELECT)
    {
        return Err(refuse("EXPLAIN (options)").with_hint("write EXPLAIN [ANALYZE] [VERBOSE] query").into());
    }
    let next = &parser.peek_nth_token_ref(1).token;
    let asks = matches!(next, Token::LParen)
        || matches!(next, Token::Word(w) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH));
    if asks && accept(parser, "ROUTE") {
        return Ok(Explain::Route(query(parser)?));
    }
    let analyze = accept(parser, "ANALYZE");
    let verbose = accept(parser, "VERBOSE");
    match &parser.peek_token_ref().token {
        Token::LParen => {}
        Token::Word(word) if word.quote_style.is_none() => match word.value.to_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" => {}
            "TABLE" => {
                return match table(parser)? {
                    Command::Query(query) => Ok(Explain::Query { query, analyze, verbose }),
                    _ => Err(refuse("EXPLAIN of this").into()),
                };
            }
            "INSERT" | "CREATE" | "EXECUTE" | "DROP" => {
                return Err(refuse(format!("EXPLAIN {}", word.value.to_uppercase())).into());
            }
            _ => return explain_view(parser),
        },
        _ => return explain_view(parser),
    }
    Ok(Explain::Query { query: query(parser)?, analyze, verbose })
}

fn explain_view(parser: &mut Parser<'_>) -> Result<Explain, Failed> {
    if accept(parser, "MATERIALIZED") {
        expect(parser, "VIEW")?;
    } else {
        accept(parser, "VIEW");
    }
    Ok(Explain::View(parser.parse_object_name(false)?))
}
