//! `compare`: two files of result lines, ratio by ratio. Ratios against a peer in the same run hold on another
//! machine, figures in seconds do not, so those are shown only where the machine is the same.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use crate::report::say;

/// Figures that are shown beside the ratios, where the machine is the same.
const ABSOLUTE: [&str; 5] = ["m_rows_s", "cpu_s", "peak_mb", "p50_ms", "p99_ms"];

/// What makes two lines comparable: the scenario, and how much was asked of it.
type Key = (String, String);

/// Says how each scenario that both files have compares; `false` if a ratio is worse by more than the
/// tolerance.
///
/// # Errors
/// If a file cannot be read, or they have no scenario in common.
pub fn compare(baseline: &Path, new: &Path, tolerance: f64) -> io::Result<bool> {
    let (old, new) = (lines(baseline)?, lines(new)?);
    let mut worse = Vec::new();
    let mut common = 0;
    for (key, old) in &old {
        let title = format!("{}, {}", key.0, key.1);
        let Some(new) = new.get(key) else {
            say(&format!("{title}: not measured again"));
            continue;
        };
        common += 1;
        let same_machine = old["machine"] == new["machine"];
        let elsewhere = if same_machine { "" } else { " (another machine: ratios only)" };
        say(&format!("{title}: {} → {}{elsewhere}", text(&old["commit"]), text(&new["commit"])));
        let (peer, new_peer) = (text(&old["peer"]["name"]), text(&new["peer"]["name"]));
        if peer != new_peer {
            say(&format!("  the peer was {peer} and is {new_peer}"));
        }
        let (old, new) = (numbers(old), numbers(new));
        for (name, was) in &old {
            let leaf = name.rsplit('.').next().unwrap_or_default();
            let Some(is) = new.get(name) else {
                if is_ratio(leaf) {
                    say(&format!("  {name:28} {was:9.2} → not measured again"));
                }
                continue;
            };
            if is_ratio(leaf) {
                let bad = *is < was * (1.0 - tolerance);
                let mark = if bad { "  WORSE" } else { "" };
                say(&format!("  {name:28} {was:9.2} → {is:9.2}{mark}"));
                if bad {
                    worse.push(format!("{title}: {name}"));
                }
            } else if same_machine && ABSOLUTE.contains(&leaf) {
                say(&format!("  {name:28} {was:9.3} → {is:9.3}"));
            }
        }
    }
    if common == 0 {
        return Err(io::Error::other("the files have no scenario of the same size in common"));
    }
    say(&format!("{} of the ratios worse by more than {tolerance}", worse.len()));
    Ok(worse.is_empty())
}

/// A field that is one is named so, and is better the greater it is.
fn is_ratio(name: &str) -> bool {
    name == "ratio" || name.ends_with("_ratio")
}

/// The last line of each scenario and size.
fn lines(path: &Path) -> io::Result<BTreeMap<Key, Value>> {
    let failed = |e: &dyn std::fmt::Display| io::Error::other(format!("{}: {e}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| failed(&e))?;
    let mut lines = BTreeMap::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let line: Value = serde_json::from_str(line).map_err(|e| failed(&e))?;
        let size =
            line.get("size").map_or_else(|| format!("{} rows", line["rows"]), |s| self::text(s).to_owned());
        lines.insert((self::text(&line["scenario"]).to_owned(), size), line);
    }
    Ok(lines)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

/// All numbers of a line, by their names with dots.
fn numbers(line: &Value) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), line)];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                let dot = if name.is_empty() { "" } else { "." };
                open.extend(fields.iter().map(|(key, value)| (format!("{name}{dot}{key}"), value)));
            }
            other => drop(other.as_f64().map(|number| found.insert(name, number))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(old: &str, new: &str) -> io::Result<bool> {
        let folder = tempfile::tempdir()?;
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, old)?;
        fs::write(&b, new)?;
        compare(&a, &b, 0.15)
    }

    #[test]
    fn a_worse_ratio_is_found_wherever_it_stands() {
        let line =
            |ratio: f64| format!(r#"{{"scenario":"x","rows":5,"commit":"c","q1":{{"wire_ratio":{ratio}}}}}"#);
        assert!(verdict(&line(2.0), &line(1.8)).expect("readable"));
        assert!(!verdict(&line(2.0), &line(1.6)).expect("readable"));
        assert!(verdict(&line(2.0), &line(9.0)).expect("readable"));
    }

    #[test]
    fn the_last_line_counts_and_other_sizes_do_not_compare() {
        let line =
            |rows: u32, ratio: f64| format!("{{\"scenario\":\"x\",\"rows\":{rows},\"ratio\":{ratio}}}\n");
        let twice = line(5, 1.0) + &line(5, 2.0);
        assert!(verdict(&line(5, 2.0), &twice).expect("readable"));
        assert!(verdict(&line(5, 2.0), &line(6, 2.0)).is_err());
    }
}
