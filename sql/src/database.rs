//! One data directory opened with SQL: the engine, and what is defined in it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use datafusion::catalog::SchemaProvider;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use siltstone_engine::connector::Registry;
use siltstone_engine::runtime::{Engine, Options, StoredRelation};

use crate::catalog::{Catalog, Relation, SourceRelation, ViewRelation, over_sources};
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;
use crate::parse::{self, Command};
use crate::plan::{compile_source, compile_view, environment, over};
use crate::planned::Plans;
use crate::routes::RouteLog;
use crate::table::{Folds, catalog_schema};

/// Where queries put what does not fit their memory, under the data directory. Emptied when it is opened.
const SPILL_DIRECTORY: &str = "spill";

/// Bytes that queries may spill.
const SPILL_BYTES_MAX: u64 = 64 << 30;

/// An open directory. One for each process, shared by its sessions.
pub struct Database {
    engine: Arc<Engine>,
    catalog: Arc<RwLock<Arc<Catalog>>>,
    /// Held while something is created or dropped.
    definitions: Mutex<()>,
    environment: SessionState,
    /// Schema `pg_catalog`, if it is built in.
    postgres: Option<(&'static str, Arc<dyn SchemaProvider>)>,
    plans: Plans,
    folds: Arc<Folds>,
    routes: Arc<RouteLog>,
}

impl Database {
    /// Opens the engine, compiles and attaches every stored definition. Does not start pipelines.
    ///
    /// # Errors
    /// 55006 if another process owns the directory; whatever a stored definition no longer compiles for.
    pub fn open(dir: &Path, options: Options, registry: Arc<Registry>) -> Result<Arc<Self>> {
        let engine = Engine::open(dir, options, registry)?;
        let runtime = runtime(dir, engine.options())?;
        let mut environment = environment(runtime, engine.options().workers)?;
        let mut catalog = Catalog::default();
        for stored in engine.stored() {
            let relation = attach(&engine, &environment, &catalog, &stored)
                .map_err(|e| e.context(format!("opening the stored definition of \"{}\"", stored.name)))?;
            catalog = catalog.with(relation);
        }
        let catalog = Arc::new(RwLock::new(Arc::new(catalog)));
        let postgres = catalog_schema(&catalog, &mut environment)?;
        let (definitions, plans) = (Mutex::default(), Plans::default());
        let folds = Folds::new(usize::try_from(engine.options().folded_memory_bytes()).unwrap_or(usize::MAX));
        let (folds, routes) = (Arc::new(folds), Arc::default());
        Ok(Arc::new(Self { engine, catalog, definitions, environment, postgres, plans, folds, routes }))
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace_catalog(&self, catalog: Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// One definition at a time.
    pub(crate) fn define(&self) -> MutexGuard<'_, ()> {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn environment(&self) -> &SessionState {
        &self.environment
    }

    /// Plans that were made before.
    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    /// What queries have folded of kept rows before.
    pub(crate) fn folds(&self) -> &Arc<Folds> {
        &self.folds
    }

    /// What has answered queries so far.
    pub(crate) fn routes(&self) -> &Arc<RouteLog> {
        &self.routes
    }

    pub(crate) fn postgres(&self) -> Option<(&'static str, Arc<dyn SchemaProvider>)> {
        self.postgres.clone()
    }
}

fn attach(
    engine: &Engine,
    environment: &SessionState,
    catalog: &Catalog,
    stored: &StoredRelation,
) -> Result<Relation> {
    let statements = parse::parse(&stored.text)?;
    let command = statements.first().map(|statement| statement.command().clone());
    match command {
        Some(Command::CreateSource(create)) => {
            let definition = compile_source(environment, engine.registry(), &create)?;
            engine.attach_source(stored.id, definition.clone())?;
            let schema = definition.schema();
            Ok(Relation::Source(SourceRelation { id: stored.id, create: *create, definition, schema }))
        }
        Some(Command::CreateView(create)) => {
            let catalog = Arc::new(catalog.clone());
            let state = over(environment, over_sources(&catalog)?);
            let reads = |name: &str| catalog.get(name).map(|relation| relation.as_read());
            let compiled = compile_view(&state, &create, &reads)?;
            engine.attach_view(stored.id, compiled.definition.clone())?;
            Ok(Relation::View(ViewRelation { id: stored.id, create, compiled }))
        }
        _ => Err(Error::new(sqlstate::CORRUPT, "its text is not a definition")),
    }
}

/// Memory and disk for all queries together.
fn runtime(dir: &Path, options: &Options) -> Result<Arc<RuntimeEnv>> {
    let spill = dir.join(SPILL_DIRECTORY);
    let failed = |what: &str, error: &std::io::Error| {
        Error::new(sqlstate::IO_ERROR, format!("{what} {}: {error}", spill.display()))
    };
    match std::fs::remove_dir_all(&spill) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("emptying", &error)),
    }
    std::fs::create_dir_all(&spill).map_err(|error| failed("creating", &error))?;
    let bytes = usize::try_from(options.query_memory_bytes()).unwrap_or(usize::MAX);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
        .with_temp_file_path(&spill)
        .with_max_temp_directory_size(SPILL_BYTES_MAX)
        .build_arc()
        .map_err(|error| from_datafusion(&error))
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("catalog", &self.catalog()).finish_non_exhaustive()
    }
}
