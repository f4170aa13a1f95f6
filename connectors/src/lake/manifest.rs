//! Manifests and their lists: read, cached, written.
//!
//! The crate writes them into memory, and from there they go to storage as any file does: it has no fsync.

use std::sync::Arc;

use futures::FutureExt;
use iceberg::io::FileIO;
use iceberg::spec::{
    FormatVersion, Manifest, ManifestEntry, ManifestFile, ManifestList, ManifestListWriter, ManifestStatus,
    ManifestWriterBuilder, Snapshot, TableMetadata, UNASSIGNED_SEQUENCE_NUMBER,
};
use siltstone_engine::error::Result;

use super::cause::Cause;
use super::recent::Recent;
use super::storage::Storage;

/// Manifests and lists kept in memory, of each.
const COUNT_MAX: usize = 64;

/// Those of a storage.
#[derive(Debug)]
pub(super) struct Manifests {
    storage: Storage,
    manifests: Recent<Vec<ManifestEntry>>,
    lists: Recent<Vec<ManifestFile>>,
}

impl Manifests {
    pub fn new(storage: Storage) -> Self {
        Self { storage, manifests: Recent::new(COUNT_MAX), lists: Recent::new(COUNT_MAX) }
    }

    /// The manifests of a snapshot.
    pub fn list(&self, snapshot: &Snapshot) -> Result<Arc<Vec<ManifestFile>>> {
        let location = snapshot.manifest_list();
        self.lists.get(location, || {
            let bytes = self.storage.read(location)?;
            let list = ManifestList::parse_with_version(&bytes, FormatVersion::V2).parsing(location)?;
            Ok(list.consume_entries().into_iter().collect())
        })
    }

    /// The entries of a manifest, with what they inherit from its list.
    pub fn entries(&self, manifest: &ManifestFile) -> Result<Arc<Vec<ManifestEntry>>> {
        let location = &manifest.manifest_path;
        self.manifests.get(location, || {
            let bytes = self.storage.read(location)?;
            let (entries, _) = Manifest::parse_avro(&bytes).parsing(location)?.into_parts();
            Ok(entries.into_iter().map(|entry| inherit(Arc::unwrap_or_clone(entry), manifest)).collect())
        })
    }

    /// Writes a manifest of a snapshot's entries.
    pub fn write(
        &self,
        table: &TableMetadata,
        snapshot: i64,
        location: String,
        entries: Vec<ManifestEntry>,
    ) -> Result<ManifestFile> {
        let kept = entries.clone();
        let memory = FileIO::new_with_memory();
        let written = async {
            let output = memory.new_output(&location)?;
            let (schema, spec) = (table.current_schema(), table.default_partition_spec());
            let builder =
                ManifestWriterBuilder::new(output, Some(snapshot), Arc::clone(schema), (**spec).clone());
            let mut writer = builder.build_v2_data();
            for ManifestEntry { status, snapshot_id, sequence_number, file_sequence_number, data_file } in
                entries
            {
                let number = sequence_number.unwrap_or(UNASSIGNED_SEQUENCE_NUMBER);
                match status {
                    ManifestStatus::Added => writer.add_file(data_file, UNASSIGNED_SEQUENCE_NUMBER)?,
                    ManifestStatus::Deleted => {
                        writer.add_delete_file(data_file, number, file_sequence_number)?
                    }
                    ManifestStatus::Existing => {
                        let added = snapshot_id.unwrap_or(snapshot);
                        writer.add_existing_file(data_file, added, number, file_sequence_number)?;
                    }
                }
            }
            let manifest = writer.write_manifest_file().await?;
            Ok::<_, iceberg::Error>((manifest, memory.new_input(&location)?.read().await?))
        };
        let written = written.now_or_never().expect("memory is not waited for");
        let (manifest, bytes) = written.asking("describing the files of a snapshot")?;
        self.storage.write(&location, &bytes)?;
        // The next commit has them without parsing; what they inherit is what the list will say.
        let listed = ManifestFile { sequence_number: table.next_sequence_number(), ..manifest.clone() };
        let kept = kept.into_iter().map(|entry| inherit(entry, &listed)).collect();
        self.manifests.get(&location, || Ok(kept))?;
        Ok(manifest)
    }

    /// Writes the list of a snapshot's manifests.
    pub fn write_list(
        &self,
        location: &str,
        snapshot: i64,
        parent: Option<i64>,
        sequence_number: i64,
        manifests: Vec<ManifestFile>,
    ) -> Result<()> {
        let memory = FileIO::new_with_memory();
        let written = async {
            let file = memory.new_output(location)?.writer().await?;
            let mut writer = ManifestListWriter::v2(file, snapshot, parent, sequence_number);
            writer.add_manifests(manifests.into_iter())?;
            writer.close().await?;
            memory.new_input(location)?.read().await
        };
        let written = written.now_or_never().expect("memory is not waited for");
        self.storage.write(location, &written.asking("describing the manifests of a snapshot")?)
    }
}

/// What an entry leaves out is in the list (Iceberg's specification, "Manifest List", inheritance).
fn inherit(mut entry: ManifestEntry, manifest: &ManifestFile) -> ManifestEntry {
    entry.snapshot_id = entry.snapshot_id.or(Some(manifest.added_snapshot_id));
    if entry.status == ManifestStatus::Added {
        entry.sequence_number = entry.sequence_number.or(Some(manifest.sequence_number));
        entry.file_sequence_number = entry.file_sequence_number.or(Some(manifest.sequence_number));
    }
    entry
}
