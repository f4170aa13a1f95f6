//! `EXPLAIN`: a query's plan, or the operators that keep a view.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::sql::sqlparser::ast::Query;
use futures::TryStreamExt;

use super::parameter;
use super::select::{Pinned, type_of};
use super::session::Session;
use crate::catalog::Relation;
use crate::error::{Error, Result, sqlstate};
use crate::failure::{from_arrow, from_datafusion};
use crate::outcome::{Outcome, Value};
use crate::parse::Explain;
use crate::parse::name::relation;
use crate::plan::operators;
use crate::route::Candidate;

/// The one column of an answer.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, false)]))
}

/// The columns of `EXPLAIN ROUTE`.
pub fn route_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("candidate", DataType::Utf8, false),
        Field::new("chosen", DataType::Boolean, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, true),
        Field::new("advice", DataType::Utf8, true),
    ]))
}

pub async fn explain(session: &Session, what: &Explain, values: &[Value]) -> Result<Outcome> {
    let lines = match what {
        Explain::View(name) => view(session, &relation(name)?)?,
        Explain::Route(query) => return route(session, query, values).await,
        Explain::Query { query, analyze, verbose } => {
            self::query(session, query, values, *analyze, *verbose).await?
        }
    };
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(StringArray::from(lines))]);
    Ok(Outcome::rows(batch.map_err(|e| from_arrow(&e))?, "EXPLAIN"))
}

/// One row for each view and table that may answer an aggregation of the query.
async fn route(session: &Session, query: &Query, values: &[Value]) -> Result<Outcome> {
    let pinned = Pinned::new(session)?;
    let given = values.iter().map(type_of).collect::<Result<Vec<_>>>()?;
    let (plan, types) = pinned.plan(query, &given).await?;
    let plan = parameter::bind(plan, &types, values)?;
    let found: Vec<Candidate> = pinned.router().candidates(plan)?.1.into_iter().flatten().collect();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(found.iter().map(|c| &c.name))),
        Arc::new(found.iter().map(|c| Some(c.is_chosen)).collect::<BooleanArray>()),
        Arc::new(Int64Array::from_iter_values(found.iter().map(|c| number(c.rows)))),
        Arc::new(Int64Array::from_iter_values(found.iter().map(|c| number(c.bytes)))),
        Arc::new(found.iter().map(|c| c.reason.as_deref()).collect::<StringArray>()),
        Arc::new(found.iter().map(|c| c.advice.as_deref()).collect::<StringArray>()),
    ];
    let batch = RecordBatch::try_new(route_schema(), columns);
    Ok(Outcome::rows(batch.map_err(|e| from_arrow(&e))?, "EXPLAIN"))
}

async fn query(
    session: &Session,
    query: &Query,
    values: &[Value],
    analyze: bool,
    verbose: bool,
) -> Result<Vec<String>> {
    let mut pinned = Pinned::new(session)?;
    let given = values.iter().map(type_of).collect::<Result<Vec<_>>>()?;
    let (plan, types) = pinned.plan(query, &given).await?;
    let plan = pinned.router().route(parameter::bind(plan, &types, values)?)?.plan;
    let mut lines = vec![format!("epoch {}", pinned.snapshot.epoch())];
    let physical = pinned.physical(&plan).await?;
    if verbose {
        lines.push("logical plan:".to_owned());
        lines.extend(logical(&pinned, &plan)?);
        lines.push("physical plan:".to_owned());
    }
    if analyze {
        let schema = pinned.presented(query, plan.schema().as_arrow());
        let rows = pinned.stream(Arc::clone(&physical), schema)?;
        let count = rows.try_fold(0_usize, |sum, batch| async move { Ok(sum + batch.num_rows()) }).await?;
        let shown = DisplayableExecutionPlan::with_metrics(physical.as_ref()).indent(verbose).to_string();
        lines.extend(shown.lines().map(str::to_owned));
        lines.push(format!("rows returned: {count}"));
    } else {
        let shown = DisplayableExecutionPlan::new(physical.as_ref()).indent(verbose).to_string();
        lines.extend(shown.lines().map(str::to_owned));
    }
    Ok(lines)
}

fn logical(pinned: &Pinned, plan: &LogicalPlan) -> Result<Vec<String>> {
    let optimized = pinned.state.optimize(plan).map_err(|e| from_datafusion(&e))?;
    Ok(optimized.display_indent().to_string().lines().map(str::to_owned).collect())
}

fn view(session: &Session, name: &str) -> Result<Vec<String>> {
    let catalog = session.database.catalog();
    let found = catalog.find(name)?;
    let Relation::View(view) = found.as_ref() else {
        return Err(Error::new(
            sqlstate::WRONG_OBJECT_TYPE,
            format!("\"{name}\" is not a materialized view"),
        )
        .with_hint(format!("to see the plan of a query, write EXPLAIN SELECT … FROM {name}")));
    };
    let source =
        catalog.by_id(view.compiled.definition.source).and_then(|relation| relation.source().cloned());
    let source = source.ok_or_else(|| catalog.unknown(&view.compiled.source))?;
    let engine = session.database.engine();
    let workers = engine.options().workers;
    let fed_by = engine.status().views.into_iter().find(|v| v.name == view.compiled.definition.name);
    let fed_by = fed_by.and_then(|v| v.fed_by);
    Ok(operators(&view.compiled, &view.create, &source.definition, workers, fed_by.as_deref()))
}
