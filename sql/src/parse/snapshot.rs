//! Parsing what is done with the snapshots of a table or view: `OPTIMIZE`, and `ALTER … TAG`, `ROLLBACK`,
//! `EXPIRE SNAPSHOTS`.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use siltstone_engine::runtime::AsOf;

use super::name::fold;
use super::{Command, Failed, accept, expect, found, refuse};
use crate::error::Error;

/// What `ALTER` does with snapshots.
#[derive(Clone, Debug)]
pub enum SnapshotAction {
    /// Of the current snapshot, if none is named.
    CreateTag {
        tag: String,
        of: Option<AsOf>,
    },
    DropTag(String),
    RollBack(AsOf),
    Expire {
        older_than: Option<Box<Expr>>,
        keep: Option<usize>,
    },
}

/// `OPTIMIZE [TABLE | MATERIALIZED VIEW] [name]`.
pub(super) fn optimize(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    if accept(parser, "MATERIALIZED") {
        expect(parser, "VIEW")?;
    } else if !accept(parser, "TABLE")
        && matches!(parser.peek_token_ref().token, Token::SemiColon | Token::EOF)
    {
        return Ok(Command::Optimize(None));
    }
    let name = parser.parse_object_name(false)?;
    if let Token::Word(word) = &parser.peek_token_ref().token {
        return Err(refuse(format!("OPTIMIZE … {}", word.value.to_uppercase())).into());
    }
    Ok(Command::Optimize(Some(name)))
}

/// The action that stands behind `ALTER kind name`, if it is one of snapshots.
pub(super) fn action(parser: &mut Parser<'_>) -> Result<Option<SnapshotAction>, Failed> {
    let Token::Word(next) = &parser.peek_nth_token_ref(1).token else { return Ok(None) };
    let (word, next) = (found(parser).to_uppercase(), next.value.to_uppercase());
    let action: fn(&mut Parser<'_>) -> _ = match (word.as_str(), next.as_str()) {
        ("CREATE", "TAG") => create_tag,
        ("DROP", "TAG") => drop_tag,
        ("ROLLBACK", _) => roll_back,
        ("EXPIRE", _) => expire,
        _ => return Ok(None),
    };
    parser.next_token();
    action(parser).map(Some)
}

fn drop_tag(parser: &mut Parser<'_>) -> Result<SnapshotAction, Failed> {
    Ok(SnapshotAction::DropTag(tag(parser)?))
}

fn create_tag(parser: &mut Parser<'_>) -> Result<SnapshotAction, Failed> {
    let tag = tag(parser)?;
    let of = if accept(parser, "AS") {
        expect(parser, "OF")?;
        expect(parser, "VERSION")?;
        Some(version(parser)?)
    } else {
        None
    };
    Ok(SnapshotAction::CreateTag { tag, of })
}

/// `TAG name`: as an identifier or a string.
fn tag(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    expect(parser, "TAG")?;
    if let Token::SingleQuotedString(name) = &parser.peek_token_ref().token {
        let name = name.clone();
        parser.next_token();
        return Ok(name);
    }
    Ok(fold(&parser.parse_identifier()?))
}

fn roll_back(parser: &mut Parser<'_>) -> Result<SnapshotAction, Failed> {
    expect(parser, "TO")?;
    expect(parser, "VERSION")?;
    Ok(SnapshotAction::RollBack(version(parser)?))
}

fn expire(parser: &mut Parser<'_>) -> Result<SnapshotAction, Failed> {
    expect(parser, "SNAPSHOTS")?;
    let (mut older_than, mut keep) = (None, None);
    loop {
        if older_than.is_none() && accept(parser, "OLDER") {
            expect(parser, "THAN")?;
            older_than = Some(Box::new(parser.parse_expr()?));
        } else if keep.is_none() && accept(parser, "RETAIN") {
            expect(parser, "LAST")?;
            keep = Some(count(parser)?);
        } else {
            break;
        }
    }
    if older_than.is_none() && keep.is_none() {
        return Err(Error::syntax("EXPIRE SNAPSHOTS does not say which")
            .with_hint("add OLDER THAN 'timestamp', RETAIN LAST number, or both")
            .into());
    }
    Ok(SnapshotAction::Expire { older_than, keep })
}

fn count(parser: &mut Parser<'_>) -> Result<usize, ParserError> {
    let token = parser.next_token();
    match &token.token {
        Token::Number(digits, _) => match digits.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => parser.expected("a whole number from 1", token),
        },
        _ => parser.expected("a whole number from 1", token),
    }
}

/// A snapshot by its number, or by a tag in quotes.
pub(super) fn version(parser: &mut Parser<'_>) -> Result<AsOf, ParserError> {
    let token = parser.next_token();
    match &token.token {
        Token::Number(digits, _) => match digits.parse() {
            Ok(number) => Ok(AsOf::Version(number)),
            Err(_) => parser.expected("the number of a snapshot or a tag in quotes", token),
        },
        Token::SingleQuotedString(tag) => Ok(AsOf::Tag(tag.clone())),
        _ => parser.expected("the number of a snapshot or a tag in quotes", token),
    }
}
