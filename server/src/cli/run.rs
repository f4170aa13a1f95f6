//! `siltstone run`: a script's statements, then its pipelines.

use std::path::PathBuf;
use std::sync::Arc;

use siltstone_sql::script;
use tokio::sync::watch;

use super::config::Settings;
use super::failure::Failure;
use super::pipeline::Until;
use super::signal::Signals;
use super::{engine, opening, pipeline};
use crate::channel;
use crate::task;

const HELP: &str = "\
Running the same script again on the same directory goes on where it was; a definition that differs from the
stored one is an error. While it runs, `siltstone sql` on the same directory asks this process. A query in the
script shows the last epoch; with --bounded, it waits for the input's end.

Examples:
  siltstone run --data ./data -v csv='events/*.csv' csv.sql
  siltstone run --data ./data -v brokers=127.0.0.1:9092 -v topic=events --bounded kafka.sql

Exit codes: 0 all input read, or stopped by a signal; 1 failure; 2 usage; 3 directory busy; 4 SQL error";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Value of :name, :'name' and :"name" in the script
    #[arg(short, long = "variable", value_name = "NAME=VALUE", value_parser = super::variable)]
    variables: Vec<(String, String)>,
    /// Treat every source as ending where it ends now: catch up, then exit
    #[arg(long)]
    bounded: bool,
    /// The script
    #[arg(value_name = "FILE.sql")]
    file: PathBuf,
}

pub(super) async fn run(settings: Settings, arguments: Arguments) -> Result<(), Failure> {
    let dir = settings.data()?;
    let mut signals = Signals::new()?;
    let variables = super::variables(arguments.variables);
    let statements = script::load(&arguments.file, &variables).map_err(Failure::script)?;
    let database = opening::open(&settings, &dir, "siltstone run").await?;
    let socket = channel::Server::bind(&dir)
        .map_err(|e| Failure::io(format!("taking the socket in {}", dir.display()), &e))?;
    let session = database.session();
    let (stopping, stopped) = watch::channel(false);
    let begin = async {
        let rest = opening::define(&session, &statements).await?;
        engine::start(&database, arguments.bounded).await?;
        // Who asks before has waited: what the script defines is there with the first answer.
        let answering = task::start(socket.serve(Arc::clone(&database), stopped));
        opening::apply(&database, &session, rest, arguments.bounded).await?;
        Ok(answering)
    };
    let begun = tokio::select! {
        begun = begin => begun,
        signal = signals.next() => {
            eprintln!("siltstone: {signal}, stopping");
            engine::stop(&database).await;
            return Ok(());
        }
    };
    let answering = match begun {
        Ok(answering) => answering,
        Err(failure) => {
            engine::stop(&database).await;
            return Err(failure);
        }
    };
    let ended = pipeline::keep(&database, &mut signals, &stopping, Until::Finished).await;
    answering.await;
    ended
}
