//! The snapshots of tables and views: `OPTIMIZE`, tags, going back, expiring.

use datafusion::sql::sqlparser::ast::{Expr, ObjectName};
use siltstone_engine::runtime::AsOf;

use crate::catalog::Relation;
use crate::database::Database;
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_snapshot;
use crate::outcome::Notice;
use crate::parse::SnapshotAction;
use crate::parse::name::relation;
use crate::plan::moment_of;

/// Presses one relation into files, or all.
pub fn optimize(database: &Database, name: Option<&ObjectName>) -> Result<Vec<Notice>> {
    let id = match name {
        None => None,
        Some(name) => {
            let catalog = database.catalog();
            let found = catalog.find(&relation(name)?)?;
            check_keeps(found)?;
            Some(found.id())
        }
    };
    database.engine().optimize(id)?;
    Ok(Vec::new())
}

/// Carries out what `ALTER` says of the snapshots of a relation.
pub fn act(database: &Database, found: &Relation, action: &SnapshotAction) -> Result<Vec<Notice>> {
    check_keeps(found)?;
    let (engine, id) = (database.engine(), found.id());
    match action {
        SnapshotAction::CreateTag { tag, of } => {
            let of = of.clone().map_or_else(|| current(database, found), Ok)?;
            engine.tag(id, tag, Some(&of)).map_err(from_snapshot)?;
        }
        SnapshotAction::DropTag(tag) => engine.tag(id, tag, None).map_err(from_snapshot)?,
        SnapshotAction::RollBack(to) => engine.roll_back(id, to).map_err(from_snapshot)?,
        SnapshotAction::Expire { older_than, keep } => {
            let older_than = older_than.as_deref().map(|expr| before(database, expr)).transpose()?;
            let count = engine.expire(id, older_than, keep.unwrap_or(1)).map_err(from_snapshot)?;
            let what = if count == 1 { "snapshot" } else { "snapshots" };
            return Ok(vec![Notice::told(format!("{count} {what} of \"{}\" expired", found.name()))]);
        }
    }
    Ok(Vec::new())
}

fn before(database: &Database, expr: &Expr) -> Result<i64> {
    moment_of(database.environment(), expr, "OLDER THAN")
}

/// The snapshot that readers of the files see.
fn current(database: &Database, found: &Relation) -> Result<AsOf> {
    let snapshots = database.engine().lake_snapshots()?;
    let current = snapshots.iter().find(|row| row.relation == found.id() && row.is_current);
    current.map(|row| AsOf::Version(row.snapshot)).ok_or_else(|| {
        let name = found.name();
        Error::new(sqlstate::UNDEFINED_OBJECT, format!("\"{name}\" has no snapshot yet"))
            .with_hint(format!("OPTIMIZE {name} makes one of what is there"))
    })
}

/// Refuses a source, which has nothing to make snapshots of.
fn check_keeps(found: &Relation) -> Result<()> {
    match found.source() {
        Some(source) if !source.create.keeps_rows => {
            let message = format!("\"{}\" is a source, which keeps no rows", found.name());
            Err(Error::new(sqlstate::WRONG_OBJECT_TYPE, message)
                .with_hint("tables and materialized views have snapshots"))
        }
        _ => Ok(()),
    }
}
