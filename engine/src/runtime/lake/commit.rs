//! A commit to the lake, step by step: seal, files, written, commit, drop. What to do with one that was cut off is
//! decided by [`resolve`] from what is found, now or at the next start.

use std::sync::Arc;

use super::press::Press;
use super::target::Target;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::lake::{Commit, Facts, FileRecord, Lake, Operation, Recovery, TableState, Totals, fault, resolve};
use crate::lsm::{Change, LakeRecord, PendingRecord, Run, RunRecord, SnapshotRecord, Store, Version};

/// What a snapshot is made of.
pub struct Draft {
    pub operation: Operation,
    /// The version whose runs are meant.
    pub version: Arc<Version>,
    /// Runs that it takes the place of.
    pub replaced: Vec<Arc<Run>>,
    /// Runs that are files already, written while their epoch was open: they become part of the table as they
    /// are.
    pub adopted: Vec<Arc<Run>>,
}

/// Carries out commits of one engine, one at a time.
pub struct Committer<'c> {
    pub store: &'c Arc<Store>,
    pub lake: &'c Arc<dyn Lake>,
    pub sort_bytes: usize,
    pub cancelled: &'c dyn Fn() -> Result<()>,
}

impl Committer<'_> {
    /// Makes a snapshot: `press` writes its new files.
    pub fn commit(
        &self,
        target: &Target,
        draft: &Draft,
        press: impl FnOnce(&mut Press<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut pending = self.seal(target, draft)?;
        let written = self.write(target, draft, &mut pending, press);
        if let Err(error) = written {
            // What cannot be removed now is found by its record later.
            if let Err(other) = self.discard(&pending) {
                tracing::warn!(table = target.spec.name, error = %other, "removing files that are not needed");
            }
            return Err(error);
        }
        self.land(target, &pending)
    }

    fn seal(&self, target: &Target, draft: &Draft) -> Result<PendingRecord> {
        let own = draft.version.lake(target.relation());
        let own = own.ok_or_else(|| Error::corrupt(format!("{} has no table", target.spec.name)))?;
        let is_hot = |run: &&Arc<Run>| run.record.is_hot();
        let hot_bytes = draft.replaced.iter().filter(is_hot).map(|run| run.record.bytes).sum::<u64>();
        let adopted_bytes = draft.adopted.iter().map(|run| run.record.bytes).sum::<u64>();
        let removed =
            draft.replaced.iter().filter_map(|run| Some(run.record.file.as_ref()?.file.path.clone()));
        let replaced = draft.replaced.iter().chain(&draft.adopted);
        let snapshot = self.number(own);
        let pending = PendingRecord {
            relation: target.relation(),
            location: own.location.clone(),
            snapshot,
            parent: own.snapshot,
            operation: draft.operation,
            // What has the same rows shows what the one before did.
            epoch: if draft.operation == Operation::Replace { own.epoch } else { draft.version.epoch },
            at_us: clock::unix_micros(),
            properties: properties(target, draft, own, snapshot),
            remove_runs: replaced.map(|run| run.record.run).collect(),
            removed: removed.collect(),
            pressed_bytes: hot_bytes + adopted_bytes,
            ..PendingRecord::default()
        };
        fault::step("seal", || {
            self.store.commit(Change { put_pending: vec![pending.clone()], ..Change::default() })
        })?;
        Ok(pending)
    }

    /// A number for a snapshot: the time, and greater than any before.
    fn number(&self, own: &LakeRecord) -> i64 {
        let newest = self.store.snapshots().ok();
        let own_newest = newest.into_iter().flatten().filter(|s| s.relation == own.relation);
        let newest = own_newest.map(|s| s.snapshot).max().unwrap_or_default();
        clock::unix_micros().max(newest + 1).max(own.snapshot.unwrap_or_default() + 1)
    }

    fn write(
        &self,
        target: &Target,
        draft: &Draft,
        pending: &mut PendingRecord,
        press: impl FnOnce(&mut Press<'_>) -> Result<()>,
    ) -> Result<()> {
        let place = (pending.location.as_str(), pending.snapshot);
        let mut files = Press::new(self.store, self.lake, target, place, self.sort_bytes, self.cancelled);
        press(&mut files)?;
        let mut added = files.finish()?;
        pending.written_bytes = added.iter().map(|run| run.bytes).sum();
        for run in &draft.adopted {
            pending.written_bytes += run.record.bytes;
            added.push(RunRecord { run: self.store.allocate_run(), ..run.record.clone() });
        }
        for run in &mut added {
            run.epoch = pending.epoch;
            if let Some(own) = &mut run.file {
                own.committed = true;
            }
        }
        let kept = draft.version.runs(target.relation()).iter();
        let kept = kept.filter(|run| !pending.remove_runs.contains(&run.record.run));
        let kept: Vec<&RunRecord> = kept
            .map(|run| &run.record)
            .filter(|run| run.file.as_ref().is_some_and(|f| f.committed))
            .collect();
        let all = || kept.iter().copied().chain(&added).filter_map(|run| run.file.as_ref());
        pending.totals = Totals::of(all().map(|own| &own.file.totals));
        pending.rows = all().map(|own| own.file.rows).sum();
        pending.files = all().count() as u64;
        pending.bytes = all().map(|own| own.file.bytes).sum();
        pending.added = Some(added);
        fault::step("written", || {
            self.store.commit(Change { put_pending: vec![pending.clone()], ..Change::default() })
        })?;
        Ok(())
    }

    /// Goes on with a commit whose files may be written, until it is dropped or discarded.
    ///
    /// # Errors
    /// If the catalog cannot be asked or changed now: the record stays, and this can be called again.
    pub fn land(&self, target: &Target, pending: &PendingRecord) -> Result<()> {
        let mut failed: Option<Error> = None;
        loop {
            let found = self.lake.load(&target.spec.name)?;
            let found = found.filter(|table| table.relation == Some(pending.relation)).ok_or_else(|| {
                let message = format!("table {} is gone from the catalog", target.spec.name);
                Error::new(Kind::NotFound, message)
            })?;
            let facts = Facts {
                written: pending.added.is_some(),
                landed: match pending.rolls_back {
                    true => found.current == Some(pending.snapshot),
                    false => found.snapshots.contains(&pending.snapshot),
                },
                parent_is_current: found.current == pending.parent,
            };
            match (resolve(facts), failed.take()) {
                (Recovery::Drop, _) => return self.drop_pending(pending, &found),
                (Recovery::Discard, error) => {
                    self.discard(pending)?;
                    let behind = || {
                        let current = found.current.map_or("none".to_owned(), |current| current.to_string());
                        let message = format!("the table's snapshot is {current}, which is none of ours");
                        Error::new(Kind::Busy, message)
                            .with_hint("another program has changed the table; roll it back to go on")
                    };
                    return if facts.written { Err(error.unwrap_or_else(behind)) } else { Ok(()) };
                }
                // Tried already, and it is known that it did not come to be.
                (Recovery::Commit, Some(error)) => return Err(error),
                (Recovery::Commit, None) => failed = self.add(target, pending).err(),
            }
        }
    }

    fn add(&self, target: &Target, pending: &PendingRecord) -> Result<()> {
        if pending.rolls_back {
            return self.lake.roll_back(&target.spec.name, pending.snapshot).map(|_| ());
        }
        let files = pending.added.iter().flatten().filter_map(|run| Some(run.file.as_ref()?.file.clone()));
        let files: Vec<FileRecord> = files.collect();
        let commit = Commit {
            spec: &target.spec,
            snapshot: pending.snapshot,
            parent: pending.parent,
            operation: pending.operation,
            added: &files,
            removed: &pending.removed,
            properties: pending.properties.clone(),
            at_ms: pending.at_us / 1000,
        };
        self.lake.commit(&commit).map(|_| ())
    }

    /// The last step: what is in the snapshot is no longer hot.
    fn drop_pending(&self, pending: &PendingRecord, found: &TableState) -> Result<()> {
        let relation = pending.relation;
        let version = self.store.version();
        let own = version.lake(relation);
        let record = LakeRecord {
            relation,
            location: pending.location.clone(),
            snapshot: Some(pending.snapshot),
            epoch: pending.epoch,
            committed_at_us: pending.at_us,
            pressed_bytes: own.map_or(0, |own| own.pressed_bytes) + pending.pressed_bytes,
            written_bytes: own.map_or(0, |own| own.written_bytes) + pending.written_bytes,
        };
        let snapshot = SnapshotRecord {
            relation,
            snapshot: pending.snapshot,
            parent: pending.parent,
            operation: pending.operation,
            epoch: pending.epoch,
            at_us: pending.at_us,
            metadata: found.metadata.clone(),
            totals: pending.totals.clone(),
            rows: pending.rows,
            files: pending.files,
            bytes: pending.bytes,
        };
        let change = Change {
            add_runs: pending.added.clone().unwrap_or_default(),
            remove_runs: pending.remove_runs.iter().map(|&run| (relation, run)).collect(),
            put_lakes: vec![record],
            delete_pending: vec![relation],
            put_snapshots: if pending.rolls_back { Vec::new() } else { vec![snapshot] },
            ..Change::default()
        };
        fault::step("drop", || self.store.commit(change))?;
        Ok(())
    }

    /// Removes the files that were written for a commit that is not to be, then its record. Files that were there
    /// before it stay.
    fn discard(&self, pending: &PendingRecord) -> Result<()> {
        fault::step("discard", || {
            let own = format!("{}-", pending.snapshot);
            let is_own = |path: &String| {
                let name = path.rsplit('/').next().unwrap_or_default();
                path.starts_with("data/") && name.starts_with(&own)
            };
            let listed = self.lake.list(&pending.location)?.into_iter().map(|(path, _)| path);
            let files: Vec<String> = listed.filter(is_own).collect();
            if !pending.rolls_back {
                self.lake.delete(&pending.location, &files)?;
            }
            let change = Change { delete_pending: vec![pending.relation], ..Change::default() };
            self.store.commit(change).map(|_| ())
        })
    }
}

/// What the summary of a snapshot says of where its rows come from.
fn properties(target: &Target, draft: &Draft, own: &LakeRecord, snapshot: i64) -> Vec<(String, String)> {
    let epoch = if draft.operation == Operation::Replace { own.epoch } else { draft.version.epoch };
    let mut properties = vec![
        ("siltstone.commit-id".to_owned(), snapshot.to_string()),
        ("siltstone.epoch".to_owned(), epoch.to_string()),
    ];
    if draft.operation != Operation::Replace
        && let Some(offsets) = draft.version.offsets(target.cursor)
    {
        let offsets: std::collections::BTreeMap<&str, i64> =
            offsets.iter().map(|(split, offset)| (split.as_ref(), *offset)).collect();
        // Many files would make a summary that every reader of the table has to read.
        if offsets.len() <= OFFSETS_MAX {
            let text = serde_json::to_string(&offsets).unwrap_or_default();
            properties.push(("siltstone.offsets".to_owned(), text));
        }
    }
    properties
}

/// Splits whose offsets stand in a summary.
const OFFSETS_MAX: usize = 1024;
