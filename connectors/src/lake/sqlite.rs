//! A catalog in a SQLite file, with the tables that pyiceberg's `SqlCatalog` and Java's `JdbcCatalog` (schema V1)
//! have, so that they open it too.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iceberg::TableCreation;
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use siltstone_engine::error::{Error, Kind, Result};
use siltstone_engine::lake::fault;
use uuid::Uuid;

use super::catalog::{Catalog, Change, NAMESPACE, Version};
use super::cause::Cause;
use super::disk;
use super::recent::Recent;
use super::storage::Storage;

/// The catalog's name, as other engines give it.
const CATALOG: &str = "siltstone";

/// How long another process's write is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Versions of tables kept in memory.
const VERSIONS_MAX: usize = 256;

// WAL: who reads never waits for us, nor we for them.
const OPEN: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS iceberg_tables (
        catalog_name VARCHAR(255) NOT NULL,
        table_namespace VARCHAR(255) NOT NULL,
        table_name VARCHAR(255) NOT NULL,
        metadata_location VARCHAR(1000),
        previous_metadata_location VARCHAR(1000),
        iceberg_type VARCHAR(5),
        PRIMARY KEY (catalog_name, table_namespace, table_name));
    CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
        catalog_name VARCHAR(255) NOT NULL,
        namespace VARCHAR(255) NOT NULL,
        property_key VARCHAR(255) NOT NULL,
        property_value VARCHAR(1000),
        PRIMARY KEY (catalog_name, namespace, property_key));";

const NAMED: &str = "catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3
    AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)";

/// A catalog that we keep ourselves.
#[derive(Debug)]
pub(super) struct SqliteCatalog {
    connection: Mutex<Connection>,
    storage: Storage,
    versions: Recent<Version>,
}

impl SqliteCatalog {
    /// Opens the catalog, creating it if there is none.
    pub fn open(path: &Path, storage: Storage) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        disk::create_folder(folder)?;
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.execute_batch(OPEN)?;
            connection.execute(
                "INSERT OR IGNORE INTO iceberg_namespace_properties VALUES (?1, ?2, 'exists', 'true')",
                params![CATALOG, NAMESPACE],
            )?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = Mutex::new(open().doing(format!("opening the catalog {}", path.display()))?);
        disk::sync_folder(folder)?;
        Ok(Self { connection, storage, versions: Recent::new(VERSIONS_MAX) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog for SqliteCatalog {
    fn load(&self, table: &str) -> Result<Option<Version>> {
        let sql = format!("SELECT metadata_location FROM iceberg_tables WHERE {NAMED}");
        let found = self
            .connection()
            .query_row(&sql, params![CATALOG, NAMESPACE, table], |row| row.get(0))
            .optional();
        let Some(file) = found.doing(format!("looking for the table {table}"))? else { return Ok(None) };
        let file: String = file;
        let version =
            self.versions.get(&file, || Version::parse(file.clone(), &self.storage.read(&file)?))?;
        Ok(Some((*version).clone()))
    }

    fn names(&self) -> Result<Vec<String>> {
        let connection = self.connection();
        let list = || -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare(
                "SELECT table_name FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2
                 AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY table_name",
            )?;
            statement.query_map(params![CATALOG, NAMESPACE], |row| row.get(0))?.collect::<Result<_, _>>()
        };
        list().doing("listing the tables of the catalog")
    }

    fn create(&self, creation: TableCreation) -> Result<Version> {
        let table = creation.name.clone();
        if self.load(&table)?.is_some() {
            return Err(exists(&table));
        }
        let builder =
            TableMetadataBuilder::from_table_creation(creation).asking(format!("the table {table}"))?;
        let metadata = builder.build().asking(format!("the table {table}"))?.metadata;
        let (file, bytes) = metadata_file(&metadata, 0)?;
        self.storage.write(&file, &bytes)?;
        self.storage.sync_folders(metadata.location(), &[])?;
        let sql = "INSERT INTO iceberg_tables VALUES (?1, ?2, ?3, ?4, NULL, 'TABLE')";
        match self.connection().execute(sql, params![CATALOG, NAMESPACE, table, file]) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Err(exists(&table))
            }
            inserted => {
                inserted.doing(format!("creating the table {table}"))?;
                Version::new(file, metadata, &bytes)
            }
        }
    }

    fn swap(&self, table: &str, from: &Version, change: Change) -> Result<Version> {
        let metadata = change.built.metadata;
        let (file, bytes) = metadata_file(&metadata, version_number(&from.file) + 1)?;
        let output = fault::step("metadata", || {
            let mut output = self.storage.create_aside(&file)?;
            std::io::Write::write_all(&mut output, &bytes).doing(format!("writing {file}"))?;
            Ok(output)
        })?;
        fault::step("metadata-sync", || {
            output.sync()?;
            self.storage.reveal(&file)
        })?;
        let sql = format!(
            "UPDATE iceberg_tables SET metadata_location = ?4, previous_metadata_location = ?5
             WHERE {NAMED} AND metadata_location = ?5"
        );
        let swapped = fault::step(change.step, || {
            let swapped =
                self.connection().execute(&sql, params![CATALOG, NAMESPACE, table, file, from.file]);
            swapped.doing(format!("changing the table {table}"))
        })?;
        if swapped == 0 {
            // It cannot come to be any more, and some readers take the newest metadata file that they find.
            let _ = self.storage.delete(&file);
            return Err(Error::new(Kind::Exists, format!("the table {table} was changed by someone else")));
        }
        let version = Version::new(file.clone(), metadata, &bytes)?;
        Ok((*self.versions.get(&file, || Ok(version))?).clone())
    }

    fn drop_table(&self, table: &str) -> Result<()> {
        let sql = format!("DELETE FROM iceberg_tables WHERE {NAMED}");
        let dropped = self.connection().execute(&sql, params![CATALOG, NAMESPACE, table]);
        dropped.map(drop).doing(format!("dropping the table {table}"))
    }
}

fn exists(table: &str) -> Error {
    Error::new(Kind::Exists, format!("there is a table {table} in the lake"))
}

/// A new name for a version's metadata file, and its bytes.
fn metadata_file(metadata: &TableMetadata, version: u32) -> Result<(String, Vec<u8>)> {
    let bytes = serde_json::to_vec(metadata).asking("writing a table's metadata")?;
    let file = format!("{}/metadata/{version:05}-{}.metadata.json", metadata.location(), Uuid::new_v4());
    Ok((file, bytes))
}

/// The number that a metadata file's name begins with.
fn version_number(file: &str) -> u32 {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.split('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
