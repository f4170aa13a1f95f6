//! Two sides that take turns at the same work, and what their runs come to.

use std::io;

use serde_json::{Value, json};

use crate::process::Cost;
use crate::report::{median, say};

/// The runs of both sides.
#[derive(Debug, Default)]
pub struct Race {
    scenario: String,
    peer: String,
    ours: Vec<Cost>,
    theirs: Vec<Cost>,
}

/// A peer's run: its name with version, and the cost.
pub type PeerRun = (String, Cost);

impl Race {
    /// Ours, theirs, ours, theirs, …: what slows the machine for a while slows both.
    ///
    /// # Errors
    /// Those of the runs.
    pub fn run(
        scenario: &str,
        runs: usize,
        mut ours: impl FnMut(usize) -> io::Result<Cost>,
        mut theirs: impl FnMut(usize) -> io::Result<Option<PeerRun>>,
    ) -> io::Result<Self> {
        let mut race = Self { scenario: scenario.to_owned(), ..Self::default() };
        for run in 0..runs {
            let cost = ours(run)?;
            race.ours.push(cost);
            let mut text = format!("{scenario} run {}: {}", run + 1, words("siltstone", &cost));
            if let Some((peer, cost)) = theirs(run)? {
                text += &format!("; {}", words(&peer, &cost));
                race.peer = peer;
                race.theirs.push(cost);
            }
            say(&text);
        }
        Ok(race)
    }

    /// Medians of both sides, and the ratios: above 1 is faster, or cheaper, than the peer. With rows there is
    /// a rate, too. Says them.
    pub fn figures(&self, rows: Option<u64>) -> Value {
        let ours = side(&self.ours, rows);
        let mut text = format!("{}: {}", self.scenario, speed("siltstone", &ours));
        let mut figures = json!({});
        if !self.theirs.is_empty() {
            let mut theirs = side(&self.theirs, rows);
            let ratio = |field: &str| number(&theirs, field) / number(&ours, field);
            let (time, cpu) = (ratio("seconds"), ratio("cpu_s"));
            text += &format!("; {}; ratio {time:.2}, of CPU time {cpu:.2}", speed(&self.peer, &theirs));
            theirs["name"] = self.peer.clone().into();
            figures = json!({ "peer": theirs, "ratio": time, "cpu_ratio": cpu });
        }
        figures["siltstone"] = ours;
        say(&text);
        figures
    }
}

fn words(name: &str, cost: &Cost) -> String {
    format!("{name} {}, CPU {}, {:.0} MB", span(cost.seconds), span(cost.cpu_s), cost.peak_mb)
}

/// The rate if there is one, else the time.
fn speed(name: &str, side: &Value) -> String {
    match side["m_rows_s"].as_f64() {
        Some(rate) => format!("{name} {rate:.3} M rows/s"),
        None => format!("{name} {}", span(number(side, "seconds"))),
    }
}

fn span(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

fn number(side: &Value, field: &str) -> f64 {
    side[field].as_f64().unwrap_or(f64::NAN)
}

fn side(runs: &[Cost], rows: Option<u64>) -> Value {
    let column = |field: fn(&Cost) -> f64| runs.iter().map(field).collect::<Vec<_>>();
    let seconds = column(|c| c.seconds);
    let middle = median(&seconds);
    json!({
        "seconds": middle,
        "seconds_min": seconds.iter().copied().fold(f64::INFINITY, f64::min),
        "seconds_max": seconds.iter().copied().fold(0.0, f64::max),
        "m_rows_s": rows.map(|rows| rows as f64 / middle / 1e6),
        "cpu_s": median(&column(|c| c.cpu_s)),
        "peak_mb": median(&column(|c| c.peak_mb)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_and_ratios_favour_the_faster() {
        let mut order = Vec::new();
        let cost = |seconds| Cost { seconds, cpu_s: seconds * 2.0, peak_mb: 1.0 };
        let log = std::cell::RefCell::new(&mut order);
        let race = Race::run(
            "x",
            2,
            |_| {
                log.borrow_mut().push("ours");
                Ok(cost(1.0))
            },
            |_| {
                log.borrow_mut().push("theirs");
                Ok(Some(("peer".to_owned(), cost(3.0))))
            },
        )
        .expect("nothing fails");
        assert_eq!(race.figures(Some(3_000_000))["ratio"], 3.0);
        assert_eq!(race.figures(Some(3_000_000))["peer"]["m_rows_s"], 1.0);
        assert_eq!(order, ["ours", "theirs", "ours", "theirs"]);
    }
}
