//! `CREATE`: compile, store in the engine, then show in the catalog.

use crate::catalog::{Relation, SourceRelation, ViewRelation, difference, over_sources};
use crate::database::Database;
use crate::error::{Error, Result, sqlstate};
use crate::outcome::Notice;
use crate::parse::{CreateSource, CreateView};
use crate::plan::{compile_source, compile_view, over};

/// What to do where the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// An error, unless `IF NOT EXISTS`.
    Refuse,
    /// Nothing if the definition is the same. Operational options may differ and are taken over; other
    /// differences are an error that names them.
    Compare,
}

pub fn create_source(database: &Database, create: &CreateSource, existing: Existing) -> Result<Vec<Notice>> {
    let _one = database.define();
    let catalog = database.catalog();
    if let Some(stored) = catalog.get(&create.name) {
        let connector = database.engine().registry().get(&create.connector);
        let is_operational = |option: &str| connector.is_some_and(|c| c.is_operational(option));
        let found = difference::from_source(stored, create, &is_operational);
        let goes_on = found.lasting.is_empty() && !found.operational.is_empty();
        if existing == Existing::Compare && goes_on {
            return take_over(database, stored, create, &found.operational);
        }
        return taken(stored, create.if_not_exists, existing, || found.lasting);
    }
    let definition = compile_source(database.environment(), database.engine().registry(), create)?;
    let id = database.engine().create_source(&create.canonical(), definition.clone())?;
    let schema = definition.schema();
    database.replace_catalog(catalog.with(Relation::Source(SourceRelation {
        id,
        create: create.clone(),
        definition,
        schema,
    })));
    Ok(Vec::new())
}

/// The source goes on with other operational options.
fn take_over(
    database: &Database,
    stored: &Relation,
    create: &CreateSource,
    differences: &[String],
) -> Result<Vec<Notice>> {
    let definition = compile_source(database.environment(), database.engine().registry(), create)?;
    let id = stored.id();
    database.engine().replace_source(id, &create.canonical(), definition.clone())?;
    let (create, schema) = (create.clone(), definition.schema());
    let message = format!("\"{}\" goes on with other options: {}", create.name, differences.join("; "));
    let relation = Relation::Source(SourceRelation { id, create, definition, schema });
    database.replace_catalog(database.catalog().with(relation));
    Ok(vec![Notice::told(message)])
}

pub fn create_view(database: &Database, create: &CreateView, existing: Existing) -> Result<Vec<Notice>> {
    let _one = database.define();
    let catalog = database.catalog();
    if let Some(stored) = catalog.get(&create.name) {
        let differences = || difference::from_view(stored, create);
        return taken(stored, create.if_not_exists, existing, differences);
    }
    let state = over(database.environment(), over_sources(&catalog)?);
    let reads = |name: &str| catalog.get(name).map(|relation| relation.as_read());
    let compiled = compile_view(&state, create, &reads).map_err(|error| catalog.named(error))?;
    let created = database.engine().create_view(&create.canonical(), compiled.definition.clone())?;
    let source = compiled.source.clone();
    database.replace_catalog(catalog.with(Relation::View(ViewRelation {
        id: created.id,
        create: create.clone(),
        compiled,
    })));
    let mut notices = Vec::new();
    if let Some(epoch) = created.counts_from {
        let message =
            format!("\"{}\" counts the rows of \"{source}\" that come after epoch {epoch}", create.name);
        let hint = "the rows before it were not kept and cannot be read again";
        notices.push(Notice::told(message).with_hint(hint));
    } else if created.backfilling {
        let message = format!("\"{}\" reads \"{source}\" from its beginning in the background", create.name);
        notices.push(Notice::told(message).with_hint("siltstone.views has its state"));
    }
    if let Some(first) = created.lacks.first() {
        let message = format!(
            "\"{}\" lacks records that \"{source}\" no longer has: {} to {} of {}{}",
            create.name,
            first.from,
            first.to,
            first.split,
            match created.lacks.len() - 1 {
                0 => String::new(),
                others => format!(", and of {others} more"),
            }
        );
        notices.push(Notice::told(message).with_hint("siltstone.gaps lists them"));
    }
    Ok(notices)
}

fn taken(
    stored: &Relation,
    if_not_exists: bool,
    existing: Existing,
    differences: impl FnOnce() -> Vec<String>,
) -> Result<Vec<Notice>> {
    let name = stored.name();
    if existing == Existing::Compare {
        let differences = differences();
        if differences.is_empty() {
            return Ok(vec![skipped(name, "exists with the same definition")]);
        }
        let message = format!("\"{name}\" exists with another definition: {}", differences.join("; "));
        return Err(Error::new(sqlstate::DUPLICATE_TABLE, message).with_hint(format!(
            "use the stored definition, or DROP {} {name} CASCADE and start over",
            stored.kind()
        )));
    }
    if if_not_exists {
        return Ok(vec![skipped(name, "already exists")]);
    }
    Err(Error::new(sqlstate::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")))
}

fn skipped(name: &str, why: &str) -> Notice {
    let mut notice = Notice::told(format!("relation \"{name}\" {why}, skipping"));
    notice.sqlstate = sqlstate::DUPLICATE_TABLE.to_owned();
    notice
}
