//! Parsing `DROP` and `SHOW`.

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{Command, Failed, accept, expect, found, refuse, session};

/// `DROP kind [IF EXISTS] name, … [CASCADE | RESTRICT]`.
#[derive(Clone, Debug)]
pub struct Drop {
    /// `SOURCE`, `TABLE` or `MATERIALIZED VIEW`.
    pub kind: &'static str,
    pub if_exists: bool,
    pub names: Vec<ObjectName>,
    pub cascade: bool,
}

/// What `SHOW` is asked for.
#[derive(Clone, Debug)]
pub enum Show {
    Sources,
    Tables,
    Views,
    Create(ObjectName),
    Columns(ObjectName),
    Setting(String),
    All,
}

pub(super) fn drop(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let kind = if accept(parser, "SOURCE") {
        "SOURCE"
    } else if accept(parser, "TABLE") {
        "TABLE"
    } else if accept(parser, "MATERIALIZED") {
        expect(parser, "VIEW")?;
        "MATERIALIZED VIEW"
    } else {
        let what = found(parser).to_uppercase();
        return Err(refuse(format!("DROP {what}"))
            .with_hint("what can be dropped: SOURCE, TABLE, MATERIALIZED VIEW")
            .into());
    };
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let names = parser.parse_comma_separated(|p| p.parse_object_name(false))?;
    let cascade = accept(parser, "CASCADE");
    if !cascade {
        accept(parser, "RESTRICT");
    }
    Ok(Command::Drop(Drop { kind, if_exists, names, cascade }))
}

pub(super) fn show(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let show = if accept(parser, "SOURCES") {
        Show::Sources
    } else if accept(parser, "TABLES") {
        Show::Tables
    } else if accept(parser, "VIEWS") {
        Show::Views
    } else if accept(parser, "MATERIALIZED") {
        expect(parser, "VIEWS")?;
        Show::Views
    } else if accept(parser, "ALL") {
        Show::All
    } else if accept(parser, "CREATE") {
        if accept(parser, "MATERIALIZED") {
            expect(parser, "VIEW")?;
        } else if !accept(parser, "SOURCE") && !accept(parser, "TABLE") {
            accept(parser, "VIEW");
        }
        Show::Create(parser.parse_object_name(false)?)
    } else if accept(parser, "COLUMNS") {
        if !accept(parser, "FROM") {
            expect(parser, "IN")?;
        }
        Show::Columns(parser.parse_object_name(false)?)
    } else {
        Show::Setting(session::setting_name(parser)?)
    };
    if let Token::Word(word) = &parser.peek_token_ref().token
        && matches!(
            word.keyword,
            Keyword::LIKE | Keyword::ILIKE | Keyword::WHERE | Keyword::FROM | Keyword::IN
        )
    {
        return Err(refuse(format!("SHOW … {}", word.value.to_uppercase()))
            .with_hint("query information_schema.tables or the tables of schema siltstone instead")
            .into());
    }
    Ok(Command::Show(show))
}
