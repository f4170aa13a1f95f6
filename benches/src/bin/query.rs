//! `query`: the four questions of the ad challenge that a rollup covers, asked again and again of the views,
//! in process, as texts and prepared, beside DuckDB's tables of the same rollups in its process.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::io;
use std::process::ExitCode;

use arrow::record_batch::RecordBatch;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use siltstone::Siltstone;
use siltstone_benches::report::line;
use siltstone_benches::setting::{Setting, USAGE};
use siltstone_benches::stopwatch::timed;
use siltstone_benches::workload::Workload;

/// Name and text; the names are those of the peer's script.
const QUERIES: [(&str, &str); 4] = [
    ("q1", "SELECT day, bid_sum FROM day_type WHERE type = 'impression'"),
    (
        "q3",
        "SELECT country, total_sum / total_n AS average FROM country_type WHERE type = 'purchase' ORDER BY 2 DESC",
    ),
    ("q4", "SELECT advertiser_id, type, n FROM advertiser_type ORDER BY n DESC"),
    (
        "q5",
        "SELECT minute, bid_sum FROM minute_type WHERE type = 'impression' AND minute >= TIMESTAMP '2024-06-01' \
         AND minute < TIMESTAMP '2024-06-02' ORDER BY minute",
    ),
];

/// Times that each is asked, the first ones not counted.
const ROUNDS: usize = 200;
const WARM_UP: usize = 20;
/// A query that takes longer counts as one that takes a minute.
const QUERY_US_MAX: u64 = 60_000_000;

fn main() -> ExitCode {
    let setting = match Setting::from_arguments(std::env::args().skip(1)) {
        Ok(setting) => setting,
        Err(message) => {
            eprintln!("query: {message}\nusage: query {USAGE}");
            return ExitCode::from(2);
        }
    };
    match measure(&setting) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("query: {e}");
            ExitCode::FAILURE
        }
    }
}

fn measure(setting: &Setting) -> io::Result<()> {
    let workload = Workload::new(setting)?;
    let data = workload.data(0);
    workload.replay(&data)?;
    let db = Siltstone::open(&data).map_err(|e| io::Error::other(e.to_string()))?;
    let mut ours = Vec::new();
    for (name, sql) in QUERIES {
        let failed = |e: siltstone::Error| io::Error::other(format!("{name}: {e}"));
        let text = ask(|| db.query(sql).map_err(failed))?;
        let query = db.prepare(sql).map_err(failed)?;
        ours.push((text, ask(|| query.query(&[]).map_err(failed))?));
    }
    db.close();
    let theirs = workload.peer("query")?;
    let peer = theirs["engine"].as_str().unwrap_or_default();
    let mut figures = Map::new();
    for ((name, _), ((rows, times), (_, prepared))) in QUERIES.iter().zip(&ours) {
        let their_rows = theirs[name]["rows"].as_u64().unwrap_or_default();
        if *rows != their_rows {
            return Err(io::Error::other(format!("{name}: {rows} rows here, {their_rows} rows in {peer}")));
        }
        let (p50, p99) = (milliseconds(times, 0.5), milliseconds(times, 0.99));
        let (prepared_p50, prepared_p99) = (milliseconds(prepared, 0.5), milliseconds(prepared, 0.99));
        let number = |key: &str| theirs[name][key].as_f64().unwrap_or(f64::NAN);
        let (peer_p50, peer_p99) = (number("p50_ms"), number("p99_ms"));
        println!(
            "{name}: siltstone p50 {p50:.3} ms, p99 {p99:.3} ms, prepared {prepared_p50:.3} ms, \
             {prepared_p99:.3} ms; {peer} p50 {peer_p50:.3} ms, p99 {peer_p99:.3} ms; ratio {:.2}, prepared {:.2}",
            peer_p50 / p50,
            peer_p50 / prepared_p50,
        );
        let entry = json!({
            "p50_ms": p50, "p99_ms": p99, "peer_p50_ms": peer_p50, "peer_p99_ms": peer_p99, "ratio": peer_p50 / p50,
            "prepared_p50_ms": prepared_p50, "prepared_p99_ms": prepared_p99,
            "prepared_ratio": peer_p50 / prepared_p50,
        });
        figures.insert((*name).to_owned(), entry);
    }
    figures.insert("peer".to_owned(), peer.into());
    println!("{}", line("query", setting, Value::Object(figures)));
    Ok(())
}

/// How many rows the answer has, and how long each round took, in microseconds.
fn ask(question: impl Fn() -> io::Result<Vec<RecordBatch>>) -> io::Result<(u64, Histogram<u64>)> {
    // With bounds given: a histogram that grows by itself does not grow for `saturating_record`.
    let mut times = Histogram::new_with_bounds(1, QUERY_US_MAX, 3).expect("the bounds are in order");
    let mut rows = 0;
    for round in 0..WARM_UP + ROUNDS {
        let (answer, took) = timed(&question);
        rows = answer?.iter().map(|b| b.num_rows() as u64).sum();
        if round >= WARM_UP {
            times.saturating_record(took.as_micros() as u64);
        }
    }
    Ok((rows, times))
}

fn milliseconds(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}
