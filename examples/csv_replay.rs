//! Replaying CSV files into a rollup, and asking it.
//!
//! Run it: `cargo run --release -p siltstone-examples --bin example-csv-replay -- 'events/*.csv'`
//! (a column `country` and a column `price`; without an argument it writes a small file itself).
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::fs;
use std::time::Duration;

use arrow::util::pretty::pretty_format_batches;
use siltstone::Siltstone;

const SAMPLE: &str = "country,price\nJP,1.5\nDE,2.25\nJP,0.5\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let files = match std::env::args().nth(1) {
        Some(files) => files,
        None => {
            let file = dir.path().join("sample.csv");
            fs::write(&file, SAMPLE)?;
            file.display().to_string()
        }
    };
    let db = Siltstone::open(dir.path().join("data"))?;
    db.execute(&format!(
        "CREATE SOURCE sales (country VARCHAR, price DOUBLE PRECISION)
         WITH (connector = 'file', path = '{}', format = 'csv', header = true);
         CREATE MATERIALIZED VIEW countries AS
         SELECT country, count(*) AS n, sum(price) AS total FROM sales GROUP BY country",
        files.replace('\'', "''")
    ))?;
    while !db.wait_idle(Duration::from_secs(1))? {
        let rows: u64 = db.status().sources.iter().map(|s| s.rows).sum();
        println!("{rows} rows so far");
    }
    let rows = db.query("SELECT * FROM countries ORDER BY total DESC")?;
    println!("{}", pretty_format_batches(&rows)?);
    db.close();
    Ok(())
}
