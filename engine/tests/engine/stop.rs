//! Stopping: soon, whatever the outside does, and nothing begins behind it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use siltstone_engine::clock;

use crate::fixture::{Numbers, SHORT, open, source, until, view};

#[test]
fn a_source_that_nobody_answers_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(1_000, 7);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    let source = engine.create_source("", source(false)).expect("creates");
    engine.create_view("", view("v", source)).expect("creates");
    numbers.outside.is_away.store(true, Ordering::Release);
    engine.start(false).expect("starts");
    clock::sleep(Duration::from_millis(50));
    let start = clock::now();
    engine.stop();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let status = engine.status();
    assert!(status.operators.is_empty(), "a pipeline was started behind the end: {status:?}");
    assert!(engine.failure().is_none());
}

#[test]
fn a_source_hears_of_idle_epochs_and_of_the_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let numbers = Numbers::new(1_000, 7);
    numbers.limit.store(500, Ordering::Release);
    let engine = open(dir.path(), &numbers, 64 << 20, SHORT);
    let source = engine.create_source("", source(false)).expect("creates");
    engine.create_view("", view("v", source)).expect("creates");
    engine.start(false).expect("starts");
    let read = || engine.status().splits.iter().map(|s| s.offset).sum::<i64>();
    // Two workers have two of the three splits.
    until(&engine, "the first part is read", || read() == 1_000);
    let commits = || numbers.outside.commits.load(Ordering::Acquire);
    let before = commits();
    until(&engine, "something is said of epochs in which nothing came", || commits() >= before + 5);
    assert_eq!(numbers.outside.flushes.load(Ordering::Acquire), 0);
    engine.stop();
    assert_eq!(numbers.outside.flushes.load(Ordering::Acquire), 1);
}
