//! A snapshot, made and committed: manifests, their list, metadata, and the exchange in the catalog.
//!
//! Nothing is retried or rebased here: whoever asked has chosen the snapshot's number and looks for it after an
//! unknown outcome. A commit whose number is there is done.

use std::collections::{BTreeSet, HashMap, HashSet};

use iceberg::TableRequirement;
use iceberg::spec::{
    MAIN_BRANCH, ManifestEntry, ManifestFile, ManifestStatus, Operation as IcebergOperation, Snapshot,
    Summary, TableMetadata,
};
use siltstone_engine::error::{Error, Kind, Result};
use siltstone_engine::lake::{Commit, Operation, fault};
use uuid::Uuid;

use super::catalog::{Catalog, Change, Version};
use super::cause::Cause;
use super::manifest::Manifests;
use super::read::Footers;
use super::statistic;
use super::storage::Storage;
use super::summary::{Counts, summarize};

/// A snapshot has so many manifests that are not full, at most.
const MANIFESTS_MAX: usize = 16;

/// A manifest with so many files is full, and stays as it is until one of them goes.
const MANIFEST_FILES_MAX: usize = 512;

/// What a commit needs.
pub(super) struct Committer<'c> {
    pub catalog: &'c dyn Catalog,
    pub storage: &'c Storage,
    pub manifests: &'c Manifests,
    pub footers: &'c Footers,
}

/// Entries of the new snapshot, on their way into manifests.
#[derive(Default)]
struct Plan {
    /// Manifests that stay as they are.
    kept: Vec<ManifestFile>,
    /// The entries of each new one.
    written: Vec<Vec<ManifestEntry>>,
}

impl Committer<'_> {
    /// Adds the snapshot to the table.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<Version> {
        let name = &commit.spec.name;
        let from = self.catalog.load(name)?;
        let from =
            from.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no table {name} in the lake")))?;
        let table = &*from.metadata;
        if table.snapshot_by_id(commit.snapshot).is_some() {
            return Ok(from);
        }
        if table.current_snapshot_id() != commit.parent {
            let current = table.current_snapshot_id();
            return Err(Error::new(Kind::Exists, format!("the table {name} is at snapshot {current:?}")));
        }

        let removed: HashSet<String> =
            commit.removed.iter().map(|path| format!("{}/{path}", table.location())).collect();
        let plan = self.plan(table, commit, &removed)?;
        let counts = Counts::of(plan.written.iter().flatten(), commit.snapshot);
        let snapshot = self.write(table, commit, plan, counts)?;
        let builder = table.clone().into_builder(Some(from.file.clone()));
        let built = builder.set_branch_snapshot(snapshot, MAIN_BRANCH).and_then(|builder| builder.build());
        let requirements = vec![
            TableRequirement::UuidMatch { uuid: table.uuid() },
            TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN_BRANCH.to_owned(),
                snapshot_id: commit.parent,
            },
        ];
        let built = built.asking(format!("adding snapshot {} to {name}", commit.snapshot))?;
        self.catalog.swap(name, &from, Change { step: "swap", built, requirements })
    }

    /// Which manifests stay, and what is in the new ones.
    fn plan(&self, table: &TableMetadata, commit: &Commit<'_>, removed: &HashSet<String>) -> Result<Plan> {
        let parent = table.current_snapshot().map(|snapshot| self.manifests.list(snapshot)).transpose()?;
        let of_parent = parent.as_deref().map(Vec::as_slice).unwrap_or_default();
        let own_spec =
            |manifest: &&ManifestFile| manifest.partition_spec_id == table.default_partition_spec_id();
        let small =
            |manifest: &&ManifestFile| own_spec(manifest) && live_files(manifest) < MANIFEST_FILES_MAX;
        let fold = of_parent.iter().filter(small).count() >= MANIFESTS_MAX;

        let (mut plan, mut folded, mut found) = (Plan::default(), Vec::new(), 0);
        for manifest in of_parent.iter().filter(|manifest| live_files(manifest) > 0) {
            let fold = fold && small(&manifest);
            if !fold && found == removed.len() {
                plan.kept.push(manifest.clone());
                continue;
            }
            let entries = self.manifests.entries(manifest)?;
            let is_removed = |entry: &&ManifestEntry| removed.contains(entry.file_path());
            let live = entries.iter().filter(|entry| entry.is_alive());
            let gone = live.clone().filter(is_removed).count();
            found += gone;
            if !fold && gone == 0 {
                plan.kept.push(manifest.clone());
                continue;
            }
            let entries = live.map(|entry| carried(entry, is_removed(&entry), commit.snapshot));
            if fold {
                folded.extend(entries);
            } else {
                plan.written.push(entries.collect());
            }
        }
        if found < removed.len() {
            return Err(Error::invalid(format!(
                "not all files to remove are in the table {}",
                commit.spec.name
            )));
        }
        let mut added = Vec::with_capacity(commit.added.len());
        for file in commit.added {
            let footer = self.footers.get(self.storage, table.location(), file)?;
            let data_file = statistic::data_file(table, file, footer.metadata())?;
            added.push(ManifestEntry::builder().status(ManifestStatus::Added).data_file(data_file).build());
        }
        plan.written.extend([added, folded]);
        plan.written.retain(|entries| !entries.is_empty());
        Ok(plan)
    }

    /// Writes the manifests and their list, durably.
    fn write(
        &self,
        table: &TableMetadata,
        commit: &Commit<'_>,
        plan: Plan,
        counts: Counts,
    ) -> Result<Snapshot> {
        let unique = Uuid::new_v4();
        let Plan { kept: mut manifests, written } = plan;
        for (i, entries) in written.into_iter().enumerate() {
            let location = format!("{}/metadata/{unique}-m{i}.avro", table.location());
            let write = || self.manifests.write(table, commit.snapshot, location, entries);
            manifests.push(fault::step("manifest", write)?);
        }
        let list = format!("{}/metadata/snap-{}-0-{unique}.avro", table.location(), commit.snapshot);
        let number = table.next_sequence_number();
        fault::step("manifest-list", || {
            self.manifests.write_list(&list, commit.snapshot, commit.parent, number, manifests)
        })?;
        let operation = match commit.operation {
            Operation::Append => IcebergOperation::Append,
            Operation::Overwrite => IcebergOperation::Overwrite,
            Operation::Replace => IcebergOperation::Replace,
            Operation::Delete => IcebergOperation::Delete,
        };
        let mut properties: HashMap<String, String> =
            summarize(&counts, table.current_snapshot().map(|parent| parent.summary()));
        properties.extend(commit.properties.iter().cloned());
        Ok(Snapshot::builder()
            .with_snapshot_id(commit.snapshot)
            .with_parent_snapshot_id(commit.parent)
            .with_sequence_number(number)
            // Clocks go back; the times of a table's snapshots may not.
            .with_timestamp_ms(commit.at_ms.max(table.last_updated_ms()))
            .with_manifest_list(list)
            .with_summary(Summary { operation, additional_properties: properties })
            .with_schema_id(table.current_schema_id())
            .build())
    }
}

fn live_files(manifest: &ManifestFile) -> usize {
    let count = |files: Option<u32>| files.map_or(1, |files| files as usize);
    count(manifest.added_files_count) + count(manifest.existing_files_count)
}

/// An entry of the parent in the new snapshot.
fn carried(entry: &ManifestEntry, is_removed: bool, snapshot: i64) -> ManifestEntry {
    let mut carried = entry.clone();
    if is_removed {
        carried.status = ManifestStatus::Deleted;
        carried.snapshot_id = Some(snapshot);
    } else {
        carried.status = ManifestStatus::Existing;
    }
    carried
}

/// The metadata that a table's snapshots need: lists, manifests, and metadata files, by location.
pub(super) fn metadata_files(version: &Version, manifests: &Manifests) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::from([version.file.clone()]);
    files.extend(version.metadata.metadata_log().iter().map(|log| log.metadata_file.clone()));
    for snapshot in version.metadata.snapshots() {
        files.insert(snapshot.manifest_list().to_owned());
        files.extend(manifests.list(snapshot)?.iter().map(|manifest| manifest.manifest_path.clone()));
    }
    Ok(files)
}
