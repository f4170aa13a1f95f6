//! Whatever moves from the store to files, and is written anew there, answers stay the same.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use siltstone::Siltstone;

/// Schedules that are tried, if `SILTSTONE_SCHEDULES` does not say another number.
const SCHEDULES: u64 = 10;

const QUERIES: usize = 200;

/// Steps of a schedule at most.
const STEPS_MAX: u64 = 4;

/// Schedules over one directory: its rows become more with each, and so does what the queries take.
const SCHEDULES_OF_ONE: u64 = 25;

const TABLES: &str = "
    CREATE TABLE facts (at TIMESTAMP, k VARCHAR, n BIGINT, x DOUBLE PRECISION) PARTITION BY (day(at));
    CREATE MATERIALIZED VIEW by_minute AS SELECT date_trunc('minute', at) AS minute, k, count(*) AS c,
        sum(n) AS n_sum, sum(x) AS x_sum, min(x) AS x_min, max(n) AS n_max, avg(x) AS x_avg
        FROM facts GROUP BY 1, 2;
    CREATE MATERIALIZED VIEW by_k_day AS SELECT k, date_trunc('day', at) AS day, count(x) AS c, avg(n) AS n_avg,
        sum(x) AS x_sum FROM facts GROUP BY 1, 2;
    CREATE MATERIALIZED VIEW by_k AS SELECT k, count(*) AS c, sum(x) AS x_sum FROM facts GROUP BY k;
    CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS c, sum(n) AS n_sum, max(k) AS k_max FROM facts";

/// Marsaglia's xorshift, seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn of<'v>(&mut self, values: &[&'v str]) -> &'v str {
        values[self.below(values.len() as u64) as usize]
    }
}

fn open(dir: &Path, lake_interval: Duration) -> Siltstone {
    let builder = Siltstone::builder(dir).workers(1).epoch_interval(Duration::from_millis(20));
    builder.lake_interval(lake_interval).lake_snapshots(3).open().expect("it opens")
}

/// Rows of the last days and some that are up to 400 days late; NULLs among them.
fn insert(db: &Siltstone, random: &mut Random) -> u64 {
    let rows = 1 + random.below(30);
    let mut text = String::from("INSERT INTO facts VALUES ");
    for row in 0..rows {
        let late = if random.below(10) == 0 { random.below(400 * 1440) } else { random.below(3 * 1440) };
        let minute = 29_600_000 - late;
        let k = match random.below(8) {
            0 => "NULL".to_owned(),
            k => format!("'k{k}'"),
        };
        let x = if random.below(5) == 0 {
            "NULL".to_owned()
        } else {
            format!("{}.{:02}", random.below(50), random.below(100))
        };
        let comma = if row > 0 { ", " } else { "" };
        let (seconds, n) = (minute * 60 + random.below(60), random.below(1000));
        write!(text, "{comma}(to_timestamp({seconds})::timestamp, {k}, {n}, {x})").expect("it is a string");
    }
    db.execute(&text).expect("inserted");
    rows
}

fn queries(random: &mut Random) -> Vec<String> {
    let query = |random: &mut Random| {
        let day = format!("TIMESTAMP '2026-04-{:02} 00:00:00'", 1 + random.below(14));
        match random.below(7) {
            0 => format!(
                "SELECT * FROM by_minute WHERE minute {} {day} ORDER BY 1, 2",
                random.of(&["<", ">=", "="])
            ),
            1 => format!("SELECT * FROM by_minute WHERE k = 'k{}' ORDER BY 1, 2", random.below(9)),
            2 => format!(
                "SELECT date_trunc('{}', minute) AS m, sum(c), sum(n_sum), min(x_min) FROM by_minute GROUP BY 1 ORDER BY 1",
                random.of(&["hour", "day", "month"])
            ),
            3 => format!("SELECT * FROM by_k_day WHERE day >= {day} ORDER BY 1, 2"),
            4 => "SELECT * FROM by_k, whole ORDER BY 1".to_owned(),
            5 => format!(
                "SELECT k, count(*), count(x), sum(n), min(x), max(at) FROM facts WHERE at < {day} GROUP BY k ORDER BY k"
            ),
            _ => format!("SELECT * FROM facts WHERE n % 97 = {} ORDER BY 1, 2, 3, 4", random.below(97)),
        }
    };
    (0..QUERIES).map(|_| query(random)).collect()
}

fn answers(db: &Siltstone, queries: &[String]) -> Vec<String> {
    let text = |rows: Vec<RecordBatch>| pretty_format_batches(&rows).expect("prints").to_string();
    let ask = |query: &String| text(db.query(query).unwrap_or_else(|e| panic!("{query}: {e}")));
    queries.iter().map(ask).collect()
}

#[test]
fn answers_stay_the_same_whatever_is_pressed_merged_expired_or_opened_again() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let schedules = number("SILTSTONE_SCHEDULES").unwrap_or(SCHEDULES);
    let seed = number("SILTSTONE_SEED").unwrap_or(0x5117_5708_0000_0001);
    println!("seed {seed}, {schedules} schedules of {QUERIES} queries");
    let mut random = Random(seed);
    let queries = queries(&mut random);
    let never = Duration::from_secs(3600);
    let begin = || {
        let dir = tempfile::tempdir().expect("a directory");
        let db = open(dir.path(), never);
        db.execute(TABLES).expect("defined");
        (dir, db)
    };
    let (mut dir, mut db) = begin();
    let mut rows = 0;
    for schedule in 0..schedules {
        if schedule > 0 && schedule % SCHEDULES_OF_ONE == 0 {
            db.close();
            (dir, db) = begin();
            rows = 0;
        }
        for _ in 0..=random.below(4) {
            rows += insert(&db, &mut random);
        }
        let before = answers(&db, &queries);
        let mut steps = Vec::new();
        for _ in 0..=random.below(STEPS_MAX) {
            let name = random.of(&["facts", "by_minute", "by_k_day", "by_k", "whole"]);
            let step = match random.below(6) {
                0 => "OPTIMIZE".to_owned(),
                1 | 2 => format!("OPTIMIZE {name}"),
                3 => format!("ALTER TABLE {name} EXPIRE SNAPSHOTS RETAIN LAST 1").replace(
                    "ALTER TABLE",
                    if name == "facts" { "ALTER TABLE" } else { "ALTER MATERIALIZED VIEW" },
                ),
                4 => "open".to_owned(),
                _ => "open, pressing in the background".to_owned(),
            };
            if step.starts_with("open") {
                db.close();
                let interval = if step == "open" { never } else { Duration::from_millis(100) };
                db = open(dir.path(), interval);
            } else if let Err(error) = db.execute(&step) {
                assert!(step.contains("EXPIRE"), "{step}: {error}");
                assert_eq!(error.sqlstate(), "42704", "there is no table before the first press: {error}");
            }
            steps.push(step);
        }
        for ((before, after), query) in before.iter().zip(answers(&db, &queries)).zip(&queries) {
            assert!(
                *before == after,
                "seed {seed}, schedule {schedule}: {steps:?}: {query}\n{before}\n{after}"
            );
        }
        let count = db.query("SELECT c, (SELECT count(*) FROM facts) AS f FROM whole").expect("counted");
        let count = pretty_format_batches(&count).expect("prints").to_string();
        assert!(count.contains(&format!("| {rows} | {rows} |")), "{rows} rows: {count}");
    }
}

#[test]
fn a_ladder_keeps_each_view_as_long_as_its_grain_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = open(dir.path(), Duration::from_hours(1));
    let defined = db.execute(
        "CREATE TABLE facts (at TIMESTAMP) WITH (retain = 'raw 2 days, minute 10 days, day forever');
        CREATE MATERIALIZED VIEW by_minute AS SELECT date_trunc('minute', at) AS t, count(*) AS c FROM facts GROUP BY 1;
        CREATE MATERIALIZED VIEW by_week AS SELECT date_trunc('week', at) AS t, count(*) AS c FROM facts GROUP BY 1;
        CREATE MATERIALIZED VIEW own WITH (retain = '5 days')
            AS SELECT date_trunc('minute', at) AS t, count(*) AS c FROM facts GROUP BY 1;
        INSERT INTO facts SELECT to_timestamp(1700000000 + 86400 * i)::timestamp FROM generate_series(1, 30) AS s(i)",
    );
    defined.expect("defined");
    let count = |relation: &str, sum: &str| {
        let rows = db.query(&format!("SELECT {sum} FROM {relation}")).expect("an answer");
        pretty_format_batches(&rows).expect("a table").to_string()
    };
    // Rows themselves, and not what a view knows of those that are forgotten.
    let rows = "(SELECT at FROM facts LIMIT 1000) AS f";
    let before = count(rows, "count(*)::bigint");
    db.execute("OPTIMIZE").expect("pressed");
    assert_eq!(count("by_week", "sum(c)::bigint AS count"), before.replace("count(*)", "count"));
    let kept: Vec<String> = [(rows, "count(*)"), ("by_minute", "sum(c)"), ("own", "sum(c)")]
        .map(|(relation, sum)| count(relation, &format!("{sum}::bigint AS n")))
        .into();
    for (text, days) in kept.iter().zip([3, 11, 6]) {
        assert!(text.contains(&format!("| {days} ")), "{text}");
    }
    let refused = db
        .execute("CREATE MATERIALIZED VIEW w WITH (retain = 'day 1 day') AS SELECT count(*) AS c FROM facts");
    assert_eq!(refused.map(drop).expect_err("a ladder of a view").sqlstate(), "22023");
}

#[test]
fn floats_that_json_has_no_numbers_for_are_pressed_and_read_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let never = Duration::from_hours(1);
    let db = open(dir.path(), never);
    let made = db.execute(
        "CREATE TABLE facts (k BIGINT, x DOUBLE PRECISION);
        CREATE MATERIALIZED VIEW sums AS SELECT k, sum(x) AS s FROM facts GROUP BY k;
        INSERT INTO facts VALUES (1, 'NaN'), (2, 'Infinity'), (3, '-Infinity'), (4, 1.5);
        OPTIMIZE",
    );
    made.expect("pressed");
    let answers = |db: &Siltstone| {
        let asked = [
            "SELECT k, max(x) AS x FROM facts WHERE k > 0 GROUP BY k ORDER BY k",
            "SELECT k, s FROM sums ORDER BY k",
            "SELECT count(*) AS n, max(k) AS k FROM facts WHERE x > 2",
        ];
        asked.map(|sql| pretty_format_batches(&db.query(sql).expect(sql)).expect("a table").to_string())
    };
    let before = answers(&db);
    assert!(before[2].contains("| 2 | 2 |"), "NaN is above all numbers: {}", before[2]);
    db.close();
    let db = open(dir.path(), never);
    assert_eq!(answers(&db), before);
}
