//! `INSERT INTO`: rows of a query handed to the engine, answered when they are durable and visible.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Array;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::DataType as SqlType;
use futures::StreamExt;
use siltstone_engine::connector::SplitId;
use siltstone_engine::error::Kind;
use tokio::task::spawn_blocking;

use super::parameter;
use super::select::{Pinned, type_of};
use super::session::Session;
use crate::catalog::{Relation, SourceRelation};
use crate::error::{Error, Result, sqlstate};
use crate::failure::{from_arrow, from_datafusion};
use crate::outcome::{Outcome, RowStream, Value};
use crate::parse::name::relation;
use crate::parse::{Insert, PUSH};

/// Rows of one insert, which are in memory before the first is pushed.
const ROWS_MAX: usize = 1 << 20;

/// Their bytes.
const BYTES_MAX: usize = 64 << 20;

/// How long rows may take to become durable.
const DURABLE_WAIT_MAX: Duration = Duration::from_secs(60);

/// How long one wait lasts before the statement may be called off.
const DURABLE_WAIT_STEP: Duration = Duration::from_millis(200);

/// Runs an insert.
pub async fn insert(
    session: &Session,
    insert: &Insert,
    given: &[SqlType],
    values: &[Value],
) -> Result<Outcome> {
    let mut pinned = Pinned::new(session)?;
    let given: Vec<Option<SqlType>> = if given.is_empty() {
        values.iter().map(type_of).collect::<Result<_>>()?
    } else {
        given.iter().cloned().map(Some).collect()
    };
    let (plan, types) = plan(session, &pinned, insert, &given).await?;
    let plan = parameter::bind(plan, &types, values)?;
    let target = target(session, insert)?;
    let Relation::Source(source) = target.as_ref() else { return Err(not_a_source(target.name())) };
    let (id, schema) = (source.id, source.definition.physical_schema());
    let physical = pinned.physical(&plan).await?;
    let rows = collect(pinned.stream(physical, Arc::clone(&schema))?, &schema).await?;
    let count = rows.num_rows();
    let epoch = if count == 0 {
        None
    } else {
        let engine = Arc::clone(session.database.engine());
        let (split, offset) = blocking(move || engine.push(id, rows)).await?;
        Some(durable(session, id, BTreeMap::from([(split, offset)])).await?)
    };
    let mut outcome = Outcome::done(format!("INSERT 0 {count}"), Vec::new());
    outcome.epoch = epoch;
    Ok(outcome)
}

/// All rows before the first is pushed, so that a query that fails or is called off leaves none behind.
async fn collect(mut rows: RowStream, schema: &SchemaRef) -> Result<RecordBatch> {
    let (mut batches, mut count, mut bytes) = (Vec::new(), 0, 0);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|e| not_null(e, schema))?;
        count += batch.num_rows();
        for column in batch.columns() {
            bytes += column.to_data().get_slice_memory_size().map_err(|e| from_arrow(&e))?;
        }
        if count > ROWS_MAX || bytes > BYTES_MAX {
            let message = format!("INSERT takes at most {ROWS_MAX} rows and {} MiB at once", BYTES_MAX >> 20);
            return Err(Error::new(sqlstate::TOO_MANY, message).with_hint(
                "insert in several statements, each with a part of the rows (WHERE); none were inserted",
            ));
        }
        batches.push(batch);
    }
    concat_batches(schema, &batches).map_err(|e| from_arrow(&e))
}

/// The rows to insert, with the physical columns of the table, and the types of the parameters.
pub async fn plan(
    session: &Session,
    pinned: &Pinned,
    insert: &Insert,
    given: &[Option<SqlType>],
) -> Result<(LogicalPlan, Vec<DataType>)> {
    let target = target(session, insert)?;
    let Relation::Source(source) = target.as_ref() else { return Err(not_a_source(target.name())) };
    if source.create.connector != PUSH {
        let message = format!("INSERT INTO \"{}\" is not supported", target.name());
        return Err(Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .with_hint(format!("its rows come from connector '{}'", source.create.connector)));
    }
    let schema = source.definition.physical_schema();
    let columns = columns(source, insert, &schema)?;
    let hints = column_hints(insert, &columns, &schema, given)?;
    let (plan, types) = pinned.plan(&insert.query, &hints).await?;
    Ok((assign(plan, source, insert, &columns, &schema)?, types))
}

fn target(session: &Session, insert: &Insert) -> Result<Arc<Relation>> {
    let catalog = session.database.catalog();
    catalog.find(&relation(&insert.name)?).cloned()
}

fn not_a_source(name: &str) -> Error {
    Error::new(sqlstate::WRONG_OBJECT_TYPE, format!("cannot insert into materialized view \"{name}\""))
        .with_hint("insert into the source that it reads")
}

/// The physical columns that the query's columns go to.
fn columns(source: &SourceRelation, insert: &Insert, schema: &Schema) -> Result<Vec<usize>> {
    if insert.columns.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let mut found = Vec::with_capacity(insert.columns.len());
    for name in &insert.columns {
        let generated = source.create.columns.iter().any(|c| c.name == *name && c.generated.is_some());
        if generated {
            return Err(Error::new(
                sqlstate::GENERATED_ALWAYS,
                format!("cannot insert a value into generated column \"{name}\""),
            ));
        }
        let index = schema.index_of(name).map_err(|_| {
            let near = crate::nearest::nearest(name, schema.fields().iter().map(|f| f.name().as_str()));
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", source.create.name);
            Error::new(sqlstate::UNDEFINED_COLUMN, message)
                .with_hint_if(near.map(|near| format!("did you mean \"{near}\"?")))
        })?;
        if found.contains(&index) {
            return Err(Error::new(
                sqlstate::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        found.push(index);
    }
    Ok(found)
}

/// `VALUES ($1, $2)`: a parameter that stands for a column alone has the column's type.
fn column_hints(
    insert: &Insert,
    columns: &[usize],
    schema: &Schema,
    given: &[Option<SqlType>],
) -> Result<Vec<Option<SqlType>>> {
    use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, SetExpr, Value as SqlValue};
    let mut hints = given.to_vec();
    let SetExpr::Values(values) = insert.query.body.as_ref() else { return Ok(hints) };
    for row in &values.rows {
        for (expr, column) in row.content.iter().zip(columns) {
            let SqlExpr::Value(value) = expr else { continue };
            let SqlValue::Placeholder(name) = &value.value else { continue };
            let Some(number) =
                name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0)
            else {
                continue;
            };
            if hints.len() < number {
                hints.resize(number, None);
            }
            if hints[number - 1].is_none() {
                hints[number - 1] = Some(parameter::sql_type(schema.field(*column).data_type())?);
            }
        }
    }
    Ok(hints)
}

fn assign(
    plan: LogicalPlan,
    source: &SourceRelation,
    insert: &Insert,
    columns: &[usize],
    schema: &SchemaRef,
) -> Result<LogicalPlan> {
    let given = plan.schema().columns();
    if given.len() > columns.len() {
        return Err(Error::syntax("INSERT has more expressions than target columns"));
    }
    if given.len() < columns.len() && !insert.columns.is_empty() {
        return Err(Error::syntax("INSERT has more target columns than expressions"));
    }
    let values = schema.fields().iter().enumerate().map(|(index, field)| {
        let place = columns.iter().position(|column| *column == index).and_then(|place| given.get(place));
        let value = match place {
            Some(column) => cast(Expr::Column(column.clone()), field.data_type().clone()),
            None if field.is_nullable() => {
                let null = ScalarValue::try_new_null(field.data_type()).map_err(|e| from_datafusion(&e))?;
                Expr::Literal(null, None)
            }
            None => {
                let message = format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    field.name(),
                    source.create.name
                );
                return Err(Error::new(sqlstate::NOT_NULL_VIOLATION, message));
            }
        };
        Ok(value.alias(field.name()))
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan)
        .project(values)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|e| from_datafusion(&e))
}

/// Arrow's complaint about a null where there must be none, in PostgreSQL's words.
fn not_null(error: Error, schema: &Schema) -> Error {
    let column = schema
        .fields()
        .iter()
        .find(|field| !field.is_nullable() && error.message().contains(&format!("'{}'", field.name())));
    match column {
        Some(field) if error.message().contains("non-nullable") => Error::new(
            sqlstate::NOT_NULL_VIOLATION,
            format!("null value in column \"{}\" violates not-null constraint", field.name()),
        ),
        _ => error,
    }
}

async fn durable(session: &Session, id: u32, offsets: BTreeMap<SplitId, i64>) -> Result<u64> {
    let steps = DURABLE_WAIT_MAX.as_millis() / DURABLE_WAIT_STEP.as_millis();
    for _ in 0..steps {
        let engine = Arc::clone(session.database.engine());
        let wanted = offsets.clone();
        let reached = spawn_blocking(move || match engine.wait_for(id, &wanted, DURABLE_WAIT_STEP) {
            Err(error) if error.kind() == Kind::Exhausted => Ok(None),
            other => other.map(Some),
        });
        if let Some(epoch) = reached.await.map_err(|e| broken(&e))?? {
            return Ok(epoch);
        }
    }
    Err(Error::new(sqlstate::TOO_MANY, "the rows were not durable in the time given")
        .with_hint("they may still become so; ask the table before you insert them again"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> siltstone_engine::error::Result<T> + Send + 'static,
) -> Result<T> {
    Ok(spawn_blocking(work).await.map_err(|e| broken(&e))??)
}

fn broken(error: &tokio::task::JoinError) -> Error {
    Error::new(sqlstate::INTERNAL, format!("the statement broke off: {error}"))
}
