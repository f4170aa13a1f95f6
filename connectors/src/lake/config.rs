//! Which catalog and storage a lake has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use siltstone_engine::error::Result;

use super::catalog::Catalog;
use super::cause::Cause;
use super::disk;
use super::object::Objects;
use super::rest::{Access, RestCatalog};
use super::sqlite::SqliteCatalog;
use super::storage::Storage;
use super::task::Tasks;

const CATALOG_FILE: &str = "catalog.db";

/// A lake's catalog and storage.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    pub catalog: CatalogConfig,
    /// A folder, or `s3://bucket/prefix`.
    pub warehouse: String,
    /// For an object store, with the names of `object_store`'s `AmazonS3ConfigKey`.
    pub storage: Vec<(String, String)>,
    /// A name of this data directory, if others may share the catalog or the warehouse.
    pub owner: Option<String>,
}

/// Who keeps the current versions of tables.
#[derive(Clone, Debug)]
pub enum CatalogConfig {
    /// A SQLite file, which other engines open as an SQL catalog named `siltstone`.
    Sqlite { path: PathBuf },
    /// A server that speaks Iceberg's REST protocol.
    Rest {
        /// Without the `/v1`.
        uri: String,
        /// A bearer token.
        token: Option<String>,
        /// `client:secret`, with which a token is asked for.
        credential: Option<String>,
        /// The server's name for the warehouse.
        warehouse: Option<String>,
    },
}

impl LakeConfig {
    /// A lake in a folder, with its catalog in it.
    pub fn local(folder: &Path) -> Self {
        Self {
            catalog: CatalogConfig::Sqlite { path: folder.join(CATALOG_FILE) },
            warehouse: folder.to_string_lossy().into_owned(),
            storage: Vec::new(),
            owner: None,
        }
    }

    /// The catalog, the storage, and the location of the warehouse.
    pub(super) fn open(self) -> Result<(Box<dyn Catalog>, Storage, String)> {
        let Self { catalog, warehouse, storage: options, .. } = self;
        let (storage, warehouse) = if warehouse.starts_with("s3://") {
            let objects = Objects::new(&warehouse, &options, Arc::new(Tasks::new()?))?;
            (Storage::Objects(objects), warehouse.trim_end_matches('/').to_owned())
        } else {
            let folder = std::path::absolute(disk::path(&warehouse)).asking("the folder of the lake")?;
            disk::create_folder(&folder)?;
            (Storage::Disk, folder.to_string_lossy().trim_end_matches('/').to_owned())
        };
        let catalog: Box<dyn Catalog> = match catalog {
            CatalogConfig::Sqlite { path } => {
                let path = std::path::absolute(path).asking("the path of the catalog")?;
                Box::new(SqliteCatalog::open(&path, storage.clone())?)
            }
            CatalogConfig::Rest { uri, token, credential, warehouse } => {
                let access = Access { uri, token, credential, warehouse };
                Box::new(RestCatalog::open(access, Arc::new(Tasks::new()?))?)
            }
        };
        Ok((catalog, storage, warehouse))
    }
}
