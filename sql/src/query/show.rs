//! `SHOW` and `DESCRIBE`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::sql::sqlparser::ast::ObjectName;

use super::session::Session;
use crate::catalog::{Catalog, Relation};
use crate::data_type;
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_arrow;
use crate::outcome::Outcome;
use crate::parse::Show;
use crate::parse::name::relation;

pub fn show(session: &Session, what: &Show) -> Result<Outcome> {
    let catalog = session.database.catalog();
    match what {
        Show::Sources => listing(&catalog, |r| r.source().is_some_and(|s| !s.create.keeps_rows)),
        Show::Tables => listing(&catalog, |r| r.source().is_some_and(|s| s.create.keeps_rows)),
        Show::Views => {
            let views = catalog.relations().filter_map(|r| r.view());
            let rows = views.map(|v| vec![v.create.name.clone(), v.compiled.source.clone()]);
            table(&["name", "source"], rows.collect())
        }
        Show::Create(name) => {
            let name = relation(name)?;
            let text = catalog.find(&name)?.text();
            table(&["name", "create_statement"], vec![vec![name, text]])
        }
        Show::Columns(name) => columns(session, name),
        Show::All => {
            let rows =
                session.settings().all().into_iter().map(|(name, value, help)| vec![name, value, help]);
            table(&["name", "setting", "description"], rows.collect())
        }
        Show::Setting(name) => {
            let value = session.setting(name).ok_or_else(|| {
                Error::new(
                    sqlstate::UNDEFINED_OBJECT,
                    format!("unrecognized configuration parameter \"{name}\""),
                )
                .with_hint(
                    "SHOW ALL lists them; lists of relations are SHOW SOURCES, SHOW TABLES, SHOW VIEWS",
                )
            })?;
            table(&[name.as_str()], vec![vec![value]])
        }
    }
}

fn listing(catalog: &Catalog, wanted: impl Fn(&Relation) -> bool) -> Result<Outcome> {
    let sources = catalog.relations().filter(|r| wanted(r)).filter_map(|r| r.source());
    let rows = sources.map(|s| vec![s.create.name.clone(), s.create.connector.clone()]);
    table(&["name", "connector"], rows.collect())
}

/// The columns of a relation: name, type, whether it may be null, what it is computed from.
pub fn columns(session: &Session, name: &ObjectName) -> Result<Outcome> {
    let catalog = session.database.catalog();
    let found = catalog.find(&relation(name)?)?;
    let rows = found.schema().fields().iter().map(|field| {
        let generated = found
            .source()
            .and_then(|s| s.create.columns.iter().find(|c| c.name == *field.name()))
            .and_then(|c| c.generated.as_ref())
            .map(|expr| format!("generated always as ({expr})"));
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        vec![
            field.name().clone(),
            data_type::name(field.data_type()).to_lowercase(),
            nullable.to_owned(),
            generated.unwrap_or_default(),
        ]
    });
    table(&["column", "type", "nullable", "generated"], rows.collect())
}

fn table(names: &[&str], rows: Vec<Vec<String>>) -> Result<Outcome> {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    let columns = (0..names.len()).map(|index| {
        let values = rows.iter().map(|row| row[index].as_str());
        Arc::new(StringArray::from_iter_values(values)) as ArrayRef
    });
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect());
    Ok(Outcome::rows(batch.map_err(|e| from_arrow(&e))?, "SHOW"))
}
