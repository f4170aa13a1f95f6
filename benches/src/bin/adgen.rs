//! `adgen`: writes seeded ad events of the year 2024 as CSV files, JSON lines, or both.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::process::ExitCode;

use siltstone_benches::ad::file::{Plan, write};

const USAGE: &str =
    "usage: adgen --rows N --out DIR [--files 49] [--format csv|jsonl|both] [--seed 1] [--spread]
Writes DIR/csv/events_NNNN.csv and DIR/jsonl/events_NNNN.jsonl, and DIR/manifest.json with exact totals.
File k holds the k-th slice of the year; with --spread every file spans all of it.";

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("adgen: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match write(&plan) {
        Ok(totals) => {
            println!("{}", serde_json::to_string(&totals).expect("totals are plain numbers"));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("adgen: writing to {}: {e}", plan.out.display());
            ExitCode::FAILURE
        }
    }
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let (mut rows, mut out) = (None, None);
    let (mut files, mut seed, mut format, mut spread) = (49, 1, "csv".to_owned(), false);
    while let Some(flag) = arguments.next() {
        if flag == "--spread" {
            spread = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.replace('_', "").parse::<u64>().map_err(|e| format!("{flag} {value}: {e}"));
        match flag.as_str() {
            "--rows" => rows = Some(number()?),
            "--out" => out = Some(value.into()),
            "--files" => files = number()?.max(1),
            "--seed" => seed = number()?,
            "--format" => format = value,
            _ => return Err(format!("unknown argument {flag}")),
        }
    }
    if !["csv", "jsonl", "both"].contains(&format.as_str()) {
        return Err(format!("unknown format {format}"));
    }
    Ok(Plan {
        rows: rows.ok_or("--rows is needed")?,
        out: out.ok_or("--out is needed")?,
        files,
        seed,
        csv: format != "jsonl",
        jsonl: format != "csv",
        spread,
    })
}
