//! Where the two sides meet: a folder for their files, the program under test, and the peers' scripts.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::ad::file::{Plan, write};
use crate::process::{self, Cost, Running, tail};
use crate::script::repository;
use crate::setting::Setting;
use crate::stopwatch::wait_until;

/// Files that ad events are spread over, as in the public challenge.
const FILES: u64 = 49;
/// From its start until the server takes connections.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Arena {
    pub setting: Setting,
    folder: tempfile::TempDir,
}

impl Arena {
    /// An empty folder, which goes with the arena.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(setting: &Setting) -> io::Result<Self> {
        Ok(Self { setting: setting.clone(), folder: tempfile::tempdir()? })
    }

    /// Writes the ad events as `csv` or `jsonl`; the answer is a pattern of their files.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn ads(&self, format: &str) -> io::Result<String> {
        let plan = Plan {
            rows: self.setting.rows,
            files: FILES,
            seed: self.setting.seed,
            out: self.folder.path().to_owned(),
            csv: format == "csv",
            jsonl: format == "jsonl",
            spread: self.setting.spread,
        };
        write(&plan)?;
        Ok(format!("{}/{format}/*.{format}", self.folder.path().display()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with that text.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A path at which nothing is: for a data directory or a database of a new run.
    ///
    /// # Errors
    /// If what is there cannot be removed.
    pub fn fresh(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.exists() {
            fs::remove_file(&path)?;
        }
        Ok(path)
    }

    /// The program, with nothing of the caller's configuration.
    pub fn siltstone(&self) -> Command {
        let mut command = Command::new(&self.setting.siltstone);
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("SILTSTONE_")) {
            command.env_remove(name);
        }
        command
    }

    /// `siltstone run --bounded` into a data directory, from its start to its end: all input is durable then.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, data: &Path, script: &Path, flags: &[&str]) -> io::Result<Cost> {
        let mut command = self.siltstone();
        command.args(["run", "--bounded", "--data"]).arg(data).args(flags).arg(script);
        Ok(process::run(&mut command)?.1)
    }

    /// A port of this machine that nobody listens on.
    ///
    /// # Errors
    /// If there is none.
    pub fn free_port(&self) -> io::Result<u16> {
        Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
    }

    /// `siltstone serve` on that port, taking connections. It ends when the answer is dropped.
    ///
    /// # Errors
    /// If it does not come that far.
    pub fn serve(&self, data: &Path, port: u16, flags: &[&OsStr]) -> io::Result<Running> {
        let mut command = self.siltstone();
        command.args(["serve", "--pg", &format!("127.0.0.1:{port}"), "--data"]).arg(data).args(flags);
        let log = self.path("serve.log");
        let mut server = Running::start(&mut command, &log)?;
        wait_until("the server takes connections", ANSWERS_WITHIN, || {
            if server.has_ended()? {
                let said = fs::read_to_string(&log)?;
                return Err(io::Error::other(format!("siltstone serve ended: {}", tail(&said))));
            }
            Ok(TcpStream::connect(("127.0.0.1", port)).is_ok())
        })?;
        Ok(server)
    }

    /// The rows of a query of a data directory, as objects.
    ///
    /// # Errors
    /// If it fails.
    pub fn ask(&self, data: &Path, sql: &str) -> io::Result<Vec<Value>> {
        let mut command = self.siltstone();
        command.args(["sql", "--format", "json", "-c", sql, "--data"]).arg(data);
        let (text, _) = process::run(&mut command)?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// One of the scripts in `benches/peer`, ready to be started.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.setting.python);
        command.arg(repository().join("benches/peer").join(name));
        command
    }

    /// Runs such a script; the answer is the JSON of its last line, and what its process cost.
    ///
    /// # Errors
    /// If it fails.
    pub fn peer(&self, name: &str, arguments: &[&str]) -> io::Result<(Value, Cost)> {
        let (text, cost) = process::run(self.script(name).args(arguments))?;
        Ok((serde_json::from_str(text.lines().last().unwrap_or_default())?, cost))
    }
}

/// What a peer's script calls itself.
pub fn engine(line: &Value) -> String {
    line["engine"].as_str().unwrap_or("unknown peer").to_owned()
}
