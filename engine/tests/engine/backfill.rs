//! Views created while their source runs: they read from the beginning and end with the same events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use siltstone_engine::runtime::ViewState;

use crate::fixture::{LIMIT, Numbers, SHORT, groups, open, source, view};

fn views_created_on_the_way_equal_the_first(keeps_rows: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(60_000, 53);
    numbers.limit.store(1_000, Ordering::Release);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    let text = if keeps_rows { "keeps" } else { "" };
    let source = engine.create_source(text, source(keeps_rows)).expect("creates");
    engine.start(false).expect("starts");
    let mut views = Vec::new();
    for i in 1..=6 {
        views.push(engine.create_view("", view(&format!("v{i}"), source)).expect("creates").id);
        numbers.limit.store(i * 10_000, Ordering::Release);
        let mut looks = 0;
        while engine.status().splits.iter().filter(|s| s.cursor == "main").map(|s| s.offset).sum::<i64>()
            < i * 3_000
        {
            looks += 1;
            assert!(looks < 20_000, "the source stands still: {:?}", engine.status());
            siltstone_engine::clock::sleep(Duration::from_millis(1));
        }
    }
    assert!(engine.wait_idle(LIMIT).expect("no failure"), "{:?}", engine.status());
    for &id in &views {
        assert_eq!(groups(&engine.snapshot(), id), numbers.expected(), "view {id}");
    }
    assert!(engine.status().views.iter().all(|v| v.state == ViewState::Current));
    if keeps_rows {
        assert_eq!(engine.snapshot().row_count(source), 3 * 60_000);
    }
}

#[test]
fn over_a_source() {
    views_created_on_the_way_equal_the_first(false);
}

#[test]
fn over_the_kept_rows_of_a_table() {
    views_created_on_the_way_equal_the_first(true);
}

#[test]
fn a_backfill_cut_off_by_a_stop_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(50_000, 11);
    let (first, second) = {
        let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
        let source = engine.create_source("", source(false)).expect("creates");
        let first = engine.create_view("", view("first", source)).expect("creates").id;
        engine.start(false).expect("starts");
        assert!(engine.wait_idle(LIMIT).expect("no failure"));
        numbers.limit.store(10_000, Ordering::Release);
        let created = engine.create_view("", view("second", source)).expect("creates");
        assert!(created.backfilling, "it is held up on the way");
        let second = created.id;
        let mut looks = 0;
        while !engine.status().splits.iter().any(|s| s.cursor == "backfill" && s.offset > 0) {
            looks += 1;
            assert!(looks < 20_000, "no backfill began");
            siltstone_engine::clock::sleep(Duration::from_millis(1));
        }
        engine.stop();
        (first, second)
    };
    numbers.limit.store(50_000, Ordering::Release);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    assert_eq!(groups(&engine.snapshot(), first), numbers.expected());
    engine.start(false).expect("starts");
    assert!(engine.wait_idle(LIMIT).expect("no failure"));
    assert_eq!(groups(&engine.snapshot(), second), numbers.expected());
}
