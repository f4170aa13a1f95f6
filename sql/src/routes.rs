//! What answered the queries so far, and what their misses cost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use siltstone_engine::clock;

/// Queries that no view answers, kept by their texts.
const MISSES_MAX: usize = 200;

/// Bytes of a kept text.
const TEXT_BYTES_MAX: usize = 1000;

/// What answers an aggregation of a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The source or table that was asked.
    pub source: String,
    /// What was chosen.
    pub candidate: String,
    /// A view, with or without rows at the edges.
    pub is_rollup: bool,
    /// The statement that creates a view which would have answered, where none did.
    pub advice: Option<String>,
}

/// A row of `siltstone.routes`.
#[derive(Clone, Debug)]
pub struct RouteRow {
    pub route: Route,
    /// The query, where no view answered.
    pub query: Option<String>,
    pub asked: u64,
    pub total: Duration,
    pub max: Duration,
}

/// Routes since the directory was opened.
#[derive(Debug, Default)]
pub struct RouteLog {
    rows: Mutex<HashMap<(Route, Option<String>), Asked>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    count: u64,
    total: Duration,
    max: Duration,
}

impl RouteLog {
    /// Begins a query, which ends when the answer is dropped.
    pub fn begin(self: &Arc<Self>, routes: Vec<Route>, text: &str) -> Running {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        Running { log: Arc::clone(self), routes, text: text[..end].to_owned(), since: clock::now() }
    }

    fn add(&self, route: Route, text: &str, took: Duration) {
        let query = (!route.is_rollup).then(|| text.to_owned());
        let mut rows = self.lock();
        let asked = rows.entry((route, query)).or_default();
        asked.count += 1;
        asked.total += took;
        asked.max = asked.max.max(took);
        if rows.keys().filter(|(_, query)| query.is_some()).count() > MISSES_MAX {
            let misses = rows.iter().filter(|((_, query), _)| query.is_some());
            let least = misses.min_by_key(|(_, asked)| asked.total).map(|(key, _)| key.clone());
            least.and_then(|key| rows.remove(&key));
        }
    }

    /// Those that took most first.
    pub fn rows(&self) -> Vec<RouteRow> {
        let rows = self.lock();
        let row = |((route, query), asked): (&(Route, Option<String>), &Asked)| RouteRow {
            route: route.clone(),
            query: query.clone(),
            asked: asked.count,
            total: asked.total,
            max: asked.max,
        };
        let mut rows: Vec<RouteRow> = rows.iter().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.total));
        rows
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Route, Option<String>), Asked>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query that is being answered.
pub struct Running {
    log: Arc<RouteLog>,
    routes: Vec<Route>,
    text: String,
    since: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        let took = clock::now().duration_since(self.since);
        for route in self.routes.drain(..) {
            self.log.add(route, &self.text, took);
        }
    }
}
