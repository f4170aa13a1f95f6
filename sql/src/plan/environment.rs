//! The planner's settings and functions, the same for views and queries: one dialect.

use std::sync::Arc;

use datafusion::catalog::CatalogProviderList;
use datafusion::common::config::Dialect;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use super::arithmetic::CheckArithmetic;
use super::short_time::ShortTimes;
use super::wide_sum::wide_sum;
use super::zero::PositiveZero;
use crate::data_type::{Planner, UTC};
use crate::error::Result;
use crate::failure::from_datafusion;
use crate::parse::name::{DATABASE, PUBLIC};

/// Sorts that run at once have room to merge.
const SORTS: usize = 32;

/// A state with our settings, types and functions, and an empty catalog.
pub fn environment(runtime: Arc<RuntimeEnv>, workers: usize) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(DATABASE, PUBLIC)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        .with_target_partitions(workers.max(1));
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    // Our scans take no filters while they run, and a plan that runs again must not have the last run's.
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // What few rows pass through is done where they are.
    options.execution.use_row_number_estimates_to_optimize_partitioning = true;
    options.execution.time_zone = Some(UTC.to_owned());
    // What each sort sets aside for merging what it has spilled must not be all there is.
    if let MemoryLimit::Finite(bytes) = runtime.memory_pool.memory_limit() {
        let usual = options.execution.sort_spill_reservation_bytes;
        options.execution.sort_spill_reservation_bytes = usual.min(bytes / SORTS);
    }
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .build();
    let mut state = with_functions(state)?;
    let zero = Arc::new(PositiveZero::new());
    state.register_udaf(wide_sum()).map_err(|e| from_datafusion(&e))?;
    state.register_function_rewrite(Arc::new(ShortTimes)).map_err(|e| from_datafusion(&e))?;
    state.register_function_rewrite(Arc::new(CheckArithmetic::new())).map_err(|e| from_datafusion(&e))?;
    state.register_function_rewrite(zero.clone()).map_err(|e| from_datafusion(&e))?;
    state.add_analyzer_rule(zero);
    Ok(state)
}

/// The same state over another catalog.
pub fn over(state: &SessionState, catalogs: Arc<dyn CatalogProviderList>) -> SessionState {
    let mut state = state.clone();
    state.register_catalog_list(catalogs);
    state
}

/// Adds the functions and type names that PostgreSQL's clients use.
#[cfg(feature = "pg-catalog")]
fn with_functions(state: SessionState) -> Result<SessionState> {
    use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider};
    use datafusion::prelude::SessionContext;
    use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
    use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;

    let context = SessionContext::new_with_state(state);
    let catalog: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
    context.register_catalog(DATABASE, catalog);
    datafusion_pg_catalog::setup_pg_catalog(&context, DATABASE, EmptyContextProvider)
        .map_err(|e| from_datafusion(&e))?;
    Ok(SessionStateBuilder::new_from_existing(context.state())
        .with_type_planner(Arc::new(Planner { next: Some(Arc::new(PgOidTypePlanner)) }))
        .build())
}

#[cfg(not(feature = "pg-catalog"))]
#[allow(clippy::unnecessary_wraps, reason = "the same face as with the catalog")]
fn with_functions(state: SessionState) -> Result<SessionState> {
    Ok(SessionStateBuilder::new_from_existing(state)
        .with_type_planner(Arc::new(Planner { next: None }))
        .build())
}
