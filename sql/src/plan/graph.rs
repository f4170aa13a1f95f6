//! The operators that keep a view current, as text: what `EXPLAIN` of a view shows.

use siltstone_engine::connector::SourceDefinition;

use datafusion::sql::sqlparser::ast::SetExpr;

use super::view::CompiledView;
use crate::data_type;
use crate::parse::CreateView;

/// One line for each operator, the last one first, as plans are read.
pub fn operators(
    view: &CompiledView,
    create: &CreateView,
    source: &SourceDefinition,
    workers: usize,
    fed_by: Option<&str>,
) -> Vec<String> {
    let definition = &view.definition;
    let mut lines = vec![
        format!("Serve {}: the rows of one epoch", definition.name),
        "commit: blocks, then offsets and the epoch in one atomic batch, fsynced".to_owned(),
    ];
    if let Some(finer) = fed_by {
        lines.push(format!("derive: {}", groups(view)));
        lines.push(format!("merge: the groups of {finer}, of the same epoch"));
        return lines.iter().enumerate().map(|(depth, line)| indent(depth, line)).collect();
    }
    lines.push(format!("exchange: merge the states of {workers} workers when an epoch closes"));
    lines.push(format!("fold: {}", groups(view)));
    if definition.filter.is_some() {
        lines.push(format!("filter: {}", condition(create)));
    }
    let generated: Vec<String> = source
        .columns
        .iter()
        .filter(|c| c.generated.is_some())
        .map(|c| format!("{} {}", c.field.name(), data_type::name(c.field.data_type())))
        .collect();
    let generated =
        if generated.is_empty() { String::new() } else { format!(", compute {}", generated.join(", ")) };
    lines.push(format!("project: the columns of {}{generated}", source.name));
    let physical = source.physical_schema();
    let columns: Vec<&str> = physical.fields().iter().map(|f| f.name().as_str()).collect();
    lines.push(format!("decode: {}; bad records to siltstone.errors", columns.join(", ")));
    lines.push(format!("read: {} by connector {}, {workers} workers", source.name, source.connector));
    lines.iter().enumerate().map(|(depth, line)| indent(depth, line)).collect()
}

/// The condition as it was written, where it stands in the outer query.
fn condition(create: &CreateView) -> String {
    match create.query.body.as_ref() {
        SetExpr::Select(select) => {
            select.selection.as_ref().map_or_else(|| "of the subquery".to_owned(), ToString::to_string)
        }
        _ => "of the subquery".to_owned(),
    }
}

/// The view's keys and aggregates.
fn groups(view: &CompiledView) -> String {
    let definition = &view.definition;
    let keys = definition.keys.iter();
    let keys: Vec<String> =
        keys.map(|k| format!("{} {}", k.name, data_type::name(k.expression.data_type()))).collect();
    let calls = definition.aggregates.iter();
    let calls: Vec<String> = calls
        .map(|a| {
            let function = format!("{:?}", a.function).to_lowercase();
            let filter = if a.filter.is_some() { " filtered" } else { "" };
            format!("{} {function}{filter} {}", a.name, data_type::name(&a.output))
        })
        .collect();
    let keys = if keys.is_empty() { "one group".to_owned() } else { format!("keys [{}]", keys.join(", ")) };
    format!("{keys}, aggregates [{}]", calls.join(", "))
}

fn indent(depth: usize, line: &str) -> String {
    if depth == 0 { line.to_owned() } else { format!("{}-> {line}", "  ".repeat(depth)) }
}
