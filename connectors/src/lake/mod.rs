//! The lake in Iceberg tables: Parquet files, manifests and metadata on a disk or in an object store, and a catalog
//! in a SQLite file or behind REST. Implements [`siltstone_engine::lake::Lake`].
//!
//! From the `iceberg` crate come the format's types and codecs. Its transactions are not used: they rebase and
//! retry by themselves, and after a lost reply commit twice.

mod cause;
mod recent;
mod task;

mod disk;
mod input;
mod object;
mod storage;

mod manifest;
mod schema;
mod statistic;
mod summary;

mod catalog;
mod rest;
mod sqlite;

mod config;
mod prune;
mod read;
mod sample;
mod write;

mod commit;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Field;
use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadataBuilder};
use iceberg::{TableCreation, TableRequirement};
use siltstone_engine::error::{Error, Kind, Result};
use siltstone_engine::lake::{
    ColumnCondition, Commit, FileRecord, FileWriter, Files, Lake, TableSpec, TableState, fault,
};

pub use config::{CatalogConfig, LakeConfig};

use catalog::{Catalog, Change, NAMESPACE, OWNER, RELATION, Version};
use cause::Cause;
use commit::Committer;
use manifest::Manifests;
use read::Footers;
use storage::Storage;
use write::ParquetWriter;

/// A catalog of Iceberg tables and the storage of their files.
#[derive(Debug)]
pub struct IcebergLake {
    catalog: Box<dyn Catalog>,
    storage: Storage,
    /// The location that all tables are below.
    warehouse: String,
    /// Whose tables it takes for its own.
    owner: Option<String>,
    manifests: Manifests,
    footers: Footers,
}

impl IcebergLake {
    /// A lake in a folder, with its catalog beside the tables. Blocks.
    pub fn local(folder: &Path) -> Result<Arc<Self>> {
        Self::configured(LakeConfig::local(folder))
    }

    /// The lake that is described. Blocks.
    pub fn configured(config: LakeConfig) -> Result<Arc<Self>> {
        let owner = config.owner.clone();
        let (catalog, storage, warehouse) = config.open()?;
        Ok(Arc::new(Self::of(catalog, storage, warehouse, owner)))
    }

    fn of(catalog: Box<dyn Catalog>, storage: Storage, warehouse: String, owner: Option<String>) -> Self {
        let manifests = Manifests::new(storage.clone());
        Self { catalog, storage, warehouse, owner, manifests, footers: Footers::new() }
    }

    fn version(&self, name: &str) -> Result<Version> {
        let version = self.catalog.load(name)?;
        version.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no table {name} in the lake")))
    }

    /// Changes a table in another way than by adding a snapshot.
    fn change(
        &self,
        name: &str,
        from: &Version,
        step: &'static str,
        change: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
    ) -> Result<TableState> {
        let metadata = &from.metadata;
        let builder = (**metadata).clone().into_builder(Some(from.file.clone()));
        let built = change(builder).and_then(|builder| builder.build());
        let current = metadata.current_snapshot_id();
        let requirements = vec![
            TableRequirement::UuidMatch { uuid: metadata.uuid() },
            TableRequirement::RefSnapshotIdMatch { r#ref: MAIN_BRANCH.to_owned(), snapshot_id: current },
            TableRequirement::LastAssignedFieldIdMatch { last_assigned_field_id: metadata.last_column_id() },
        ];
        let built = built.asking(format!("changing the table {name}"))?;
        Ok(self.catalog.swap(name, from, Change { step, built, requirements })?.state(name))
    }

    fn committer(&self) -> Committer<'_> {
        let Self { catalog, storage, manifests, footers, .. } = self;
        Committer { catalog: &**catalog, storage, manifests, footers }
    }

    fn location(&self, spec: &TableSpec) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let name: String = spec.name.chars().map(plain).collect();
        let owner = self.owner.as_ref().map(|owner| format!("-{owner}")).unwrap_or_default();
        format!("{}/{NAMESPACE}/{name}-{}{owner}", self.warehouse, spec.relation)
    }

    /// A folder's name without the owner's; `None` if it is another's.
    fn without_owner<'f>(&self, folder: &'f str) -> Option<&'f str> {
        match &self.owner {
            None => Some(folder),
            Some(owner) => folder.strip_suffix(owner.as_str())?.strip_suffix('-'),
        }
    }

    /// The table without its relation, if another's relation it is.
    fn seen(&self, mut table: TableState, version: &Version) -> TableState {
        let owner = version.metadata.properties().get(OWNER);
        table.relation = table.relation.filter(|_| owner == self.owner.as_ref());
        table
    }
}

impl Lake for IcebergLake {
    fn load(&self, name: &str) -> Result<Option<TableState>> {
        Ok(self.catalog.load(name)?.map(|version| self.seen(version.state(name), &version)))
    }

    fn tables(&self) -> Result<Vec<TableState>> {
        let mut tables = Vec::new();
        for name in self.catalog.names()? {
            tables.extend(self.load(&name)?.filter(|table| table.relation.is_some()));
        }
        Ok(tables)
    }

    fn create(&self, spec: &TableSpec) -> Result<TableState> {
        let schema = schema::new_schema(&spec.schema)?;
        let owner = self.owner.iter().map(|owner| (OWNER.to_owned(), owner.clone()));
        let properties = [
            (RELATION.to_owned(), spec.relation.to_string()),
            ("write.format.default".to_owned(), "parquet".to_owned()),
        ];
        let creation = TableCreation::builder()
            .name(spec.name.clone())
            .location(self.location(spec))
            .partition_spec(schema::partition_spec(&schema, spec)?)
            .sort_order(schema::sort_order(&schema, spec)?)
            .schema(schema)
            .properties(properties.into_iter().chain(owner).collect::<HashMap<_, _>>())
            .build();
        Ok(fault::step("create", || self.catalog.create(creation))?.state(&spec.name))
    }

    fn evolve(&self, spec: &TableSpec) -> Result<TableState> {
        let from = self.version(&spec.name)?;
        let metadata = &from.metadata;
        match schema::evolved(metadata.current_schema(), metadata.last_column_id(), &spec.schema)? {
            None => Ok(from.state(&spec.name)),
            Some(schema) => {
                self.change(&spec.name, &from, "swap", |builder| builder.add_current_schema(schema))
            }
        }
    }

    fn remove(&self, table: &TableState) -> Result<()> {
        self.catalog.drop_table(&table.name)?;
        fault::step("delete", || self.storage.delete_all(&table.location))
    }

    fn clean(&self) -> Result<()> {
        let root = format!("{}/{NAMESPACE}", self.warehouse);
        let mut used = Vec::new();
        for name in self.catalog.names()? {
            used.extend(self.load(&name)?.map(|table| table.location));
        }
        let is_ours = |folder: &str| {
            let (_, number) = self.without_owner(folder).and_then(|name| name.rsplit_once('-'))?;
            number.parse::<u32>().ok()
        };
        for folder in self.storage.folders(&root)? {
            let location = format!("{root}/{folder}");
            if is_ours(&folder).is_some() && !used.contains(&location) {
                fault::step("delete", || self.storage.delete_all(&location))?;
            }
        }
        Ok(())
    }

    fn commit(&self, commit: &Commit<'_>) -> Result<TableState> {
        Ok(self.committer().commit(commit)?.state(&commit.spec.name))
    }

    fn roll_back(&self, name: &str, to: i64) -> Result<TableState> {
        let from = self.version(name)?;
        if from.metadata.current_snapshot_id() == Some(to) {
            return Ok(from.state(name));
        }
        if from.metadata.snapshot_by_id(to).is_none() {
            return Err(Error::new(Kind::NotFound, format!("the table {name} has no snapshot {to}")));
        }
        let main = SnapshotReference::new(to, SnapshotRetention::branch(None, None, None));
        self.change(name, &from, "swap", |builder| builder.set_ref(MAIN_BRANCH, main))
    }

    fn tag(&self, name: &str, tag: &str, snapshot: Option<i64>) -> Result<TableState> {
        if tag == MAIN_BRANCH {
            return Err(Error::invalid("a tag cannot have the name of the main branch"));
        }
        let from = self.version(name)?;
        match snapshot {
            Some(snapshot) if from.metadata.snapshot_by_id(snapshot).is_none() => {
                Err(Error::new(Kind::NotFound, format!("the table {name} has no snapshot {snapshot}")))
            }
            Some(snapshot) => {
                let of = SnapshotReference::new(snapshot, SnapshotRetention::Tag { max_ref_age_ms: None });
                self.change(name, &from, "swap", |builder| builder.set_ref(tag, of))
            }
            None => self.change(name, &from, "swap", |builder| Ok(builder.remove_ref(tag))),
        }
    }

    fn expire(&self, name: &str, snapshots: &[i64]) -> Result<TableState> {
        let from = self.version(name)?;
        let there: Vec<i64> =
            snapshots.iter().copied().filter(|&id| from.metadata.snapshot_by_id(id).is_some()).collect();
        for &id in &there {
            if from.metadata.current_snapshot_id() == Some(id) {
                return Err(Error::invalid(format!("snapshot {id} is the current one of {name}")));
            }
            if let Some(tag) = from.tag_of(id) {
                return Err(Error::invalid(format!("snapshot {id} of {name} is tagged {tag}")));
            }
        }
        if there.is_empty() {
            return Ok(from.state(name));
        }
        self.change(name, &from, "expire-swap", |builder| Ok(builder.remove_snapshots(&there)))
    }

    fn files(&self, name: &str, snapshot: i64) -> Result<Vec<FileRecord>> {
        let version = self.version(name)?;
        let found = version.metadata.snapshot_by_id(snapshot);
        let found = found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("the table {name} has no snapshot {snapshot}"))
        })?;
        let mut files = Vec::new();
        for manifest in self.manifests.list(found)?.iter() {
            let entries = self.manifests.entries(manifest)?;
            for file in entries.iter().filter(|entry| entry.is_alive()).map(|entry| entry.data_file()) {
                let value = file.partition().fields().first().and_then(Option::as_ref);
                let value = value.and_then(|value| value.as_primitive_literal());
                let partition = match value {
                    Some(iceberg::spec::PrimitiveLiteral::Int(value)) => Some(value),
                    _ => None,
                };
                let path = relative(version.metadata.location(), file.file_path())?;
                let (rows, bytes) = (file.record_count(), file.file_size_in_bytes());
                files.push(FileRecord { path, partition, rows, bytes, ..FileRecord::default() });
            }
        }
        Ok(files)
    }

    fn metadata_files(&self, name: &str) -> Result<Vec<String>> {
        let version = self.version(name)?;
        let files = commit::metadata_files(&version, &self.manifests)?;
        files.iter().map(|file| relative(version.metadata.location(), file)).collect()
    }

    fn write(&self, spec: &TableSpec, location: &str, path: &str) -> Result<Box<dyn FileWriter>> {
        let version = self.version(&spec.name)?;
        let columns = schema::file_schema(version.metadata.current_schema(), &spec.schema)?;
        Ok(Box::new(ParquetWriter::new(&self.storage, &format!("{location}/{path}"), columns, spec)?))
    }

    fn sync(&self, location: &str, paths: &[String]) -> Result<()> {
        fault::step("file-sync", || self.storage.sync_files(location, paths))?;
        fault::step("folder-sync", || self.storage.sync_folders(location, paths))
    }

    fn read(
        &self,
        location: &str,
        file: &FileRecord,
        columns: &[Field],
        rows: Range<u64>,
        conditions: &[ColumnCondition],
    ) -> Result<Files> {
        let path = format!("{location}/{}", file.path);
        read::rows(&self.storage, &self.footers, path, columns, rows, conditions)
    }

    fn list(&self, location: &str) -> Result<Vec<(String, u64)>> {
        self.storage.list(location)
    }

    fn delete(&self, location: &str, paths: &[String]) -> Result<()> {
        paths.iter().try_for_each(|path| {
            let file = format!("{location}/{path}");
            self.footers.forget(&file);
            fault::step("delete", || self.storage.delete(&file))
        })
    }
}

/// A file's path below its table's location.
fn relative(location: &str, file: &str) -> Result<String> {
    let path = file.strip_prefix(location).and_then(|path| path.strip_prefix('/'));
    path.map(str::to_owned).ok_or_else(|| Error::corrupt(format!("{file} is not below {location}")))
}
