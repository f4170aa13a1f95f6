//! `DROP`, of several relations and what depends on them.

use std::sync::Arc;

use super::wrong_kind;
use crate::catalog::Relation;
use crate::database::Database;
use crate::error::{Error, Result, sqlstate};
use crate::outcome::Notice;
use crate::parse::Drop;
use crate::parse::name::relation;

pub fn drop(database: &Database, drop: &Drop) -> Result<Vec<Notice>> {
    let _one = database.define();
    let mut notices = Vec::new();
    let names = drop.names.iter().map(relation).collect::<Result<Vec<_>>>()?;
    for name in &names {
        let catalog = database.catalog();
        let Some(found) = catalog.get(name) else {
            if drop.if_exists {
                notices.push(Notice::told(format!("relation \"{name}\" does not exist, skipping")));
                continue;
            }
            return Err(catalog.unknown(name));
        };
        if found.kind() != drop.kind {
            return Err(wrong_kind(found, drop.kind, "DROP"));
        }
        drop_one(database, found, &names, drop.cascade, &mut notices)?;
    }
    Ok(notices)
}

fn drop_one(
    database: &Database,
    found: &Arc<Relation>,
    together: &[String],
    cascade: bool,
    notices: &mut Vec<Notice>,
) -> Result<()> {
    let views = database.catalog().views_of(found.id());
    let others: Vec<&String> = views.iter().filter(|view| !together.contains(view)).collect();
    if !cascade && !others.is_empty() {
        let kind = found.kind().to_lowercase();
        let list =
            others.iter().map(|view| format!("materialized view {view}")).collect::<Vec<_>>().join(", ");
        return Err(Error::new(
            sqlstate::DEPENDENT_OBJECTS,
            format!("cannot drop {kind} {} because other objects depend on it", found.name()),
        )
        .with_detail(format!("{list} depends on {kind} {}", found.name()))
        .with_hint("use DROP … CASCADE to drop the dependent objects too"));
    }
    for name in &views {
        let catalog = database.catalog();
        if let Some(view) = catalog.get(name) {
            if !together.contains(name) {
                notices.push(Notice::told(format!("drop cascades to materialized view {name}")));
            }
            database.engine().drop_relation(view.id())?;
            database.replace_catalog(catalog.without(name));
        }
    }
    database.engine().drop_relation(found.id())?;
    database.replace_catalog(database.catalog().without(found.name()));
    Ok(())
}
