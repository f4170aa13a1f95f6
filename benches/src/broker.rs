//! A real Kafka broker for one measurement, started as the end-to-end tests start theirs.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::process;
use crate::script::repository;

/// A node with a folder of its own; it is killed when this is dropped, or this process ends.
#[derive(Debug)]
pub struct Broker {
    home: PathBuf,
    address: String,
}

impl Broker {
    /// Starts it; the first time, its jars are fetched.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn start(home: PathBuf) -> io::Result<Self> {
        let mut broker = Self { home, address: String::new() };
        let (text, _) = process::run(broker.command().args(["start", "0"]))?;
        text.lines().last().unwrap_or_default().clone_into(&mut broker.address);
        Ok(broker)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn command(&self) -> Command {
        let mut command = Command::new(repository().join("docker/kafka/kafka"));
        command.env("KAFKA_HOME", &self.home).env("KAFKA_OWNER", std::process::id().to_string());
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // If this fails, it is killed when this process has ended.
        let _ = process::run(self.command().arg("kill"));
    }
}
