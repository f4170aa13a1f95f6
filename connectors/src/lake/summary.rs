//! The counts in a snapshot's summary, under the names of Iceberg's specification (appendix F).

use std::collections::{HashMap, HashSet};

use iceberg::spec::{ManifestEntry, ManifestStatus, Summary};

/// What a snapshot adds and removes.
#[derive(Default)]
pub(super) struct Counts {
    added: Count,
    removed: Count,
    partitions: usize,
}

#[derive(Default)]
struct Count {
    files: u64,
    rows: u64,
    bytes: u64,
}

impl Counts {
    /// Of the entries in the manifests that a snapshot wrote.
    pub fn of<'e>(entries: impl Iterator<Item = &'e ManifestEntry>, snapshot: i64) -> Self {
        let (mut counts, mut partitions) = (Self::default(), HashSet::new());
        for entry in entries {
            let count = match entry.status() {
                ManifestStatus::Added => &mut counts.added,
                ManifestStatus::Deleted if entry.snapshot_id() == Some(snapshot) => &mut counts.removed,
                _ => continue,
            };
            count.files += 1;
            count.rows += entry.record_count();
            count.bytes += entry.file_size_in_bytes();
            partitions.insert(entry.data_file().partition().clone());
        }
        Self { partitions: partitions.len(), ..counts }
    }
}

/// The summary of a snapshot that makes these changes to its parent.
pub(super) fn summarize(counts: &Counts, parent: Option<&Summary>) -> HashMap<String, String> {
    let Counts { added, removed, partitions } = counts;
    let mut summary = HashMap::new();
    let mut set = |name: &str, value: u64| summary.insert(name.to_owned(), value.to_string());
    let changes = [
        ("added-data-files", "deleted-data-files", "total-data-files", added.files, removed.files),
        ("added-records", "deleted-records", "total-records", added.rows, removed.rows),
        ("added-files-size", "removed-files-size", "total-files-size", added.bytes, removed.bytes),
    ];
    for (adds, removes, total, added, removed) in changes {
        if added > 0 {
            set(adds, added);
        }
        if removed > 0 {
            set(removes, removed);
        }
        let before = parent.and_then(|parent| parent.additional_properties.get(total)?.parse::<u64>().ok());
        set(total, (before.unwrap_or_default() + added).saturating_sub(removed));
    }
    for none in ["total-delete-files", "total-position-deletes", "total-equality-deletes"] {
        set(none, 0);
    }
    set("changed-partition-count", *partitions as u64);
    summary
}
