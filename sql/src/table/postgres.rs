//! Schema `pg_catalog`: what psql and drivers ask about names, columns and types.
//!
//! The tables are the catalog crate's, over our names. They know neither materialized views nor zoned times;
//! those columns are corrected as the rows pass.

use std::sync::{Arc, RwLock};

use datafusion::catalog::SchemaProvider;

use crate::catalog::Catalog;
use crate::error::Result;

/// The schema by its name, over the catalog as it is when it is asked.
#[cfg(not(feature = "pg-catalog"))]
#[allow(clippy::unnecessary_wraps, reason = "the same face as with the catalog")]
pub fn catalog_schema(_catalog: &Arc<RwLock<Arc<Catalog>>>) -> Result<Option<(&'static str, Arc<dyn SchemaProvider>)>> {
    Ok(None)
}

/// The schema by its name, over the catalog as it is when it is asked.
#[cfg(feature = "pg-catalog")]
pub fn catalog_schema(catalog: &Arc<RwLock<Arc<Catalog>>>) -> Result<Option<(&'static str, Arc<dyn SchemaProvider>)>> {
    built_in::schema(catalog).map(Some)
}

#[cfg(feature = "pg-catalog")]
mod built_in {
    use std::sync::{Arc, PoisonError, RwLock};

    use async_trait::async_trait;
    use datafusion::arrow::datatypes::SchemaRef;
    use datafusion::catalog::SchemaProvider;
    use datafusion::common::Result as PlanResult;
    use datafusion::datasource::TableType;
    use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
    use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
    use datafusion_pg_catalog::pg_catalog::{PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables};

    use crate::catalog::{Catalog, Relation};
    use crate::error::Result;
    use crate::failure::from_datafusion;
    use crate::parse::name::{DATABASE, PUBLIC};

    const POSTGRES: &str = "pg_catalog";

    pub fn schema(catalog: &Arc<RwLock<Arc<Catalog>>>) -> Result<(&'static str, Arc<dyn SchemaProvider>)> {
        let tables = PgCatalogStaticTables::try_new().map_err(|e| from_datafusion(&e))?;
        let names = Names(Arc::clone(catalog));
        let provider = PgCatalogSchemaProvider::try_new(names, Arc::new(tables), EmptyContextProvider);
        Ok((POSTGRES, Arc::new(provider.map_err(|e| from_datafusion(&e))?)))
    }

    /// Our names, as the catalog tables ask for them.
    #[derive(Clone, Debug)]
    struct Names(Arc<RwLock<Arc<Catalog>>>);

    impl Names {
        fn now(&self) -> Arc<Catalog> {
            Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
        }
    }

    #[async_trait]
    impl CatalogInfo for Names {
        async fn catalog_names(&self) -> PlanResult<Vec<String>> {
            Ok(vec![DATABASE.to_owned()])
        }

        async fn schema_names(&self, _database: &str) -> PlanResult<Option<Vec<String>>> {
            Ok(Some([PUBLIC, DATABASE, POSTGRES].map(str::to_owned).to_vec()))
        }

        async fn table_names(&self, _database: &str, schema: &str) -> PlanResult<Option<Vec<String>>> {
            Ok(match schema {
                PUBLIC => Some(self.now().relations().map(|r| r.name().to_owned()).collect()),
                DATABASE => Some(crate::table::system::TABLES.map(str::to_owned).to_vec()),
                POSTGRES => Some(PG_CATALOG_TABLES.iter().map(|name| (*name).to_owned()).collect()),
                _ => None,
            })
        }

        async fn table_schema(&self, _database: &str, schema: &str, table: &str) -> PlanResult<Option<SchemaRef>> {
            Ok(match schema {
                PUBLIC => self.now().get(table).map(|r| Arc::clone(r.schema())),
                DATABASE => crate::table::system::schema_of(table)?,
                _ => Some(Arc::new(datafusion::arrow::datatypes::Schema::empty())),
            })
        }

        async fn table_type(&self, _database: &str, schema: &str, table: &str) -> PlanResult<Option<TableType>> {
            let view = match schema {
                PUBLIC => matches!(self.now().get(table).map(Arc::as_ref), Some(Relation::View(_))),
                other => other == DATABASE,
            };
            Ok(Some(if view { TableType::View } else { TableType::Base }))
        }
    }
}
