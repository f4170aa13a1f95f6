//! Plans that are used again: whatever changed since they were made, the answer is today's.

use std::sync::Arc;

use siltstone_sql::{Database, Session, Value};

use crate::support::{ask, rows, run, started};

async fn fill(session: &Session, from: i32, to: i32) {
    let rows: Vec<String> = (from..to).map(|n| format!("({}, 's{}', {n})", n % 50, n % 7)).collect();
    run(session, &format!("insert into t values {}", rows.join(", "))).await.expect("rows");
}

async fn database() -> (tempfile::TempDir, Arc<Database>) {
    let (directory, database) = started();
    let session = database.session();
    run(&session, "create table t (k int, s varchar, v int)").await.expect("t");
    run(&session, "create materialized view w as select k, s, count(*) n, sum(v) v from t group by k, s")
        .await
        .expect("w");
    fill(&session, 0, 1_000).await;
    (directory, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_change_and_so_do_answers() {
    let (_directory, database) = database().await;
    let session = database.session();
    for (with, without) in [
        ("select k, s, n, v from w where k = $1 and s >= $2 order by s", "k = {1} and s >= '{2}'"),
        (
            "select k, s, n, v from w where k between $1 and 30 and s <> $2 order by k, s",
            "k between {1} and 30 and s <> '{2}'",
        ),
        (
            "select k, s, n, v from w where $1 > k and s in ($2, 's1') order by k, s",
            "k < {1} and s in ('{2}', 's1')",
        ),
        (
            "select k, s, n, v from w where k in ($1, 7, 9, 11, 13) and s < $2 order by k, s",
            "k in ({1}, 7, 9, 11, 13) and s < '{2}'",
        ),
    ] {
        let statement = session.parse(with).expect("a statement").remove(0);
        for round in 0..3 {
            for (k, s) in [(3, "s2"), (49, "s0"), (-1, "s9"), (20, ""), (3, "s2")] {
                let found =
                    session.execute(&statement, &[Value::from(k), Value::from(s)]).await.expect("rows");
                let without = without.replace("{1}", &k.to_string()).replace("{2}", s);
                let plain = format!("select k, s, n, v from w where {without} order by k, s -- {round}");
                assert_eq!(
                    rows(found).await.expect("rows"),
                    ask(&session, &plain).await.expect("rows"),
                    "{plain}"
                );
            }
            fill(&session, round * 100, round * 100 + 57).await;
        }
    }
    let narrow = session.parse("explain select n from w where k = $1").expect("a statement").remove(0);
    let plan =
        rows(session.execute(&narrow, &[Value::from(7_i16)]).await.expect("a plan")).await.expect("rows");
    assert!(plan.iter().any(|line| line.contains("keys=[") && line.contains("k = Int32(7)")), "{plan:?}");
    let limited = session.parse("select k from w order by k, s limit $1").expect("a statement").remove(0);
    for count in [5_i64, 0, 9] {
        let found = session.execute(&limited, &[Value::from(count)]).await.expect("rows");
        assert_eq!(rows(found).await.expect("rows").len(), count as usize);
    }
    let wrong = session.parse("select n from w where k = $1").expect("a statement").remove(0);
    for _ in 0..2 {
        let error = session.execute(&wrong, &[Value::from("seven")]).await.expect_err("no number");
        assert_eq!(error.sqlstate(), "22P02");
        let found = session.execute(&wrong, &[Value::from("7")]).await.expect("rows");
        assert!(!rows(found).await.expect("rows").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_text_shows_each_new_epoch() {
    let (_directory, database) = database().await;
    let session = database.session();
    let texts = [
        "select sum(n)::bigint from w",
        "select count(*) from t",
        "select max(v) from t",
        "select v from t order by v desc limit 1",
        "select sum(a.n)::bigint from w a join w b on a.k = b.k and a.s = b.s",
        "select (select sum(n) from w)::bigint",
        "select n from w where k = 49 and s = 's5' order by n limit 1",
    ];
    let mut before = Vec::new();
    for round in 0..4 {
        let mut answers = Vec::new();
        for text in texts {
            let once = ask(&session, text).await.expect("rows");
            assert_eq!(once, ask(&session, &format!("{text} /* {round} */")).await.expect("rows"), "{text}");
            answers.push(once);
        }
        assert!(before.iter().zip(&answers).all(|(old, new)| old != new), "{before:?} {answers:?}");
        before = answers;
        let next = 1_000 + round * 400;
        fill(&session, next, next + 400).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_or_a_setting_makes_another_plan() {
    let (_directory, database) = database().await;
    let session = database.session();
    let text = "select * from w where k = 1 order by 1, 2 limit 1";
    assert_eq!(ask(&session, text).await.expect("rows"), ["1|s0|2|952"]);
    run(&session, "drop materialized view w").await.expect("dropped");
    assert_eq!(ask(&session, text).await.expect_err("it is gone").sqlstate(), "42P01");
    run(&session, "create materialized view w as select v % 3 k, min(v) least from t group by 1")
        .await
        .expect("w");
    for _ in 0..2 {
        assert_eq!(ask(&session, text).await.expect("rows"), ["1|1"]);
    }

    run(&session, "create materialized view views as select count(*) n from t").await.expect("views");
    let names = "select count(*) from views";
    assert_eq!(ask(&session, names).await.expect("rows"), ["1"]);
    run(&session, "set search_path = siltstone").await.expect("set");
    assert_eq!(ask(&session, names).await.expect("rows"), ["2"]);
    run(&session, "reset search_path").await.expect("reset");
    assert_eq!(ask(&session, names).await.expect("rows"), ["1"]);

    let name = "select current_setting('application_name')";
    run(&session, "set application_name = 'one'").await.expect("set");
    assert_eq!(ask(&session, name).await.expect("rows"), ["one"]);
    run(&session, "set application_name = 'two'").await.expect("set");
    assert_eq!(ask(&session, name).await.expect("rows"), ["two"]);
    let now = "select now()";
    assert_ne!(ask(&session, now).await.expect("rows"), ask(&session, now).await.expect("rows"));
}
