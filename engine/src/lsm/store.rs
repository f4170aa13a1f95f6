//! The store itself: opening, the one atomic commit, and reading blocks back.

mod recovery;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use arrow::array::RecordBatch;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::cache::SegmentCache;
use super::record::{
    CursorRecord, EpochRecord, ErrorRow, GapRecord, LakeRecord, PendingRecord, RelationRecord, RunRecord,
    SnapshotRecord, SplitRecord, Totals, from_bytes, key, to_bytes,
};
use super::space::{RESERVE_BYTES, free_bytes};
use super::version::{Garbage, Run, Version};
use super::{BlockReader, Ownership};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::lake::Lake;

/// Error rows in one value of the `errors` keyspace.
const ERRORS_PER_VALUE: usize = 256;

/// Blocks that one commit deletes at most; the rest waits for the next.
const GARBAGE_BLOCKS_MAX: u32 = 4096;

/// fjall's journal, write buffer and cache, for a memory budget.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Bytes for the block cache and the write buffers together.
    pub memory_bytes: u64,
    /// Bytes for what was merged of views.
    pub merged_bytes: u64,
    /// Reads the runs that are files.
    pub lake: Option<Arc<dyn Lake>>,
    /// Who holds the directory, told to others that want it.
    pub owner: String,
}

/// Columnar runs and the records beside them, in one directory.
pub struct Store {
    dir: PathBuf,
    db: Database,
    meta: Keyspace,
    blocks: Keyspace,
    errors: Keyspace,
    current: RwLock<Arc<Version>>,
    /// Held for the length of a commit.
    committing: Mutex<Numbers>,
    next_run: AtomicU64,
    garbage: Garbage,
    /// Runs that are files, while anybody has them.
    pinned: Mutex<Vec<Weak<Run>>>,
    /// Relation and number of the runs that commits to the lake which were begun take away.
    sealed: Mutex<BTreeSet<(u32, u64)>>,
    segments: SegmentCache,
    lake: Option<Arc<dyn Lake>>,
    poisoned: AtomicBool,
    _owner: Ownership,
}

/// What a commit must know of the numbers of relations and cursors.
#[derive(Debug, Default)]
struct Numbers {
    /// The relations there are.
    relations: BTreeSet<u32>,
    /// The greatest that was ever given to a relation or cursor. Error rows and gaps outlive their source,
    /// so no other may get its number.
    newest: u32,
}

/// The records found at open, as far as they are not in the [`Version`].
#[derive(Debug, Default)]
pub struct Stored {
    pub relations: Vec<RelationRecord>,
    pub cursors: Vec<CursorRecord>,
    pub splits: BTreeMap<u32, Vec<SplitRecord>>,
    pub totals: BTreeMap<u32, Totals>,
    /// The greatest number that a relation or cursor has ever had.
    pub newest_id: u32,
}

/// Everything that one commit changes, at once or not at all.
#[derive(Debug, Default)]
pub struct Change {
    /// Gives the commit the next epoch's number.
    pub closes_epoch: bool,
    /// It puts runs in the place of others with the same rows, and is left undone if those are no longer free.
    pub compacts: bool,
    pub add_runs: Vec<RunRecord>,
    pub remove_runs: Vec<(u32, u64)>,
    pub put_relations: Vec<RelationRecord>,
    /// Removes the definition, the totals and the runs.
    pub delete_relations: Vec<u32>,
    pub put_cursors: Vec<CursorRecord>,
    /// Removes the cursor and its splits.
    pub delete_cursors: Vec<u32>,
    pub put_splits: Vec<(u32, SplitRecord)>,
    pub put_totals: Vec<(u32, Totals)>,
    /// Their epoch is set by the commit.
    pub errors: Vec<ErrorRow>,
    /// Their epoch is set by the commit.
    pub gaps: Vec<GapRecord>,
    pub put_lakes: Vec<LakeRecord>,
    pub put_pending: Vec<PendingRecord>,
    /// By relation.
    pub delete_pending: Vec<u32>,
    pub put_snapshots: Vec<SnapshotRecord>,
    pub delete_snapshots: Vec<(u32, i64)>,
}

impl Store {
    /// Opens or creates the store in `dir`, and removes what a commit that never came left behind.
    pub fn open(dir: &Path, options: &StoreOptions) -> Result<(Arc<Self>, Stored)> {
        let failed = |e: fjall::Error| Error::io(format!("opening the store in {}", dir.display()), e);
        create_durably(dir)?;
        let owner = Ownership::take(dir, &options.owner)?;
        let share = options.memory_bytes;
        let db = Database::builder(dir.join("store"))
            .cache_size((share / 4).max(8 << 20))
            // Blocks are compressed already.
            .journal_compression(fjall::CompressionType::None)
            .worker_threads(2)
            .open()
            .map_err(failed)?;
        let small = || KeyspaceCreateOptions::default().max_memtable_size(8 << 20);
        let memtable_bytes = (share / 8).clamp(8 << 20, 64 << 20);
        let large = move || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(memtable_bytes)
                .with_kv_separation(Some(
                    KvSeparationOptions::default()
                        .compression(fjall::CompressionType::None)
                        .separation_threshold(1024),
                ))
                .data_block_compression_policy(fjall::config::CompressionPolicy::disabled())
        };
        let meta = db.keyspace("meta", small).map_err(failed)?;
        let blocks = db.keyspace("blocks", large).map_err(failed)?;
        let errors = db.keyspace("errors", small).map_err(failed)?;
        let mut store = Self {
            dir: dir.to_path_buf(),
            db,
            meta,
            blocks,
            errors,
            current: RwLock::default(),
            committing: Mutex::default(),
            next_run: AtomicU64::new(1),
            garbage: Garbage::default(),
            pinned: Mutex::default(),
            sealed: Mutex::default(),
            segments: SegmentCache::new(options.merged_bytes),
            lake: options.lake.clone(),
            poisoned: AtomicBool::new(false),
            _owner: owner,
        };
        store.check_format()?;
        let stored = store.recover()?;
        Ok((Arc::new(store), stored))
    }

    /// The directory everything is in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether there is room for so many bytes more on its disk. What cannot be asked is taken for a yes.
    pub fn has_room(&self, bytes: u64) -> bool {
        free_bytes(&self.dir).map_or(true, |free| free >= bytes.saturating_add(RESERVE_BYTES))
    }

    /// Where the runs are read that are files.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if it was opened without a lake.
    pub fn lake(&self) -> Result<&Arc<dyn Lake>> {
        self.lake.as_ref().ok_or_else(|| {
            let message = format!("{} has files in a lake, and was opened without one", self.dir.display());
            Error::new(Kind::Unsupported, message)
        })
    }

    /// Whether there is a lake.
    pub fn has_lake(&self) -> bool {
        self.lake.is_some()
    }

    pub(super) fn segments(&self) -> &SegmentCache {
        &self.segments
    }

    pub(super) fn blocks(&self) -> &Keyspace {
        &self.blocks
    }

    /// The newest version.
    pub fn version(&self) -> Arc<Version> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that no run has had.
    pub fn allocate_run(&self) -> u64 {
        self.next_run.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a change durable, then visible. Blocks written before the call become durable with it.
    ///
    /// # Errors
    /// [`Kind::Closed`] after any commit has failed.
    pub fn commit(&self, mut change: Change) -> Result<Arc<Version>> {
        let mut numbers = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Closed, "a write to the store failed before; it takes no more")
                .with_hint("restart the process: it goes on from the last durable epoch"));
        }
        let mut version = Version::clone(&self.version());
        if !self.check_runs(&version, &mut change)? {
            return Ok(self.version());
        }
        if change.closes_epoch {
            version.epoch += 1;
            version.committed_at_us = clock::unix_micros();
        }
        let given = change.put_relations.iter().map(|r| r.id).chain(change.put_cursors.iter().map(|c| c.id));
        let newest = given.max().filter(|id| *id > numbers.newest);
        numbers.newest = newest.unwrap_or(numbers.newest);
        numbers.relations.extend(change.put_relations.iter().map(|r| r.id));
        numbers.relations.retain(|id| !change.delete_relations.contains(id));
        // A relation may be dropped while rows or a compaction of it are on their way.
        change.add_runs.retain(|r| numbers.relations.contains(&r.relation));
        change.put_lakes.retain(|r| numbers.relations.contains(&r.relation));
        change.put_pending.retain(|r| numbers.relations.contains(&r.relation));
        change.put_snapshots.retain(|r| numbers.relations.contains(&r.relation));
        change.add_runs.iter_mut().filter(|r| r.epoch == 0).for_each(|r| r.epoch = version.epoch);
        let dropped = self.apply(&mut version, &change);
        let result = self.write(&version, &mut change, &dropped, newest);
        if result.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        result?;
        let version = Arc::new(version);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = version.clone();
        change.delete_relations.iter().for_each(|&id| self.segments.forget(id));
        Ok(version)
    }

    /// Whether the runs that the change takes away are still there to be taken. What compaction has made of runs
    /// that a commit to the lake takes away is not: it becomes garbage, and the answer is false.
    ///
    /// # Errors
    /// [`Kind::Busy`] if a commit to the lake is to take away runs that are not there.
    fn check_runs(&self, version: &Version, change: &mut Change) -> Result<bool> {
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |relation: u32, run: u64| version.runs(relation).iter().any(|r| r.record.run == run);
        if change.compacts {
            let free = |(relation, run): &(u32, u64)| {
                is_there(*relation, *run) && !sealed.contains(&(*relation, *run))
            };
            if !change.remove_runs.iter().all(free) {
                let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
                garbage.append(&mut change.add_runs);
                return Ok(false);
            }
        }
        for pending in &change.put_pending {
            if !pending.remove_runs.iter().all(|&run| is_there(pending.relation, run)) {
                return Err(Error::new(Kind::Busy, "the runs were merged meanwhile; it is tried again"));
            }
        }
        for relation in change.delete_pending.iter().chain(change.put_pending.iter().map(|p| &p.relation)) {
            sealed.retain(|(other, _)| other != relation);
        }
        for pending in &change.put_pending {
            sealed.extend(pending.remove_runs.iter().map(|&run| (pending.relation, run)));
        }
        Ok(true)
    }

    /// A commit to the lake is to take the run away: it must not be merged.
    pub fn is_sealed(&self, relation: u32, run: u64) -> bool {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner).contains(&(relation, run))
    }

    /// The new version's runs; the answer are the runs of deleted relations.
    fn apply(&self, version: &mut Version, change: &Change) -> Vec<Arc<Run>> {
        for &(relation, run) in &change.remove_runs {
            version.remove(relation, run);
        }
        for run in &change.add_runs {
            version.add(self.new_run(run.clone()));
        }
        for (cursor, split) in &change.put_splits {
            version.set_offset(*cursor, split);
        }
        change.delete_cursors.iter().for_each(|&cursor| version.forget_cursor(cursor));
        for lake in &change.put_lakes {
            version.set_lake(lake.clone());
        }
        change.delete_relations.iter().flat_map(|&r| version.remove_relation(r)).collect()
    }

    fn write(
        &self,
        version: &Version,
        change: &mut Change,
        dropped: &[Arc<Run>],
        newest: Option<u32>,
    ) -> Result<()> {
        let meta = &self.meta;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        if let Some(newest) = newest {
            batch.insert(meta, key::NEWEST_ID, to_bytes(&newest));
        }
        if change.closes_epoch {
            let newest = EpochRecord { epoch: version.epoch, at_us: version.committed_at_us };
            batch.insert(meta, key::EPOCH, to_bytes(&newest));
        }
        for run in &change.add_runs {
            batch.insert(meta, key::run(run.relation, run.run), to_bytes(run));
        }
        let removed = dropped.iter().map(|r| (r.record.relation, r.record.run));
        for (relation, run) in change.remove_runs.iter().copied().chain(removed) {
            batch.remove(meta, key::run(relation, run));
        }
        for relation in &change.put_relations {
            batch.insert(meta, key::relation(relation.id), to_bytes(relation));
        }
        for &id in &change.delete_relations {
            batch.remove(meta, key::relation(id));
            batch.remove(meta, key::totals(id));
            batch.remove(meta, key::lake(id));
            batch.remove(meta, key::pending(id));
            for item in meta.prefix(key::snapshots(id)) {
                batch.remove(meta, item.key().map_err(read_failed)?);
            }
        }
        for lake in &change.put_lakes {
            batch.insert(meta, key::lake(lake.relation), to_bytes(lake));
        }
        for pending in &change.put_pending {
            batch.insert(meta, key::pending(pending.relation), to_bytes(pending));
        }
        for &relation in &change.delete_pending {
            batch.remove(meta, key::pending(relation));
        }
        for snapshot in &change.put_snapshots {
            batch.insert(meta, key::snapshot(snapshot.relation, snapshot.snapshot), to_bytes(snapshot));
        }
        for &(relation, snapshot) in &change.delete_snapshots {
            batch.remove(meta, key::snapshot(relation, snapshot));
        }
        for cursor in &change.put_cursors {
            batch.insert(meta, key::cursor(cursor.id), to_bytes(cursor));
        }
        for &id in &change.delete_cursors {
            batch.remove(meta, key::cursor(id));
            for item in meta.prefix(key::splits(id)) {
                batch.remove(meta, item.key().map_err(read_failed)?);
            }
        }
        for (cursor, split) in &change.put_splits {
            batch.insert(meta, key::split(*cursor, &split.split.id), to_bytes(split));
        }
        for (source, totals) in &change.put_totals {
            batch.insert(meta, key::totals(*source), to_bytes(totals));
        }
        for (row, number) in change.gaps.iter_mut().zip(0..) {
            row.epoch = version.epoch;
            batch.insert(meta, key::gap(version.epoch, number), to_bytes(row));
        }
        change.errors.iter_mut().for_each(|row| row.epoch = version.epoch);
        for (rows, number) in change.errors.chunks(ERRORS_PER_VALUE).zip(0..) {
            batch.insert(&self.errors, key::errors(version.epoch, number), to_bytes(&rows));
        }
        self.collect_garbage(&mut batch);
        batch.commit().map_err(write_failed)
    }

    /// Deletes blocks that no version names any more.
    fn collect_garbage(&self, batch: &mut fjall::OwnedWriteBatch) {
        let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = 0;
        while let Some(run) = garbage.pop() {
            for position in 0..run.blocks {
                batch.remove(&self.blocks, key::block(run.relation, run.run, position));
            }
            blocks += run.blocks;
            if blocks > GARBAGE_BLOCKS_MAX {
                break;
            }
        }
    }

    /// The batches of a run, in order. The run stays while the iterator lives.
    pub fn read(self: &Arc<Self>, run: &Arc<Run>, reader: BlockReader) -> super::Batches {
        debug_assert!(run.record.is_hot(), "files are read through the lake");
        let positions = 0..run.record.blocks;
        self.read_at(run, positions, reader)
    }

    /// As [`Store::read`], of the blocks at these positions.
    pub(super) fn read_at(
        self: &Arc<Self>,
        run: &Arc<Run>,
        positions: impl Iterator<Item = u32> + Send + 'static,
        reader: BlockReader,
    ) -> super::Batches {
        let (store, run) = (self.clone(), run.clone());
        Box::new(positions.map(move |position| store.read_block(&run.record, position, &reader)))
    }

    fn read_block(&self, run: &RunRecord, position: u32, reader: &BlockReader) -> Result<RecordBatch> {
        let bytes = self.blocks.get(key::block(run.relation, run.run, position)).map_err(read_failed)?;
        let bytes = bytes.ok_or_else(|| {
            Error::corrupt(format!(
                "block {position} of run {} of relation {} is missing",
                run.run, run.relation
            ))
        })?;
        reader.decode(&bytes)
    }

    /// All error rows up to an epoch, oldest first.
    pub fn errors(&self, epoch: u64) -> impl Iterator<Item = Result<ErrorRow>> + Send + use<> {
        let end = key::errors(epoch.saturating_add(1), 0);
        self.errors.range(key::errors(0, 0)..end).flat_map(|item| {
            let rows = item.into_inner().map_err(read_failed);
            match rows.and_then(|(_, v)| from_bytes::<Vec<ErrorRow>>("errors", &v)) {
                Ok(rows) => rows.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(e) => vec![Err(e)],
            }
        })
    }

    /// Commits to the lake that were begun.
    pub fn pending(&self) -> Result<Vec<PendingRecord>> {
        let pending = self.records(key::PENDING, "pending commits")?;
        Ok(pending.into_iter().map(|(_, pending)| pending).collect())
    }

    /// The snapshots of the lake, by relation and number.
    pub fn snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        let snapshots = self.records(key::SNAPSHOTS, "snapshots")?;
        Ok(snapshots.into_iter().map(|(_, snapshot)| snapshot).collect())
    }

    /// Paths of the files of a relation that a version in use names.
    pub fn pinned_files(&self, relation: u32) -> Vec<String> {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.retain(|run| run.strong_count() > 0);
        let runs = pinned.iter().filter_map(Weak::upgrade).filter(|run| run.record.relation == relation);
        runs.filter_map(|run| Some(run.record.file.as_ref()?.file.path.clone())).collect()
    }

    fn new_run(&self, record: RunRecord) -> Arc<Run> {
        let run = Run::new(record, &self.garbage);
        if !run.record.is_hot() {
            self.pinned.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&run));
        }
        run
    }

    /// All gaps up to an epoch, oldest first.
    pub fn gaps(&self, epoch: u64) -> Result<Vec<GapRecord>> {
        let gaps = self.records::<GapRecord>(key::GAPS, "gaps")?;
        Ok(gaps.into_iter().map(|(_, gap)| gap).filter(|g| g.epoch <= epoch).collect())
    }
}

/// Creates the directory, and makes its entry in the one above durable.
fn create_durably(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::File::open(above)?.sync_all())
        .map_err(|e| Error::io(format!("creating {}", dir.display()), e))
}

fn read_failed(e: fjall::Error) -> Error {
    Error::io("reading the store", e)
}

fn write_failed(e: fjall::Error) -> Error {
    Error::io("writing to the store", e)
}
