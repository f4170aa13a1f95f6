//! The catalog that one statement sees: every relation at one snapshot, and the system schemas.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result as PlanResult;
use datafusion::datasource::TableType;

use super::relation::{RelationTable, Rows};
use super::system::System;
use super::view::view_over;
use crate::catalog::{Catalog, Relation, single};
use crate::error::Result;
use crate::parse::name::{DATABASE, PUBLIC};

/// The catalog with its system tables; `more` are schemas that do not depend on a snapshot.
pub fn pinned(
    system: System,
    catalog: &Arc<Catalog>,
    more: Option<(&'static str, Arc<dyn SchemaProvider>)>,
) -> Result<Arc<dyn CatalogProviderList>> {
    let public = Public { catalog: Arc::clone(catalog) };
    let mut schemas: Vec<(&str, Arc<dyn SchemaProvider>)> =
        vec![(PUBLIC, Arc::new(public)), (DATABASE, Arc::new(system))];
    schemas.extend(more);
    single(schemas)
}

struct Public {
    catalog: Arc<Catalog>,
}

impl Public {
    fn provider(&self, relation: &Relation) -> PlanResult<Arc<dyn TableProvider>> {
        match relation {
            Relation::View(view) => view_over(view, Arc::new(RelationTable::groups(view)), relation.text()),
            Relation::Source(source) => {
                let rows = if source.create.keeps_rows {
                    Rows::Kept { table: source.id, time: source.definition.partition.map(|by| by.column) }
                } else {
                    Rows::Nowhere { source: source.id, views: self.catalog.views_of(source.id) }
                };
                let schema = Arc::clone(&source.schema);
                let table = RelationTable::new(relation.name(), schema, rows);
                Ok(Arc::new(table.with_definition(relation.text())))
            }
        }
    }
}

#[async_trait]
impl SchemaProvider for Public {
    fn table_names(&self) -> Vec<String> {
        self.catalog.relations().map(|relation| relation.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        self.catalog.get(name).map(|relation| self.provider(relation)).transpose()
    }

    async fn table_type(&self, name: &str) -> PlanResult<Option<TableType>> {
        Ok(self.catalog.get(name).map(|relation| match relation.as_ref() {
            Relation::View(_) => TableType::View,
            Relation::Source(_) => TableType::Base,
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.catalog.get(name).is_some()
    }
}

impl std::fmt::Debug for Public {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Public").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}
