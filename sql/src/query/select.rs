//! Queries: planned over one snapshot, executed as a stream.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result as PlanResult;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, Statement as PlanStatement};
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::eliminate_limit::EliminateLimit;
use datafusion::optimizer::propagate_empty_relation::PropagateEmptyRelation;
use datafusion::optimizer::push_down_limit::PushDownLimit;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use datafusion::scalar::ScalarValue;
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
use crate::outcome::{Answer, Outcome, RowStream, Value};
use crate::plan::{constants, headings, over, told_apart};
use crate::planned::{Given, Key, Planned, Scans, is_immutable};
use crate::route::{Routed, Router, Sizes};
use crate::routes::Route;
use crate::setting::Settings;
use crate::table::{Folds, PastPlanner, System, pinned};

/// Queries over no more rows than this run in one piece: dividing them costs more than it gains.
const SMALL_ROWS_MAX: u64 = 50_000;

/// What a statement is planned and run with.
pub struct Pinned {
    pub state: SessionState,
    pub snapshot: Snapshot,
    catalog: Arc<Catalog>,
    folds: Arc<Folds>,
    zone: String,
}

impl Pinned {
    pub fn new(session: &Session) -> Result<Self> {
        let database = &session.database;
        Self::at(session, database.catalog(), database.engine().snapshot(), &session.settings())
    }

    fn at(session: &Session, catalog: Arc<Catalog>, snapshot: Snapshot, settings: &Settings) -> Result<Self> {
        let database = &session.database;
        let system = System::new(database.engine(), &snapshot, database.routes());
        let catalogs = pinned(system, &catalog, database.postgres())?;
        let mut state = over(database.environment(), catalogs);
        let zone = settings.zone();
        let config = state.config_mut();
        config.set_extension(Arc::new(snapshot.clone()));
        config.options_mut().execution.time_zone = Some(zone.clone());
        config.options_mut().catalog.default_schema = settings.schema();
        function::register(&mut state, settings)?;
        state.mark_start_execution();
        let past = PastPlanner::new(database.engine(), &catalog, constants(&state));
        state.register_relation_planner(Arc::new(past)).map_err(|e| from_datafusion(&e))?;
        let folds = match settings.result_cache() {
            true => Arc::clone(database.folds()),
            false => Arc::new(Folds::new(0)),
        };
        Ok(Self { state, snapshot, catalog, folds, zone })
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

    /// Finds the views that answer a query's aggregations.
    pub fn router(&self) -> Router<'_> {
        Router { state: &self.state, catalog: &self.catalog, snapshot: &self.snapshot, folds: &self.folds }
    }

    /// Adds the nearest name to the error about an unknown relation.
    pub fn named(&self, error: Error) -> Error {
        self.catalog.named(error)
    }

    /// The physical plan, divided only if it is worth it.
    pub async fn physical(&mut self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let scale = scale(&Scans::of(plan), &self.snapshot);
        self.divide(scale > 0);
        self.state.create_physical_plan(plan).await.map_err(|e| self.named(from_datafusion(&e)))
    }

    /// Starts a plan.
    pub fn stream(&self, plan: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Result<RowStream> {
        let plan = pace::paced(plan).map_err(|e| from_datafusion(&e))?;
        stream(plan, self.state.task_ctx(), schema)
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

fn stream(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, schema: SchemaRef) -> Result<RowStream> {
    let rows = execute_stream(plan, context).map_err(|e| from_datafusion(&e))?;
    Ok(Box::pin(rows.map(move |batch| {
        let batch = batch.map_err(|e| from_datafusion(&e))?;
        present(&batch, &schema)
    })))
}

/// How much a query reads, in powers of two, as far as is known; 0 if it is not worth dividing it among threads.
/// A plan is made for one such scale: what it reads of a relation was estimated when it was made.
fn scale(scans: &Scans, snapshot: &Snapshot) -> u32 {
    scans.rows_max(snapshot).map_or(u32::MAX, |rows| if rows > SMALL_ROWS_MAX { rows.ilog2() } else { 0 })
}

/// Runs a query, which stands as `text` in its statement.
pub async fn query(
    session: &Session,
    (query, text): (&Query, &str),
    given: Given,
    values: &[Value],
) -> Result<Outcome> {
    let (planned, pinned) = planned(session, query, text, given).await?;
    let scalars = parameter::scalars(&planned.types, values)?;
    let snapshot = pinned.snapshot().clone();
    let scale = scale(&planned.scans, &snapshot);
    let (physical, routes) = match planned.bound(&scalars, scale) {
        Some(plan) => (reset_plan_states(plan).map_err(|e| from_datafusion(&e))?, planned.routes.clone()),
        None => {
            let mut pinned = pinned.into_pinned(session)?;
            pinned.divide(scale > 0);
            let (plan, routes) = pinned.bind(&planned, &scalars).await?;
            let plan = pace::paced(plan).map_err(|e| from_datafusion(&e))?;
            let plan = match planned.keep(scalars, scale, &plan) {
                true => reset_plan_states(plan).map_err(|e| from_datafusion(&e))?,
                false => plan,
            };
            (plan, routes)
        }
    };
    let epoch = Some(snapshot.epoch());
    let notices = planned.scans.partial(&snapshot);
    let schema = Arc::clone(&planned.schema);
    let config = planned.config.clone().with_extension(Arc::new(snapshot));
    let runtime = Arc::clone(session.database.environment().runtime_env());
    // Functions stand in the plan; by their names nobody asks for them any more.
    let context = TaskContext::new(
        None,
        String::new(),
        config,
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        runtime,
    );
    let rows = stream(physical, Arc::new(context), Arc::clone(&schema))?;
    let running = session.database.routes().begin(routes, text);
    let rows = Box::pin(rows.inspect(move |_| {
        // Ends with the answer.
        let _ = &running;
    }));
    Ok(Outcome { notices, result: Answer::Rows { schema, rows, tag: "SELECT" }, epoch })
}

/// What a statement reads, with the state for planning if that was needed already.
pub enum Pin {
    Planning(Box<Pinned>),
    Reading { catalog: Arc<Catalog>, snapshot: Snapshot, settings: Settings },
}

impl Pin {
    fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Planning(pinned) => &pinned.snapshot,
            Self::Reading { snapshot, .. } => snapshot,
        }
    }

    fn into_pinned(self, session: &Session) -> Result<Pinned> {
        match self {
            Self::Planning(pinned) => Ok(*pinned),
            Self::Reading { catalog, snapshot, settings } => {
                Pinned::at(session, catalog, snapshot, &settings)
            }
        }
    }
}

/// The plan of a query: a kept one, or a new one that is kept if it can be.
pub async fn planned(
    session: &Session,
    query: &Query,
    text: &str,
    given: Given,
) -> Result<(Arc<Planned>, Pin)> {
    let database = &session.database;
    let (catalog, settings) = (database.catalog(), session.settings());
    let snapshot = database.engine().snapshot();
    let (zone, schema, result_cache) = (settings.zone(), settings.schema(), settings.result_cache());
    let key = Key { text: text.to_owned(), given, zone, schema, result_cache };
    let kept = database.plans().get(&key, &catalog);
    if let Some(planned) = kept.filter(|planned| planned.sizes.hold(&snapshot)) {
        return Ok((planned, Pin::Reading { catalog, snapshot, settings }));
    }
    let pinned = Pinned::at(session, catalog, snapshot, &settings)?;
    let planned = Arc::new(pinned.planned(query, &key.given).await?);
    database.plans().insert(key, &planned);
    Ok((planned, Pin::Planning(Box::new(pinned))))
}

impl Pinned {
    async fn planned(&self, query: &Query, given: &Given) -> Result<Planned> {
        let given: Vec<Option<SqlType>> = match given {
            Given::Named(types) => types.iter().cloned().map(Some).collect(),
            Given::Types(types) => types
                .iter()
                .map(|t| t.as_ref().map(parameter::sql_type).transpose())
                .collect::<Result<_>>()?,
        };
        let (mut plan, types) = self.plan(query, &given).await?;
        let resolved = parameter::resolved(plan.clone(), &types)?;
        let schema = self.presented(query, resolved.schema().as_arrow());
        // With parameters it depends on their values which view answers.
        let is_open = !types.is_empty() && self.router().concerns(&plan);
        let same = !is_open && is_immutable(&plan).map_err(|e| from_datafusion(&e))?;
        let (mut sizes, mut routes) = (Sizes::default(), Vec::new());
        if types.is_empty() {
            Routed { plan, sizes, routes } = self.router().route(plan)?;
        }
        let scans = Scans::of(&plan);
        let same = same && scans.are_timeless() && sizes.hold(&self.snapshot);
        // What does not optimize with its parameters open is optimized with each of their values.
        let optimized = if same { self.state.optimize(&plan).ok() } else { None };
        let (is_kept, plan) = (optimized.is_some(), optimized.unwrap_or(plan));
        // Without the snapshot, which would keep its runs.
        let config = SessionConfig::from(self.state.config().options().as_ref().clone());
        let catalog = Arc::clone(&self.catalog);
        Ok(Planned::new(catalog, (plan, scans), (sizes, routes), is_kept, (types, schema), config))
    }

    fn divide(&mut self, divided: bool) {
        if !divided {
            self.state.config_mut().options_mut().execution.target_partitions = 1;
        }
    }

    /// The physical plan for values of the parameters.
    async fn bind(
        &self,
        planned: &Planned,
        values: &[ScalarValue],
    ) -> Result<(Arc<dyn ExecutionPlan>, Vec<Route>)> {
        let plan = planned.plan.clone();
        let (plan, routes) = match values.is_empty() {
            true => (plan, planned.routes.clone()),
            false => {
                let plan = plan.with_param_values(values.to_vec()).map_err(|e| from_datafusion(&e))?;
                let routed = self.router().route(plan)?;
                (routed.plan, routed.routes)
            }
        };
        let state = &self.state;
        let physical = match planned.is_kept {
            false => state.create_physical_plan(&plan).await,
            true => match settle(plan, values, state) {
                Ok(plan) => state.query_planner().create_physical_plan(&plan, state).await,
                Err(error) => Err(error),
            },
        };
        Ok((physical.map_err(|e| self.named(from_datafusion(&e)))?, routes))
    }
}

/// An optimized plan whose parameters have become values: what can be computed of these is.
fn settle(plan: LogicalPlan, values: &[ScalarValue], state: &SessionState) -> PlanResult<LogicalPlan> {
    if values.is_empty() {
        return Ok(plan);
    }
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(EliminateLimit::new()),
        Arc::new(PropagateEmptyRelation::new()),
        Arc::new(PushDownLimit::new()),
    ];
    Optimizer::with_rules(rules).optimize(plan, state, |_, _| {})
}

/// The type a client gave with a value; text may stand for anything.
pub fn given_of(value: &Value) -> Option<DataType> {
    match value {
        Value::Null => None,
        Value::Scalar(array) => {
            Some(array.data_type()).filter(|t| !matches!(t, DataType::Utf8 | DataType::Null)).cloned()
        }
    }
}

/// As [`given_of`], for the planner.
pub fn type_of(value: &Value) -> Result<Option<SqlType>> {
    given_of(value).as_ref().map(parameter::sql_type).transpose()
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
