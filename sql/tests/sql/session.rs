//! What a session keeps, and what is kept over a restart.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use siltstone_sql::{Answer, Value};

use crate::support::{ask, open, rows, run, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_and_rows_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let database = open(directory.path());
        database.engine().start(false).expect("started");
        let session = database.session();
        run(&session, "create table t (k varchar, v bigint, w bigint generated always as (v * 2))")
            .await
            .expect("t");
        run(&session, "create materialized view s as select k, sum(w) / count(*) as mean from t group by 1")
            .await
            .expect("s");
        run(&session, "insert into t values ('a', 1), ('a', 3), ('b', null)").await.expect("rows");
        database.engine().stop();
    }
    let database = open(directory.path());
    let session = database.session();
    assert_eq!(
        ask(&session, "select * from t order by k, v").await.expect("t"),
        ["a|1|2", "a|3|6", "b|NULL|NULL"]
    );
    assert_eq!(ask(&session, "select k, mean from s order by k").await.expect("s").len(), 2);
    let text = ask(&session, "show create s").await.expect("its text");
    assert!(text[0].contains("CREATE MATERIALIZED VIEW s AS SELECT"), "{text:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applying_a_definition_again_does_nothing_unless_it_differs() {
    let (_directory, database) = started();
    let session = database.session();
    let apply = async |sql: &str| {
        let statements = session.parse(sql).expect("a statement");
        session.apply(&statements[0]).await
    };
    let table = "create table t (k varchar, v int) with (connector = 'push')";
    apply(table).await.expect("created");
    let again = apply("CREATE TABLE t (k TEXT, v INTEGER)").await.expect("the same");
    assert_eq!(again.notices.len(), 1);
    let error = apply("create table t (k varchar, v bigint)").await.expect_err("another type");
    assert_eq!(error.sqlstate(), "42P07");
    assert!(error.message().contains("column v type changed from INTEGER to BIGINT"), "{error}");
    let error = apply("create source t (k varchar, v int) with (connector = 'count', rows = 5)")
        .await
        .expect_err("another kind");
    assert!(error.message().contains("TABLE → SOURCE"), "{error}");
    assert!(error.message().contains("connector push → count"), "{error}");

    apply("create materialized view v as select k, count(*) n from t group by k").await.expect("created");
    apply("create materialized view v as select k, count(*) AS n from t group by k").await.expect("the same");
    let error = apply("create materialized view v as select k, sum(v) n from t group by k")
        .await
        .expect_err("another query");
    assert!(error.message().contains("query text differs"), "{error}");
    let error = ask(&session, table).await.expect_err("a plain CREATE");
    assert_eq!(error.sqlstate(), "42P07");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_take_the_types_that_the_statement_gives_them() {
    let (_directory, database) = started();
    let session = database.session();
    run(&session, "create table t (k varchar, v int, at timestamp)").await.expect("t");
    let one = |sql: &str| session.parse(sql).expect("a statement").remove(0);
    let text = |value: &str| Value::Scalar(Arc::new(StringArray::from(vec![value])) as ArrayRef);

    let insert = one("insert into t (k, v, at) values ($1, $2, $3)");
    let described = session.describe(&insert, &[]).await.expect("described");
    assert_eq!(described.parameters[..2], [DataType::Utf8, DataType::Int32]);
    assert!(described.columns.is_none());
    let values = [text("a"), text("7"), text("2024-01-02 03:04:05")];
    session.execute(&insert, &values).await.expect("inserted");
    let values = [text("b"), Value::Scalar(Arc::new(Int64Array::from(vec![8]))), Value::Null];
    session.execute(&insert, &values).await.expect("inserted");

    let query = one("select k, at from t where v = $1");
    let described = session.describe(&query, &[]).await.expect("described");
    assert_eq!(described.parameters, [DataType::Int32]);
    let found = session.execute(&query, &[text("7")]).await.expect("rows");
    assert_eq!(rows(found).await.expect("rows"), ["a|2024-01-02T03:04:05"]);

    let bare = one("select $1");
    assert_eq!(session.describe(&bare, &[]).await.expect("described").parameters, [DataType::Utf8]);
    let found = session.execute(&bare, &[text("x")]).await.expect("rows");
    assert_eq!(rows(found).await.expect("rows"), ["x"]);
    let Err(error) = session.execute(&bare, &[]).await else { panic!("a value is missing") };
    assert_eq!(error.sqlstate(), "42P02");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_stays_with_its_session() {
    let (_directory, database) = started();
    let (one, other) = (database.session(), database.session());
    run(&one, "set application_name = 'one'; set statement_timeout = '2s'").await.expect("set");
    assert_eq!(one.setting("APPLICATION_NAME").as_deref(), Some("one"));
    assert_eq!(other.setting("application_name").as_deref(), Some(""));
    assert_eq!(one.statement_timeout().map(|t| t.as_secs()), Some(2));
    assert!(other.statement_timeout().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_points_at_its_place() {
    let (_directory, database) = started();
    let session = database.session();
    let error = session.parse("select 1;\nselect (1 frm t)").expect_err("no syntax");
    assert_eq!((error.sqlstate(), error.position()), ("42601", Some(21)));
    run(&session, "create table t (country varchar)").await.expect("t");
    let error = ask(&session, "select 1; select contry from t").await.expect_err("a typo");
    assert_eq!((error.sqlstate(), error.position()), ("42703", Some(18)));
    assert_eq!(error.hint(), Some("did you mean \"country\"?"));
}

#[allow(clippy::disallowed_methods, reason = "a second client of the test, joined below")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_of_a_query_shows_the_same_epoch() {
    let (_directory, database) = started();
    let session = database.session();
    run(&session, "create table t (k int)").await.expect("t");
    run(&session, "create materialized view a as select k, count(*) n from t group by k").await.expect("a");
    run(&session, "create materialized view b as select count(*) n from t").await.expect("b");
    let writer = {
        let session = database.session();
        tokio::task::spawn(async move {
            for round in 0..30 {
                run(&session, &format!("insert into t values ({round}), ({round}), ({})", round % 5))
                    .await
                    .expect("rows");
            }
        })
    };
    for _ in 0..60 {
        let sums = ask(&session, "select (select sum(n) from a) - (select sum(n) from b), count(*) from t");
        let sums = sums.await.expect("rows");
        assert!(sums[0].starts_with("0|") || sums[0].starts_with("NULL|"), "{sums:?}");
    }
    writer.await.expect("no panic");
    let outcome = run(&session, "select n from b").await.expect("rows");
    assert!(outcome.epoch.is_some());
    assert!(matches!(outcome.result, Answer::Rows { .. }));
    assert_eq!(rows(outcome).await.expect("rows"), ["90"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_fails_half_way_leaves_nothing() {
    let (_directory, database) = started();
    let session = database.session();
    run(&session, "create table t (k bigint)").await.expect("t");
    // The division fails in the last of many batches.
    let sql = "insert into t select 1000000 / (50000 - x) from generate_series(1, 50000) s(x)";
    let error = ask(&session, sql).await.expect_err("a division by zero");
    assert_eq!(error.sqlstate(), "22012", "{error}");
    run(&session, "insert into t values (-1)").await.expect("a row");
    assert_eq!(ask(&session, "select * from t").await.expect("rows"), ["-1"]);
    let outcome = run(&session, "insert into t select x from generate_series(1, 50000) s(x)").await;
    assert_eq!(rows(outcome.expect("rows")).await.expect("a tag"), ["INSERT 0 50000"]);
    assert_eq!(ask(&session, "select count(*), sum(k) from t").await.expect("rows"), ["50001|1250024999"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_is_too_large_is_refused_whole() {
    let (_directory, database) = started();
    let session = database.session();
    run(&session, "create table t (k bigint)").await.expect("t");
    let sql = "insert into t select x from generate_series(1, 2000000) s(x)";
    let error = ask(&session, sql).await.expect_err("too many rows");
    assert_eq!(error.sqlstate(), "54000", "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("WHERE")), "{:?}", error.hint());
    run(&session, "insert into t values (-1)").await.expect("a row");
    assert_eq!(ask(&session, "select * from t").await.expect("rows"), ["-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applying_again_takes_over_what_may_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = |pace: &str, rows: u32| {
        format!("create source s (n bigint) with (connector = 'count', rows = {rows}, pace = '{pace}')")
    };
    {
        let database = open(directory.path());
        let session = database.session();
        let apply = async |sql: &str| session.apply(&session.parse(sql).expect("a statement")[0]).await;
        apply(&text("slow", 10)).await.expect("created");
        apply("create materialized view v as select count(*) as n from s").await.expect("created");
        database.engine().start(false).expect("started");
        crate::support::settled(&database).await;
        let outcome = apply(&text("fast", 10)).await.expect("taken over");
        assert!(outcome.notices[0].message.contains("option pace 'slow' → 'fast'"), "{:?}", outcome.notices);
        let error = apply(&text("slow", 11)).await.expect_err("other rows");
        assert!(error.message().contains("option rows '10' → '11'"), "{error}");
        assert_eq!(apply(&text("fast", 10)).await.expect("the same").notices.len(), 1);
        assert_eq!(ask(&session, "select n from v").await.expect("n"), ["10"]);
        database.engine().stop();
    }
    let database = open(directory.path());
    let shown = ask(&database.session(), "show create s").await.expect("its text");
    assert!(shown[0].contains("'fast'"), "{shown:?}");
}
