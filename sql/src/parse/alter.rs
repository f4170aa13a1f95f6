//! Parsing `ALTER`: columns of sources and tables, snapshots of tables and views.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::name::fold;
use super::relation::ColumnClause;
use super::snapshot::{self, SnapshotAction};
use super::{Command, Failed, accept, create, expect, found, refuse};
use crate::data_type;

/// `ALTER kind name action`.
#[derive(Clone, Debug)]
pub struct Alter {
    /// `SOURCE`, `TABLE` or `MATERIALIZED VIEW`.
    pub kind: &'static str,
    pub name: ObjectName,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    Columns(Vec<ColumnChange>),
    Snapshots(SnapshotAction),
}

#[derive(Clone, Debug)]
pub enum ColumnChange {
    Add { column: Box<ColumnClause>, if_not_exists: bool },
    Widen { name: String, data_type: DataType },
}

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Command, Failed> {
    let kind = if accept(parser, "SOURCE") {
        "SOURCE"
    } else if accept(parser, "TABLE") {
        "TABLE"
    } else if accept(parser, "MATERIALIZED") {
        expect(parser, "VIEW")?;
        "MATERIALIZED VIEW"
    } else {
        let what = found(parser).to_uppercase();
        return Err(refuse(format!("ALTER {what}"))
            .with_hint("what can be altered: SOURCE, TABLE, MATERIALIZED VIEW")
            .into());
    };
    if parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]) {
        return Err(refuse(format!("ALTER {kind} IF EXISTS")).into());
    }
    let name = parser.parse_object_name(false)?;
    let action = action(parser, kind)?;
    Ok(Command::Alter(Box::new(Alter { kind, name, action })))
}

fn action(parser: &mut Parser<'_>, kind: &str) -> Result<Action, Failed> {
    if let Some(action) = snapshot::action(parser)? {
        return Ok(Action::Snapshots(action));
    }
    let word = found(parser).to_uppercase();
    if !matches!(word.as_str(), "ADD" | "ALTER") {
        return Err(refuse(format!("ALTER {kind} … {word}"))
            .with_hint("columns can be added (ADD COLUMN) and widened (ALTER COLUMN … TYPE)")
            .into());
    }
    if kind == "MATERIALIZED VIEW" {
        return Err(refuse(format!("ALTER {kind} … {word}"))
            .with_hint("changing a view is planned; until then create another view beside it, and drop this one when that has caught up")
            .into());
    }
    let mut changes = vec![change(parser)?];
    while parser.consume_token(&Token::Comma) {
        changes.push(change(parser)?);
    }
    Ok(Action::Columns(changes))
}

fn change(parser: &mut Parser<'_>) -> Result<ColumnChange, Failed> {
    if accept(parser, "ADD") {
        return add(parser);
    }
    expect(parser, "ALTER")?;
    accept(parser, "COLUMN");
    let name = fold(&parser.parse_identifier()?);
    if accept(parser, "SET") && !accept(parser, "DATA") {
        return Err(refuse(format!("ALTER COLUMN … SET {}", found(parser).to_uppercase())).into());
    }
    if !accept(parser, "TYPE") {
        return Err(refuse(format!("ALTER COLUMN … {}", found(parser).to_uppercase())).into());
    }
    let data_type = data_type::from_sql(&parser.parse_data_type()?)?;
    for clause in ["USING", "COLLATE"] {
        if accept(parser, clause) {
            return Err(refuse(format!("ALTER COLUMN … TYPE … {clause}")).into());
        }
    }
    Ok(ColumnChange::Widen { name, data_type })
}

fn add(parser: &mut Parser<'_>) -> Result<ColumnChange, Failed> {
    if !accept(parser, "COLUMN") {
        let word = found(parser).to_uppercase();
        if matches!(word.as_str(), "CONSTRAINT" | "PRIMARY" | "FOREIGN" | "UNIQUE" | "CHECK") {
            return Err(refuse(format!("ALTER … ADD {word}"))
                .with_hint("rows are not checked against each other")
                .into());
        }
    }
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let column = Box::new(create::column(parser)?);
    let why = "rows that are there already have no value of it: it is NULL in them";
    if column.not_null {
        return Err(refuse("ADD COLUMN … NOT NULL").with_hint(why).into());
    }
    if column.generated.is_some() {
        return Err(refuse("ADD COLUMN … GENERATED")
            .with_hint("compute it in the query, or in the views over the table")
            .into());
    }
    Ok(ColumnChange::Add { column, if_not_exists })
}
