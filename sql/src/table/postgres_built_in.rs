//! Schema `pg_catalog`: what psql and drivers ask about names, columns and types.
//!
//! The tables are the catalog crate's, over our names. They know neither materialized views, zoned times nor
//! the digits of numbers; those columns are corrected as the rows pass.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::TableType;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{
    PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable,
};
use futures::StreamExt;

use super::system;
use crate::catalog::{Catalog, Relation};
use crate::error::Result;
use crate::failure::from_datafusion;
use crate::parse::name::{DATABASE, PUBLIC};

const POSTGRES: &str = "pg_catalog";

/// PostgreSQL's number of the schema `pg_catalog`.
const POSTGRES_OID: i32 = 11;

/// PostgreSQL's numbers of the types that the catalog crate takes for text.
const TIMESTAMPTZ_OID: i32 = 1184;
const INTERVAL_OID: i32 = 1186;

/// The schema, and the functions that go with it.
pub fn schema(
    catalog: &Arc<RwLock<Arc<Catalog>>>,
    state: &mut SessionState,
) -> Result<(&'static str, Arc<dyn SchemaProvider>)> {
    let tables = PgCatalogStaticTables::try_new().map_err(|e| from_datafusion(&e))?;
    let names = Names(Arc::clone(catalog));
    let inner = PgCatalogSchemaProvider::try_new(names.clone(), Arc::new(tables), EmptyContextProvider);
    let hidden = Hidden::default();
    for function in [visible(hidden.clone()), view_text(hidden.clone(), names.clone())] {
        state.register_udf(Arc::new(function)).map_err(|e| from_datafusion(&e))?;
    }
    Ok((POSTGRES, Arc::new(Corrected { inner: inner.map_err(|e| from_datafusion(&e))?, names, hidden })))
}

/// What the rows of `pg_class` told when they last passed.
type Hidden = Arc<RwLock<Seen>>;

#[derive(Debug, Default)]
struct Seen {
    /// Numbers of the relations outside of the search path: the system tables.
    hidden: HashSet<i32>,
    /// The names of the views.
    views: HashMap<i32, String>,
}

/// `pg_get_viewdef`: the query of a view that `pg_class` has shown before.
fn view_text(seen: Hidden, names: Names) -> ScalarUDF {
    let function = move |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let seen = seen.read().unwrap_or_else(PoisonError::into_inner);
        let catalog = names.now();
        let text = |oid: i32| {
            let view =
                seen.views.get(&oid).and_then(|name| catalog.get(name))?.view()?.create.query.to_string();
            Some(view)
        };
        let oids = arrays[0].as_primitive::<Int32Type>().iter();
        let texts: StringArray = oids.map(|oid| oid.and_then(text)).collect();
        Ok(ColumnarValue::Array(Arc::new(texts)))
    };
    let arguments = vec![DataType::Int32, DataType::Boolean];
    create_udf("pg_get_viewdef", arguments, DataType::Utf8, Volatility::Volatile, Arc::new(function))
}

/// `pg_table_is_visible`: the rows of `pg_class` that it is asked about have passed by before.
fn visible(hidden: Hidden) -> ScalarUDF {
    let function = move |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let hidden = hidden.read().unwrap_or_else(PoisonError::into_inner);
        let oids = arrays[0].as_primitive::<Int32Type>().iter();
        let shown: BooleanArray = oids.map(|oid| oid.map(|oid| !hidden.hidden.contains(&oid))).collect();
        Ok(ColumnarValue::Array(Arc::new(shown)))
    };
    create_udf(
        "pg_table_is_visible",
        vec![DataType::Int32],
        DataType::Boolean,
        Volatility::Volatile,
        Arc::new(function),
    )
}

/// The catalog crate's tables with our corrections.
#[derive(Debug)]
struct Corrected {
    inner: PgCatalogSchemaProvider<Names, EmptyContextProvider>,
    names: Names,
    hidden: Hidden,
}

#[async_trait]
impl SchemaProvider for Corrected {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let correct: Correction = match name {
            "pg_class" => Correction::Class(self.hidden.clone()),
            "pg_attribute" => Correction::Attribute(self.names.clone()),
            "pg_tables" => return memory(&relations(&self.names.now(), false)?),
            "pg_matviews" => return memory(&relations(&self.names.now(), true)?),
            _ => return self.inner.table(name).await,
        };
        let Some(PgCatalogTable::Dynamic(inner)) = self.inner.build_table_by_name(name)? else {
            return self.inner.table(name).await;
        };
        let schema = Arc::clone(inner.schema());
        let stream = Arc::new(CorrectedStream { inner, correct });
        Ok(Some(Arc::new(StreamingTable::try_new(schema, vec![stream])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

fn memory(batch: &RecordBatch) -> PlanResult<Option<Arc<dyn TableProvider>>> {
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch.clone()]])?)))
}

/// `pg_tables` or `pg_matviews`.
fn relations(catalog: &Catalog, views: bool) -> PlanResult<RecordBatch> {
    let wanted: Vec<_> = catalog.relations().filter(|r| r.view().is_some() == views).collect();
    let text = |value: fn(&Relation) -> Option<String>| -> ArrayRef {
        Arc::new(wanted.iter().map(|r| value(r)).collect::<StringArray>())
    };
    let switch = |value: bool| -> ArrayRef { Arc::new(BooleanArray::from(vec![value; wanted.len()])) };
    let name = text(|r| Some(r.name().to_owned()));
    let (public, owner, none) =
        (text(|_| Some(PUBLIC.to_owned())), text(|_| Some("postgres".to_owned())), text(|_| None));
    let columns: Vec<(&str, ArrayRef)> = if views {
        vec![
            ("schemaname", public),
            ("matviewname", name),
            ("matviewowner", owner),
            ("tablespace", none),
            ("hasindexes", switch(false)),
            ("ispopulated", switch(true)),
            ("definition", text(|r| r.view().map(|view| view.create.query.to_string()))),
        ]
    } else {
        vec![
            ("schemaname", public),
            ("tablename", name),
            ("tableowner", owner),
            ("tablespace", none),
            ("hasindexes", switch(false)),
            ("hasrules", switch(false)),
            ("hastriggers", switch(false)),
            ("rowsecurity", switch(false)),
        ]
    };
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, array)| array).collect(),
    )?)
}

#[derive(Clone, Debug)]
enum Correction {
    Class(Hidden),
    Attribute(Names),
}

impl Correction {
    async fn apply(self, batch: RecordBatch) -> PlanResult<RecordBatch> {
        match self {
            Self::Class(hidden) => classes(&batch, &hidden),
            Self::Attribute(names) => attributes(&batch, &names.fields().await?),
        }
    }
}

/// Views of `public` are materialized; the system tables are remembered as hidden. Rows come schema by
/// schema, those of `pg_catalog` last and the system tables before them.
fn classes(batch: &RecordBatch, hidden: &Hidden) -> PlanResult<RecordBatch> {
    let oids = column(batch, "oid")?.as_primitive::<Int32Type>();
    let schemas = column(batch, "relnamespace")?.as_primitive::<Int32Type>();
    let kinds = column(batch, "relkind")?.as_string::<i32>();
    let first = schemas.values().iter().position(|oid| *oid == POSTGRES_OID).unwrap_or(batch.num_rows());
    let system = first.checked_sub(1).map(|row| schemas.value(row));
    let is_system = |row: usize| Some(schemas.value(row)) == system;
    let rows = || 0..batch.num_rows();
    let names = column(batch, "relname")?.as_string::<i32>();
    let views = rows().filter(|row| !is_system(*row) && kinds.value(*row) == "v");
    *hidden.write().unwrap_or_else(PoisonError::into_inner) = Seen {
        hidden: rows().filter(|row| is_system(*row)).map(|row| oids.value(row)).collect(),
        views: views.map(|row| (oids.value(row), names.value(row).to_owned())).collect(),
    };
    let corrected: StringArray = rows()
        .map(|row| match kinds.value(row) {
            "v" if !is_system(row) => Some("m"),
            kind => Some(kind),
        })
        .collect();
    replace(batch, vec![("relkind", Arc::new(corrected))])
}

/// The numbers and digits of types, for rows in the order of `fields`.
fn attributes(batch: &RecordBatch, fields: &[Arc<Field>]) -> PlanResult<RecordBatch> {
    let names = column(batch, "attname")?.as_string::<i32>();
    let same = batch.num_rows() == fields.len()
        && fields.iter().zip(names).all(|(f, n)| Some(f.name().as_str()) == n);
    if !same {
        return Ok(batch.clone());
    }
    let types = column(batch, "atttypid")?.as_primitive::<Int32Type>();
    let corrected = fields.iter().zip(types.values()).map(|(field, oid)| match field.data_type() {
        DataType::Timestamp(_, Some(_)) => TIMESTAMPTZ_OID,
        DataType::Interval(_) | DataType::Duration(_) => INTERVAL_OID,
        _ => *oid,
    });
    let corrected: Int32Array = corrected.collect();
    let digits = fields.iter().map(|field| match field.data_type() {
        DataType::Decimal128(precision, scale) => (i32::from(*precision) << 16 | i32::from(*scale)) + 4,
        _ => -1,
    });
    let digits: Int32Array = digits.collect();
    replace(batch, vec![("atttypid", Arc::new(corrected)), ("atttypmod", Arc::new(digits))])
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> PlanResult<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| DataFusionError::Internal(format!("a catalog table lost column {name}")))
}

fn replace(batch: &RecordBatch, columns: Vec<(&str, ArrayRef)>) -> PlanResult<RecordBatch> {
    let mut all = batch.columns().to_vec();
    for (name, column) in columns {
        all[batch.schema().index_of(name)?] = column;
    }
    Ok(RecordBatch::try_new(batch.schema(), all)?)
}

#[derive(Debug)]
struct CorrectedStream {
    inner: Arc<dyn PartitionStream>,
    correct: Correction,
}

impl PartitionStream for CorrectedStream {
    fn schema(&self) -> &SchemaRef {
        self.inner.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let correct = self.correct.clone();
        let rows = self.inner.execute(context).then(move |batch| {
            let correct = correct.clone();
            async move { correct.apply(batch?).await }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.inner.schema()), rows))
    }
}

/// Our names, as the catalog tables ask for them.
#[derive(Clone, Debug)]
struct Names(Arc<RwLock<Arc<Catalog>>>);

impl Names {
    fn now(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All columns of all tables, in the order in which the catalog crate goes through them.
    async fn fields(&self) -> PlanResult<Vec<Arc<Field>>> {
        let mut fields = Vec::new();
        for schema in self.schema_names(DATABASE).await?.unwrap_or_default() {
            for table in self.table_names(DATABASE, &schema).await?.unwrap_or_default() {
                if let Some(columns) = self.table_schema(DATABASE, &schema, &table).await? {
                    fields.extend(columns.fields().iter().cloned());
                }
            }
        }
        Ok(fields)
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
            DATABASE => Some(system::TABLES.map(str::to_owned).to_vec()),
            POSTGRES => Some(PG_CATALOG_TABLES.iter().map(|name| (*name).to_owned()).collect()),
            _ => None,
        })
    }

    async fn table_schema(
        &self,
        _database: &str,
        schema: &str,
        table: &str,
    ) -> PlanResult<Option<SchemaRef>> {
        match schema {
            PUBLIC => Ok(self.now().get(table).map(|r| Arc::clone(r.schema()))),
            DATABASE => system::schema_of(table),
            _ => Ok(Some(Arc::new(Schema::empty()))),
        }
    }

    async fn table_type(&self, _database: &str, schema: &str, table: &str) -> PlanResult<Option<TableType>> {
        let view = match schema {
            PUBLIC => self.now().get(table).is_some_and(|r| r.view().is_some()),
            other => other == DATABASE,
        };
        Ok(Some(if view { TableType::View } else { TableType::Base }))
    }
}
