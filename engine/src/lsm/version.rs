//! Which runs exist, at one epoch: an unchanging picture that readers pin.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::RunRecord;

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
        if self.unwanted.load(Ordering::Acquire) {
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
}

impl Version {
    /// The runs of a relation, oldest first.
    pub fn runs(&self, relation: u32) -> &[Arc<Run>] {
        self.runs.get(&relation).map_or(&[], |runs| runs.as_slice())
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
        let runs = self.runs.remove(&relation).map(|r| r.to_vec()).unwrap_or_default();
        runs.iter().for_each(|r| r.set_unwanted());
        runs
    }
}
