//! `CREATE SOURCE` and `CREATE TABLE` compiled: columns, generated columns, checked options.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias};
use siltstone_engine::connector::{Column, Connector, Registry, SourceDefinition};
use siltstone_engine::lake::Partition;

use super::expression::{check_deterministic, compile};
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;
use crate::nearest::nearest;
use crate::parse::{CreateSource, PartitionBy, Retain};

/// Compiles a source or table. Its options are checked against the connector's list, not yet tried.
pub fn compile_source(
    state: &SessionState,
    registry: &Registry,
    create: &CreateSource,
) -> Result<SourceDefinition> {
    check_names(create)?;
    check_options(registry, create)?;
    let physical: Vec<Field> = create.columns.iter().filter(|c| c.generated.is_none()).map(field).collect();
    if physical.is_empty() {
        return Err(Error::new(
            sqlstate::INVALID_DEFINITION,
            format!("\"{}\" has no column to read", create.name),
        ));
    }
    let physical = schema(&create.name, physical)?;
    let columns = create
        .columns
        .iter()
        .map(|clause| {
            let generated = clause.generated.as_ref().map(|sql| {
                let place = format!("generated column \"{}\"", clause.name);
                let expr = expression(state, sql, &physical, create, &place)?;
                compile(state, expr, &physical, Some(&clause.data_type)).map_err(|e| e.context(place))
            });
            let generated = generated.transpose()?.map(|compiled| compiled as Arc<_>);
            Ok(Column { field: field(clause), generated })
        })
        .collect::<Result<Vec<_>>>()?;
    check_watermark(state, create)?;
    let partition = partition(create)?;
    let retain = create.retain.as_ref().and_then(Retain::own);
    if retain.is_some() && partition.is_none() {
        let message = format!("table \"{}\" has a retain, but no time to count it by", create.name);
        return Err(Error::new(sqlstate::INVALID_DEFINITION, message)
            .with_hint("add a column of type timestamp or date, or PARTITION BY (day(column))"));
    }
    Ok(SourceDefinition {
        name: create.name.clone(),
        columns,
        connector: create.connector.clone(),
        options: create.options.clone(),
        keeps_rows: create.keeps_rows,
        partition,
        retain,
    })
}

/// The place of the column that partitions are cut by.
fn partition(create: &CreateSource) -> Result<Option<Partition>> {
    let Some(PartitionBy { transform, column }) = create.partition() else { return Ok(None) };
    let place = create.columns.iter().position(|c| c.name == column).ok_or_else(|| {
        unknown_column(create, &column).context(format!("the partitions of \"{}\"", create.name))
    })?;
    if !create.columns[place].is_time() {
        let found = crate::data_type::name(&create.columns[place].data_type).to_lowercase();
        let message = format!("column \"{column}\" is of type {found}, and partitions are of times");
        return Err(Error::new(sqlstate::DATATYPE_MISMATCH, message).with_hint(
            "they are cut by a column of type timestamp, timestamptz or date; a generated one will do",
        ));
    }
    Ok(Some(Partition { column: place, transform }))
}

fn unknown_column(create: &CreateSource, name: &str) -> Error {
    let near = nearest(name, create.columns.iter().map(|c| c.name.as_str()));
    Error::new(sqlstate::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
        .with_hint_if(near.map(|near| format!("did you mean \"{near}\"?")))
}

fn field(clause: &crate::parse::ColumnClause) -> Field {
    Field::new(&clause.name, clause.data_type.clone(), !clause.not_null)
}

fn schema(name: &str, fields: Vec<Field>) -> Result<Arc<DFSchema>> {
    DFSchema::try_from_qualified_schema(name, &Schema::new(fields))
        .map(Arc::new)
        .map_err(|e| from_datafusion(&e))
}

fn check_names(create: &CreateSource) -> Result<()> {
    let mut seen = BTreeSet::new();
    match create.columns.iter().find(|c| !seen.insert(c.name.as_str())) {
        None => Ok(()),
        Some(twice) => Err(Error::new(
            sqlstate::DUPLICATE_COLUMN,
            format!("column \"{}\" of \"{}\" is specified more than once", twice.name, create.name),
        )),
    }
}

fn expression(
    state: &SessionState,
    sql: &SqlExpr,
    schema: &DFSchema,
    create: &CreateSource,
    place: &str,
) -> Result<Expr> {
    let sql = ExprWithAlias { expr: sql.clone(), alias: None };
    let expr = state.create_logical_expr_from_sql_expr(sql, schema).map_err(|error| {
        let error = from_datafusion(&error).context(place);
        let names_generated = error.sqlstate() == sqlstate::UNDEFINED_COLUMN
            && create.columns.iter().any(|c| {
                c.generated.is_some() && error.message().contains(&format!("\"{}\"", c.name))
            });
        if names_generated {
            return error.with_hint("a generated column is computed from the columns that are read, not from another generated one");
        }
        error
    })?;
    check_deterministic(&expr, place)?;
    if has_aggregate(&expr) {
        return Err(Error::new(
            sqlstate::GROUPING_ERROR,
            format!("aggregate functions are not allowed in {place}"),
        ));
    }
    Ok(expr)
}

/// The watermark must be a time computed from the row; it is kept, and used when windows are.
fn check_watermark(state: &SessionState, create: &CreateSource) -> Result<()> {
    let Some(watermark) = &create.watermark else { return Ok(()) };
    let whole = schema(&create.name, create.columns.iter().map(field).collect())?;
    let place = format!("the watermark of \"{}\"", create.name);
    let column = create.columns.iter().find(|c| c.name == watermark.column);
    let column = column.ok_or_else(|| unknown_column(create, &watermark.column).context(&place))?;
    let expr = expression(state, &watermark.expression, &whole, create, &place)?;
    let compiled = compile(state, expr.clone(), &whole, None).map_err(|e| e.context(&place))?;
    let time = |t: &DataType| matches!(t, DataType::Timestamp(..));
    let found = siltstone_engine::connector::Expression::data_type(compiled.as_ref());
    if time(&column.data_type) && time(found) && expr.get_type(&whole).is_ok() {
        return Ok(());
    }
    Err(Error::new(sqlstate::DATATYPE_MISMATCH, format!("{place} is not of type timestamp")))
}

fn check_options(registry: &Registry, create: &CreateSource) -> Result<()> {
    let connector = registry.get(&create.connector).ok_or_else(|| {
        let names: Vec<&str> = registry.names().collect();
        let near = nearest(&create.connector, names.iter().copied());
        let near = near.map(|near| format!("did you mean '{near}'? ")).unwrap_or_default();
        Error::new(sqlstate::INVALID_PARAMETER_VALUE, format!("there is no connector '{}'", create.connector))
            .with_hint(format!("{near}the connectors are {}", names.join(", ")))
    })?;
    let specs = connector.options();
    for key in create.options.keys() {
        if !specs.iter().any(|spec| spec.name == key) {
            return Err(unknown_option(connector.as_ref(), key));
        }
    }
    match specs.iter().find(|spec| spec.required && !create.options.contains_key(spec.name)) {
        None => Ok(()),
        Some(missing) => Err(Error::new(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("connector '{}' needs option \"{}\"", create.connector, missing.name),
        )
        .with_hint(missing.help)),
    }
}

fn unknown_option(connector: &dyn Connector, key: &str) -> Error {
    let names: Vec<&str> = connector.options().iter().map(|spec| spec.name).collect();
    let near = nearest(key, names.iter().copied());
    let near = near.map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
    let message = format!("connector '{}' has no option \"{key}\"", connector.name());
    let list = if names.is_empty() {
        "it has none".to_owned()
    } else {
        format!("its options are {}", names.join(", "))
    };
    Error::new(sqlstate::INVALID_PARAMETER_VALUE, message).with_hint(format!("{near}{list}"))
}

/// Whether an aggregate stands anywhere in an expression.
fn has_aggregate(expr: &Expr) -> bool {
    expr.exists(|part| Ok(matches!(part, Expr::AggregateFunction(_)))).unwrap_or(true)
}
