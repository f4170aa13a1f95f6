//! The catalog as the planner reads it while a view is compiled: sources and tables, and nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::empty::EmptyTable;

use super::{Catalog, Relation};
use crate::error::{Error, Result};
use crate::failure::from_datafusion;
use crate::parse::name::{DATABASE, PUBLIC};

/// A list with one database of these schemas.
pub fn single(schemas: Vec<(&str, Arc<dyn SchemaProvider>)>) -> Result<Arc<dyn CatalogProviderList>> {
    let database = MemoryCatalogProvider::new();
    for (name, schema) in schemas {
        database.register_schema(name, schema).map_err(|e| from_datafusion(&e))?;
    }
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(DATABASE.to_owned(), Arc::new(database));
    Ok(Arc::new(list))
}

/// The catalog that views are compiled over.
pub fn over_sources(catalog: &Arc<Catalog>) -> Result<Arc<dyn CatalogProviderList>> {
    single(vec![(PUBLIC, Arc::new(Sources(Arc::clone(catalog))))])
}

#[derive(Debug)]
struct Sources(Arc<Catalog>);

#[async_trait]
impl SchemaProvider for Sources {
    fn table_names(&self) -> Vec<String> {
        self.0.relations().map(|relation| relation.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        match self.0.get(name).map(Arc::as_ref) {
            None => Ok(None),
            Some(Relation::Source(source)) => Ok(Some(Arc::new(EmptyTable::new(Arc::clone(&source.schema))))),
            Some(Relation::View(_)) => {
                let error = Error::unsupported("a materialized view over a materialized view")
                    .with_hint("define it over the source; or ask for the coarser groups in the query");
                Err(DataFusionError::External(Box::new(error)))
            }
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }
}
