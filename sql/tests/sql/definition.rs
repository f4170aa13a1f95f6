//! Definitions that are applied again: what of them may differ, and what they come to when they are read again.

use siltstone_sql::Result;

use crate::support::{ask, open, started};

async fn apply(session: &siltstone_sql::Session, sql: &str) -> Result<Vec<String>> {
    let outcome = session.apply(&session.parse(sql)?[0]).await?;
    Ok(outcome.notices.into_iter().map(|notice| notice.message).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retain_may_change_and_partitions_may_not() {
    let (_directory, database) = started();
    let session = database.session();
    let table = |partition: &str, with: &str| {
        format!(
            "create table t (k int, at timestamp, later timestamp) {partition} with (connector = 'push'{with})"
        )
    };
    assert!(apply(&session, &table("", "")).await.expect("created").is_empty());
    let same = apply(&session, &table("partition by (day(at))", "")).await.expect("what it was all along");
    assert!(same[0].contains("same definition"), "{same:?}");
    let changed = apply(&session, &table("", ", retain = '7 days'")).await.expect("taken over");
    assert!(changed[0].contains("option retain none → '7 days'"), "{changed:?}");
    let same = apply(&session, &table("", ", retain = '168 hours'")).await.expect("the same span");
    assert!(same[0].contains("same definition"), "{same:?}");
    let changed = apply(&session, &table("", "")).await.expect("taken over");
    assert!(changed[0].contains("option retain '7 days' → none"), "{changed:?}");
    for (partition, found) in [
        ("partition by (month(at))", "partition day(at) → month(at)"),
        ("partition by (day(later))", "partition day(at) → day(later)"),
        ("partition by ()", "partition day(at) → none"),
    ] {
        let error = apply(&session, &table(partition, "")).await.expect_err("other files");
        assert!(error.message().contains(found), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_compared_with_its_retain() {
    let (_directory, database) = started();
    let session = database.session();
    apply(&session, "create table t (at timestamp)").await.expect("t");
    let view = |with: &str| {
        format!(
            "create materialized view v {with} as select date_trunc('day', at) as d, count(*) as n from t group by 1"
        )
    };
    apply(&session, &view("with (retain = '90 days')")).await.expect("created");
    let same = apply(&session, &view("with (retain = '90 d')")).await.expect("the same");
    assert!(same[0].contains("same definition"), "{same:?}");
    let error = apply(&session, &view("")).await.expect_err("it would forget less");
    assert!(error.message().contains("option retain '90 days' → none"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canonical_texts_are_read_as_themselves() {
    let directory = tempfile::tempdir().expect("a directory");
    let texts = [
        "create table a (k int, at timestamp) partition by (year(\"at\")) with (retain = '1 month', connector = push)",
        "create table b (at date) partition by ()",
        "create materialized view c (x, y) with (retain = '2 weeks') as select k, date_trunc('day', at), count(*) from a group by 1, 2",
    ];
    let shown = async |session: &siltstone_sql::Session| {
        let mut all = Vec::new();
        for name in ["a", "b", "c"] {
            all.extend(ask(session, &format!("show create {name}")).await.expect("its text"));
        }
        all
    };
    let before = {
        let database = open(directory.path());
        let session = database.session();
        for text in texts {
            apply(&session, text).await.expect("created");
        }
        apply(&session, "alter table a add column more numeric(10, 2)").await.expect("altered");
        let before = shown(&session).await;
        database.engine().stop();
        before
    };
    let database = open(directory.path());
    let session = database.session();
    assert_eq!(shown(&session).await, before);
    assert!(before[0].contains("more NUMERIC(10,2)) PARTITION BY (year(at)) WITH"), "{before:?}");
    for text in before {
        let (_, text) = text.split_once('|').expect("name and text");
        let notices = apply(&session, text).await.expect("the same");
        assert!(notices[0].contains("same definition"), "{notices:?}");
    }
}
