//! `CREATE SOURCE`, `CREATE TABLE`, `CREATE MATERIALIZED VIEW`: what they say, and their canonical text.
//!
//! The canonical text is what the engine stores and what two definitions are compared by, so parsing it
//! again must give the same text again.

use std::collections::BTreeMap;
use std::fmt::Write;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Expr, Query};

use super::name::quote;
use crate::data_type;

/// `CREATE SOURCE` or `CREATE TABLE`.
#[derive(Clone, Debug)]
pub struct CreateSource {
    /// `TABLE`: the rows are kept.
    pub keeps_rows: bool,
    pub name: String,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnClause>,
    pub watermark: Option<Watermark>,
    /// Without `connector`.
    pub options: BTreeMap<String, String>,
    pub connector: String,
}

#[derive(Clone, Debug)]
pub struct ColumnClause {
    pub name: String,
    pub data_type: DataType,
    pub not_null: bool,
    pub generated: Option<Expr>,
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug)]
pub struct Watermark {
    pub column: String,
    pub expression: Expr,
}

/// `CREATE MATERIALIZED VIEW`.
#[derive(Clone, Debug)]
pub struct CreateView {
    pub name: String,
    pub if_not_exists: bool,
    /// Names given to the query's columns, if any are.
    pub columns: Vec<String>,
    pub query: Box<Query>,
}

impl CreateSource {
    /// `SOURCE` or `TABLE`.
    pub fn kind(&self) -> &'static str {
        if self.keeps_rows { "TABLE" } else { "SOURCE" }
    }

    pub fn canonical(&self) -> String {
        let mut text = format!("CREATE {} {} (", self.kind(), quote(&self.name));
        let mut clauses: Vec<String> = self.columns.iter().map(ColumnClause::canonical).collect();
        if let Some(watermark) = &self.watermark {
            clauses.push(watermark.canonical());
        }
        let _ = write!(text, "{}) WITH (connector = {}", clauses.join(", "), literal(&self.connector));
        for (key, value) in &self.options {
            let _ = write!(text, ", {} = {}", quote(key), literal(value));
        }
        text.push(')');
        text
    }
}

impl ColumnClause {
    pub fn canonical(&self) -> String {
        let mut text = format!("{} {}", quote(&self.name), data_type::name(&self.data_type));
        if self.not_null {
            text.push_str(" NOT NULL");
        }
        if let Some(expression) = &self.generated {
            let _ = write!(text, " GENERATED ALWAYS AS ({expression}) STORED");
        }
        text
    }
}

impl Watermark {
    pub fn canonical(&self) -> String {
        format!("WATERMARK FOR {} AS {}", quote(&self.column), self.expression)
    }
}

impl CreateView {
    pub fn canonical(&self) -> String {
        let columns = match self.columns.as_slice() {
            [] => String::new(),
            names => format!(" ({})", names.iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ")),
        };
        format!("CREATE MATERIALIZED VIEW {}{columns} AS {}", quote(&self.name), self.query)
    }
}

fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
