//! Schema `pg_catalog`, if it is built in.

use std::sync::{Arc, RwLock};

use datafusion::catalog::SchemaProvider;
use datafusion::execution::session_state::SessionState;

use crate::catalog::Catalog;
use crate::error::Result;

/// The schema by its name, over the catalog as it is when it is asked.
#[cfg(not(feature = "pg-catalog"))]
#[allow(clippy::unnecessary_wraps, reason = "the same face as with the catalog")]
pub fn catalog_schema(
    _catalog: &Arc<RwLock<Arc<Catalog>>>,
    _state: &mut SessionState,
) -> Result<Option<Schema>> {
    Ok(None)
}

/// The schema by its name, over the catalog as it is when it is asked; adds the functions that go with it.
#[cfg(feature = "pg-catalog")]
pub fn catalog_schema(
    catalog: &Arc<RwLock<Arc<Catalog>>>,
    state: &mut SessionState,
) -> Result<Option<Schema>> {
    super::postgres_built_in::schema(catalog, state).map(Some)
}

type Schema = (&'static str, Arc<dyn SchemaProvider>);
