//! What this process knows of a source's topics, shared by discovery and the readers: which incarnation of
//! each topic there is now, and which old splits are known to have been followed by new ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use siltstone_engine::connector::SplitId;

#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Counts changes, so that a reader sees without a lock that there is nothing new.
    version: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ids: BTreeMap<String, String>,
    superseded: BTreeSet<SplitId>,
}

impl Topics {
    /// Changes whenever a topic turns out to have another id.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The id of `topic` as last seen; empty if unknown.
    pub(super) fn id(&self, topic: &str) -> String {
        self.state().ids.get(topic).cloned().unwrap_or_default()
    }

    pub(super) fn set_id(&self, topic: &str, id: &str) {
        let mut state = self.state();
        if state.ids.get(topic).map(String::as_str) != Some(id) {
            state.ids.insert(topic.to_owned(), id.to_owned());
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Notes that an earlier run already went on from `split` to a split of the topic's next incarnation.
    pub(super) fn supersede(&self, split: SplitId) {
        self.state().superseded.insert(split);
    }

    pub(super) fn is_superseded(&self, split: &SplitId) -> bool {
        self.state().superseded.contains(split)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
