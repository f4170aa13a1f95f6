//! `PARTITION BY`: how the files of a table are cut.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use siltstone_engine::lake::Transform;

use super::name::{fold, quote};
use super::{Failed, accept, expect, found, refuse};

/// What a table says of its partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PartitionClause {
    /// Nothing: they are chosen for it.
    #[default]
    Unsaid,
    /// `PARTITION BY ()`: it has none.
    Whole,
    By(PartitionBy),
}

/// `PARTITION BY (day(column))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionBy {
    pub transform: Transform,
    pub column: String,
}

impl PartitionBy {
    pub fn canonical(&self) -> String {
        format!("{}({})", self.transform.name(), quote(&self.column))
    }
}

impl PartitionClause {
    /// The clause behind the list of columns, with a space before it.
    pub fn canonical(&self) -> String {
        match self {
            Self::Unsaid => String::new(),
            Self::Whole => " PARTITION BY ()".to_owned(),
            Self::By(by) => format!(" PARTITION BY ({})", by.canonical()),
        }
    }
}

pub fn parse(parser: &mut Parser<'_>) -> Result<PartitionClause, Failed> {
    if !accept(parser, "PARTITION") {
        return Ok(PartitionClause::Unsaid);
    }
    expect(parser, "BY")?;
    parser.expect_token(&Token::LParen)?;
    if parser.consume_token(&Token::RParen) {
        return Ok(PartitionClause::Whole);
    }
    let name = found(parser);
    // A column may bear a transform's name.
    let is_call = parser.peek_nth_token_ref(1).token == Token::LParen;
    let Some(transform) = Transform::by_name(&name.to_lowercase()).filter(|_| is_call) else {
        return Err(refuse(format!("PARTITION BY ({name} …)"))
            .with_hint("partitions are of times: PARTITION BY (day(column)), month(column) or year(column)")
            .into());
    };
    parser.next_token();
    parser.expect_token(&Token::LParen)?;
    let column = fold(&parser.parse_identifier()?);
    parser.expect_token(&Token::RParen)?;
    if parser.peek_token_ref().token == Token::Comma {
        return Err(refuse("PARTITION BY of several columns").into());
    }
    parser.expect_token(&Token::RParen)?;
    Ok(PartitionClause::By(PartitionBy { transform, column }))
}
