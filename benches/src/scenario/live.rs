//! `live`: a real Kafka broker, a topic of six uneven partitions with the events as JSON, and the four rollups
//! that events are folded into, an epoch a second. Broker, reader and whatever watches share the machine.
//!
//! First, how fast a topic that is full already is read, from the start of the process to its end after the
//! last commit. Then how many events a second go all the way from a producer to a client that watches, and
//! at two shares of that rate how old an event is when the client first sees it: see [`super::freshness`].

use std::io;
use std::path::Path;

use serde_json::json;

use super::freshness::{Plan, watch};
use crate::arena::{Arena, engine};
use crate::broker::Broker;
use crate::process::Cost;
use crate::race::Race;
use crate::report::{publish, say};
use crate::script::{ROOTS, source, views};
use crate::setting::Setting;

const EPOCH: [&str; 2] = ["--epoch-interval", "1s"];
const SOURCE: &str = "connector = 'kafka', \"bootstrap.servers\" = :'brokers', topic = :'topic', format = 'json', \
     \"auto.offset.reset\" = 'earliest'";
/// Shares of the sustained rate at which freshness is measured, in percent.
const LOADS: [u64; 2] = [10, 80];
/// To see what is sustained: a schedule that nobody can keep, and how many events it has.
const FLOOD_RATE: u64 = 10_000_000;
const FLOOD_EVENTS: u64 = 3_000_000;
/// Seconds at the start of a schedule whose events are not counted.
const WARM_UP_S: u64 = 2;

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    arena.ads("jsonl")?;
    let broker = Broker::start(arena.path("kafka"))?;
    let events = arena.path("jsonl");
    arena.peer("kafka_topic.py", &["fill", broker.address(), "ads", &events.to_string_lossy()])?;
    let script = arena.file("live.sql", &(source(SOURCE)? + &views(&ROOTS)?))?;

    // Warms the broker up, which runs in a JVM, and is not counted.
    let read = |data: &Path| {
        let flags = flags(&broker, "ads");
        arena.run(data, &script, &flags.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let data = arena.fresh("data")?;
    read(&data)?;
    whole(&arena, &data)?;
    let race = Race::run(
        "live",
        setting.runs,
        |_| read(&arena.fresh("data")?),
        |_| {
            let Some(backend) = setting.flink else { return Ok(None) };
            let (line, _) = arena.peer("flink_ad.py", &[broker.address(), "ads", backend])?;
            Ok(Some((engine(&line), Cost::told(&line))))
        },
    )?;
    let mut figures = race.figures(Some(setting.rows));

    let watch = |topic: &str, rate, events| {
        let mut flags = flags(&broker, topic);
        flags.push(script.to_string_lossy().into_owned());
        watch(&arena, &broker, &Plan { topic, flags, rate, events })
    };
    let loads = match setting.rate {
        Some(rate) => vec![("fresh".to_owned(), rate)],
        None => {
            let sustained = watch("flood", FLOOD_RATE, FLOOD_EVENTS)?.sustained();
            say(&format!("live: {sustained} events/s from a producer to a client, all on this machine"));
            figures["sustained_events_s"] = sustained.into();
            LOADS.map(|percent| (format!("fresh_{percent}"), (sustained * percent / 100).max(1))).to_vec()
        }
    };
    for (name, rate) in loads {
        let watched = watch(&name, rate, rate * (WARM_UP_S + setting.seconds))?;
        let (ages, late_ms) = (watched.ages(rate * WARM_UP_S)?, watched.late_ms);
        say(&format!(
            "live {name}: {rate} events/s, age when first seen: {ages}; the producer was late by at most \
             {late_ms:.0} ms"
        ));
        figures[&name] = json!({ "events_s": rate, "age": ages.line(), "producer_late_max_ms": late_ms });
    }
    publish("live", setting, figures)
}

/// What `run` and `serve` are told alike.
fn flags(broker: &Broker, topic: &str) -> Vec<String> {
    let variables = [format!("brokers={}", broker.address()), format!("topic={topic}")];
    let variables = variables.into_iter().flat_map(|variable| ["-v".to_owned(), variable]);
    EPOCH.map(str::to_owned).into_iter().chain(variables).collect()
}

/// Every view must hold every event.
fn whole(arena: &Arena, data: &Path) -> io::Result<()> {
    for view in ROOTS {
        let sql = format!("SELECT CAST(sum(n) AS BIGINT) = {} AS whole FROM {view}", arena.setting.rows);
        let rows = arena.ask(data, &sql)?;
        if rows.first().is_none_or(|row| row["whole"] != json!(true)) {
            return Err(io::Error::other(format!("{view} does not hold {} events", arena.setting.rows)));
        }
    }
    Ok(())
}
