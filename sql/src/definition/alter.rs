//! `ALTER`: more columns or wider ones for a source, or what is done with snapshots.
//!
//! A new column stands behind all others, since what is compiled knows columns by their places. The views of the
//! source are compiled again: one that would mean something else keeps the columns from changing.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::{snapshot, wrong_kind};
use crate::catalog::{Catalog, Relation, SourceRelation, ViewRelation, over_sources};
use crate::data_type;
use crate::database::Database;
use crate::error::{Error, Result, sqlstate};
use crate::nearest::nearest;
use crate::outcome::Notice;
use crate::parse::name::relation;
use crate::parse::{Action, Alter, COLUMNS_MAX, ColumnChange, ColumnClause, CreateSource, PartitionClause};
use crate::plan::{compile_source, compile_view, over};

pub fn alter(database: &Database, alter: &Alter) -> Result<Vec<Notice>> {
    let _one = matches!(alter.action, Action::Columns(_)).then(|| database.define());
    let catalog = database.catalog();
    let found = catalog.find(&relation(&alter.name)?)?;
    if found.kind() != alter.kind {
        return Err(wrong_kind(found, alter.kind, "ALTER"));
    }
    match (&alter.action, found.as_ref()) {
        (Action::Snapshots(action), found) => snapshot::act(database, found, action),
        (Action::Columns(changes), Relation::Source(source)) => columns(database, &catalog, source, changes),
        (Action::Columns(_), Relation::View(_)) => Err(wrong_kind(found, "TABLE", "ALTER")),
    }
}

fn columns(
    database: &Database,
    catalog: &Catalog,
    source: &SourceRelation,
    changes: &[ColumnChange],
) -> Result<Vec<Notice>> {
    let (mut create, mut notices) = (source.create.clone(), Vec::new());
    for change in changes {
        match change {
            ColumnChange::Add { column, if_not_exists } => {
                notices.extend(add(&mut create, column, *if_not_exists)?);
            }
            ColumnChange::Widen { name, data_type } => {
                let place = widen(&mut create, name, data_type)?;
                check_unused(catalog, source, place)?;
            }
        }
    }
    if create.canonical() == source.create.canonical() {
        return Ok(notices);
    }
    // Files are cut as they were, whatever columns have come.
    if create.partition() != source.create.partition() {
        create.partition = source.create.partition().map_or(PartitionClause::Whole, PartitionClause::By);
    }
    let definition = compile_source(database.environment(), database.engine().registry(), &create)?;
    let (id, schema, text) = (source.id, definition.schema(), create.canonical());
    let relation = SourceRelation { id, create, definition: definition.clone(), schema };
    let changed = recompiled(database, catalog.with(Relation::Source(relation)), source)?;
    database.engine().alter_source(id, &text, definition)?;
    database.replace_catalog(changed);
    Ok(notices)
}

fn add(create: &mut CreateSource, column: &ColumnClause, if_not_exists: bool) -> Result<Option<Notice>> {
    if create.columns.iter().any(|c| c.name == column.name) {
        let message = format!("column \"{}\" of relation \"{}\" already exists", column.name, create.name);
        if !if_not_exists {
            return Err(Error::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        let mut notice = Notice::told(format!("{message}, skipping"));
        notice.sqlstate = sqlstate::DUPLICATE_COLUMN.to_owned();
        return Ok(Some(notice));
    }
    if create.columns.len() >= COLUMNS_MAX {
        let message = format!("\"{}\" has {COLUMNS_MAX} columns already", create.name);
        return Err(Error::new(sqlstate::TOO_MANY, message));
    }
    create.columns.push(ColumnClause::clone(column));
    Ok(None)
}

/// Gives a column a wider type; the answer is its place.
fn widen(create: &mut CreateSource, name: &str, to: &DataType) -> Result<usize> {
    let Some(place) = create.columns.iter().position(|c| c.name == name) else {
        let near = nearest(name, create.columns.iter().map(|c| c.name.as_str()));
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", create.name);
        return Err(Error::new(sqlstate::UNDEFINED_COLUMN, message)
            .with_hint_if(near.map(|near| format!("did you mean \"{near}\"?"))));
    };
    let from = &mut create.columns[place].data_type;
    if !holds(to, from) {
        let (from, to) = (data_type::name(from), data_type::name(to));
        return Err(Error::unsupported(format!("changing column \"{name}\" from {from} to {to}")).with_hint(
            "a type can be widened: SMALLINT to INTEGER to BIGINT, REAL to DOUBLE PRECISION, \
             NUMERIC(p,s) to more digits with the same scale",
        ));
    }
    *from = to.clone();
    Ok(place)
}

/// Whether every value of `from` is one of `to`, as the same kind of number.
fn holds(to: &DataType, from: &DataType) -> bool {
    match (from, to) {
        (DataType::Int16, DataType::Int32 | DataType::Int64)
        | (DataType::Int32, DataType::Int64)
        | (DataType::Float32, DataType::Float64) => true,
        (DataType::Decimal128(digits, scale), DataType::Decimal128(more, same)) => {
            scale == same && digits <= more
        }
        (from, to) => from == to,
    }
}

/// Refuses another type for a column whose values views have in their states.
fn check_unused(catalog: &Catalog, source: &SourceRelation, place: usize) -> Result<()> {
    let views = catalog.views_of(source.id);
    let uses = |view: &ViewRelation| {
        let definition = &view.compiled.definition;
        let mut expressions = definition.expressions();
        expressions.any(|e| e.columns().is_none_or(|columns| columns.contains(&place)))
    };
    let user = views.iter().find(|name| catalog.get(name).and_then(|r| r.view()).is_some_and(uses));
    let Some(user) = user else { return Ok(()) };
    let name = &source.create.columns[place].name;
    Err(Error::unsupported(format!("widening column \"{name}\", used by materialized view \"{user}\","))
        .with_hint("drop the view first and create it again behind the change"))
}

/// The catalog with the views of a changed source compiled over it.
fn recompiled(database: &Database, catalog: Catalog, source: &SourceRelation) -> Result<Catalog> {
    let over_new = Arc::new(catalog.clone());
    let state = over(database.environment(), over_sources(&over_new)?);
    let reads = |name: &str| over_new.get(name).map(|relation| relation.as_read());
    let mut changed = catalog;
    for name in over_new.views_of(source.id) {
        let Some(view) = over_new.get(&name).and_then(|relation| relation.view()) else { continue };
        let compiled = compile_view(&state, &view.create, &reads)
            .map_err(|e| means_else(&name).with_detail(e.message()))?;
        if !compiled.is_same(&view.compiled) {
            return Err(means_else(&name));
        }
        let (id, create) = (view.id, view.create.clone());
        changed = changed.with(Relation::View(ViewRelation { id, create, compiled }));
    }
    Ok(changed)
}

fn means_else(view: &str) -> Error {
    let message = format!("materialized view \"{view}\" would mean something else with these columns");
    Error::new(sqlstate::DEPENDENT_OBJECTS, message)
        .with_hint("give the new column a name that the view does not use")
}
