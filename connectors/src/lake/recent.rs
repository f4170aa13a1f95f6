//! What was parsed lately of files that never change, bounded by count.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_engine::error::Result;

struct Entries<V> {
    of: HashMap<String, (u64, Arc<V>)>,
    clock: u64,
}

/// The last `count_max` files asked for, by path.
pub(super) struct Recent<V> {
    entries: Mutex<Entries<V>>,
    count_max: usize,
}

impl<V> Recent<V> {
    pub fn new(count_max: usize) -> Self {
        Self { entries: Mutex::new(Entries { of: HashMap::new(), clock: 0 }), count_max }
    }

    /// The file's value; two threads may both parse one that is new.
    pub fn get(&self, path: &str, parse: impl FnOnce() -> Result<V>) -> Result<Arc<V>> {
        if let Some(found) = self.find(path) {
            return Ok(found);
        }
        let value = Arc::new(parse()?);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = entries.clock;
        entries.of.insert(path.to_owned(), (clock, Arc::clone(&value)));
        if entries.of.len() > self.count_max {
            let oldest = entries.of.iter().min_by_key(|(_, (used, _))| *used).map(|(path, _)| path.clone());
            oldest.and_then(|path| entries.of.remove(&path));
        }
        Ok(value)
    }

    pub fn forget(&self, path: &str) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).of.remove(path);
    }

    fn find(&self, path: &str) -> Option<Arc<V>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let clock = entries.clock;
        let (used, value) = entries.of.get_mut(path)?;
        *used = clock;
        Some(Arc::clone(value))
    }
}

impl<V> fmt::Debug for Recent<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("count_max", &self.count_max).finish_non_exhaustive()
    }
}
