//! In what two definitions of one name differ, one sentence for each difference.

use std::collections::BTreeMap;

use super::Relation;
use crate::data_type;
use crate::parse::{ColumnClause, CreateSource, CreateView, Retain, Watermark};

/// How a source or table is to differ from the stored one.
#[derive(Debug, Default)]
pub struct Differences {
    /// It would be another source.
    pub lasting: Vec<String>,
    /// Operational options, with which it stays the same one.
    pub operational: Vec<String>,
}

/// The differences of a stored source or table from one that is to be created; `is_operational` says which
/// options may differ.
pub fn from_source(
    stored: &Relation,
    new: &CreateSource,
    is_operational: &dyn Fn(&str) -> bool,
) -> Differences {
    let Relation::Source(old) = stored else {
        return Differences { lasting: vec![kind(stored, new.kind())], ..Differences::default() };
    };
    let old = &old.create;
    let mut found = Vec::new();
    if old.keeps_rows != new.keeps_rows {
        found.push(kind(stored, new.kind()));
    }
    columns(&old.columns, &new.columns, &mut found);
    let watermark = |w: &Option<Watermark>| w.as_ref().map(Watermark::canonical);
    changed("watermark", watermark(&old.watermark), watermark(&new.watermark), &mut found);
    let partition = |create: &CreateSource| create.partition().map(|by| by.canonical());
    changed("partition", partition(old), partition(new), &mut found);
    changed("connector", Some(old.connector.clone()), Some(new.connector.clone()), &mut found);
    let part = |create: &CreateSource, may_differ: bool| {
        let options = create.options.iter().filter(|(name, _)| is_operational(name) == may_differ);
        options.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    options(&part(old, false), &part(new, false), &mut found);
    let mut may_differ = Vec::new();
    options(&part(old, true), &part(new, true), &mut may_differ);
    retain(old.retain.as_ref(), new.retain.as_ref(), &mut may_differ);
    Differences { lasting: found, operational: may_differ }
}

/// The differences of a stored view from one that is to be created.
pub fn from_view(stored: &Relation, new: &CreateView) -> Vec<String> {
    let Relation::View(old) = stored else { return vec![kind(stored, "MATERIALIZED VIEW")] };
    let mut found = Vec::new();
    if old.create.columns != new.columns {
        let (before, after) = (old.create.columns.join(", "), new.columns.join(", "));
        found.push(format!("column names ({before}) → ({after})"));
    }
    retain(old.create.retain.as_ref(), new.retain.as_ref(), &mut found);
    let (before, after) = (old.create.query.to_string(), new.query.to_string());
    if before != after {
        found.push(format!("query text differs from: {}", divergence(&before, &after)));
    }
    found
}

fn kind(stored: &Relation, new: &str) -> String {
    format!("{} → {new}", stored.kind())
}

fn columns(old: &[ColumnClause], new: &[ColumnClause], found: &mut Vec<String>) {
    let by_name = |columns: &[ColumnClause], name: &str| columns.iter().find(|c| c.name == name).cloned();
    for before in old {
        let Some(after) = by_name(new, &before.name) else {
            found.push(format!("column {} was removed", before.name));
            continue;
        };
        if before.data_type != after.data_type {
            let (from, to) = (data_type::name(&before.data_type), data_type::name(&after.data_type));
            found.push(format!("column {} type changed from {from} to {to}", before.name));
        }
        if before.not_null != after.not_null {
            let (from, to) = (nullable(before), nullable(&after));
            found.push(format!("column {} changed from {from} to {to}", before.name));
        }
        let text = |c: &ColumnClause| c.generated.as_ref().map(ToString::to_string);
        changed(&format!("column {} generated as", before.name), text(before), text(&after), found);
    }
    for after in new {
        if by_name(old, &after.name).is_none() {
            found.push(format!("column {} was added", after.name));
        }
    }
    let order = |columns: &[ColumnClause]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    let (mut before, mut after) = (order(old), order(new));
    if before != after {
        before.sort();
        after.sort();
        if before == after {
            found.push("the columns stand in another order".to_owned());
        }
    }
}

fn nullable(column: &ColumnClause) -> &'static str {
    if column.not_null { "NOT NULL" } else { "NULL" }
}

fn options(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>, found: &mut Vec<String>) {
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let value = |options: &BTreeMap<String, String>| options.get(key).map(|v| format!("'{v}'"));
        changed(&format!("option {key}"), value(old), value(new), found);
    }
}

/// Spans count, not how they are written.
fn retain(old: Option<&Retain>, new: Option<&Retain>, found: &mut Vec<String>) {
    let is_same = match (old, new) {
        (Some(old), Some(new)) => old.is_same(new),
        (old, new) => old.is_none() && new.is_none(),
    };
    if !is_same {
        let text = |retain: Option<&Retain>| retain.map(|r| format!("'{}'", r.text()));
        changed("option retain", text(old), text(new), found);
    }
}

fn changed(what: &str, before: Option<String>, after: Option<String>, found: &mut Vec<String>) {
    if before == after {
        return;
    }
    let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    found.push(format!("{what} {} → {}", text(before), text(after)));
}

/// Letters around the place where two texts part that a message shows.
const SHOWN_MAX: usize = 60;

fn divergence(before: &str, after: &str) -> String {
    let same = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(SHOWN_MAX / 3);
    let part = |text: &str| {
        let shown: String = text.chars().skip(start).take(SHOWN_MAX).collect();
        let head = if start > 0 { "…" } else { "" };
        let tail = if text.chars().count() > start + SHOWN_MAX { "…" } else { "" };
        format!("{head}{shown}{tail}")
    };
    format!("\"{}\" → \"{}\"", part(before), part(after))
}
