//! Queries: planned over one snapshot, executed as a stream.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, Statement as PlanStatement};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Ident, Query, Statement as SqlStatement};
use futures::StreamExt;
use siltstone_engine::runtime::Snapshot;

use super::session::Session;
use super::{function, pace, parameter};
use crate::catalog::Catalog;
use crate::data_type::UTC;
use crate::error::{Error, Result, sqlstate};
use crate::failure::{from_arrow, from_datafusion};
use crate::outcome::{Answer, Notice, Outcome, RowStream, Value};
use crate::plan::{headings, over, told_apart};
use crate::table::{PinnedTable, pinned};

/// Queries over no more rows than this run in one piece: dividing them costs more than it gains.
const SMALL_ROWS_MAX: u64 = 50_000;

/// What a statement is planned and run with.
pub struct Pinned {
    pub state: SessionState,
    pub snapshot: Snapshot,
    catalog: Arc<Catalog>,
    zone: String,
}

impl Pinned {
    pub fn new(session: &Session) -> Result<Self> {
        let database = &session.database;
        let catalog = database.catalog();
        let snapshot = database.engine().snapshot();
        let catalogs = pinned(database.engine(), &catalog, &snapshot, database.postgres())?;
        let mut state = over(database.environment(), catalogs);
        let settings = session.settings();
        let zone = settings.zone();
        let options = state.config_mut().options_mut();
        options.execution.time_zone = Some(zone.clone());
        options.catalog.default_schema = settings.schema();
        function::register(&mut state, &settings)?;
        state.mark_start_execution();
        Ok(Self { state, snapshot, catalog, zone })
    }

    /// The plan of a query, and the types of its parameters. `given` are known types of the first ones.
    pub async fn plan(
        &self,
        query: &Query,
        given: &[Option<SqlType>],
    ) -> Result<(LogicalPlan, Vec<DataType>)> {
        match self.plan_once(query, given).await {
            Err(error) if error.sqlstate() == sqlstate::DUPLICATE_COLUMN => {
                self.plan_once(&told_apart(query), given).await
            }
            planned => planned,
        }
    }

    async fn plan_once(
        &self,
        query: &Query,
        given: &[Option<SqlType>],
    ) -> Result<(LogicalPlan, Vec<DataType>)> {
        let statement = SqlStatement::Query(Box::new(query.clone()));
        let mut types = given.to_vec();
        let plan = self.plan_statement(statement.clone()).await?;
        let found = parameter::types(&plan)?;
        if found.is_empty() {
            return Ok((plan, Vec::new()));
        }
        types.resize(found.len().max(types.len()), None);
        for (slot, inferred) in types.iter_mut().zip(found.into_iter().chain(std::iter::repeat(None))) {
            if slot.is_none() {
                *slot = Some(parameter::sql_type(&inferred.unwrap_or(DataType::Utf8))?);
            }
        }
        self.plan_typed(statement, types.into_iter().flatten().collect()).await
    }

    async fn plan_statement(&self, statement: SqlStatement) -> Result<LogicalPlan> {
        let statement = PlannerStatement::Statement(Box::new(statement));
        self.state.statement_to_plan(statement).await.map_err(|e| self.named(from_datafusion(&e)))
    }

    async fn plan_typed(
        &self,
        statement: SqlStatement,
        types: Vec<SqlType>,
    ) -> Result<(LogicalPlan, Vec<DataType>)> {
        let prepare = SqlStatement::Prepare {
            name: Ident::new("p"),
            data_types: types,
            statement: Box::new(statement),
        };
        match self.plan_statement(prepare).await? {
            LogicalPlan::Statement(PlanStatement::Prepare(prepare)) => {
                let types = prepare.fields.iter().map(|field| field.data_type().clone()).collect();
                Ok((Arc::unwrap_or_clone(prepare.input), types))
            }
            _ => Err(Error::new(sqlstate::INTERNAL, "a statement with parameters was not planned as one")),
        }
    }

    /// Adds the nearest name to the error about an unknown relation.
    pub fn named(&self, error: Error) -> Error {
        self.catalog.named(error)
    }

    /// The physical plan, divided only if it is worth it.
    pub async fn physical(&mut self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        if rows_max(plan).is_some_and(|rows| rows <= SMALL_ROWS_MAX) {
            self.state.config_mut().options_mut().execution.target_partitions = 1;
        }
        self.state.create_physical_plan(plan).await.map_err(|e| self.named(from_datafusion(&e)))
    }

    /// Starts a plan.
    pub fn stream(&self, plan: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Result<RowStream> {
        let plan = pace::paced(plan).map_err(|e| from_datafusion(&e))?;
        let rows = execute_stream(plan, self.state.task_ctx()).map_err(|e| from_datafusion(&e))?;
        Ok(Box::pin(rows.map(move |batch| {
            let batch = batch.map_err(|e| from_datafusion(&e))?;
            present(&batch, &schema)
        })))
    }

    /// The columns as a client sees them: PostgreSQL's names, times in the session's zone.
    pub fn presented(&self, query: &Query, schema: &Schema) -> SchemaRef {
        let names = headings(query, schema);
        let fields = schema.fields().iter().zip(names);
        let fields: Vec<Field> = fields
            .map(|(field, name)| {
                Field::new(name, self.shown_type(field.data_type()), true)
                    .with_metadata(field.metadata().clone())
            })
            .collect();
        Arc::new(Schema::new(fields))
    }

    fn shown_type(&self, data_type: &DataType) -> DataType {
        match data_type {
            DataType::Timestamp(unit, Some(zone)) if zone.as_ref() == UTC && self.zone != UTC => {
                DataType::Timestamp(*unit, Some(self.zone.as_str().into()))
            }
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        }
    }
}

/// Runs a query.
pub async fn query(session: &Session, query: &Query, given: &[SqlType], values: &[Value]) -> Result<Outcome> {
    let mut pinned = Pinned::new(session)?;
    let given: Vec<Option<SqlType>> = if given.is_empty() {
        values.iter().map(type_of).collect::<Result<_>>()?
    } else {
        given.iter().cloned().map(Some).collect()
    };
    let (plan, types) = pinned.plan(query, &given).await?;
    let plan = parameter::bind(plan, &types, values)?;
    let schema = pinned.presented(query, plan.schema().as_arrow());
    let physical = pinned.physical(&plan).await?;
    let rows = pinned.stream(physical, Arc::clone(&schema))?;
    let epoch = Some(pinned.snapshot.epoch());
    Ok(Outcome { notices: partial(&plan), result: Answer::Rows { schema, rows, tag: "SELECT" }, epoch })
}

/// The type a client gave with a value; text may stand for anything.
pub fn type_of(value: &Value) -> Result<Option<SqlType>> {
    match value {
        Value::Null => Ok(None),
        Value::Scalar(array) => match array.data_type() {
            DataType::Utf8 | DataType::Null => Ok(None),
            other => parameter::sql_type(other).map(Some),
        },
    }
}

fn present(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        arrow::compute::cast(column, field.data_type()).map_err(|e| from_arrow(&e))
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_>>()?, &options)
        .map_err(|e| from_arrow(&e))
}

/// Rows that all scans of a plan read at most; `None` if one does not say.
fn rows_max(plan: &LogicalPlan) -> Option<u64> {
    let mut total = Some(0_u64);
    for_each_scan(plan, |table| {
        total = total.zip(table.map(PinnedTable::rows_max)).map(|(sum, rows)| sum.saturating_add(rows));
    });
    total
}

/// A notice for each view that does not hold everything yet.
fn partial(plan: &LogicalPlan) -> Vec<Notice> {
    let mut names = BTreeSet::new();
    for_each_scan(plan, |table| {
        names.extend(table.filter(|t| t.is_backfilling()).map(|t| t.name().to_owned()))
    });
    let notice = |name: String| {
        Notice::told(format!("\"{name}\" is backfilling: it shows only a part of its source yet"))
            .with_hint("siltstone.views has its state")
    };
    names.into_iter().map(notice).collect()
}

/// Calls `each` with the table of every scan; `None` for one that is not a relation of ours.
fn for_each_scan(plan: &LogicalPlan, mut each: impl FnMut(Option<&PinnedTable>)) {
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source).ok();
            each(provider.as_ref().and_then(|p| p.downcast_ref::<PinnedTable>()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the walk itself does not fail");
}
