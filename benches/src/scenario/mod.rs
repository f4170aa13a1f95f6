//! What is measured: one module for each scenario.

mod freshness;
mod json;
mod keys;
mod live;
mod push;
mod query;
mod replay;
mod restart;

use std::io;

use crate::setting::Setting;

/// See the module.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    /// Rows if none are asked for: few, for a run of seconds.
    pub rows: u64,
    /// The flags that are its own.
    pub flags: &'static [&'static str],
    measure: fn(&Setting) -> io::Result<()>,
}

/// In the order in which `bench all` runs them.
pub const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "replay",
        about: "CSV files become ten rollups; beside DuckDB",
        rows: 2_450_000,
        flags: &["--spread", "--keep"],
        measure: replay::measure,
    },
    Scenario {
        name: "json",
        about: "the same from JSON lines",
        rows: 1_000_000,
        flags: &[],
        measure: json::measure,
    },
    Scenario {
        name: "push",
        about: "rows handed in by this process become four rollups, durable; beside DuckDB in process, in memory",
        rows: 1_000_000,
        flags: &[],
        measure: push::measure,
    },
    Scenario {
        name: "live",
        about: "a Kafka topic becomes four rollups, and how old what one sees is; beside Flink if asked",
        rows: 500_000,
        flags: &["--peer", "--seconds", "--rate"],
        measure: live::measure,
    },
    Scenario {
        name: "keys",
        about: "a rollup of more groups than caches hold; beside DuckDB with the same memory",
        rows: 2_000_000,
        flags: &["--keys", "--memory"],
        measure: keys::measure,
    },
    Scenario {
        name: "query",
        about: "four questions of the rollups, in process and over the wire; beside DuckDB's tables of them",
        rows: 2_450_000,
        flags: &[],
        measure: query::measure,
    },
    Scenario {
        name: "restart",
        about: "from the start of the server to its first right answer; beside DuckDB opening its file",
        rows: 1_000_000,
        flags: &[],
        measure: restart::measure,
    },
];

/// The scenario of that name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|s| s.name == name)
}

impl Scenario {
    /// Measures it and publishes its lines.
    ///
    /// # Errors
    /// What went wrong; nothing of it is published then.
    pub fn run(&self, setting: &Setting) -> io::Result<()> {
        let mut setting = setting.clone();
        if setting.rows == 0 {
            setting.rows = self.rows;
        }
        (self.measure)(&setting)
    }
}
