//! The names of a query's columns as PostgreSQL gives them: `sum`, not `sum(events.bid_price)`.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr};

use crate::parse::name::fold;

/// PostgreSQL's name of a column that has none.
const UNNAMED: &str = "?column?";

/// A name for each column of `schema`, which the planner made of `query`.
pub fn headings(query: &Query, schema: &Schema) -> Vec<String> {
    let planned: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let Some(items) = items(&query.body) else { return planned };
    let wildcards = items.iter().filter(|item| is_wildcard(item)).count();
    if wildcards > 1
        || (wildcards == 0 && items.len() != planned.len())
        || items.len() > planned.len() + wildcards
    {
        return planned;
    }
    let expanded = planned.len() + wildcards - items.len();
    let mut names = Vec::with_capacity(planned.len());
    for item in items {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => names.push(fold(alias)),
            SelectItem::UnnamedExpr(expr) => names.push(name(expr)),
            _ => names.extend_from_slice(&planned[names.len()..names.len() + expanded]),
        }
    }
    names
}

/// The query with a name of its own for each column: PostgreSQL lets columns share one, the planner does not.
pub fn told_apart(query: &Query) -> Query {
    let mut query = query.clone();
    if let Some(items) = items_mut(&mut query.body) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter_mut().enumerate() {
            let own = Ident::with_quote('"', format!("column {}", index + 1));
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: own };
                }
                SelectItem::ExprWithAlias { alias, .. } if !seen.insert(fold(alias)) => *alias = own,
                _ => {}
            }
        }
    }
    query
}

fn items_mut(body: &mut SetExpr) -> Option<&mut [SelectItem]> {
    match body {
        SetExpr::Select(select) => Some(&mut select.projection),
        SetExpr::Query(query) => items_mut(&mut query.body),
        _ => None,
    }
}

fn items(body: &SetExpr) -> Option<&[SelectItem]> {
    match body {
        SetExpr::Select(select) => Some(select_items(select)),
        SetExpr::Query(query) => items(&query.body),
        SetExpr::SetOperation { left, .. } => items(left),
        _ => None,
    }
}

fn select_items(select: &Select) -> &[SelectItem] {
    &select.projection
}

fn is_wildcard(item: &SelectItem) -> bool {
    !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
}

fn name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => fold(ident),
        Expr::CompoundIdentifier(idents) => idents.last().map_or_else(|| UNNAMED.to_owned(), fold),
        Expr::Function(call) => {
            call.name.0.last().map_or_else(|| UNNAMED.to_owned(), |n| n.to_string().to_lowercase())
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name(inner),
        Expr::Cast { expr, data_type, .. } => match name(expr) {
            unnamed if unnamed == UNNAMED => type_name(&data_type.to_string()),
            named => named,
        },
        Expr::TypedString(typed) => type_name(&typed.data_type.to_string()),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Substring { .. } => "substring".to_owned(),
        Expr::Trim { .. } => "btrim".to_owned(),
        Expr::Position { .. } => "position".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Interval(_) => "interval".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => match items(&query.body) {
            Some([SelectItem::UnnamedExpr(inner)]) => name(inner),
            Some([SelectItem::ExprWithAlias { alias, .. }]) => fold(alias),
            _ => UNNAMED.to_owned(),
        },
        _ => UNNAMED.to_owned(),
    }
}

/// PostgreSQL's internal name of a type, which is what a cast of a constant is called.
fn type_name(sql: &str) -> String {
    let lower = sql.to_lowercase();
    let base = lower.split('(').next().unwrap_or_default().trim();
    match base {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "real" => "float4",
        "double precision" | "double" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "timestamp with time zone" => "timestamptz",
        other => other.rsplit('.').next().unwrap_or(other),
    }
    .to_owned()
}
