//! Records that are gone: who stops, who goes on, and that it is told.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use siltstone_engine::error::Kind;
use siltstone_engine::runtime::{PipelineState, ViewState};

use crate::fixture::{LIMIT, Numbers, SHORT, count, groups, open, source, until, view};

#[test]
fn a_backfill_that_meets_a_gap_stops_alone_and_dropping_its_view_ends_the_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(20_000, 37);
    numbers.limit.store(5_000, Ordering::Release);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    let source = engine.create_source("", source(false)).expect("creates");
    let first = engine.create_view("", view("first", source)).expect("creates").id;
    engine.start(false).expect("starts");
    // Two workers have two of the three splits; the third is read when one of them is at its end.
    until(&engine, "the first part is read", || count(&engine.snapshot(), first) == 10_000);
    numbers.outside.gone.store(100, Ordering::Release);
    let second = engine.create_view("", view("second", source)).expect("creates");
    assert!(second.backfilling);
    let state_of = |id: u32| {
        let status = engine.status();
        status.views.into_iter().find(|v| v.id == id).map(|v| (v.state, v.error.unwrap_or_default()))
    };
    until(&engine, "it has failed", || state_of(second.id).is_some_and(|v| v.0 == ViewState::Failed));
    let (_, error) = state_of(second.id).expect("it is there");
    assert!(error.contains("second") && error.contains("are gone"), "{error}");
    let own = &engine.status().sources[0];
    assert_ne!(own.state, PipelineState::Failed);
    assert!(own.error.as_deref().is_some_and(|e| e.contains("second")), "{own:?}");
    assert!(engine.failure().is_none() && engine.backfill_failure().is_some());

    numbers.outside.gone.store(0, Ordering::Release);
    numbers.limit.store(20_000, Ordering::Release);
    until(&engine, "the first view goes on", || groups(&engine.snapshot(), first) == numbers.expected());
    let third = engine.create_view("", view("third", source)).expect("creates").id;
    assert!(state_of(third).is_some_and(|v| v.1.contains("second")), "who waits behind it says so");
    assert_eq!(engine.wait_idle(LIMIT).expect_err("is told at the end").kind(), Kind::Gap);
    engine.drop_relation(second.id).expect("drops");
    engine.drop_relation(third).expect("drops");
    assert!(engine.wait_idle(LIMIT).expect("nothing is wrong any more"));
    assert_eq!(engine.status().sources[0].error, None);
    assert_eq!(groups(&engine.snapshot(), first), numbers.expected());
}

#[test]
fn a_view_created_later_begins_where_records_are_and_what_it_lacks_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(20_000, 37);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    let source = engine.create_source("", source(false)).expect("creates");
    let first = engine.create_view("", view("first", source)).expect("creates").id;
    engine.start(false).expect("starts");
    assert!(engine.wait_idle(LIMIT).expect("no failure"));
    numbers.outside.gone.store(100, Ordering::Release);
    numbers.outside.is_gone_told.store(true, Ordering::Release);
    let second = engine.create_view("", view("second", source)).expect("creates");
    let told: BTreeSet<_> = second.lacks.iter().map(|g| (g.split.to_string(), g.from, g.to)).collect();
    let expected = |i| (format!("n/{i}"), 0, 100);
    assert_eq!(told, (0..3).map(expected).collect());
    assert!(engine.wait_idle(LIMIT).expect("no failure"));
    assert_eq!(count(&engine.snapshot(), second.id), 3 * (20_000 - 100));
    assert_eq!(groups(&engine.snapshot(), first), numbers.expected());
    let gaps = engine.snapshot().gaps().expect("reads");
    let recorded: BTreeSet<_> =
        gaps.iter().map(|g| (g.gap.split.to_string(), g.gap.from, g.gap.to)).collect();
    assert_eq!((gaps.len(), recorded), (3, told));
}

#[test]
fn a_gap_that_stops_a_source_is_recorded_once_and_its_offsets_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(5_000, 7);
    numbers.limit.store(1_000, Ordering::Release);
    let id = {
        let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
        let source = engine.create_source("", source(false)).expect("creates");
        let id = engine.create_view("", view("v", source)).expect("creates").id;
        engine.start(false).expect("starts");
        until(&engine, "the first part is read", || count(&engine.snapshot(), id) == 2_000);
        id
    };
    numbers.outside.gone.store(2_000, Ordering::Release);
    numbers.limit.store(5_000, Ordering::Release);
    for _ in 0..3 {
        let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
        engine.start(false).expect("starts");
        assert_eq!(engine.wait_idle(LIMIT).expect_err("stops").kind(), Kind::Gap);
        let gaps = engine.snapshot().gaps().expect("reads");
        let told: BTreeSet<_> =
            gaps.iter().map(|g| (g.gap.split.to_string(), g.gap.from, g.gap.to)).collect();
        assert!(!told.is_empty() && told.len() == gaps.len(), "{gaps:?}");
        // The third split waits for one of the two workers.
        assert!(told.iter().all(|(_, from, to)| [0, 1_000].contains(from) && *to == 2_000), "{told:?}");
        assert_eq!(count(&engine.snapshot(), id), 2_000);
        assert_eq!(engine.status().splits.iter().map(|s| s.offset).sum::<i64>(), 2_000);
    }
}
