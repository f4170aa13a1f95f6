//! What the engine knows of its work on the lake, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::error::Error;
use crate::lake::FileRecord;

/// What the engine knows of its work on the lake.
pub struct Keeper {
    work: Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Relations that are being pressed: their kept rows must not be read again meanwhile.
    pressing: BTreeSet<u32>,
    /// The last failure of each relation.
    errors: BTreeMap<u32, Error>,
    /// Since when a relation has hot states, by its number: the time of the first look that found some.
    hot_since: BTreeMap<u32, Instant>,
    /// Files that are being read though no run names them.
    past: Vec<Weak<Vec<FileRecord>>>,
    /// Paths that are being written by pipelines.
    writing: BTreeSet<String>,
    /// The files of this relation have been looked through since the start.
    swept: BTreeSet<u32>,
    /// The table of this relation has its columns.
    evolved: BTreeSet<u32>,
    /// Rows of these relations go to the store first, since files of theirs could not be written.
    without_files: BTreeSet<u32>,
    /// A relation was dropped; its table is to be removed.
    dropped: bool,
}

impl Default for Keeper {
    fn default() -> Self {
        // What a crash has left of dropped relations is looked for at the start.
        let known = Known { dropped: true, ..Known::default() };
        Self { work: Mutex::default(), known: Mutex::new(known) }
    }
}

impl Keeper {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work on the lake, for as long as the answer lives.
    pub fn work(&self) -> MutexGuard<'_, ()> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_pressing(&self, relation: u32) -> bool {
        self.known().pressing.contains(&relation)
    }

    pub fn error(&self, relation: u32) -> Option<String> {
        self.known().errors.get(&relation).map(ToString::to_string)
    }

    pub fn pin(&self, files: &Arc<Vec<FileRecord>>) {
        let mut known = self.known();
        known.past.retain(|past| past.strong_count() > 0);
        known.past.push(Arc::downgrade(files));
    }

    /// A relation has other columns than it had.
    pub fn changed(&self, relation: u32) {
        self.known().evolved.remove(&relation);
    }

    /// True until [`Keeper::set_evolved`].
    pub fn is_unevolved(&self, relation: u32) -> bool {
        !self.known().evolved.contains(&relation)
    }

    pub fn set_evolved(&self, relation: u32) {
        self.known().evolved.insert(relation);
    }

    pub fn set_without_files(&self, relation: u32) {
        self.known().without_files.insert(relation);
    }

    pub fn is_without_files(&self, relation: u32) -> bool {
        self.known().without_files.contains(&relation)
    }

    /// A relation was dropped.
    pub fn dropped(&self) {
        self.known().dropped = true;
    }

    /// A pipeline writes this file, until [`Keeper::written`].
    pub fn writing(&self, path: &str) {
        self.known().writing.insert(path.to_owned());
    }

    /// These files are part of runs now.
    pub fn written(&self, paths: &[String]) {
        let mut known = self.known();
        paths.iter().for_each(|path| {
            known.writing.remove(path);
        });
    }

    /// Whether a relation was dropped since this was last asked.
    pub fn take_dropped(&self) -> bool {
        std::mem::take(&mut self.known().dropped)
    }

    pub fn set_error(&self, relation: u32, error: Option<Error>) {
        let mut known = self.known();
        match error {
            Some(error) => known.errors.insert(relation, error),
            None => known.errors.remove(&relation),
        };
    }

    pub fn set_pressing(&self, relation: u32, is_pressing: bool) {
        let mut known = self.known();
        if is_pressing {
            known.pressing.insert(relation)
        } else {
            known.pressing.remove(&relation)
        };
    }

    /// True the first time it is asked.
    pub fn is_unswept(&self, relation: u32) -> bool {
        self.known().swept.insert(relation)
    }

    /// Since when a relation has had hot states: as of now, if it is news.
    pub fn hot_since(&self, relation: u32, now: Instant) -> Instant {
        *self.known().hot_since.entry(relation).or_insert(now)
    }

    /// A relation has no hot states any more.
    pub fn cooled(&self, relation: u32) {
        self.known().hot_since.remove(&relation);
    }

    /// Paths of files that somebody reads or writes though no run names them.
    pub fn in_use(&self) -> Vec<String> {
        let mut known = self.known();
        known.past.retain(|past| past.strong_count() > 0);
        let past: Vec<_> = known.past.iter().filter_map(Weak::upgrade).collect();
        let read = past.iter().flat_map(|files| files.iter().map(|file| file.path.clone()));
        read.chain(known.writing.iter().cloned()).collect()
    }
}
