//! `siltstone demo`: everything in one process. A producer fills a topic of librdkafka's in-process broker,
//! the Kafka connector reads it, ten rollups move on the screen.
//!
//! Invariant: when it ends by itself (`--for`), every rollup has counted exactly the events produced, or the
//! exit code says that it has not.

mod key;
mod producer;
mod screen;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone_connectors::kafka::MockBroker;
use siltstone_engine::clock;
use siltstone_engine::runtime::RelationKind;
use siltstone_sql::{Database, script};
use tokio::sync::watch;

use super::config::Settings;
use super::failure::Failure;
use super::signal::Signals;
use super::target::Target;
use super::{engine, opening, prompt, size};
use crate::print::Format;
use crate::{channel, task};
use key::{Key, Keyboard};
use producer::Producer;
use screen::{Screen, View};

const SCRIPT: &str = include_str!("demo.sql");
const TOPIC: &str = "events";
const PARTITIONS: i32 = 4;
/// The screen is renewed this often; lines come half as often.
const REFRESH: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Rollups are fresher than with the usual second.
const EPOCH_INTERVAL: Duration = Duration::from_millis(500);
/// How long the rollups may take, after the last event was produced, to have counted it.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(30);
const CATCH_UP_PAUSE: Duration = Duration::from_millis(100);

const HELP: &str = "\
On a terminal: Enter or ':' opens an SQL prompt over the moving rollups, Ctrl-D goes back, 'q' ends the demo.
Elsewhere, a line is written each second.

Examples:
  siltstone demo
  siltstone demo --rate 50000 --for 30s
  siltstone demo --data ./demo-data    (then: siltstone sql --data ./demo-data)

Exit codes: 0 done, and every event counted; 1 failure; 2 usage; 3 directory busy";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Events a second
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// End after this time, and check that every event was counted
    #[arg(long = "for", value_name = "TIME", value_parser = size::time)]
    time: Option<Duration>,
    /// Other events
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

/// Runs the demo.
pub(super) async fn demo(mut settings: Settings, arguments: Arguments) -> Result<(), Failure> {
    settings.epoch_interval = settings.epoch_interval.min(EPOCH_INTERVAL);
    let given = settings.data_if_given();
    let dir = given.clone().unwrap_or_else(own_dir);
    let mut signals = Signals::new()?;
    let database = opening::open(&settings, &dir, "siltstone demo").await?;
    let ended = run(&database, &dir, &arguments, &mut signals).await;
    engine::stop(&database).await;
    drop(database);
    if given.is_none() {
        // The system's cleaner takes what cannot be removed.
        let _ = fs::remove_dir_all(&dir);
    }
    ended
}

async fn run(
    database: &Arc<Database>,
    dir: &Path,
    arguments: &Arguments,
    signals: &mut Signals,
) -> Result<(), Failure> {
    if !database.engine().stored().is_empty() {
        return Err(Failure::usage(format!("data directory {} holds something already", dir.display()))
            .with_hint("the demo's topic lives only as long as the demo; give it a new directory, or none"));
    }
    let broker = task::start_blocking(|| MockBroker::start(TOPIC, PARTITIONS)).await;
    let broker = Arc::new(broker.map_err(Failure::pipeline)?);
    let brokers = BTreeMap::from([("brokers".to_owned(), broker.bootstrap_servers().to_owned())]);
    let statements = script::from_text(SCRIPT, &brokers)?;
    opening::define(&database.session(), &statements).await?;
    engine::start(database, false).await?;
    let socket = channel::Server::bind(dir)
        .map_err(|e| Failure::io(format!("taking the socket in {}", dir.display()), &e))?;
    let (stopping, stopped) = watch::channel(false);
    let answering = task::start(socket.serve(Arc::clone(database), stopped));

    let producer =
        Producer::start(Arc::clone(&broker), Arc::clone(database), arguments.seed, arguments.rate)?;
    let shown = show(database, dir, arguments, signals, &producer).await;
    let produced = task::start_blocking(move || producer.finish()).await;
    let checked = match (shown, produced) {
        (Ok(true), Ok(produced)) => check(database, produced).await,
        (Ok(false), Ok(_)) => Ok(()),
        (Err(failure), _) => Err(failure),
        (Ok(_), Err(error)) => Err(Failure::pipeline(error)),
    };
    stopping.send_replace(true);
    answering.await;
    // The topic must be there until the pipelines have stopped.
    engine::stop(database).await;
    drop(broker);
    checked
}

/// Shows the rollups until the time is over (`true`) or the user has seen enough (`false`).
async fn show(
    database: &Arc<Database>,
    dir: &Path,
    arguments: &Arguments,
    signals: &mut Signals,
    producer: &Producer,
) -> Result<bool, Failure> {
    let started = clock::now();
    let session = database.session();
    let live = io::stdout().is_terminal() && io::stdin().is_terminal();
    let mut screen = live.then(Screen::enter);
    let mut keyboard = live.then(Keyboard::take);
    let mut view = View::default();
    loop {
        let elapsed = clock::now().duration_since(started);
        if arguments.time.is_some_and(|time| elapsed >= time) {
            return Ok(true);
        }
        if let Some(failure) = database.engine().failure() {
            return Err(Failure::pipeline(failure));
        }
        view = View::look(database, &session, producer.produced(), elapsed, &view).await?;
        match &mut screen {
            Some(screen) => screen.draw(&view),
            None => println!("{}", view.line()),
        }
        let wait = if live { REFRESH } else { LINE_EVERY };
        let rest = arguments.time.map_or(wait, |time| wait.min(time.saturating_sub(elapsed)));
        let pressed = async {
            match &keyboard {
                Some(keyboard) => keyboard.wait(rest).await,
                None => {
                    task::sleep(rest).await;
                    None
                }
            }
        };
        tokio::select! {
            pressed = pressed => match pressed {
                Some(Key::Quit) => return Ok(false),
                Some(Key::Prompt) => {
                    drop((screen.take(), keyboard.take()));
                    let mut target = Target::shared(Arc::clone(database));
                    prompt::prompt(&mut target, dir, Format::Table).await?;
                    (screen, keyboard) = (Some(Screen::enter()), Some(Keyboard::take()));
                }
                None => {}
            },
            _ = signals.next() => return Ok(false),
        }
    }
}

/// Waits until the rollups have counted what was produced, and says so.
async fn check(database: &Arc<Database>, produced: u64) -> Result<(), Failure> {
    let session = database.session();
    let until = clock::now() + CATCH_UP_LIMIT;
    let stored = database.engine().stored();
    let views: Vec<_> = stored.iter().filter(|r| r.kind == RelationKind::View).map(|r| &r.name).collect();
    loop {
        let mut wrong = None;
        for name in &views {
            let counted = screen::number(&session, &format!("SELECT sum(n) FROM {name}")).await?;
            if counted != produced {
                wrong = Some((name, counted));
            }
        }
        let Some((name, counted)) = wrong else {
            println!("produced {produced} events; each of {} rollups counted {produced}: exact", views.len());
            return Ok(());
        };
        if clock::now() >= until {
            return Err(Failure::new(format!("produced {produced} events, but {name} counted {counted}")));
        }
        task::sleep(CATCH_UP_PAUSE).await;
    }
}

fn own_dir() -> PathBuf {
    env::temp_dir().join(format!("siltstone-demo-{}", std::process::id()))
}
