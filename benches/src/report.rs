//! Result lines: a scenario's figures with what one must know to judge them, and how repeated runs become one
//! figure.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::process::Command;

use serde_json::{Value, json};

use crate::setting::Setting;

/// Something for whoever watches.
#[allow(clippy::print_stdout, reason = "a benchmark talks to its terminal")]
pub fn say(text: &str) {
    println!("{text}");
}

/// The middle of an odd number of runs; the lower of the two middles of an even number.
///
/// # Panics
/// If there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

/// Prints the result line, and adds it to the file that was asked for.
///
/// # Errors
/// If that file cannot be written.
pub fn publish(scenario: &str, setting: &Setting, figures: Value) -> io::Result<()> {
    let line = line(scenario, setting, figures);
    say(&line);
    let Some(path) = &setting.out else { return Ok(()) };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}")
}

/// One JSON line: the scenario's figures, and commit, machine, rows and seed.
fn line(scenario: &str, setting: &Setting, figures: Value) -> String {
    let mut line = json!({
        "scenario": scenario,
        "commit": commit(),
        "machine": machine(),
        "rows": setting.rows,
        "runs": setting.runs,
        "seed": setting.seed,
    });
    if let (Value::Object(line), Value::Object(figures)) = (&mut line, figures) {
        line.extend(figures);
    }
    line.to_string()
}

/// The commit that is checked out, marked when files differ from it.
fn commit() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = output
        .ok()
        .filter(|o| o.status.success())
        .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}

/// The processor's name and how many of its cores there are.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")).and_then(|l| l.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} x{cores}", name.unwrap_or("unknown processor"))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_run() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 1.0);
    }
}
