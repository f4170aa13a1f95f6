//! The program `siltstone`: its commands, and what they end with.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its terminal")]

mod config;
mod demo;
mod engine;
mod failure;
mod lake;
mod opening;
mod part;
mod pipeline;
mod progress;
mod prompt;
mod query;
mod run;
mod serve;
mod signal;
mod size;
mod target;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use config::{Flags, Settings};
use failure::Failure;

use crate::task::{Runtime, cores};

const ABOUT: &str = "Streaming aggregation: files and Kafka topics become rollups that SQL can read";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; also after a clean stop by SIGINT or SIGTERM
  1  failure: input, disk, network
  2  usage: a flag, a variable, the configuration file
  3  another process owns the data directory
  4  an SQL statement was refused or failed

Configuration: a flag goes before the environment variable, that before --config FILE (TOML: data, memory,
workers, epoch_interval, log; in [pg]: address, tls_cert, tls_key, password_file; in [users]: name = verifier;
in [lake]: interval, snapshots, warehouse, catalog, uri, token, credential, name; in [lake.storage]: options of S3).";

const EXAMPLES: &str = "\
Examples:
  siltstone demo
  siltstone run --data ./data -v csv='events/*.csv' rollups.sql
  siltstone serve --data ./data --pg 127.0.0.1:5432 rollups.sql
  siltstone sql --data ./data -c 'SELECT * FROM siltstone.views' --format csv";

#[derive(Debug, Parser)]
#[command(name = "siltstone", version, about = ABOUT, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show moving rollups over generated events; needs nothing else
    Demo(demo::Arguments),
    /// Run a script's statements and keep its pipelines going
    Run(run::Arguments),
    /// The same, and answer PostgreSQL clients
    Serve(serve::Arguments),
    /// Query a data directory, also one that a running process owns
    Sql(query::Arguments),
}

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and end well.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(failure::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    let settings = Settings::gather(cli.flags)?;
    // The demo's broker comes and goes, and its screen is no place for that.
    settings.start_log(if matches!(cli.command, Command::Demo(_)) { "error" } else { "warn" })?;
    let runtime = Runtime::new(cores())?;
    let work = async move {
        match cli.command {
            Command::Demo(arguments) => demo::demo(settings, arguments).await,
            Command::Run(arguments) => run::run(settings, arguments).await,
            Command::Serve(arguments) => serve::serve(settings, arguments).await,
            Command::Sql(arguments) => query::query(settings, arguments).await,
        }
    };
    runtime.wait(work)
}

/// Reads `-v name=value`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected name=value".to_owned()),
    }
}

/// Later values go before earlier ones.
fn variables(pairs: Vec<(String, String)>) -> BTreeMap<String, String> {
    pairs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_fit_together() {
        super::Cli::command().debug_assert();
    }
}
