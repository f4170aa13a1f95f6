//! Live aggregates inside a web service: each request's row is durable before it is answered, and the rollup
//! is current with it. `record` and `slowest` are what the service's handlers would call.
//!
//! Run it: `cargo run --release -p siltstone-examples --bin example-web-service`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use siltstone::{Siltstone, SourceHandle};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS hits (page VARCHAR, ms BIGINT) WITH (connector = 'push');
    CREATE MATERIALIZED VIEW IF NOT EXISTS pages AS
    SELECT page, count(*) AS n, avg(ms) AS mean_ms, max(ms) AS max_ms FROM hits GROUP BY page";

/// Handler of `POST /hit`: returns when the row would survive a crash.
fn record(hits: &SourceHandle, page: &str, ms: i64) -> Result<()> {
    let page = Arc::new(StringArray::from(vec![page])) as _;
    let ms = Arc::new(Int64Array::from(vec![ms])) as _;
    let ticket = hits.push(RecordBatch::try_from_iter([("page", page), ("ms", ms)])?)?;
    hits.wait_for(&[ticket], Duration::from_secs(10))?;
    Ok(())
}

/// Handler of `GET /slowest`.
fn slowest(db: &Siltstone) -> Result<String> {
    let rows = db.query("SELECT page, n, mean_ms, max_ms FROM pages ORDER BY max_ms DESC LIMIT 10")?;
    Ok(pretty_format_batches(&rows)?.to_string())
}

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let db = Siltstone::builder(dir.path()).epoch_interval(Duration::from_millis(20)).open()?;
    db.execute(TABLES)?;
    let hits = db.source("hits")?;
    for (page, ms) in [("/", 12), ("/cart", 80), ("/", 9), ("/pay", 310)] {
        record(&hits, page, ms)?;
    }
    println!("{}", slowest(&db)?);
    db.close();
    Ok(())
}
