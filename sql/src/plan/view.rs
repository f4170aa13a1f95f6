//! `CREATE MATERIALIZED VIEW` compiled: a rollup for the engine, and a plan that makes the view's rows of it.
//!
//! The engine keeps `keys, aggregates`; names, quotients of aggregates and `HAVING` are computed by the plan,
//! whose one scan is replaced by the rollup as of some epoch whenever a query reads the view.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, DataFusionError, TableReference, internal_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, cast, when};
use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::FutureExt;
use siltstone_engine::aggregate::Function;
use siltstone_engine::connector::Expression;
use siltstone_engine::rollup::{AggregateCall, Key, ViewDefinition};

use super::expression::{bucket, check_deterministic, compile, normal};
use super::heading::headings;
use super::offer::{Offer, OfferedCall, OfferedKey};
use super::shape::{Input, Shape};
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;
use crate::parse::{CreateView, Retain};

/// Keys and aggregates a view may have.
const COLUMNS_MAX: usize = 1_000;

/// A compiled view.
#[derive(Clone, Debug)]
pub struct CompiledView {
    pub definition: ViewDefinition,
    /// The name of the source it reads.
    pub source: String,
    /// The view's rows, over one scan that stands for the rollup.
    pub plan: LogicalPlan,
    pub schema: SchemaRef,
    /// What other queries of the source it can answer.
    pub offer: Arc<Offer>,
}

impl CompiledView {
    /// Whether two compilations of one text keep the same states and make the same rows of them, as far as one
    /// can tell.
    pub fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.definition, &other.definition);
        let keys = a.keys.len() == b.keys.len()
            && a.keys.iter().zip(&b.keys).all(|(a, b)| a.name == b.name && a.bucket == b.bucket);
        let calls = a.aggregates.len() == b.aggregates.len()
            && a.aggregates
                .iter()
                .zip(&b.aggregates)
                .all(|(a, b)| a.name == b.name && a.function == b.function && a.output == b.output);
        let expressions = |definition: &ViewDefinition| -> Vec<_> {
            let expressions = definition.expressions();
            expressions
                .map(|e| {
                    let (identity, columns) =
                        (e.identity().map(str::to_owned), e.columns().map(<[_]>::to_vec));
                    (identity, columns, e.data_type().clone())
                })
                .collect()
        };
        keys && calls
            && a.source == b.source
            && expressions(a) == expressions(b)
            && self.schema == other.schema
            && self.plan.display_indent().to_string() == other.plan.display_indent().to_string()
    }
}

/// A rollup, and which of its keys each of the aggregate's keys is.
struct Rollup {
    definition: ViewDefinition,
    places: Vec<usize>,
    offer: Offer,
}

/// What a view needs to know of the source or table that it reads.
pub struct Reads<'c> {
    pub id: u32,
    pub retain: Option<&'c Retain>,
}

/// Compiles a view. `state`'s catalog holds the sources and tables; `find` knows more of them.
pub fn compile_view<'c>(
    state: &SessionState,
    create: &CreateView,
    find: &dyn Fn(&str) -> Option<Reads<'c>>,
) -> Result<CompiledView> {
    let query = PlannerStatement::Statement(Box::new(SqlStatement::Query(create.query.clone())));
    let plan = state
        .statement_to_plan(query)
        .now_or_never()
        .ok_or_else(|| Error::new(sqlstate::INTERNAL, "planning a view waited for something"))?
        .map_err(|e| from_datafusion(&e))?;
    check(&plan)?;
    let names = column_names(create, &plan)?;
    let shape = Shape::of(plan)?;
    let source = shape.input.scan.table_name.table().to_owned();
    let reads = find(&source).ok_or_else(|| {
        Error::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{source}\" does not exist"))
    })?;
    let rollup = rollup(state, create, &reads, &shape)?;
    let plan = assemble(&rollup, &shape, &names).map_err(|e| from_datafusion(&e))?;
    let (definition, offer) = (rollup.definition, Arc::new(rollup.offer));
    let schema = Arc::new(plan.schema().as_arrow().clone());
    state.optimize(&plan).map_err(|e| from_datafusion(&e))?;
    Ok(CompiledView { definition, source, plan, schema, offer })
}

fn check(plan: &LogicalPlan) -> Result<()> {
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut refused = Ok(());
    plan.apply(|node| {
        refused = node.expressions().iter().try_for_each(|e| check_deterministic(e, "a materialized view"));
        Ok(if refused.is_err() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(|e| from_datafusion(&e))?;
    refused
}

/// The names of the view's columns: the list behind its name, else the query's, as PostgreSQL gives them.
fn column_names(create: &CreateView, plan: &LogicalPlan) -> Result<Vec<String>> {
    let mut names = headings(&create.query, plan.schema().as_arrow());
    if create.columns.len() > names.len() {
        let message =
            format!("\"{}\" has {} columns, but {} names", create.name, names.len(), create.columns.len());
        return Err(Error::syntax(message));
    }
    names.splice(..create.columns.len(), create.columns.iter().cloned());
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(names),
        Some(twice) => Err(Error::new(
            sqlstate::DUPLICATE_COLUMN,
            format!("column \"{twice}\" specified more than once"),
        )
        .with_hint("give one of them another name with AS")),
    }
}

fn rollup(state: &SessionState, create: &CreateView, reads: &Reads<'_>, shape: &Shape) -> Result<Rollup> {
    let Shape { aggregate, input, .. } = shape;
    if aggregate.group_expr.len() + aggregate.aggr_expr.len() > COLUMNS_MAX {
        return Err(Error::new(
            sqlstate::TOO_MANY,
            format!("a view may have {COLUMNS_MAX} keys and aggregates"),
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = aggregate.group_expr.iter().find(|key| !seen.insert(key.to_string())) {
        return Err(Error::unsupported(format!(
            "the key {} twice in a materialized view",
            twice.human_display()
        ))
        .with_hint("keep it once, and name it twice in the query that reads the view"));
    }
    let schema = &input.scan.projected_schema;
    let expression = |expr: &Expr| -> Result<Arc<dyn Expression>> {
        Ok(compile(state, input.substitute(expr, aggregate.input.schema())?, schema, None)?)
    };
    let mut names = Names::above(shape);
    let keys = aggregate.group_expr.iter().enumerate().map(|(nth, expr)| {
        if matches!(expr, Expr::GroupingSet(_)) {
            return Err(Error::unsupported("GROUPING SETS, ROLLUP or CUBE in a materialized view")
                .with_hint("keep one view for each of them"));
        }
        let plain = input.substitute(expr, aggregate.input.schema())?;
        Ok(Key { name: names.of(nth), bucket: bucket(&plain, schema), expression: expression(expr)? })
    });
    let (keys, places) = time_first(keys.collect::<Result<Vec<_>>>()?);
    let granularity = keys.first().and_then(|key| key.bucket).map(|bucket| bucket.granularity);
    let retain = match &create.retain {
        Some(own) => own.own(),
        None => granularity.and_then(|granularity| reads.retain?.of_views(granularity)),
    };
    if retain.is_some() && granularity.is_none() {
        let message =
            format!("materialized view \"{}\" has a retain, but no key that is a time", create.name);
        return Err(Error::new(sqlstate::INVALID_DEFINITION, message)
            .with_hint("group by date_trunc('day', column), or another unit, of a timestamp column too"));
    }
    let calls = aggregate.aggr_expr.iter().enumerate();
    let aggregates = calls
        .map(|(nth, expr)| match expr.clone().unalias() {
            Expr::AggregateFunction(call) => {
                aggregate_call(&call, names.of(keys.len() + nth), &expression, schema)
            }
            other => Err(Error::unsupported(format!("{other} as an aggregate of a materialized view"))),
        })
        .collect::<Result<Vec<_>>>()?;
    let filter = input.filter.as_ref().map(|e| condition(state, e, input)).transpose()?;
    let name = create.name.clone();
    let offer = offer(state, shape, &keys, &aggregates, &places).map_err(|e| from_datafusion(&e))?;
    let definition = ViewDefinition { name, source: reads.id, filter, keys, aggregates, retain };
    Ok(Rollup { definition, places, offer })
}

/// What the rollup keeps, for the router.
fn offer(
    state: &SessionState,
    shape: &Shape,
    keys: &[Key],
    aggregates: &[AggregateCall],
    places: &[usize],
) -> datafusion::common::Result<Offer> {
    let (aggregate, input) = (&shape.aggregate, &shape.input);
    let schema = &input.scan.projected_schema;
    let normal = |expr: &Expr| {
        let plain = input.substitute(expr, aggregate.input.schema());
        normal(state, plain.map_err(|e| DataFusionError::External(Box::new(e)))?, schema)
    };
    let mut offered = vec![None; keys.len()];
    for (expr, &place) in aggregate.group_expr.iter().zip(places) {
        offered[place] = Some(OfferedKey { expr: normal(expr)?, bucket: keys[place].bucket });
    }
    let conditions = match &input.filter {
        Some(filter) => {
            let filter = self::normal(state, filter.clone(), schema)?;
            split_conjunction_owned(filter)
        }
        None => Vec::new(),
    };
    let calls = aggregate.aggr_expr.iter().zip(aggregates).map(|(expr, call)| {
        let Expr::AggregateFunction(AggregateFunction { params, .. }) = expr.clone().unalias() else {
            return internal_err!("an aggregate that is none");
        };
        let argument = call.argument.as_ref().and(params.args.first()).map(&normal).transpose()?;
        let filter = params.filter.as_deref().map(&normal).transpose()?;
        Ok(OfferedCall { function: call.function, argument, filter })
    });
    let calls = calls.collect::<datafusion::common::Result<_>>()?;
    Ok(Offer { keys: offered.into_iter().flatten().collect(), conditions, calls })
}

/// The first key that is a time bucket before all others, since groups are kept in the order of their keys and
/// forgotten by time; and the place that each key has got.
fn time_first(mut keys: Vec<Key>) -> (Vec<Key>, Vec<usize>) {
    let first = keys.iter().position(|key| key.bucket.is_some()).unwrap_or(0);
    let places = (0..keys.len()).map(|nth| match nth {
        nth if nth < first => nth + 1,
        nth if nth == first => 0,
        nth => nth,
    });
    let places = places.collect();
    if !keys.is_empty() {
        keys[..=first].rotate_right(1);
    }
    (keys, places)
}

fn condition(state: &SessionState, expr: &Expr, input: &Input) -> Result<Arc<dyn Expression>> {
    let compiled = compile(state, expr.clone(), &input.scan.projected_schema, None)?;
    boolean(compiled)
}

fn boolean(compiled: Arc<dyn Expression>) -> Result<Arc<dyn Expression>> {
    match compiled.data_type() {
        DataType::Boolean => Ok(compiled),
        other => Err(Error::new(
            sqlstate::DATATYPE_MISMATCH,
            format!(
                "argument of WHERE must be type boolean, not type {}",
                crate::data_type::name(other).to_lowercase()
            ),
        )),
    }
}

fn aggregate_call(
    call: &AggregateFunction,
    name: String,
    expression: &dyn Fn(&Expr) -> Result<Arc<dyn Expression>>,
    _schema: &DFSchema,
) -> Result<AggregateCall> {
    let view = "in a materialized view";
    let function = match call.func.name() {
        "count" => Function::Count,
        "sum" => Function::Sum,
        "min" => Function::Min,
        "max" => Function::Max,
        "avg" => Function::Avg,
        other => {
            return Err(Error::unsupported(format!("aggregate {other}() {view}")).with_hint(
                "a view keeps count, sum, min, max and avg; the rest a query can compute over kept rows",
            ));
        }
    };
    let params = &call.params;
    if params.distinct && !matches!(function, Function::Min | Function::Max) {
        return Err(Error::unsupported(format!("{}(DISTINCT …) {view}", call.func.name()))
            .with_hint("group by the column too, and count the groups in the query"));
    }
    if !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Err(Error::unsupported(format!("ORDER BY or IGNORE NULLS inside an aggregate {view}")));
    }
    let argument = match (function, params.args.as_slice()) {
        (Function::Count, [] | [Expr::Literal(_, _)]) if !counts_null(&params.args) => None,
        (_, [argument]) => Some(expression(&guarded(argument, params.filter.as_deref())?)?),
        _ => return Err(Error::unsupported(format!("{}() of several arguments {view}", call.func.name()))),
    };
    let filter = params.filter.as_ref().map(|f| expression(f).and_then(boolean)).transpose()?;
    let output = function.output_type(argument.as_ref().map(|a| a.data_type()))?;
    Ok(AggregateCall { name, function, argument, filter, output })
}

/// An argument that is computed only for the rows that the filter lets through: it may fail for others.
pub fn guarded(argument: &Expr, filter: Option<&Expr>) -> Result<Expr> {
    match filter {
        Some(filter) if !matches!(argument, Expr::Column(_) | Expr::Literal(..)) => {
            when(filter.clone(), argument.clone()).end().map_err(|e| from_datafusion(&e))
        }
        _ => Ok(argument.clone()),
    }
}

fn counts_null(args: &[Expr]) -> bool {
    matches!(args, [Expr::Literal(value, _)] if value.is_null())
}

/// Names for the rollup's columns: those the view gives them, made unique.
struct Names {
    wanted: Vec<Option<String>>,
    used: BTreeSet<String>,
}

impl Names {
    fn above(shape: &Shape) -> Self {
        let schema = &shape.aggregate.schema;
        let mut wanted = vec![None; schema.fields().len()];
        if let Some(LogicalPlan::Projection(projection)) = shape.above.last() {
            for expr in &projection.expr {
                let name = expr.schema_name().to_string();
                if let Expr::Column(column) = expr.clone().unalias_nested().data
                    && let Ok(index) = schema.index_of_column(&column)
                {
                    let name = if matches!(expr, Expr::Alias(_)) { name } else { column.name };
                    wanted[index].get_or_insert(name);
                }
            }
        }
        Self { wanted, used: BTreeSet::new() }
    }

    fn of(&mut self, index: usize) -> String {
        let base = self.wanted[index].clone().unwrap_or_else(|| format!("column{}", index + 1));
        let mut name = base.clone();
        let mut nth = 1;
        while !self.used.insert(name.clone()) {
            nth += 1;
            name = format!("{base}_{nth}");
        }
        name
    }
}

/// The view's rows over a scan of the rollup.
fn assemble(rollup: &Rollup, shape: &Shape, names: &[String]) -> datafusion::common::Result<LogicalPlan> {
    let base = rollup.definition.schema();
    let table = TableReference::bare(rollup.definition.name.clone());
    let scan = Arc::new(LogicalTableSource::new(Arc::clone(&base)));
    let scan = LogicalPlanBuilder::scan(table.clone(), scan, None)?;
    let columns = aggregate_columns(&shape.aggregate, &table, &base, &rollup.places);
    let mut plan = scan.project(columns)?.build()?;
    for node in shape.above.iter().rev() {
        plan = node.with_new_exprs(node.expressions(), vec![plan])?.recompute_schema()?;
    }
    let columns = plan.schema().columns().into_iter().zip(names);
    let named: Vec<Expr> = columns.map(|(column, name)| Expr::Column(column).alias(name)).collect();
    LogicalPlanBuilder::from(plan).project(named)?.build()
}

/// The rollup's columns under the names and types that the aggregate's had.
fn aggregate_columns(
    aggregate: &Aggregate,
    table: &TableReference,
    base: &Schema,
    places: &[usize],
) -> Vec<Expr> {
    let fields = aggregate.schema.iter().enumerate();
    fields
        .map(|(nth, (qualifier, field))| {
            let kept = base.field(places.get(nth).copied().unwrap_or(nth));
            let column = Expr::Column(Column::new(Some(table.clone()), kept.name()));
            let value = if field.data_type() == kept.data_type() {
                column
            } else {
                cast(column, field.data_type().clone())
            };
            value.alias_qualified(qualifier.cloned(), field.name())
        })
        .collect()
}
