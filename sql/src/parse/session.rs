//! Parsing what only concerns the session: settings, transactions, prepared statements.

use datafusion::sql::sqlparser::ast::Value;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::name::fold;
use super::{Command, Failed, accept, command, expect, refuse};

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    Default,
    Text(String),
}

/// The name of a setting: dotted, or one of the spellings with spaces.
pub(super) fn setting_name(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    if accept(parser, "TIME") {
        expect(parser, "ZONE")?;
        return Ok("timezone".to_owned());
    }
    if accept(parser, "TRANSACTION") {
        expect(parser, "ISOLATION")?;
        expect(parser, "LEVEL")?;
        return Ok("transaction_isolation".to_owned());
    }
    if accept(parser, "SESSION") {
        expect(parser, "AUTHORIZATION")?;
        return Ok("session_authorization".to_owned());
    }
    let mut name = fold(&parser.parse_identifier()?);
    while parser.consume_token(&Token::Period) {
        name.push('.');
        name.push_str(&fold(&parser.parse_identifier()?));
    }
    Ok(name)
}

pub(super) fn set(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    if accept(parser, "LOCAL") {
        return Err(refuse("SET LOCAL").with_hint("there are no transactions; use SET").into());
    }
    if accept(parser, "SESSION") && accept(parser, "CHARACTERISTICS") {
        expect(parser, "AS")?;
        expect(parser, "TRANSACTION")?;
        skip(parser);
        return Ok(Command::Transaction("SET"));
    }
    if accept(parser, "TRANSACTION") {
        skip(parser);
        return Ok(Command::Transaction("SET"));
    }
    if accept(parser, "NAMES") {
        let value = value(parser)?;
        return Ok(Command::Set { name: "client_encoding".to_owned(), value });
    }
    if accept(parser, "TIME") {
        expect(parser, "ZONE")?;
        let value = if accept(parser, "LOCAL") { SetValue::Default } else { value(parser)? };
        return Ok(Command::Set { name: "timezone".to_owned(), value });
    }
    let name = setting_name(parser)?;
    if !parser.consume_token(&Token::Eq) {
        expect(parser, "TO")?;
    }
    let mut value = value(parser)?;
    while parser.consume_token(&Token::Comma) {
        if let (SetValue::Text(all), SetValue::Text(next)) = (&mut value, self::value(parser)?) {
            all.push_str(", ");
            all.push_str(&next);
        }
    }
    Ok(Command::Set { name, value })
}

fn value(parser: &mut Parser<'_>) -> Result<SetValue, ParserError> {
    if accept(parser, "DEFAULT") {
        return Ok(SetValue::Default);
    }
    let minus = if parser.consume_token(&Token::Minus) { "-" } else { "" };
    let _ = parser.consume_token(&Token::Plus);
    let token = parser.next_token();
    let text = match &token.token {
        Token::Word(word) => word.value.clone(),
        Token::Number(number, _) => number.clone(),
        _ => {
            parser.prev_token();
            match parser.parse_value()?.value {
                Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text,
                _ => return parser.expected("a value", token),
            }
        }
    };
    Ok(SetValue::Text(format!("{minus}{text}")))
}

pub(super) fn reset(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    if accept(parser, "ALL") {
        Ok(Command::Reset(None))
    } else {
        Ok(Command::Reset(Some(setting_name(parser)?)))
    }
}

pub(super) fn transaction(parser: &mut Parser<'_>, word: &str) -> Result<Command, Failed> {
    let tag = match word {
        "BEGIN" => "BEGIN",
        "START" => {
            expect(parser, "TRANSACTION")?;
            "START TRANSACTION"
        }
        "COMMIT" | "END" => "COMMIT",
        _ => "ROLLBACK",
    };
    if accept(parser, "PREPARED") {
        return Err(refuse(format!("{word} PREPARED")).into());
    }
    if !accept(parser, "TRANSACTION") {
        accept(parser, "WORK");
    }
    if accept(parser, "TO") {
        return Err(refuse("ROLLBACK TO SAVEPOINT").into());
    }
    skip(parser);
    Ok(Command::Transaction(tag))
}

/// Leaves out transaction modes: every statement stands alone, whatever they say.
fn skip(parser: &mut Parser<'_>) {
    while matches!(parser.peek_token_ref().token, Token::Word(_) | Token::Comma) {
        parser.next_token();
    }
}

pub(super) fn discard(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    for word in ["ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY"] {
        if accept(parser, word) {
            let all = word == "ALL";
            return Ok(if all { Command::DiscardAll } else { Command::Transaction(discard_tag(word)) });
        }
    }
    Ok(parser.expected("ALL", parser.peek_token())?)
}

fn discard_tag(word: &str) -> &'static str {
    match word {
        "PLANS" => "DISCARD PLANS",
        "SEQUENCES" => "DISCARD SEQUENCES",
        _ => "DISCARD TEMP",
    }
}

pub(super) fn prepare(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let name = fold(&parser.parse_identifier()?);
    let mut types = Vec::new();
    if parser.consume_token(&Token::LParen) {
        types = parser.parse_comma_separated(Parser::parse_data_type)?;
        parser.expect_token(&Token::RParen)?;
    }
    expect(parser, "AS")?;
    let statement = Box::new(command(parser)?);
    if !matches!(*statement, Command::Query(_) | Command::Insert(_)) {
        return Err(refuse("PREPARE of anything but a query or INSERT").into());
    }
    Ok(Command::Prepare { name, types, statement })
}

pub(super) fn execute(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let name = fold(&parser.parse_identifier()?);
    let mut arguments = Vec::new();
    if parser.consume_token(&Token::LParen) {
        arguments = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
    }
    Ok(Command::Execute { name, arguments })
}

pub(super) fn deallocate(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    accept(parser, "PREPARE");
    if accept(parser, "ALL") {
        return Ok(Command::Deallocate(None));
    }
    Ok(Command::Deallocate(Some(fold(&parser.parse_identifier()?))))
}
