//! `keys`: a rollup with many groups, whose probes miss the caches and whose states do not fit in memory, beside
//! one of a thousand groups over as many rows. Both sides read the same CSV within the same memory limit and
//! end with the rollup on disk; the peer's is in a database file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::replay::whole_number;
use crate::arena::{Arena, engine};
use crate::race::Race;
use crate::report::{publish, say};
use crate::setting::Setting;

/// Groups of the run that the other is compared with: their states stay in the first cache.
const FEW: u64 = 1_000;
/// A prime: times this, row numbers come to all keys, in no order.
const STRIDE: u64 = 2_654_435_761;

pub const SCRIPT: &str = "CREATE SOURCE pairs (k BIGINT NOT NULL, v BIGINT)
WITH (connector = 'file', path = :'csv', format = 'csv', header = true);

CREATE MATERIALIZED VIEW by_key AS
SELECT k, count(*) AS n, sum(v) AS s, max(v) AS most FROM pairs GROUP BY k;
";

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let many = setting.keys.unwrap_or(setting.rows / 4 * 3).max(1);
    let few = race(&arena, FEW)?;
    let mut figures = race(&arena, many)?;
    let seconds = |figures: &Value| figures["siltstone"]["seconds"].as_f64().unwrap_or(f64::NAN);
    let slower = seconds(&figures) / seconds(&few);
    say(&format!("keys: {many} keys take {slower:.2} times as long as {FEW}"));
    figures["few"] = few;
    figures["slower_than_few"] = slower.into();
    figures["size"] = format!("{} rows, {many} keys, {}", setting.rows, setting.memory).into();
    publish("keys", setting, figures)
}

fn race(arena: &Arena, keys: u64) -> io::Result<Value> {
    let setting = &arena.setting;
    let csv = arena.path("pairs.csv");
    write(&csv, setting.rows, keys, setting.seed)?;
    let (script, csv) = (arena.file("keys.sql", SCRIPT)?, csv.to_string_lossy().into_owned());
    let race = Race::run(
        &format!("keys {keys}"),
        setting.runs,
        |_| {
            let csv = format!("csv={csv}");
            arena.run(&arena.fresh("data")?, &script, &["--memory", &setting.memory, "-v", &csv])
        },
        |run| {
            let file = arena.fresh("keys.db")?;
            let arguments = ["load", &csv, &file.to_string_lossy(), setting.memory.as_str()];
            let (line, cost) = arena.peer("duckdb_keys.py", &arguments)?;
            if run == 0 {
                agree(arena, &line)?;
            }
            Ok(Some((engine(&line), cost)))
        },
    )?;
    Ok(race.figures(Some(setting.rows)))
}

fn agree(arena: &Arena, line: &Value) -> io::Result<()> {
    let sql = "SELECT count(*) AS groups, sum(n) AS events, sum(s) AS total FROM by_key";
    let ours = arena.ask(&arena.path("data"), sql)?;
    let ours = ours.first().ok_or_else(|| io::Error::other("the view gives no totals"))?;
    // The peer's columns are counted by its own query, in a process of its own: it is not in the figures.
    let theirs = arena.peer("duckdb_keys.py", &["totals", &arena.path("keys.db").to_string_lossy()])?.0;
    for field in ["groups", "events", "total"] {
        let (our, their) = (whole_number(&ours[field]), whole_number(&theirs[field]));
        if our.is_none() || our != their {
            return Err(io::Error::other(format!("{field}: {our:?} here, {their:?} in {}", engine(line))));
        }
    }
    Ok(())
}

/// The key of that number: distinct ones, spread over all of 64 bits.
pub fn key(number: u64, seed: u64) -> i64 {
    // Each step can be undone, so that no two numbers meet: the end of SplitMix64.
    let mut z = number.wrapping_add(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ z >> 31) as i64
}

/// Row `i` has the key of number `i · STRIDE mod keys` and the value `i mod 1000`.
pub fn write(path: &Path, rows: u64, keys: u64, seed: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(b"k,v\n")?;
    for row in 0..rows {
        let number = (u128::from(row) * u128::from(STRIDE) % u128::from(keys)) as u64;
        writeln!(out, "{},{}", key(number, seed), row % 1000)?;
    }
    out.flush()
}

/// What the rollup of rows that are all of different keys must answer for the row of that number.
pub fn answer(row: u64) -> Value {
    json!({ "n": 1, "s": row % 1000 })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn as_many_keys_as_were_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pairs.csv");
        write(&path, 10_000, 3_000, 7).expect("written");
        let text = std::fs::read_to_string(path).expect("written");
        let keys: BTreeSet<_> = text.lines().skip(1).filter_map(|l| l.split(',').next()).collect();
        assert_eq!((text.lines().count(), keys.len()), (10_001, 3_000));
    }
}
