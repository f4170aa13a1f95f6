//! What an engine can be asked to do with its tables in the lake.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::Engine;
use super::lake::{
    AsOf, Committer, CompactionRow, Extent, FileRow, Past, SnapshotRow, Target, Work, choose, partition_text,
    rebuilt,
};
use super::state::SourceState;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::lake::Operation;
use crate::lsm::{Change, PendingRecord, SnapshotRecord};

impl Engine {
    /// Presses everything that is hot into files and merges small files, of one relation or of all; returns when
    /// that is committed.
    pub fn optimize(&self, relation: Option<u32>) -> Result<()> {
        let mut targets = Target::all(&self.shared.state());
        if let Some(relation) = relation {
            targets.retain(|target| target.relation() == relation);
            if targets.is_empty() {
                let message = "it is being read from its beginning for a view, or reads its source so";
                return Err(
                    Error::new(Kind::Busy, message).with_hint("siltstone.views says when that has ended")
                );
            }
        }
        self.with_lake(|work| {
            let _one = self.shared.keeper.work();
            for target in &targets {
                work.tend(target, Extent::All)?;
                work.sweep(target)?;
            }
            Ok(())
        })
    }

    /// The snapshot of a relation to read.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn past(&self, relation: u32, at: &AsOf) -> Result<Past> {
        let target = self.target(relation)?;
        self.with_lake(|work| {
            // Nothing is expired meanwhile.
            let _one = self.shared.keeper.work();
            let table = work.table(&target)?;
            let own = self.own_snapshots(relation)?;
            // A snapshot that was rolled back to is older than others, and what there is now all the same.
            let version = self.shared.store.version();
            let now = version
                .lake(relation)
                .filter(|own| matches!(at, AsOf::Time(us) if own.committed_at_us <= *us));
            let snapshot = match now.and(table.current) {
                Some(current) => current,
                None => choose(&table, &own, at)?,
            };
            let files = Arc::new(work.lake.files(&table.name, snapshot)?);
            self.shared.keeper.pin(&files);
            let epoch = own.iter().find(|s| s.snapshot == snapshot).map_or(0, |s| s.epoch);
            Ok(Past::new(target.clone(), work.lake.clone(), &table, (snapshot, epoch), files))
        })
    }

    /// Names a snapshot, so that it stays; `None` takes the name away.
    pub fn tag(&self, relation: u32, tag: &str, snapshot: Option<&AsOf>) -> Result<()> {
        let target = self.target(relation)?;
        self.with_lake(|work| {
            let _one = self.shared.keeper.work();
            let table = work.table(&target)?;
            let is_there = table.tags.iter().any(|own| own.name == tag);
            let snapshot =
                snapshot.map(|at| choose(&table, &self.own_snapshots(relation)?, at)).transpose()?;
            match (snapshot, is_there) {
                (Some(_), true) => {
                    Err(Error::new(Kind::Exists, format!("{} has a tag '{tag}' already", table.name)))
                }
                (None, false) => {
                    Err(Error::new(Kind::NotFound, format!("{} has no tag '{tag}'", table.name)))
                }
                _ => work.lake.tag(&table.name, tag, snapshot).map(|_| ()),
            }
        })
    }

    /// Makes a relation what it was at a snapshot. Its source goes on from where it is.
    pub fn roll_back(&self, relation: u32, to: &AsOf) -> Result<()> {
        let target = self.target(relation)?;
        self.with_lake(|work| {
            let _one = self.shared.keeper.work();
            // What was cut off comes first, and what is hot is part of a snapshot that stays.
            work.tend(&target, Extent::All)?;
            let table = work.table(&target)?;
            let own = self.own_snapshots(relation)?;
            let snapshot = choose(&table, &own, to)?;
            let store = &self.shared.store;
            let files = work.lake.files(&table.name, snapshot)?;
            let added =
                files.into_iter().map(|file| rebuilt(store, work.lake, &target, &table.location, file));
            let added = added.collect::<Result<Vec<_>>>()?;
            let version = store.version();
            let record = own.iter().find(|s| s.snapshot == snapshot);
            let pending = PendingRecord {
                relation,
                location: table.location.clone(),
                snapshot,
                parent: table.current,
                operation: Operation::Overwrite,
                epoch: record.map_or(0, |record| record.epoch),
                at_us: clock::unix_micros(),
                remove_runs: version.runs(relation).iter().map(|run| run.record.run).collect(),
                rows: added.iter().map(|run| run.rows).sum(),
                files: added.len() as u64,
                added: Some(added),
                rolls_back: true,
                ..PendingRecord::default()
            };
            store.commit(Change { put_pending: vec![pending.clone()], ..Change::default() })?;
            let cancelled = || Ok(());
            let committer = Committer { store, lake: work.lake, sort_bytes: 0, cancelled: &cancelled };
            committer.land(&target, &pending)
        })
    }

    /// Forgets snapshots, but for tagged ones and the last `keep` (at least the current one): those from before
    /// `older_than_us`, or all. The answer is how many.
    pub fn expire(&self, relation: u32, older_than_us: Option<i64>, keep: usize) -> Result<usize> {
        let target = self.target(relation)?;
        self.with_lake(|work| {
            let _one = self.shared.keeper.work();
            work.expire(&target, older_than_us, keep)
        })
    }

    /// All snapshots that there are, by table and age.
    pub fn lake_snapshots(&self) -> Result<Vec<SnapshotRow>> {
        let Ok(lake) = self.shared.store.lake() else { return Ok(Vec::new()) };
        let version = self.shared.store.version();
        let names = self.names();
        let mut rows = Vec::new();
        let all = self.shared.store.snapshots()?;
        for own in all.chunk_by(|a, b| a.relation == b.relation) {
            let Some((_, name)) = names.iter().find(|(id, _)| *id == own[0].relation) else { continue };
            let current = version.lake(own[0].relation).and_then(|lake| lake.snapshot);
            let tags = lake.load(name)?.map(|table| table.tags).unwrap_or_default();
            rows.extend(own.iter().map(|s| SnapshotRow {
                relation: s.relation,
                table: name.clone(),
                snapshot: s.snapshot,
                parent: s.parent,
                epoch: s.epoch,
                committed_at_us: s.at_us,
                operation: s.operation,
                metadata: s.metadata.clone(),
                is_current: current == Some(s.snapshot),
                tags: tags.iter().filter(|t| t.snapshot == s.snapshot).map(|t| t.name.clone()).collect(),
                rows: s.rows,
                files: s.files,
                bytes: s.bytes,
                totals: s.totals.clone(),
            }));
        }
        Ok(rows)
    }

    /// The files of all tables' current snapshots, and those that wait to be committed.
    pub fn lake_files(&self) -> Result<Vec<FileRow>> {
        let version = self.shared.store.version();
        let state = self.shared.state();
        let mut rows = Vec::new();
        for target in Target::all(&state) {
            for run in version.runs(target.relation()) {
                let Some(own) = &run.record.file else { continue };
                let by = target.spec.partition.map(|partition| partition.transform);
                rows.push(FileRow {
                    relation: target.relation(),
                    table: target.spec.name.clone(),
                    path: format!("{}/{}", own.location, own.file.path),
                    partition: by.and_then(|by| Some(partition_text(by, own.file.partition?))),
                    rows: own.file.rows,
                    bytes: own.file.bytes,
                    committed: own.committed,
                });
            }
        }
        Ok(rows)
    }

    /// What the lake has cost each relation.
    pub fn lake_compactions(&self) -> Result<Vec<CompactionRow>> {
        if !self.shared.store.has_lake() {
            return Ok(Vec::new());
        }
        let snapshots = self.shared.store.snapshots()?;
        let version = self.shared.store.version();
        let row = |(id, name): (u32, String)| {
            let runs = version.runs(id);
            let own = version.lake(id);
            CompactionRow {
                relation: id,
                table: name,
                hot_bytes: runs.iter().filter(|run| run.record.is_hot()).map(|run| run.record.bytes).sum(),
                pressed_bytes: own.map_or(0, |own| own.pressed_bytes),
                written_bytes: own.map_or(0, |own| own.written_bytes),
                files: runs.iter().filter(|run| !run.record.is_hot()).count() as u64,
                snapshots: snapshots.iter().filter(|s| s.relation == id).count() as u64,
                error: self.shared.keeper.error(id),
            }
        };
        Ok(self.names().into_iter().map(row).collect())
    }

    /// Views and tables.
    fn names(&self) -> Vec<(u32, String)> {
        let state = self.shared.state();
        let keeps =
            |s: &&SourceState| s.attached.as_ref().is_some_and(|attached| attached.definition.keeps_rows);
        let tables = state.sources.values().filter(keeps).map(|s| (s.record.id, s.record.name.clone()));
        tables.chain(state.views.values().map(|v| (v.record.id, v.record.name.clone()))).collect()
    }

    fn own_snapshots(&self, relation: u32) -> Result<Vec<SnapshotRecord>> {
        Ok(self.shared.store.snapshots()?.into_iter().filter(|s| s.relation == relation).collect())
    }

    fn target(&self, relation: u32) -> Result<Target> {
        let state = self.shared.state();
        let source = state.sources.get(&relation).and_then(|source| source.attached.as_ref());
        if let Some(attached) = source.filter(|attached| attached.definition.keeps_rows) {
            return Ok(Target::table(relation, &attached.definition));
        }
        let view = state.views.get(&relation).and_then(|view| view.attached.as_ref());
        let view = view.map(|attached| Target::view(relation, relation, attached));
        view.ok_or_else(|| Error::new(Kind::NotFound, format!("relation {relation} keeps no rows")))
    }

    fn with_lake<T>(&self, work: impl FnOnce(&Work<'_>) -> Result<T>) -> Result<T> {
        let Some(lake) = self.shared.options.lake.as_ref() else {
            return Err(Error::new(Kind::Unsupported, "this engine was opened without a lake"));
        };
        let cancelled = || match self.stopping.load(Ordering::Acquire) {
            true => Err(Error::new(Kind::Cancelled, "the engine is stopping")),
            false => Ok(()),
        };
        work(&Work { shared: &self.shared, lake, cancelled: &cancelled })
    }
}
