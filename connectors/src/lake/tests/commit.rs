//! Snapshots: what each has, and that each is there once.

use siltstone_engine::error::Kind;
use siltstone_engine::lake::Operation;

use super::fixture::{Fixture, open};

#[test]
fn each_snapshot_has_its_files_whatever_comes_after_it() {
    let fixture = Fixture::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| fixture.file(&format!("data/{name}.parquet"), 0, 10));
    fixture.commit(1, Operation::Append, &[a.clone(), b.clone()], &[]).expect("appends");
    fixture.commit(2, Operation::Overwrite, std::slice::from_ref(&c), &[&a]).expect("overwrites");
    fixture.commit(3, Operation::Replace, std::slice::from_ref(&d), &[&b, &c]).expect("replaces");
    let table = fixture.commit(4, Operation::Delete, &[], &[&d]).expect("deletes");
    assert_eq!((table.current, table.snapshots), (Some(4), vec![1, 2, 3, 4]));
    let paths = [1, 2, 3, 4].map(|snapshot| fixture.paths(snapshot));
    let names = |names: &[&str]| names.iter().map(|name| format!("data/{name}.parquet")).collect::<Vec<_>>();
    assert_eq!(paths, [names(&["a", "b"]), names(&["b", "c"]), names(&["d"]), names(&[])]);

    let files = fixture.lake.files("events", 2).expect("lists");
    let found = files.iter().find(|file| file.path == c.path).expect("is there");
    assert_eq!((found.partition, found.rows, found.bytes), (c.partition, c.rows, c.bytes));
}

#[test]
fn a_commit_is_done_once() {
    let fixture = Fixture::new();
    let file = fixture.file("data/a.parquet", 0, 10);
    let first = fixture.commit(1, Operation::Append, std::slice::from_ref(&file), &[]).expect("appends");
    let again = fixture.commit_behind(None, 1, Operation::Append, &[file], &[]).expect("is done");
    assert_eq!(first, again);
    assert_eq!(
        open(fixture.folder.path()).load("events").expect("loads"),
        Some(again),
        "as another process sees it"
    );
}

#[test]
fn a_commit_behind_another_snapshot_than_the_current_one_is_refused() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.file("data/a.parquet", 0, 10), fixture.file("data/b.parquet", 1, 10));
    fixture.commit(1, Operation::Append, std::slice::from_ref(&a), &[]).expect("appends");
    let before = fixture.table();
    let metadata = fixture.lake.list(&before.location).expect("lists");
    for parent in [None, Some(9)] {
        let refused = fixture.commit_behind(parent, 2, Operation::Append, std::slice::from_ref(&b), &[]);
        assert_eq!(refused.expect_err("is stale").kind(), Kind::Exists);
    }
    assert_eq!(fixture.table(), before);
    assert_eq!(fixture.lake.list(&before.location).expect("lists"), metadata, "nothing was done");
    let unknown = fixture.commit(2, Operation::Delete, &[], &[&b]);
    assert_eq!(unknown.expect_err("removes what is not there").kind(), Kind::Invalid);
}

#[test]
fn many_commits_leave_few_manifests() {
    let fixture = Fixture::new();
    let files: Vec<_> = (0..40).map(|i| fixture.file(&format!("data/{i:02}.parquet"), i / 10, 10)).collect();
    for (file, snapshot) in files.iter().zip(1..) {
        fixture.commit(snapshot, Operation::Append, std::slice::from_ref(file), &[]).expect("appends");
    }
    assert_eq!(fixture.paths(40), files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
    fixture.commit(41, Operation::Delete, &[], &[&files[3], &files[33]]).expect("deletes");
    assert_eq!(fixture.paths(41).len(), 38);
    fixture.lake.expire("events", &(1..41).collect::<Vec<_>>()).expect("expires");
    let names = fixture.lake.metadata_files("events").expect("lists");
    let manifests = names.iter().filter(|name| name.contains("-m")).count();
    assert!(manifests <= 17, "{manifests}");
    let there: Vec<_> = fixture.lake.list(&fixture.table().location).expect("lists");
    assert!(names.iter().all(|name| there.iter().any(|(path, _)| path == name)), "what is needed is there");
}
