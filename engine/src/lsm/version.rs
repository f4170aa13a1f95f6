//! Which runs exist, at one epoch: an unchanging picture that readers pin.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{LakeRecord, RunRecord, SplitRecord};
use crate::connector::SplitId;

/// Runs whose blocks nobody can name any more.
pub(super) type Garbage = Arc<Mutex<Vec<RunRecord>>>;

/// A run in use. When the last version that names it goes, and the store no longer wants it, its blocks
/// become garbage.
#[derive(Debug)]
pub struct Run {
    pub record: RunRecord,
    unwanted: AtomicBool,
    garbage: Garbage,
}

impl Run {
    pub(super) fn new(record: RunRecord, garbage: &Garbage) -> Arc<Self> {
        Arc::new(Self { record, unwanted: AtomicBool::new(false), garbage: garbage.clone() })
    }

    pub(super) fn set_unwanted(&self) {
        self.unwanted.store(true, Ordering::Release);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.record.is_hot() && self.unwanted.load(Ordering::Acquire) {
            let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
            garbage.push(self.record.clone());
        }
    }
}

/// All runs at one epoch.
#[derive(Clone, Debug, Default)]
pub struct Version {
    pub epoch: u64,
    /// When the epoch became visible, microseconds since 1970 UTC.
    pub committed_at_us: i64,
    runs: BTreeMap<u32, Arc<Vec<Arc<Run>>>>,
    /// How far each cursor has read its splits.
    offsets: BTreeMap<u32, Arc<BTreeMap<SplitId, i64>>>,
    lakes: BTreeMap<u32, Arc<LakeRecord>>,
}

impl Version {
    /// The runs of a relation, oldest first.
    pub fn runs(&self, relation: u32) -> &[Arc<Run>] {
        self.runs.get(&relation).map_or(&[], |runs| runs.as_slice())
    }

    /// The offsets that a cursor has read its splits to.
    pub fn offsets(&self, cursor: u32) -> Option<&BTreeMap<SplitId, i64>> {
        self.offsets.get(&cursor).map(Arc::as_ref)
    }

    /// What the lake has of a relation.
    pub fn lake(&self, relation: u32) -> Option<&Arc<LakeRecord>> {
        self.lakes.get(&relation)
    }

    /// This version, with what the lake has of a relation in a later one.
    #[must_use]
    pub fn with_lake_of(&self, later: &Self, relation: u32) -> Self {
        let mut version = self.clone();
        if let Some(lake) = later.lake(relation) {
            version.lakes.insert(relation, lake.clone());
        }
        version
    }

    pub(super) fn set_offset(&mut self, cursor: u32, split: &SplitRecord) {
        let offsets = Arc::make_mut(self.offsets.entry(cursor).or_default());
        offsets.insert(split.split.id.clone(), split.offset);
    }

    pub(super) fn forget_cursor(&mut self, cursor: u32) {
        self.offsets.remove(&cursor);
    }

    pub(super) fn set_lake(&mut self, lake: LakeRecord) {
        self.lakes.insert(lake.relation, Arc::new(lake));
    }

    pub(super) fn add(&mut self, run: Arc<Run>) {
        let runs = self.runs.entry(run.record.relation).or_default();
        Arc::make_mut(runs).push(run);
    }

    pub(super) fn remove(&mut self, relation: u32, run: u64) {
        if let Some(runs) = self.runs.get_mut(&relation) {
            Arc::make_mut(runs).retain(|r| {
                let keep = r.record.run != run;
                if !keep {
                    r.set_unwanted();
                }
                keep
            });
        }
    }

    pub(super) fn remove_relation(&mut self, relation: u32) -> Vec<Arc<Run>> {
        self.lakes.remove(&relation);
        let runs = self.runs.remove(&relation).map(|r| r.to_vec()).unwrap_or_default();
        runs.iter().for_each(|r| r.set_unwanted());
        runs
    }
}
