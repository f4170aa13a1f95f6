//! More groups than the fold's memory: epochs close early, runs pile up, compaction and reads merge them.

use std::time::Duration;

use crate::fixture::{LIMIT, Numbers, groups, open, source, view};

#[test]
fn groups_beyond_the_budget_go_to_the_store_and_come_back_exact() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers { batch: 8_000, ..Numbers::new(500_000, 600_000) };
    let engine = open(dir.path(), &numbers, 64 << 20, Duration::from_secs(600));
    let source = engine.create_source("", source(false)).expect("creates");
    let id = engine.create_view("", view("v", source)).expect("creates").id;
    engine.start(false).expect("starts");
    assert!(engine.wait_idle(LIMIT).expect("no failure"));
    let epochs = engine.status().epochs.len();
    assert!(epochs > 3, "the interval is long, so only memory closes epochs: {epochs}");
    assert_eq!(groups(&engine.snapshot(), id), numbers.expected());
}
