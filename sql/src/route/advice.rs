//! The smallest view that would answer a question.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Case, Expr};
use siltstone_engine::rollup::Granularity;

use super::cover::{Look, bound, ends, looks_at};
use super::question::Question;
use crate::parse::name::{literal, quote};

/// From coarse to fine, each made of the next.
const UNITS: [Granularity; 6] = [
    Granularity::Year,
    Granularity::Month,
    Granularity::Day,
    Granularity::Hour,
    Granularity::Minute,
    Granularity::Second,
];

/// What a view must keep.
#[derive(Default)]
struct Needs {
    /// Columns that are keys, with the unit that a time is cut to.
    keys: BTreeMap<String, Option<Granularity>>,
    /// Function and column; without a column, rows are counted.
    calls: BTreeSet<(&'static str, Option<String>)>,
}

/// A statement that creates such a view; `None` if none can be had.
pub fn advice(question: &Question) -> Option<String> {
    let mut needs = Needs::default();
    question.groups.iter().chain(&question.conditions).try_for_each(|expr| needs.value(expr))?;
    for call in &question.calls {
        call.filter.iter().try_for_each(|filter| needs.value(filter))?;
        let [argument] = call.arguments.as_slice() else { return None };
        let params = &call.function.params;
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return None;
        }
        match (call.function.func.name(), params.distinct) {
            ("count", true) => needs.value(argument)?,
            ("count", false) => needs.call(&["count"], argument)?,
            ("sum", false) => needs.call(&["sum"], argument)?,
            ("min", _) => needs.call(&["min"], argument)?,
            ("max", _) => needs.call(&["max"], argument)?,
            ("avg", false) => needs.call(&["sum", "count"], argument)?,
            _ => return None,
        }
    }
    Some(needs.statement(&question.name))
}

impl Needs {
    /// What the value of an expression for each row is computed from.
    fn value(&mut self, expr: &Expr) -> Option<()> {
        if let Some(Look { column, unit, in_zone }) = looks_at(expr) {
            self.time(&column.name, if in_zone { Granularity::Minute } else { unit });
            return Some(());
        }
        if let Expr::Between(between) = expr {
            return ends(between).iter().try_for_each(|end| self.value(end));
        }
        if let Some((column, _, moment, _)) = bound(expr) {
            let begins = |unit: &&Granularity| unit.start(unit.bucket(moment)) == moment;
            match UNITS.iter().find(begins) {
                Some(unit) => self.time(&column.name, *unit),
                None => self.plain(&column.name),
            }
            return Some(());
        }
        match expr {
            Expr::Column(column) => self.plain(&column.name),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => return None,
            other => {
                let mut whole = Some(());
                let walked = other.apply_children(|child| {
                    whole = whole.and_then(|()| self.value(child));
                    Ok(TreeNodeRecursion::Continue)
                });
                walked.ok().and(whole)?;
            }
        }
        Some(())
    }

    /// What these aggregates of an argument are merged from.
    fn call(&mut self, functions: &[&'static str], argument: &Expr) -> Option<()> {
        match argument {
            Expr::Column(column) => {
                let calls = functions.iter().map(|function| (*function, Some(column.name.clone())));
                self.calls.extend(calls);
            }
            Expr::Case(Case { expr: None, when_then_expr, else_expr }) => {
                for (condition, value) in when_then_expr {
                    self.value(condition)?;
                    self.call(functions, value)?;
                }
                else_expr.iter().try_for_each(|rest| self.call(functions, rest))?;
            }
            Expr::Cast(cast) => self.call(functions, &cast.expr)?,
            other => {
                self.calls.insert(("count", None));
                self.value(other)?;
            }
        }
        Some(())
    }

    fn plain(&mut self, column: &str) {
        self.keys.insert(column.to_owned(), None);
    }

    /// The finest of all units that a column is asked for by.
    fn time(&mut self, column: &str, unit: Granularity) {
        let kept = self.keys.entry(column.to_owned()).or_insert(Some(unit));
        let Some(before) = *kept else { return };
        *kept = match (before.nests_in(unit), unit.nests_in(before)) {
            (true, _) => Some(before),
            (_, true) => Some(unit),
            // Weeks and months are both made of days.
            _ => Some(Granularity::Day),
        };
    }

    fn statement(&self, source: &str) -> String {
        let mut name = format!("{source}_by");
        let mut columns = Vec::new();
        for (column, unit) in &self.keys {
            match unit {
                Some(unit) => {
                    let _ = write!(name, "_{}", unit.name());
                    let cut = format!("date_trunc({}, {})", literal(unit.name()), quote(column));
                    columns.push(format!("{cut} AS {}", quote(&format!("{column}_{}", unit.name()))));
                }
                None => {
                    let _ = write!(name, "_{column}");
                    columns.push(quote(column));
                }
            }
        }
        let keys: Vec<String> = (1..=columns.len()).map(|nth| nth.to_string()).collect();
        let rows = self.calls.is_empty().then_some(&("count", None));
        for (function, column) in self.calls.iter().chain(rows) {
            columns.push(match column {
                Some(column) => {
                    format!("{function}({}) AS {}", quote(column), quote(&format!("{column}_{function}")))
                }
                None => "count(*) AS n".to_owned(),
            });
        }
        let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        let (name, source) = (quote(&name), quote(source));
        format!("CREATE MATERIALIZED VIEW {name} AS SELECT {} FROM {source}{by}", columns.join(", "))
    }
}
