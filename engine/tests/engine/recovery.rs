//! What is there after an end, clean or not: exactly the events of the last epoch, and then all of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use siltstone_engine::error::Kind;

use crate::fixture::{LIMIT, Numbers, SHORT, count, groups, open, source, view};

#[test]
fn everything_is_counted_once_and_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(20_000, 37);
    let id = {
        let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
        let source = engine.create_source("", source(false)).expect("creates");
        let id = engine.create_view("", view("v", source)).expect("creates").id;
        engine.start(false).expect("starts");
        assert!(engine.wait_idle(LIMIT).expect("no failure"), "finishes");
        assert_eq!(groups(&engine.snapshot(), id), numbers.expected());
        id
    };
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    assert_eq!(groups(&engine.snapshot(), id), numbers.expected(), "before it starts");
    engine.start(false).expect("starts");
    assert!(engine.wait_idle(LIMIT).expect("no failure"), "finishes at once");
    assert_eq!(groups(&engine.snapshot(), id), numbers.expected(), "nothing is read twice");
}

#[test]
fn each_stop_on_the_way_leaves_a_whole_epoch_and_the_end_is_exact() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(30_000, 101);
    let mut view_id = None;
    for step in 1..=6 {
        numbers.limit.store(step * 5_000, Ordering::Release);
        let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
        let id = *view_id.get_or_insert_with(|| {
            let source = engine.create_source("", source(false)).expect("creates");
            engine.create_view("", view("v", source)).expect("creates").id
        });
        let before = count(&engine.snapshot(), id);
        engine.start(false).expect("starts");
        if step == 6 {
            assert!(engine.wait_idle(LIMIT).expect("no failure"));
            assert_eq!(groups(&engine.snapshot(), id), numbers.expected());
            continue;
        }
        // Stop somewhere behind the first epoch of this run.
        let mut looks = 0;
        while count(&engine.snapshot(), id) == before {
            looks += 1;
            assert!(looks < 10_000, "no epoch came");
            siltstone_engine::clock::sleep(Duration::from_millis(1));
        }
        let status = engine.status();
        let offsets: i64 = status.splits.iter().map(|s| s.offset).sum();
        assert!(offsets <= 3 * step * 5_000);
        engine.stop();
        let status = engine.status();
        let offsets: i64 = status.splits.iter().map(|s| s.offset).sum();
        assert_eq!(count(&engine.snapshot(), id), offsets, "the state is that of the offsets");
    }
}

/// Rows that are let out at once.
const STEP: i64 = 200_000;

#[test]
fn every_epoch_of_a_table_keeps_the_rows_of_its_offsets_and_no_others() {
    let dir = tempfile::tempdir().expect("a directory");
    // Blocks are emitted ahead of barriers, by workers that reach them at different times.
    let numbers = Numbers { batch: 70_000, ..Numbers::new(2_000_000, 5) };
    // More is let out for each epoch that was looked at, so that there are many however fast they close.
    let mut limit = STEP;
    numbers.limit.store(limit, Ordering::Release);
    let engine = open(dir.path(), &numbers, 64 << 20, Duration::from_millis(1));
    let source = engine.create_source("keeps", source(true)).expect("creates");
    engine.create_view("", view("v", source)).expect("creates");
    engine.start(false).expect("starts");
    let mut seen = std::collections::BTreeSet::new();
    while !engine.wait_idle(Duration::from_micros(200)).expect("no failure") {
        let status = engine.status();
        let newest = status.epochs.last().map_or(0, |e| e.epoch);
        if newest == status.epoch && seen.insert(newest) {
            let offsets: i64 = status.splits.iter().map(|s| s.offset).sum();
            let own = &status.sources[0];
            assert_eq!((own.kept_rows as i64, own.rows as i64), (offsets, offsets), "epoch {newest}");
            limit += STEP;
            numbers.limit.store(limit, Ordering::Release);
        }
    }
    assert!(seen.len() > 5, "{} epochs were looked at", seen.len());
}

#[test]
fn a_directory_has_one_owner_who_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(1, 1);
    let first = open(dir.path(), &numbers, 64 << 20, SHORT);
    let registry = std::sync::Arc::default();
    let options = siltstone_engine::runtime::Options::default();
    let Err(error) = siltstone_engine::runtime::Engine::open(dir.path(), options, registry) else {
        panic!("a second owner was let in");
    };
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.message().contains(&format!("process {} (test)", std::process::id())), "{error}");
    drop(first);
    open(dir.path(), &numbers, 64 << 20, SHORT);
}

#[test]
fn a_dropped_view_is_gone_and_the_others_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(20_000, 7);
    numbers.limit.store(2_000, Ordering::Release);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    let source = engine.create_source("", source(false)).expect("creates");
    let stays = engine.create_view("", view("stays", source)).expect("creates").id;
    let goes = engine.create_view("", view("goes", source)).expect("creates").id;
    engine.start(false).expect("starts");
    assert_eq!(engine.drop_relation(source).expect_err("is in use").kind(), Kind::Busy);
    engine.drop_relation(goes).expect("drops");
    numbers.limit.store(20_000, Ordering::Release);
    assert!(engine.wait_idle(LIMIT).expect("no failure"));
    assert_eq!(groups(&engine.snapshot(), stays), numbers.expected());
    assert!(engine.snapshot().scan_view(goes, None).is_err());
    engine.drop_relation(stays).expect("drops");
    engine.drop_relation(source).expect("drops");
    assert!(engine.stored().is_empty());
    drop(engine);
    assert!(open(dir.path(), &numbers, 64 << 20, SHORT).stored().is_empty());
}

#[test]
fn a_number_is_never_given_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(10, 7);
    let dropped = {
        let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
        let source = engine.create_source("", source(false)).expect("creates");
        let view = engine.create_view("", view("v", source)).expect("creates").id;
        engine.drop_relation(view).expect("drops");
        engine.drop_relation(source).expect("drops");
        view
    };
    // Error rows and gaps name their source by its number, and are kept when it is dropped.
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    assert!(engine.create_source("", source(false)).expect("creates") > dropped);
}
