//! The library, as another program uses it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use siltstone::Siltstone;

use crate::process::LIMIT;

const TABLES: &str = "CREATE TABLE hits (page VARCHAR, ms BIGINT) WITH (connector = 'push');
    CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS n, max(ms) AS ms FROM hits GROUP BY page";

fn open(dir: &std::path::Path) -> Siltstone {
    Siltstone::builder(dir).workers(1).epoch_interval(Duration::from_millis(20)).open().expect("it opens")
}

fn batch(ms: &[i64]) -> RecordBatch {
    let pages = Arc::new(StringArray::from(vec!["/"; ms.len()])) as _;
    let ms = Arc::new(Int64Array::from(ms.to_vec())) as _;
    RecordBatch::try_from_iter([("page", pages), ("ms", ms)]).expect("a batch")
}

fn count(rows: &[RecordBatch]) -> i64 {
    rows.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).sum()
}

#[test]
fn pushed_rows_are_counted_and_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = open(dir.path());
    assert_eq!(db.execute(TABLES).expect("defined").tags, ["CREATE TABLE", "CREATE MATERIALIZED VIEW"]);
    let hits = db.source("hits").expect("it is there");
    let tickets = [hits.push(batch(&[1, 2])).expect("pushed"), hits.push(batch(&[3])).expect("pushed")];
    hits.wait_for(&tickets, LIMIT).expect("durable");
    assert_eq!(count(&db.query("SELECT n FROM pages").expect("rows")), 3);
    assert!(db.source("nothing").is_err());
    assert_eq!(db.query("SELECT * FROM nothing").expect_err("no table").sqlstate(), "42P01");
    drop(hits);
    db.close();

    let again = open(dir.path());
    assert_eq!(count(&again.query("SELECT sum(n)::bigint FROM pages").expect("rows")), 3);
    assert_eq!(count(&again.query("SELECT count(*) FROM hits").expect("rows")), 3);
}

#[test]
fn a_prepared_query_answers_for_other_values_and_later_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = open(dir.path());
    db.execute(TABLES).expect("defined");
    let query = db.prepare("SELECT n FROM pages WHERE page = $1").expect("planned");
    let rows = |page: &str| count(&query.query(&[page.into()]).expect("rows"));
    assert_eq!((rows("/"), rows("/about")), (0, 0));
    db.execute("INSERT INTO hits VALUES ('/', 1), ('/', 2), ('/about', 3)").expect("inserted");
    assert_eq!((rows("/"), rows("/about")), (2, 1));
    assert_eq!(query.query(&[]).expect_err("a value is missing").sqlstate(), "42P02");
    assert_eq!(db.prepare("SELECT x FROM pages").map(|_| ()).expect_err("no column").sqlstate(), "42703");
    assert!(db.prepare("DROP TABLE hits").is_err() && db.prepare("SELECT 1; SELECT 2").is_err());
}

#[test]
fn calls_work_inside_a_runtime_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let db = open(dir.path());
        db.execute(TABLES).expect("defined");
        let hits = db.source("hits").expect("it is there");
        let ticket = hits.push_async(batch(&[7])).await.expect("pushed");
        hits.wait_for_async(&[ticket], LIMIT).await.expect("durable");
        assert_eq!(count(&db.query_async("SELECT n FROM pages").await.expect("rows")), 1);
        assert_eq!(count(&db.query("SELECT n FROM pages").expect("rows")), 1);
        assert_eq!(
            db.execute_async("INSERT INTO hits VALUES ('/', 1)").await.expect("inserted").tags,
            ["INSERT 0 1"]
        );
    });
}
