//! The ad workload as both sides run it: made-up files, the SQL of `examples/ad`, and the peer's script.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::ad::file::{Plan, write};
use crate::setting::Setting;

/// Files that the rows are spread over, as in the public challenge.
const FILES: u64 = 49;

/// The events of one measurement, in a folder of their own.
#[derive(Debug)]
pub struct Workload {
    setting: Setting,
    folder: tempfile::TempDir,
}

impl Workload {
    /// Writes the events.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn new(setting: &Setting) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let plan = Plan {
            rows: setting.rows,
            files: FILES,
            seed: setting.seed,
            out: folder.path().to_owned(),
            csv: true,
            jsonl: false,
            spread: false,
        };
        write(&plan)?;
        Ok(Self { setting: setting.clone(), folder })
    }

    /// An empty data directory for a run of that number.
    pub fn data(&self, run: usize) -> PathBuf {
        self.folder.path().join(format!("data-{run}"))
    }

    /// Replays the files into the ten rollups with the binary; its words go to a log beside the data.
    ///
    /// # Errors
    /// If it does not end with success.
    pub fn replay(&self, data: &Path) -> io::Result<()> {
        let log = File::create(self.folder.path().join("run.log"))?;
        let status = Command::new(&self.setting.siltstone)
            .args(["run", "--data"])
            .arg(data)
            .arg("-v")
            .arg(format!("csv={}", self.csv()))
            .arg(repository().join("examples/ad/csv.sql"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()?;
        if status.success() {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.folder.path().join("run.log"))?;
        Err(io::Error::other(format!("siltstone run: {status}: {log}")))
    }

    /// Runs the peer's script on the same files; its last line is JSON.
    ///
    /// # Errors
    /// If it does not end with success.
    pub fn peer(&self, mode: &str) -> io::Result<Value> {
        let output = Command::new(&self.setting.python)
            .arg(repository().join("benches/peer/duckdb_ad.py"))
            .args([mode, &self.csv()])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("the peer: {}", output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(serde_json::from_str(text.lines().last().unwrap_or_default())?)
    }

    fn csv(&self) -> String {
        format!("{}/csv/*.csv", self.folder.path().display())
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the repository").to_owned()
}
