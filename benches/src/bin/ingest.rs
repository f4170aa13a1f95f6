//! `ingest`: historical CSV becomes the ten ad rollups, in Siltstone (durable, exactly once) and in DuckDB
//! (in memory: one scan of the needed columns, four GROUP BYs, the six coarser rollups from the finer
//! ones), both as whole processes, taking turns.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::io;
use std::process::ExitCode;

use serde_json::json;
use siltstone_benches::report::{line, median};
use siltstone_benches::setting::{Setting, USAGE};
use siltstone_benches::stopwatch::timed;
use siltstone_benches::workload::Workload;

fn main() -> ExitCode {
    let setting = match Setting::from_arguments(std::env::args().skip(1)) {
        Ok(setting) => setting,
        Err(message) => {
            eprintln!("ingest: {message}\nusage: ingest {USAGE}");
            return ExitCode::from(2);
        }
    };
    match measure(&setting) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ingest: {e}");
            ExitCode::FAILURE
        }
    }
}

fn measure(setting: &Setting) -> io::Result<()> {
    let workload = Workload::new(setting)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut peer = String::new();
    for run in 0..setting.runs {
        let (done, took) = timed(|| workload.replay(&workload.data(run)));
        done?;
        ours.push(took.as_secs_f64());
        let (answer, took) = timed(|| workload.peer("ingest"));
        peer = answer?["engine"].as_str().unwrap_or_default().to_owned();
        theirs.push(took.as_secs_f64());
        println!("run {}: siltstone {:.2} s, {peer} {:.2} s", run + 1, ours[run], theirs[run]);
    }
    let (siltstone_s, peer_s) = (median(&ours), median(&theirs));
    let rows = setting.rows as f64;
    println!(
        "ingest: siltstone {:.2} M rows/s, {peer} {:.2} M rows/s, ratio {:.2}",
        rows / siltstone_s / 1e6,
        rows / peer_s / 1e6,
        peer_s / siltstone_s
    );
    let figures = json!({
        "siltstone_s": siltstone_s,
        "peer": peer,
        "peer_s": peer_s,
        "ratio": peer_s / siltstone_s,
    });
    println!("{}", line("ingest", setting, figures));
    Ok(())
}
