//! Who says which metadata file is a table's current one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use iceberg::spec::{MAIN_BRANCH, TableMetadata, TableMetadataBuildResult};
use iceberg::{TableCreation, TableRequirement};
use serde::Deserialize;
use siltstone_engine::error::Result;
use siltstone_engine::lake::{SnapshotRef, TableState};

use super::cause::Cause;

/// The namespace that all tables are in.
pub(super) const NAMESPACE: &str = "public";

/// The property that has the number of the relation.
pub(super) const RELATION: &str = "siltstone.relation";

/// The property that has the name of the data directory, where several share a catalog or warehouse.
pub(super) const OWNER: &str = "siltstone.owner";

/// A table at one of its versions.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Where its metadata file is.
    pub file: String,
    pub metadata: Arc<TableMetadata>,
    /// Snapshots by branch and tag, which the crate keeps to itself.
    refs: BTreeMap<String, i64>,
}

/// A new version of a table.
pub(super) struct Change {
    /// The point of the protocol that the exchange is.
    pub step: &'static str,
    pub built: TableMetadataBuildResult,
    /// What must be so of the version that it is made from.
    pub requirements: Vec<TableRequirement>,
}

/// A catalog. What fails with another kind than `Exists` may have been done.
pub(super) trait Catalog: Send + Sync + fmt::Debug {
    fn load(&self, table: &str) -> Result<Option<Version>>;

    /// All tables' names.
    fn names(&self) -> Result<Vec<String>>;

    fn create(&self, creation: TableCreation) -> Result<Version>;

    /// Puts a new version in the place of `from`.
    ///
    /// # Errors
    /// `Exists` if another one is there already: nothing was done.
    fn swap(&self, table: &str, from: &Version, change: Change) -> Result<Version>;

    /// Takes a table out; its files stay.
    fn drop_table(&self, table: &str) -> Result<()>;
}

#[derive(Deserialize)]
struct Refs {
    #[serde(default)]
    refs: BTreeMap<String, Ref>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Ref {
    snapshot_id: i64,
}

impl Version {
    /// A metadata file.
    pub fn parse(file: String, bytes: &[u8]) -> Result<Self> {
        let metadata = serde_json::from_slice(bytes).parsing(file.as_str())?;
        Self::new(file, metadata, bytes)
    }

    /// The same of metadata that was written as these bytes.
    pub fn new(file: String, metadata: TableMetadata, bytes: &[u8]) -> Result<Self> {
        let Refs { refs } = serde_json::from_slice(bytes).parsing(file.as_str())?;
        let refs = refs.into_iter().map(|(name, Ref { snapshot_id })| (name, snapshot_id)).collect();
        Ok(Self { file, metadata: Arc::new(metadata), refs })
    }

    /// What the engine knows of it.
    pub fn state(&self, name: &str) -> TableState {
        let metadata = &self.metadata;
        let mut snapshots: Vec<_> = metadata.snapshots().collect();
        snapshots.sort_by_key(|snapshot| snapshot.sequence_number());
        let tags = self.refs.iter().filter(|(name, _)| *name != MAIN_BRANCH);
        TableState {
            name: name.to_owned(),
            relation: metadata.properties().get(RELATION).and_then(|number| number.parse().ok()),
            location: metadata.location().to_owned(),
            metadata: self.file.clone(),
            current: metadata.current_snapshot_id(),
            snapshots: snapshots.iter().map(|snapshot| snapshot.snapshot_id()).collect(),
            tags: tags.map(|(name, &snapshot)| SnapshotRef { name: name.clone(), snapshot }).collect(),
        }
    }

    /// A snapshot's name other than that of the main branch.
    pub fn tag_of(&self, snapshot: i64) -> Option<&str> {
        let mut tags = self.refs.iter().filter(|(name, _)| *name != MAIN_BRANCH);
        tags.find(|(_, of)| **of == snapshot).map(|(name, _)| name.as_str())
    }
}
