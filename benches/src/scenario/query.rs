//! `query`: the four questions of the ad challenge that a rollup covers, asked again and again, one after the
//! other: in process as texts and prepared, and prepared over the wire from a client's process. The peer has
//! its own tables of the same rollups, sorted, and is asked in its process, as texts and prepared.
//!
//! A closed loop: who asks waits for the answer, so there is no schedule that could be missed.

use std::io;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value, json};
use siltstone::Siltstone;

use crate::arena::{Arena, engine};
use crate::latency::Latency;
use crate::report::{publish, say};
use crate::script::ad;
use crate::setting::Setting;
use crate::stopwatch::timed;

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

/// Times that each is asked in a run, and those before that do not count.
const ROUNDS: usize = 400;
const WARM_UP: usize = 40;

/// The answers to one question in one form.
#[derive(Debug, Default)]
struct Asked {
    rows: u64,
    times: Latency,
}

impl Asked {
    fn told(line: &Value) -> Self {
        Self { rows: line["rows"].as_u64().unwrap_or_default(), times: Latency::told(&line["times_us"]) }
    }
}

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let csv = arena.ads("csv")?;
    let data = arena.path("data");
    arena.run(&data, &ad("csv.sql"), &["-v", &format!("csv={csv}")])?;
    let questions = json!({ "rounds": ROUNDS, "warm_up": WARM_UP, "sql": Map::from_iter(QUERIES.map(|(n, q)| (n.to_owned(), q.into()))) });
    let questions = arena.file("questions.json", &questions.to_string())?;
    let questions = questions.to_string_lossy().into_owned();

    let inside = in_process(&data)?;
    let wire = over_the_wire(&arena, &data, &questions)?;
    let (theirs, _) = arena.peer("duckdb_ad.py", &["query", &csv, &questions])?;
    let peer = engine(&theirs);

    let mut figures = Map::from_iter([("peer".to_owned(), json!({ "name": peer }))]);
    for ((name, _), (text, prepared)) in QUERIES.iter().zip(&inside) {
        let wire = Asked::told(&wire[name]);
        let their = |form: &str| Asked::told(&theirs["answers"][name][form]);
        let (their_text, their_prepared) = (their("text"), their("prepared"));
        let all = [text, prepared, &wire, &their_text, &their_prepared];
        let counts = all.map(|asked| asked.rows);
        if counts.iter().any(|rows| *rows != counts[0]) {
            return Err(io::Error::other(format!("{name}: the answers have {counts:?} rows")));
        }
        let ratio =
            |ours: &Asked, theirs: &Asked| theirs.times.quantile_ms(0.5) / ours.times.quantile_ms(0.5);
        // The peer's quicker form, whichever that is, stands against each of ours.
        let forms = [&their_text, &their_prepared];
        let best = forms
            .into_iter()
            .min_by(|a, b| a.times.quantile_ms(0.5).total_cmp(&b.times.quantile_ms(0.5)))
            .expect("there are two");
        say(&format!("query {name}: text {}; prepared {}; wire {}", text.times, prepared.times, wire.times));
        say(&format!(
            "query {name}: {peer} text {}; prepared {}; ratio {:.2}, prepared {:.2}, wire {:.2}",
            their_text.times,
            their_prepared.times,
            ratio(text, best),
            ratio(prepared, best),
            ratio(&wire, best)
        ));
        let entry = json!({
            "text": text.times.line(), "prepared": prepared.times.line(), "wire": wire.times.line(),
            "peer_text": their_text.times.line(), "peer_prepared": their_prepared.times.line(),
            "ratio": ratio(text, best), "prepared_ratio": ratio(prepared, best), "wire_ratio": ratio(&wire, best),
        });
        figures.insert((*name).to_owned(), entry);
    }
    publish("query", setting, Value::Object(figures))
}

/// Each question as text and prepared.
fn in_process(data: &Path) -> io::Result<Vec<(Asked, Asked)>> {
    let db = Siltstone::open(data).map_err(io::Error::other)?;
    let mut asked = Vec::new();
    for (name, sql) in QUERIES {
        let failed = |e: siltstone::Error| io::Error::other(format!("{name}: {e}"));
        let text = ask(|| db.query(sql).map_err(failed))?;
        let query = db.prepare(sql).map_err(failed)?;
        asked.push((text, ask(|| query.query(&[]).map_err(failed))?));
    }
    db.close();
    Ok(asked)
}

fn ask(question: impl Fn() -> io::Result<Vec<RecordBatch>>) -> io::Result<Asked> {
    let mut asked = Asked::default();
    for round in 0..WARM_UP + ROUNDS {
        let (answer, took) = timed(&question);
        asked.rows = answer?.iter().map(|b| b.num_rows() as u64).sum();
        if round >= WARM_UP {
            asked.times.record(took.as_micros() as u64);
        }
    }
    Ok(asked)
}

/// Each question prepared, by a client of the server.
fn over_the_wire(arena: &Arena, data: &Path, questions: &str) -> io::Result<Value> {
    let port = arena.free_port()?;
    let server = arena.serve(data, port, &[])?;
    let (answers, _) = arena.peer("pg_ask.py", &[&port.to_string(), questions])?;
    drop(server);
    Ok(answers)
}
