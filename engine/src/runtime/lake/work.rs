//! The work on the lake: for each relation in turn, what was cut off is brought to its end, then what is due is
//! done. One thing at a time, by whoever holds [`crate::runtime::keeper::Keeper::work`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::commit::{Committer, Draft};
use super::press::{Press, touched};
use super::target::{Rows, Target, partition_end, partition_start};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::lake::{FileRecord, Lake, Operation, Pressure, TableState, choose_merges, fault, is_due};
use crate::lsm::{Change, LakeRecord, Run, Version};
use crate::runtime::state::Shared;

/// Snapshots beyond those that are kept, as a part of them, before they are expired in one go.
const EXPIRE_PART: usize = 4;

/// Merges of files in one commit.
const MERGES_MAX: usize = 64;

/// Bytes of rows that take part in a merge of files, for each byte that they have in files.
const ROW_BYTES: u64 = 128;

/// How much is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is due.
    Due,
    /// Everything: nothing stays hot, and files become as few as can be.
    All,
    /// Rows that are in files but in no snapshot yet.
    Staged,
}

/// The work on one engine's lake.
pub struct Work<'w> {
    pub shared: &'w Arc<Shared>,
    pub lake: &'w Arc<dyn Lake>,
    pub cancelled: &'w dyn Fn() -> Result<()>,
}

impl Work<'_> {
    /// Goes through all relations once. What fails is remembered, and tried again the next time.
    pub fn round(&self, extent: Extent) {
        let _work = self.shared.keeper.work();
        if extent != Extent::Staged
            && self.shared.keeper.take_dropped()
            && let Err(error) = self.remove_dropped()
        {
            self.shared.keeper.dropped();
            tracing::warn!(%error, "removing the tables of dropped relations");
        }
        let targets = Target::all(&self.shared.state());
        for target in targets {
            // What history is replayed for is pressed when that has ended.
            let is_replayed =
                matches!(target.rows, Rows::States(_)) && self.shared.state().is_replayed(target.relation());
            if extent == Extent::Due && is_replayed {
                continue;
            }
            if (self.cancelled)().is_err() {
                return;
            }
            let _ = self.tend(&target, extent);
        }
    }

    /// Does what is to be done for one relation.
    pub fn tend(&self, target: &Target, extent: Extent) -> Result<()> {
        let relation = target.relation();
        let done = self.exclusively(target, || self.tend_now(target, extent));
        match &done {
            Ok(()) => self.shared.keeper.set_error(relation, None),
            Err(error) if error.kind() == Kind::Cancelled => {}
            Err(error) => {
                tracing::warn!(table = target.spec.name, %error, "pressing");
                self.shared.keeper.set_error(relation, Some(error.duplicate()));
            }
        }
        done
    }

    /// While nobody reads the kept rows of a table for a view.
    fn exclusively(&self, target: &Target, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let relation = target.relation();
        {
            let state = self.shared.state();
            // Looked at again: a view may have been created, or the relation dropped.
            if !Target::all(&state).iter().any(|other| other.relation() == relation) {
                return Ok(());
            }
            self.shared.keeper.set_pressing(relation, true);
        }
        let done = work();
        self.shared.keeper.set_pressing(relation, false);
        done
    }

    fn committer(&self) -> Committer<'_> {
        let sort_bytes = usize::try_from(self.shared.options.sort_memory_bytes()).unwrap_or(usize::MAX);
        Committer { store: &self.shared.store, lake: self.lake, sort_bytes, cancelled: self.cancelled }
    }

    fn tend_now(&self, target: &Target, extent: Extent) -> Result<()> {
        let relation = target.relation();
        let pending = self.shared.store.pending()?.into_iter().find(|p| p.relation == relation);
        if let Some(pending) = pending {
            self.committer().land(target, &pending)?;
        }
        self.press(target, extent)?;
        if extent == Extent::Staged || self.shared.store.version().lake(relation).is_none() {
            return Ok(());
        }
        if self.shared.keeper.is_unswept(relation) {
            self.sweep(target)?;
        }
        self.merge(target, extent)?;
        self.forget_old(target)?;
        let keep = self.shared.options.lake_snapshots.max(1);
        let own = self.shared.store.snapshots()?.into_iter().filter(|s| s.relation == relation).count();
        if own > keep + keep / EXPIRE_PART {
            self.expire(target, None, keep)?;
        }
        Ok(())
    }

    /// Has the relation's table be there, with the relation's columns.
    fn prepare(&self, target: &Target) -> Result<()> {
        self.ensure_table(target)?;
        if self.shared.keeper.is_unevolved(target.relation()) {
            self.lake.evolve(&target.spec)?;
            self.shared.keeper.set_evolved(target.relation());
        }
        Ok(())
    }

    /// Creates the relation's table if there is none.
    fn ensure_table(&self, target: &Target) -> Result<()> {
        let relation = target.relation();
        if self.shared.store.version().lake(relation).is_some() {
            return Ok(());
        }
        let name = &target.spec.name;
        let table = match self.lake.load(name)? {
            Some(table) if table.relation == Some(relation) => table,
            Some(table) => {
                let is_ours = |id: u32| {
                    let state = self.shared.state();
                    state.sources.contains_key(&id) || state.views.contains_key(&id)
                };
                if table.relation.is_none_or(is_ours) {
                    let message = format!("the catalog has a table {name} that is not this relation's");
                    return Err(Error::new(Kind::Exists, message));
                }
                self.lake.remove(&table)?;
                self.lake.create(&target.spec)?
            }
            None => self.lake.create(&target.spec)?,
        };
        let record = LakeRecord { relation, location: table.location, ..LakeRecord::default() };
        self.shared.store.commit(Change { put_lakes: vec![record], ..Change::default() })?;
        Ok(())
    }

    /// Where the files of the relation's table are, which is created if there is none.
    pub fn location(&self, target: &Target) -> Result<String> {
        self.prepare(target)?;
        let version = self.shared.store.version();
        let own = version.lake(target.relation());
        own.map(|own| own.location.clone())
            .ok_or_else(|| Error::new(Kind::NotFound, format!("{} was dropped", target.spec.name)))
    }

    /// Presses what is hot.
    fn press(&self, target: &Target, extent: Extent) -> Result<()> {
        let version = self.shared.store.version();
        let runs = version.runs(target.relation());
        let staged = |run: &Arc<Run>| run.record.file.as_ref().is_some_and(|file| !file.committed);
        let (adopted, runs): (Vec<_>, Vec<_>) = runs.iter().cloned().partition(staged);
        let (hot, files): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.record.is_hot());
        let hot = if extent == Extent::Staged { Vec::new() } else { hot };
        if hot.is_empty() && adopted.is_empty() {
            self.shared.keeper.cooled(target.relation());
            return Ok(());
        }
        if extent == Extent::Due && self.snapshot_age(target, &version) < self.shared.options.lake_interval {
            return Ok(());
        }
        let replaced = match &target.rows {
            Rows::Kept => Vec::new(),
            Rows::States(_) => {
                let touched = touched(&self.shared.store, target, &hot)?;
                let is_touched = |run: &Arc<Run>| {
                    run.record.file.as_ref().is_some_and(|own| touched.contains(&own.file.partition))
                };
                files.into_iter().filter(is_touched).collect()
            }
        };
        if extent == Extent::Due && !self.is_due(target, &version, &hot, &adopted, &replaced) {
            return Ok(());
        }
        let bytes = |runs: &[Arc<Run>]| runs.iter().map(|run| run.record.bytes).sum::<u64>();
        self.need_room(bytes(&hot) + bytes(&replaced))?;
        self.prepare(target)?;
        // With the table's record, and the same runs or more.
        let version = match version.lake(target.relation()) {
            Some(_) => version,
            None => Arc::new(version.with_lake_of(&self.shared.store.version(), target.relation())),
        };
        let operation = if replaced.is_empty() { Operation::Append } else { Operation::Overwrite };
        let all: Vec<Arc<Run>> = hot.iter().chain(&replaced).cloned().collect();
        let draft = Draft { operation, version, replaced: all.clone(), adopted };
        self.committer().commit(target, &draft, |press| match &target.rows {
            Rows::States(layout) => press.groups(layout, &all),
            Rows::Kept => press.rows(&hot),
        })?;
        self.shared.keeper.cooled(target.relation());
        Ok(())
    }

    /// Since the last snapshot.
    fn snapshot_age(&self, target: &Target, version: &Version) -> Duration {
        let committed_at_us = version.lake(target.relation()).map_or(0, |own| own.committed_at_us);
        Duration::from_micros(u64::try_from(clock::unix_micros() - committed_at_us).unwrap_or(u64::MAX))
    }

    fn need_room(&self, bytes: u64) -> Result<()> {
        if self.shared.store.has_room(bytes) {
            return Ok(());
        }
        let dir = self.shared.store.dir().display();
        Err(Error::new(Kind::Exhausted, format!("there is no room for {bytes} bytes on the disk of {dir}"))
            .with_hint("it is tried again; expire snapshots or give the disk more room"))
    }

    fn is_due(
        &self,
        target: &Target,
        version: &Version,
        hot: &[Arc<Run>],
        adopted: &[Arc<Run>],
        replaced: &[Arc<Run>],
    ) -> bool {
        let bytes = |runs: &[Arc<Run>]| runs.iter().map(|run| run.record.bytes).sum::<u64>();
        let own = version.lake(target.relation());
        let now = clock::now();
        let since = self.shared.keeper.hot_since(target.relation(), now);
        let pressure = Pressure {
            hot_bytes: bytes(hot) + bytes(adopted),
            hot_age: now.saturating_duration_since(since),
            snapshot_age: self.snapshot_age(target, version),
            rewrite_bytes: bytes(replaced),
            pressed_bytes: own.map_or(0, |own| own.pressed_bytes),
            written_bytes: own.map_or(0, |own| own.written_bytes),
        };
        is_due(&pressure, self.shared.options.lake_interval)
    }

    /// Makes small files of a table one.
    fn merge(&self, target: &Target, extent: Extent) -> Result<()> {
        if !matches!(target.rows, Rows::Kept) {
            return Ok(());
        }
        loop {
            (self.cancelled)()?;
            let version = self.shared.store.version();
            let runs = version.runs(target.relation()).iter();
            let runs: Vec<Arc<Run>> =
                runs.filter(|run| run.record.file.as_ref().is_some_and(|f| f.committed)).cloned().collect();
            let files = runs.iter().filter_map(|run| Some(run.record.file.as_ref()?.file.clone()));
            let files: Vec<FileRecord> = files.collect();
            let rows_max = self.shared.options.sort_memory_bytes() / ROW_BYTES;
            let mut chosen = choose_merges(&files, rows_max, extent == Extent::All);
            // A commit of them all would be lost with all that was written for it.
            chosen.truncate(MERGES_MAX);
            if chosen.is_empty() {
                return Ok(());
            }
            let groups: Vec<Vec<Arc<Run>>> =
                chosen.iter().map(|places| places.iter().map(|&i| runs[i].clone()).collect()).collect();
            let (operation, replaced) = (Operation::Replace, groups.concat());
            let draft = Draft { operation, version, replaced, adopted: Vec::new() };
            let together = |press: &mut Press<'_>| groups.iter().try_for_each(|group| press.together(group));
            self.committer().commit(target, &draft, together)?;
        }
    }

    /// Removes partitions that are older than the relation keeps them.
    fn forget_old(&self, target: &Target) -> Result<()> {
        let (Some(retain), Some(by)) = (target.retain, target.spec.partition) else { return Ok(()) };
        let version = self.shared.store.version();
        let runs: Vec<(i32, &Arc<Run>)> = (version.runs(target.relation()).iter())
            .filter_map(|run| {
                let own = run.record.file.as_ref().filter(|own| own.committed)?;
                Some((own.file.partition?, run))
            })
            .collect();
        let Some(newest) = runs.iter().map(|(partition, _)| *partition).max() else { return Ok(()) };
        let days = i64::try_from(retain.as_secs().div_ceil(86_400)).unwrap_or(i64::MAX);
        let first = partition_start(by.transform, newest).saturating_sub(days);
        let is_old = |partition: i32| partition_end(by.transform, partition) <= first;
        let replaced: Vec<Arc<Run>> =
            runs.iter().filter(|(partition, _)| is_old(*partition)).map(|(_, run)| (*run).clone()).collect();
        if replaced.is_empty() {
            return Ok(());
        }
        let draft =
            Draft { operation: Operation::Delete, version: version.clone(), replaced, adopted: Vec::new() };
        self.committer().commit(target, &draft, |_| Ok(()))
    }

    /// Forgets snapshots but for tagged ones and the newest `keep`, then deletes files that none of those left
    /// names. The answer is how many.
    pub fn expire(&self, target: &Target, older_than_us: Option<i64>, keep: usize) -> Result<usize> {
        let relation = target.relation();
        let table = self.table(target)?;
        let mut own = self.shared.store.snapshots()?;
        own.retain(|s| s.relation == relation);
        own.sort_by_key(|s| s.at_us);
        let older = own.len().saturating_sub(keep.max(1));
        let goes = |snapshot: i64, at_us: i64| {
            let is_old = older_than_us.is_none_or(|limit| at_us < limit);
            is_old && table.current != Some(snapshot) && table.tags.iter().all(|tag| tag.snapshot != snapshot)
        };
        let gone: Vec<i64> =
            own[..older].iter().filter(|s| goes(s.snapshot, s.at_us)).map(|s| s.snapshot).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        fault::step("expire", || self.lake.expire(&target.spec.name, &gone).map(|_| ()))?;
        let delete_snapshots = gone.iter().map(|&snapshot| (relation, snapshot)).collect();
        self.shared.store.commit(Change { delete_snapshots, ..Change::default() })?;
        self.sweep(target)?;
        Ok(gone.len())
    }

    pub fn table(&self, target: &Target) -> Result<TableState> {
        let table = self.lake.load(&target.spec.name)?;
        table.filter(|table| table.relation == Some(target.relation())).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("{} has no table in the lake yet", target.spec.name))
        })
    }

    /// Deletes the files of a table that nothing names: no snapshot, no run, no reader, and no pipeline that
    /// writes them.
    pub fn sweep(&self, target: &Target) -> Result<()> {
        let relation = target.relation();
        let Some(own) = self.shared.store.version().lake(relation).cloned() else { return Ok(()) };
        // Listed before it is asked what is needed: what comes later is not in the list.
        let mut listed: Vec<String> =
            self.lake.list(&own.location)?.into_iter().map(|(path, _)| path).collect();
        let mut needed: BTreeSet<String> = self.lake.metadata_files(&target.spec.name)?.into_iter().collect();
        let table = self.table(target)?;
        for &snapshot in &table.snapshots {
            let files = self.lake.files(&target.spec.name, snapshot)?;
            needed.extend(files.into_iter().map(|file| file.path));
        }
        needed.extend(self.shared.store.pinned_files(relation));
        needed.extend(self.shared.keeper.in_use());
        // A file may have gone from being written to being part of a run in between.
        let version = self.shared.store.version();
        let runs = version.runs(relation).iter();
        needed.extend(runs.filter_map(|run| Some(run.record.file.as_ref()?.file.path.clone())));
        listed.retain(|path| !needed.contains(path));
        if listed.is_empty() {
            return Ok(());
        }
        tracing::debug!(table = target.spec.name, files = listed.len(), "deleting files that nothing names");
        self.lake.delete(&own.location, &listed)
    }

    /// Removes the tables of relations that are no longer there.
    fn remove_dropped(&self) -> Result<()> {
        for table in self.lake.tables()? {
            let is_there = table.relation.is_none_or(|id| {
                let state = self.shared.state();
                state.sources.contains_key(&id) || state.views.contains_key(&id)
            });
            if !is_there {
                self.lake.remove(&table)?;
            }
        }
        self.lake.clean()
    }
}
