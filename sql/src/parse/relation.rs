//! `CREATE SOURCE`, `CREATE TABLE`, `CREATE MATERIALIZED VIEW`: what they say, and their canonical text.
//!
//! The canonical text is what the engine stores and what two definitions are compared by, so parsing it
//! again must give the same text again.

use std::collections::BTreeMap;
use std::fmt::Write;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{Expr, Query};
use siltstone_engine::lake::Transform;

use super::name::{literal, quote};
use super::partition::{PartitionBy, PartitionClause};
use super::retain::Retain;
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
    pub partition: PartitionClause,
    pub retain: Option<Retain>,
    /// Without `connector` and `retain`.
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
    pub retain: Option<Retain>,
    pub query: Box<Query>,
}

impl CreateSource {
    /// `SOURCE` or `TABLE`.
    pub fn kind(&self) -> &'static str {
        if self.keeps_rows { "TABLE" } else { "SOURCE" }
    }

    /// How a table is cut into partitions: as it says, else by the days of its watermark's column, else of its
    /// first column of times.
    pub fn partition(&self) -> Option<PartitionBy> {
        match &self.partition {
            _ if !self.keeps_rows => None,
            PartitionClause::By(by) => Some(by.clone()),
            PartitionClause::Whole => None,
            PartitionClause::Unsaid => {
                let marked = self.watermark.as_ref().map(|w| w.column.clone());
                let first = || self.columns.iter().find(|c| c.is_time()).map(|c| c.name.clone());
                let column = marked.or_else(first)?;
                Some(PartitionBy { transform: Transform::Day, column })
            }
        }
    }

    pub fn canonical(&self) -> String {
        let mut text = format!("CREATE {} {} (", self.kind(), quote(&self.name));
        let mut clauses: Vec<String> = self.columns.iter().map(ColumnClause::canonical).collect();
        if let Some(watermark) = &self.watermark {
            clauses.push(watermark.canonical());
        }
        let partition = self.partition.canonical();
        let connector = literal(&self.connector);
        let _ = write!(text, "{}){partition} WITH (connector = {connector}", clauses.join(", "));
        for (key, value) in &self.options {
            let _ = write!(text, ", {} = {}", quote(key), literal(value));
        }
        if let Some(retain) = &self.retain {
            let _ = write!(text, ", {}", retain.canonical());
        }
        text.push(')');
        text
    }
}

impl ColumnClause {
    /// Of a type that partitions can be cut by.
    pub fn is_time(&self) -> bool {
        matches!(self.data_type, DataType::Timestamp(..) | DataType::Date32)
    }

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
        let retain = self.retain.as_ref().map(|retain| format!(" WITH ({})", retain.canonical()));
        let retain = retain.unwrap_or_default();
        format!("CREATE MATERIALIZED VIEW {}{columns}{retain} AS {}", quote(&self.name), self.query)
    }
}
