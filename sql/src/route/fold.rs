//! An aggregation over kept rows, folded by the engine as views are: a view that is made for one question.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};
use siltstone_engine::aggregate::Function;
use siltstone_engine::connector::Expression;
use siltstone_engine::rollup::{AggregateCall, Key, ViewDefinition};
use siltstone_engine::runtime::{AdHoc, Condition};

use super::question::Question;
use crate::plan::{Offer, OfferedCall, OfferedKey, bucket, check_deterministic, compile, guarded};
use crate::table::{Fold, RelationTable, is_of_times};

/// A fold that gives the groups that the question asks for; `None` if the engine cannot.
pub fn fold(state: &SessionState, question: &Question) -> Option<Fold> {
    let table = question.rows.downcast_ref::<RelationTable>()?;
    let calls = calls(question)?;
    let exprs: Vec<&Expr> = (question.groups.iter().chain(&question.conditions))
        .chain(calls.iter().flat_map(|call| call.argument.iter().chain(&call.filter)))
        .collect();
    if exprs.iter().any(|expr| expr.contains_outer() || check_deterministic(expr, "a fold").is_err()) {
        return None;
    }
    let names: BTreeSet<usize> = exprs
        .iter()
        .flat_map(|expr| expr.column_refs())
        .map(|column| question.schema.index_of_column(column).ok())
        .collect::<Option<_>>()?;
    let columns: Vec<usize> = names.into_iter().collect();
    if columns.is_empty() {
        // How many rows there are is known without reading them.
        return None;
    }
    let whole = question.schema.as_arrow();
    let schema: Schema = whole.project(&columns).ok()?;
    let schema = Arc::new(DFSchema::try_from(schema).ok()?);
    let expression = |expr: &Expr| -> Option<Arc<dyn Expression>> {
        Some(compile(state, expr.clone(), &schema, None).ok()?)
    };

    let keys = question.groups.iter().enumerate().map(|(nth, expr)| {
        let bucket = bucket(expr, &schema);
        Some(Key { name: format!("key_{nth}"), expression: expression(expr)?, bucket })
    });
    let keys = keys.collect::<Option<Vec<_>>>()?;
    let aggregates = calls.iter().enumerate().map(|(nth, call)| {
        let argument = match &call.argument {
            Some(argument) => Some(expression(&guarded(argument, call.filter.as_ref()).ok()?)?),
            None => None,
        };
        let filter = match &call.filter {
            Some(filter) => Some(expression(filter)?),
            None => None,
        };
        let output = call.function.output_type(argument.as_ref().map(|own| own.data_type())).ok()?;
        Some(AggregateCall {
            name: format!("value_{nth}"),
            function: call.function,
            argument,
            filter,
            output,
        })
    });
    let aggregates = aggregates.collect::<Option<Vec<_>>>()?;
    let conditions = question.conditions.iter().map(|condition| {
        let is_of_times = table.time().is_some_and(|time| is_of_times(condition, whole, time));
        Some(Condition { expression: expression(condition)?, is_of_times })
    });
    let conditions = conditions.collect::<Option<Vec<_>>>()?;

    let name = question.name.clone();
    let definition =
        ViewDefinition { name, source: question.source, filter: None, keys, aggregates, retain: None };
    let offered = question.groups.iter().zip(&definition.keys);
    let offered = offered.map(|(expr, key)| OfferedKey { expr: expr.clone(), bucket: key.bucket });
    let offer = Offer { keys: offered.collect(), conditions: question.conditions.clone(), calls };
    let ad_hoc = AdHoc::new(definition, conditions, columns).ok()?;
    table.fold(ad_hoc, offer, &question.conditions)
}

/// The aggregates that those of the question are merged of.
fn calls(question: &Question) -> Option<Vec<OfferedCall>> {
    let mut calls: Vec<OfferedCall> = Vec::new();
    for call in &question.calls {
        let params = &call.function.params;
        let [argument] = call.arguments.as_slice() else { return None };
        let functions: &[Function] = match call.function.func.name() {
            "min" => &[Function::Min],
            "max" => &[Function::Max],
            _ if params.distinct => return None,
            "count" => &[Function::Count],
            "sum" => &[Function::Sum],
            "avg" => &[Function::Sum, Function::Count],
            _ => return None,
        };
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return None;
        }
        for &function in functions {
            let is_null = argument.nullable(&question.schema).unwrap_or(true);
            let argument = Some(argument).filter(|_| function != Function::Count || is_null);
            let wanted = OfferedCall { function, argument: argument.cloned(), filter: call.filter.clone() };
            if !calls.contains(&wanted) {
                calls.push(wanted);
            }
        }
    }
    Some(calls)
}
