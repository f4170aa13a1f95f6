//! `query`: the four questions of the ad challenge that a rollup covers, asked again and again, one after the
//! other: in process as texts and prepared, and prepared over the wire from a client's process. The peer has
//! its own tables of the same rollups, sorted, and is asked in its process: as texts and prepared with the
//! answer in columns, and prepared with the answer as Python's rows, which is quicker for short ones.
//!
//! A closed loop: who asks waits for the answer, so there is no schedule that could be missed.

use std::io;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value, json};
use siltstone::Siltstone;

use crate::arena::{Arena, engine};
use crate::latency::Latency;
use crate::process::{Cost, own};
use crate::report::{median, publish, say};
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

/// Forms in which a question is asked; the last three are the peer's.
const FORMS: [&str; 6] = ["text", "prepared", "wire", "peer_text", "peer_prepared", "peer_rows"];
const PEER_FORMS: usize = 3;

/// The answers to one question in one form.
#[derive(Clone, Debug, Default)]
struct Asked {
    rows: u64,
    times: Latency,
}

impl Asked {
    fn told(line: &Value) -> Self {
        Self { rows: line["rows"].as_u64().unwrap_or_default(), times: Latency::told(&line["times_ns"]) }
    }

    /// Answers of another run.
    fn add(&mut self, other: Self) {
        self.rows = other.rows;
        self.times.add(&other.times);
    }

    fn p50(&self) -> f64 {
        self.times.quantile_ms(0.5)
    }
}

/// For each question, what each form of asking it came to.
type Answers = Vec<[Asked; FORMS.len()]>;

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let csv = arena.ads("csv")?;
    let data = arena.path("data");
    arena.run(&data, &ad("csv.sql"), &["-v", &format!("csv={csv}")])?;
    let sql: Map<String, Value> =
        QUERIES.into_iter().map(|(name, sql)| (name.to_owned(), sql.into())).collect();
    let questions = json!({ "rounds": ROUNDS, "warm_up": WARM_UP, "sql": sql });
    let questions = arena.file("questions.json", &questions.to_string())?;
    let questions = questions.to_string_lossy().into_owned();

    let mut answers: Answers = QUERIES.map(|_| Default::default()).to_vec();
    let (mut peer, mut costs, mut peer_costs) = (String::new(), Vec::new(), Vec::new());
    for run in 0..setting.runs {
        let (inside, cost) = own(|| in_process(&data))?;
        let wire = over_the_wire(&arena, &data, &questions)?;
        let (theirs, their_cost) = arena.peer("duckdb_ad.py", &["query", &csv, &questions])?;
        for ((name, _), (all, [text, prepared])) in QUERIES.iter().zip(answers.iter_mut().zip(inside)) {
            let told = &theirs["answers"][name];
            let forms = [
                text,
                prepared,
                Asked::told(&wire[name]),
                Asked::told(&told["text"]),
                Asked::told(&told["prepared"]),
                Asked::told(&told["rows"]),
            ];
            let words = FORMS.iter().zip(&forms).map(|(form, asked)| format!("{form} {:.3} ms", asked.p50()));
            say(&format!("query {name} run {}, p50: {}", run + 1, words.collect::<Vec<_>>().join(", ")));
            all.iter_mut().zip(forms).for_each(|(all, asked)| all.add(asked));
        }
        peer = engine(&theirs);
        costs.push(cost);
        // The tables are its memory; making them is not its time.
        peer_costs.push(Cost { peak_mb: their_cost.peak_mb, ..Cost::told(&theirs["asked"]) });
    }
    let mut figures = Map::new();
    for ((name, _), forms) in QUERIES.iter().zip(&answers) {
        figures.insert((*name).to_owned(), figure(name, forms, &peer)?);
    }
    figures.insert("siltstone".to_owned(), used(&costs));
    figures.insert("peer".to_owned(), used(&peer_costs));
    figures["peer"]["name"] = peer.into();
    publish("query", setting, Value::Object(figures))
}

/// One question's latencies, and the ratios of their medians.
fn figure(name: &str, forms: &[Asked; FORMS.len()], peer: &str) -> io::Result<Value> {
    let counts = forms.each_ref().map(|asked| asked.rows);
    if counts.iter().any(|rows| *rows != counts[0]) {
        return Err(io::Error::other(format!("{name}: the answers have {counts:?} rows")));
    }
    let (ours, theirs) = forms.split_at(FORMS.len() - PEER_FORMS);
    // The peer's quickest form, whichever that is, stands against each of ours.
    let quickest = theirs.iter().map(Asked::p50).fold(f64::INFINITY, f64::min);
    let mut figure = Map::new();
    let mut words = Vec::new();
    for (form, asked) in FORMS.iter().zip(forms) {
        figure.insert((*form).to_owned(), asked.times.line());
        words.push(format!("  {:14}{}", form.replace('_', " "), asked.times));
    }
    for ((form, asked), word) in FORMS.iter().zip(ours).zip(&mut words) {
        let ratio = quickest / asked.p50();
        figure.insert(format!("{form}_ratio"), ratio.into());
        *word += &format!(", ratio {ratio:.2}");
    }
    say(&format!("query {name}, beside {peer}:\n{}", words.join("\n")));
    Ok(Value::Object(figure))
}

/// What asking all questions in process cost, in the middle run.
fn used(costs: &[Cost]) -> Value {
    let middle = |field: fn(&Cost) -> f64| median(&costs.iter().map(field).collect::<Vec<_>>());
    json!({ "cpu_s": middle(|c| c.cpu_s), "peak_mb": middle(|c| c.peak_mb) })
}

/// Each question as text and prepared.
fn in_process(data: &Path) -> io::Result<Vec<[Asked; 2]>> {
    let db = Siltstone::open(data).map_err(io::Error::other)?;
    let mut asked = Vec::new();
    for (name, sql) in QUERIES {
        let failed = |e: siltstone::Error| io::Error::other(format!("{name}: {e}"));
        let text = ask(|| db.query(sql).map_err(failed))?;
        let query = db.prepare(sql).map_err(failed)?;
        asked.push([text, ask(|| query.query(&[]).map_err(failed))?]);
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
            asked.times.record(took);
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
