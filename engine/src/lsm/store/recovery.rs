//! Opening: the records that are found, and what a commit that never came has left behind.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Numbers, Store, Stored, read_failed, write_failed};
use crate::error::{Error, Result};
use crate::lsm::record::{
    EpochRecord, FORMAT, LakeRecord, RunRecord, SplitRecord, from_bytes, key, to_bytes,
};
use crate::lsm::version::Version;

impl Store {
    pub(super) fn check_format(&self) -> Result<()> {
        match self.meta.get(key::FORMAT).map_err(read_failed)? {
            None => self.meta.insert(key::FORMAT, to_bytes(&FORMAT)).map_err(write_failed),
            Some(bytes) => match from_bytes::<u32>("the format", &bytes)? {
                FORMAT => Ok(()),
                other => Err(Error::invalid(format!(
                    "{} has format {other}, this version reads format {FORMAT}",
                    self.dir.display()
                ))),
            },
        }
    }

    pub(super) fn recover(&mut self) -> Result<Stored> {
        let mut version = Version::default();
        if let Some(bytes) = self.meta.get(key::EPOCH).map_err(read_failed)? {
            let newest: EpochRecord = from_bytes("epochs", &bytes)?;
            version.epoch = newest.epoch;
            version.committed_at_us = newest.at_us;
        }
        let mut runs: Vec<RunRecord> = self.records(key::RUNS, "runs")?.into_iter().map(|(_, r)| r).collect();
        runs.sort_by_key(|r| r.run);
        let known: BTreeSet<(u32, u64)> = runs.iter().map(|r| (r.relation, r.run)).collect();
        let mut newest = runs.last().map_or(0, |r| r.run);
        for run in runs {
            version.add(self.new_run(run));
        }
        for item in self.blocks.iter() {
            let block = item.key().map_err(read_failed)?;
            let run =
                key::run_of_block(&block).ok_or_else(|| Error::corrupt("a block has a malformed key"))?;
            newest = newest.max(run.1);
            if !known.contains(&run) {
                self.blocks.remove(block).map_err(write_failed)?;
            }
        }
        for pending in self.pending()? {
            let added = pending.added.iter().flatten().map(|run| run.run);
            newest = added.chain([newest]).max().unwrap_or(newest);
            let sealed = pending.remove_runs.iter().map(|&run| (pending.relation, run));
            self.sealed.lock().unwrap_or_else(PoisonError::into_inner).extend(sealed);
        }
        self.next_run = AtomicU64::new(newest + 1);
        for (_, lake) in self.records::<LakeRecord>(key::LAKES, "lakes")? {
            version.set_lake(lake);
        }
        let mut splits = Vec::new();
        for (k, split) in self.records::<SplitRecord>(key::SPLITS, "splits")? {
            let cursor =
                key::cursor_of_split(&k).ok_or_else(|| Error::corrupt("a split has a malformed key"))?;
            version.set_offset(cursor, &split);
            splits.push((cursor, split));
        }
        self.current = RwLock::new(Arc::new(version));
        let relations = self.records(key::RELATIONS, "relations")?.into_iter().map(|(_, r)| r);
        let cursors = self.records(key::CURSORS, "cursors")?.into_iter().map(|(_, r)| r);
        let mut stored =
            Stored { relations: relations.collect(), cursors: cursors.collect(), ..Stored::default() };
        let relations: BTreeSet<u32> = stored.relations.iter().map(|r| r.id).collect();
        let used = relations.iter().copied().chain(stored.cursors.iter().map(|c| c.id)).max();
        // Directories of earlier versions have no such record.
        let newest = self.meta.get(key::NEWEST_ID).map_err(read_failed)?;
        let newest = newest.map(|bytes| from_bytes::<u32>("the newest number", &bytes)).transpose()?;
        stored.newest_id = newest.max(used).unwrap_or_default();
        self.committing = Mutex::new(Numbers { relations, newest: stored.newest_id });
        for (cursor, split) in splits {
            stored.splits.entry(cursor).or_default().push(split);
        }
        for (k, totals) in self.records(key::TOTALS, "totals")? {
            let source =
                key::cursor_of_split(&k).ok_or_else(|| Error::corrupt("totals have a malformed key"))?;
            stored.totals.insert(source, totals);
        }
        Ok(stored)
    }

    pub(super) fn records<T: serde::de::DeserializeOwned>(
        &self,
        family: [u8; 1],
        what: &str,
    ) -> Result<Vec<(Vec<u8>, T)>> {
        let read = |item: fjall::Guard| -> Result<(Vec<u8>, T)> {
            let (k, v) = item.into_inner().map_err(read_failed)?;
            Ok((k.to_vec(), from_bytes(what, &v)?))
        };
        self.meta.prefix(family).map(read).collect()
    }
}
