//! Parsing `CREATE`.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::Value;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::name::{fold, relation};
use super::partition::{self, PartitionClause};
use super::relation::{ColumnClause, CreateSource, CreateView, Watermark};
use super::retain::{RETAIN, Retain};
use super::{Command, Failed, accept, expect, found, refuse};
use crate::data_type;
use crate::error::{Error, sqlstate};

/// Columns a source or table may have.
pub const COLUMNS_MAX: usize = 1_600;

/// The connector of a table that names none: rows come from `INSERT` and from the embedding program.
pub const PUSH: &str = "push";

pub fn parse(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    if accept(parser, "SOURCE") {
        return source(parser, false);
    }
    if accept(parser, "TABLE") {
        return source(parser, true);
    }
    if accept(parser, "MATERIALIZED") {
        expect(parser, "VIEW")?;
        return view(parser);
    }
    let what = found(parser);
    let error = refuse(format!("CREATE {}", what.to_uppercase()));
    Err(if what.eq_ignore_ascii_case("view") {
        error.with_hint("write CREATE MATERIALIZED VIEW; its rows are kept up to date")
    } else {
        error.with_hint("what can be created: SOURCE, TABLE, MATERIALIZED VIEW")
    }
    .into())
}

fn if_not_exists(parser: &mut Parser<'_>) -> bool {
    parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS])
}

fn source(parser: &mut Parser<'_>, keeps_rows: bool) -> Result<Command, Failed> {
    let if_not_exists = if_not_exists(parser);
    let name = relation(&parser.parse_object_name(false)?)?;
    if parser.peek_keyword(Keyword::AS) {
        let hint = "create the table with its columns, then INSERT INTO it";
        return Err(refuse("CREATE TABLE … AS").with_hint(hint).into());
    }
    parser.expect_token(&Token::LParen)?;
    let mut create = CreateSource {
        keeps_rows,
        name,
        if_not_exists,
        columns: Vec::new(),
        watermark: None,
        partition: PartitionClause::Unsaid,
        retain: None,
        options: BTreeMap::new(),
        connector: PUSH.to_owned(),
    };
    loop {
        clause(parser, &mut create)?;
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    if create.columns.len() > COLUMNS_MAX {
        let message = format!("\"{}\" has more than {COLUMNS_MAX} columns", create.name);
        return Err(Error::new(sqlstate::TOO_MANY, message).into());
    }
    create.partition = partition::parse(parser)?;
    if parser.parse_keyword(Keyword::WITH) {
        create.options = options(parser)?;
        let says_retain = create.options.contains_key(RETAIN);
        create.retain = Retain::take(&mut create.options)?;
        match create.options.remove("connector") {
            Some(connector) => create.connector = connector,
            None if keeps_rows && says_retain && create.options.is_empty() => {}
            None => return Err(no_connector(&create).into()),
        }
        let is_for_rows = |retain: &Retain| retain.own().is_some() || !retain.has_ladder();
        if !keeps_rows && create.retain.as_ref().is_some_and(is_for_rows) {
            return Err(keeps_none(&create, "retain").into());
        }
    } else if !keeps_rows {
        return Err(no_connector(&create).into());
    }
    if !keeps_rows && create.partition != PartitionClause::Unsaid {
        return Err(keeps_none(&create, "PARTITION BY").into());
    }
    Ok(Command::CreateSource(Box::new(create)))
}

fn keeps_none(create: &CreateSource, clause: &str) -> Error {
    let message = format!("{clause} on source \"{}\", which keeps no rows", create.name);
    Error::new(sqlstate::INVALID_DEFINITION, message)
        .with_hint("CREATE TABLE keeps rows; a view over the source has a retain of its own")
}

fn no_connector(create: &CreateSource) -> Error {
    let kind = create.kind().to_lowercase();
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, format!("{kind} \"{}\" names no connector", create.name))
        .with_hint("add WITH (connector = '…'); rows that are only inserted take connector = 'push'")
}

fn clause(parser: &mut Parser<'_>, create: &mut CreateSource) -> Result<(), Failed> {
    if starts(parser, &["WATERMARK", "FOR"]) {
        if create.watermark.is_some() {
            return Err(Error::syntax("only one WATERMARK is allowed").into());
        }
        accept(parser, "WATERMARK");
        accept(parser, "FOR");
        let column = fold(&parser.parse_identifier()?);
        expect(parser, "AS")?;
        create.watermark = Some(Watermark { column, expression: parser.parse_expr()? });
        return Ok(());
    }
    for constraint in [["PRIMARY", "KEY"], ["FOREIGN", "KEY"]] {
        if starts(parser, &constraint) {
            return Err(refuse(constraint.join(" "))
                .with_hint("rows are not checked against each other")
                .into());
        }
    }
    if starts(parser, &["CONSTRAINT"]) || starts(parser, &["LIKE"]) {
        return Err(refuse(found(parser).to_uppercase()).into());
    }
    create.columns.push(column(parser)?);
    Ok(())
}

pub(super) fn column(parser: &mut Parser<'_>) -> Result<ColumnClause, Failed> {
    let name = fold(&parser.parse_identifier()?);
    let data_type = data_type::from_sql(&parser.parse_data_type()?)?;
    let mut column = ColumnClause { name, data_type, not_null: false, generated: None };
    loop {
        if parser.parse_keywords(&[Keyword::NOT, Keyword::NULL]) {
            column.not_null = true;
        } else if accept(parser, "NULL") {
            column.not_null = false;
        } else if accept(parser, "GENERATED") {
            expect(parser, "ALWAYS")?;
            expect(parser, "AS")?;
            if parser.peek_keyword(Keyword::IDENTITY) {
                return Err(refuse("GENERATED ALWAYS AS IDENTITY").into());
            }
            parser.expect_token(&Token::LParen)?;
            column.generated = Some(parser.parse_expr()?);
            parser.expect_token(&Token::RParen)?;
            if !accept(parser, "STORED") {
                accept(parser, "VIRTUAL");
            }
        } else if is_end(&parser.peek_token_ref().token) {
            return Ok(column);
        } else {
            return Err(unknown_column_option(parser));
        }
    }
}

/// Whether a column of a list, or of `ADD COLUMN`, ends before this token.
fn is_end(token: &Token) -> bool {
    matches!(token, Token::Comma | Token::RParen | Token::SemiColon | Token::EOF)
}

fn unknown_column_option(parser: &mut Parser<'_>) -> Failed {
    let word = found(parser).to_uppercase();
    let known = ["PRIMARY", "UNIQUE", "CHECK", "REFERENCES", "DEFAULT", "COLLATE", "CONSTRAINT"];
    match word.as_str() {
        "PRIMARY" => refuse("PRIMARY KEY").with_hint("rows are not checked against each other").into(),
        other if known.contains(&other) => refuse(format!("{other} on a column")).into(),
        _ => match parser.expected::<()>("',' or ')' after the column", parser.peek_token()) {
            Err(error) => error.into(),
            Ok(()) => Error::syntax("unexpected end of a column").into(),
        },
    }
}

/// `('key' = value, …)`: keys quoted or dotted, values strings, numbers, booleans or words.
fn options(parser: &mut Parser<'_>) -> Result<BTreeMap<String, String>, Failed> {
    let mut options = BTreeMap::new();
    parser.expect_token(&Token::LParen)?;
    if parser.consume_token(&Token::RParen) {
        return Ok(options);
    }
    loop {
        let key = option_key(parser)?;
        parser.expect_token(&Token::Eq)?;
        let value = option_value(parser)?;
        if options.insert(key.clone(), value).is_some() {
            return Err(Error::syntax(format!("option \"{key}\" is given twice")).into());
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    Ok(options)
}

fn option_key(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    if let Token::SingleQuotedString(key) = parser.peek_token().token {
        parser.next_token();
        return Ok(key);
    }
    let mut key = fold(&parser.parse_identifier()?);
    while parser.consume_token(&Token::Period) {
        key.push('.');
        key.push_str(&fold(&parser.parse_identifier()?));
    }
    Ok(key)
}

fn option_value(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let negative = parser.consume_token(&Token::Minus);
    let token = parser.next_token();
    match &token.token {
        Token::Number(number, _) if negative => Ok(format!("-{number}")),
        Token::Number(number, _) => Ok(number.clone()),
        Token::Word(word) if !negative => Ok(word.value.clone()),
        _ if negative => parser.expected("a number", token),
        _ => {
            parser.prev_token();
            match parser.parse_value()?.value {
                Value::SingleQuotedString(text)
                | Value::EscapedStringLiteral(text)
                | Value::UnicodeStringLiteral(text) => Ok(text),
                Value::DollarQuotedString(text) => Ok(text.value),
                Value::Boolean(value) => Ok(value.to_string()),
                _ => parser.expected("a string, a number or a boolean", token),
            }
        }
    }
}

fn view(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let if_not_exists = if_not_exists(parser);
    let name = relation(&parser.parse_object_name(false)?)?;
    let mut columns = Vec::new();
    if parser.consume_token(&Token::LParen) {
        columns = parser.parse_comma_separated(Parser::parse_identifier)?.iter().map(fold).collect();
        parser.expect_token(&Token::RParen)?;
    }
    let mut options = match parser.parse_keyword(Keyword::WITH) {
        true => options(parser)?,
        false => BTreeMap::new(),
    };
    let retain = Retain::take(&mut options)?;
    if retain.as_ref().is_some_and(Retain::has_ladder) {
        let message = "a materialized view has no ladder of spans";
        return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
            .with_hint("give the view its own span, or the table or source that it reads the ladder")
            .into());
    }
    if let Some(option) = options.keys().next() {
        let message = format!("a materialized view has no option \"{option}\"");
        return Err(Error::new(sqlstate::INVALID_PARAMETER_VALUE, message)
            .with_hint("the only one is retain, as in WITH (retain = '90 days')")
            .into());
    }
    expect(parser, "AS")?;
    let query = parser.parse_query()?;
    if starts(parser, &["EMIT"]) {
        return Err(refuse("EMIT").with_hint("a view always shows the current rows").into());
    }
    if starts(parser, &["WITH", "NO", "DATA"]) {
        return Err(refuse("WITH NO DATA").into());
    }
    if parser.parse_keyword(Keyword::WITH) {
        expect(parser, "DATA")?;
    }
    Ok(Command::CreateView(CreateView { name, if_not_exists, columns, retain, query }))
}

/// Whether these words come next; takes none.
fn starts(parser: &Parser<'_>, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(nth, word)| match &parser.peek_nth_token_ref(nth).token {
        Token::Word(found) => found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word),
        _ => false,
    })
}
