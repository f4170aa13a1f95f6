//! What a process is told about itself: flags, then `SILTSTONE_*` variables, then a TOML file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use siltstone_engine::error::Result;
use siltstone_engine::runtime::Options;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use super::lake::{LakeSection, LakeSettings};
use super::size;
use crate::task::cores;

/// Least memory that the engine and the queries can share.
const MEMORY_BYTES_MIN: u64 = 64 << 20;
/// Memory if the machine does not say how much it has.
const MEMORY_BYTES_UNKNOWN: u64 = 1 << 30;
/// The default is this part of the machine's memory.
const MEMORY_PART: u64 = 4;
/// More folding threads than this help nobody.
const WORKERS_MAX: usize = 256;
/// An epoch costs an fsync or two; shorter intervals would do nothing else.
const EPOCH_INTERVAL_MIN: Duration = Duration::from_millis(10);
const EPOCH_INTERVAL: Duration = Duration::from_secs(1);

/// What every command takes.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Flags {
    /// Data directory; made if it is not there
    #[arg(short, long, global = true, value_name = "DIR", env = "SILTSTONE_DATA")]
    data: Option<PathBuf>,
    /// One memory budget for everything, at least 64MiB [default: a quarter of the machine's]
    #[arg(long, global = true, value_name = "SIZE", env = "SILTSTONE_MEMORY", value_parser = size::bytes)]
    memory: Option<u64>,
    /// Threads that read and fold, for each source [default: one a core]
    #[arg(long, global = true, value_name = "N", env = "SILTSTONE_WORKERS")]
    workers: Option<usize>,
    /// How often rows become durable and visible at least; history is replayed in longer steps [default: 1s]
    #[arg(long, global = true, value_name = "TIME", env = "SILTSTONE_EPOCH_INTERVAL", value_parser = size::time)]
    epoch_interval: Option<Duration>,
    /// How fresh the tables in the lake are to be [default: 30s]
    #[arg(long, global = true, value_name = "TIME", env = "SILTSTONE_LAKE_INTERVAL", value_parser = size::time)]
    lake_interval: Option<Duration>,
    /// Snapshots that are kept of each table in the lake, tagged ones aside [default: 100]
    #[arg(long, global = true, value_name = "N", env = "SILTSTONE_LAKE_SNAPSHOTS")]
    lake_snapshots: Option<usize>,
    /// TOML file with settings that no flag or variable gives
    #[arg(long, global = true, value_name = "FILE", env = "SILTSTONE_CONFIG")]
    config: Option<PathBuf>,
    /// What to log: error, warn, info, debug, or by module (siltstone_engine=debug) [default: warn]
    #[arg(long, global = true, value_name = "FILTER", env = "SILTSTONE_LOG")]
    log: Option<String>,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    data: Option<PathBuf>,
    memory: Option<String>,
    workers: Option<usize>,
    epoch_interval: Option<String>,
    log: Option<String>,
    pg: Pg,
    users: BTreeMap<String, String>,
    lake: LakeSection,
}

/// How PostgreSQL clients are served.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pg {
    pub(super) address: Option<String>,
    /// PEM files; both or none.
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    /// Lines of `name:password`, readable by its owner only.
    pub(super) password_file: Option<PathBuf>,
}

/// Everything that a command needs to know.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    data: Option<PathBuf>,
    pub(super) memory_bytes: u64,
    pub(super) workers: usize,
    pub(super) epoch_interval: Duration,
    lake: LakeSettings,
    log: Option<String>,
    pub(super) pg: Pg,
    /// SCRAM verifiers by user name.
    pub(super) users: BTreeMap<String, String>,
}

impl Settings {
    /// Puts the three sources together.
    pub(super) fn gather(flags: Flags) -> Result<Self, Failure> {
        let document = match &flags.config {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|e| Failure::usage(format!("reading configuration {}: {e}", path.display())))?;
                let parsed = toml::from_str(&text);
                parsed.map_err(|e| Failure::usage(format!("configuration {}: {e}", path.display())))?
            }
            None => Document::default(),
        };
        let memory = document.memory.map(|m| size::bytes(&m)).transpose();
        let memory = memory.map_err(|e| Failure::usage(format!("configuration: memory: {e}")))?;
        let interval = document.epoch_interval.map(|t| size::time(&t)).transpose();
        let interval = interval.map_err(|e| Failure::usage(format!("configuration: epoch_interval: {e}")))?;
        let lake = document.lake.settings(flags.lake_interval, flags.lake_snapshots)?;
        let settings = Self {
            lake,
            data: flags.data.or(document.data),
            memory_bytes: flags.memory.or(memory).unwrap_or_else(default_memory),
            workers: flags.workers.or(document.workers).unwrap_or_else(cores),
            epoch_interval: flags.epoch_interval.or(interval).unwrap_or(EPOCH_INTERVAL),
            log: flags.log.or(document.log),
            pg: document.pg,
            users: document.users,
        };
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.memory_bytes < MEMORY_BYTES_MIN {
            let (given, least) = (self.memory_bytes, MEMORY_BYTES_MIN >> 20);
            return Err(Failure::usage(format!("--memory of {given} bytes is less than {least}MiB"))
                .with_hint("states, caches and queries share it"));
        }
        if !(1..=WORKERS_MAX).contains(&self.workers) {
            return Err(Failure::usage(format!("--workers {} is not from 1 to {WORKERS_MAX}", self.workers)));
        }
        if self.epoch_interval < EPOCH_INTERVAL_MIN {
            let least = EPOCH_INTERVAL_MIN.as_millis();
            return Err(Failure::usage(format!("--epoch-interval is shorter than {least}ms")));
        }
        Ok(())
    }

    /// The data directory.
    pub(super) fn data(&self) -> Result<PathBuf, Failure> {
        let missing = || {
            Failure::usage("no data directory is given")
                .with_hint("add --data DIR, set SILTSTONE_DATA, or data in the configuration file")
        };
        self.data.clone().ok_or_else(missing)
    }

    /// The data directory, if one is given.
    pub(super) fn data_if_given(&self) -> Option<PathBuf> {
        self.data.clone()
    }

    /// What an engine over `dir` is opened with. Opens its lake, which blocks.
    pub(super) fn options(&self, dir: &Path, owner: &str) -> Result<Options> {
        Ok(Options {
            lake: Some(self.lake.open(dir)?),
            lake_interval: self.lake.interval,
            lake_snapshots: self.lake.snapshots,
            memory_bytes: self.memory_bytes,
            workers: self.workers,
            epoch_interval: self.epoch_interval,
            owner: owner.to_owned(),
        })
    }

    /// Starts the log, on standard error; `usual` is what is logged if nothing else is said.
    pub(super) fn start_log(&self, usual: &str) -> Result<(), Failure> {
        let log = self.log.as_deref().unwrap_or(usual);
        let filter = EnvFilter::try_new(log).map_err(|e| Failure::usage(format!("--log \"{log}\": {e}")))?;
        let started = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal());
        let started = started.try_init();
        started.map_err(|e| Failure::new(format!("starting the log: {e}")))
    }
}

/// A quarter of what this process may have: the machine's memory, or its control group's if that is less.
fn default_memory() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|t| t.trim().parse().ok());
    let total = machine.into_iter().chain(group).min();
    total.map_or(MEMORY_BYTES_UNKNOWN, |bytes| (bytes / MEMORY_PART).max(MEMORY_BYTES_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str, flags: Flags) -> Result<Settings, Failure> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("siltstone.toml");
        fs::write(&path, text).expect("a file");
        Settings::gather(Flags { config: Some(path), ..flags })
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let text = "memory = '128MiB'\nworkers = 3\n";
        let settings = with_file(text, Flags { workers: Some(5), ..Flags::default() }).expect("settings");
        assert_eq!((settings.memory_bytes, settings.workers), (128 << 20, 5));
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let failure = with_file("memroy = '1GiB'\n", Flags::default()).expect_err("no such key");
        assert!(failure.to_string().contains("memroy"), "{failure}");
        assert_eq!(failure.code, super::super::failure::USAGE);
    }

    #[test]
    fn too_little_memory_is_refused() {
        let flags = Flags { memory: Some(1 << 20), ..Flags::default() };
        assert!(Settings::gather(flags).expect_err("too little").to_string().contains("64MiB"));
    }
}
