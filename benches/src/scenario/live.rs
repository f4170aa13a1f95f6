//! `live`: a real Kafka broker, a topic of six uneven partitions with the events as JSON, and the four rollups
//! that events are folded into, an epoch a second. Broker, reader and whatever watches share the machine.
//!
//! First, how fast a topic that is full already is read, from the start of the process to its end after the
//! last commit. Then freshness, at two shares of that rate: how old an event is when a client first sees
//! it. Events are produced on a schedule and carry the time at which they were to be sent, not that at which
//! they were, and each one's age counts from there: a stall in the producer, the broker or the reader makes
//! every event older that was due meanwhile (no coordinated omission).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::arena::{Arena, engine};
use crate::broker::Broker;
use crate::latency::Latency;
use crate::process::{self, Cost};
use crate::race::Race;
use crate::report::{publish, say};
use crate::script::{ROOTS, source, views};
use crate::setting::Setting;

const EPOCH: [&str; 2] = ["--epoch-interval", "1s"];
const SOURCE: &str = "connector = 'kafka', \"bootstrap.servers\" = :'brokers', topic = :'topic', format = 'json', \
     \"auto.offset.reset\" = 'earliest'";
/// Shares of the sustained rate at which freshness is measured, in percent.
const LOADS: [u64; 2] = [10, 80];
/// Seconds at the start of a schedule whose events are not counted.
const WARM_UP_S: u64 = 2;
/// Events that the producer goes through again and again, with new times.
const TEMPLATES_MAX: usize = 200_000;

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    arena.ads("jsonl")?;
    let broker = Broker::start(arena.path("kafka"))?;
    let events = arena.path("jsonl");
    arena.peer("kafka_topic.py", &["fill", broker.address(), "ads", &events.to_string_lossy()])?;
    let script = arena.file("live.sql", &(source(SOURCE)? + &views(&ROOTS)?))?;

    let race = Race::run(
        "live",
        setting.runs,
        |run| {
            let data = arena.fresh("data")?;
            let variables = variables(&broker, "ads");
            let flags: Vec<&str> = EPOCH.into_iter().chain(variables.iter().map(String::as_str)).collect();
            let cost = arena.run(&data, &script, &flags)?;
            if run == 0 {
                whole(&arena, &data)?;
            }
            Ok(cost)
        },
        |_| {
            if !setting.flink {
                return Ok(None);
            }
            let (line, _) = arena.peer("flink_ad.py", &[broker.address(), "ads"])?;
            Ok(Some((engine(&line), Cost::told(&line))))
        },
    )?;
    let mut figures = race.figures(Some(setting.rows));

    let sustained = setting.rows as f64 / race.our_seconds();
    let loads =
        LOADS.map(|percent| (format!("fresh_{percent}"), (sustained * percent as f64 / 100.0) as u64));
    let loads = setting.rate.map_or(loads.to_vec(), |rate| vec![("fresh".to_owned(), rate)]);
    for (name, rate) in loads {
        figures[&name] = freshness(&arena, &broker, &script, &name, rate.max(1))?;
    }
    publish("live", setting, figures)
}

fn variables(broker: &Broker, topic: &str) -> [String; 4] {
    let value = |name: &str, value: &str| format!("{name}={value}");
    ["-v".to_owned(), value("brokers", broker.address()), "-v".to_owned(), value("topic", topic)]
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

/// A server, a producer that keeps to its schedule, and a client that looks again and again.
fn freshness(arena: &Arena, broker: &Broker, script: &Path, name: &str, rate: u64) -> io::Result<Value> {
    let topic = name;
    arena.peer("kafka_topic.py", &["create", broker.address(), topic])?;
    let events = rate * (WARM_UP_S + arena.setting.seconds);
    let port = arena.free_port()?;
    let variables = variables(broker, topic);
    let flags: Vec<&str> = EPOCH.into_iter().chain(variables.iter().map(String::as_str)).collect();
    let flags: Vec<&OsStr> = flags.into_iter().map(OsStr::new).chain([script.as_os_str()]).collect();
    let server = arena.serve(&arena.fresh("data")?, port, &flags)?;

    let templates = arena.path("jsonl/events_0000.jsonl");
    let mut watch = arena.script("pg_watch.py");
    watch.args([port.to_string(), events.to_string()]);
    let mut produce = arena.script("kafka_pace.py");
    produce.args([broker.address(), topic]).arg(&templates);
    produce.args([TEMPLATES_MAX.to_string(), rate.to_string(), events.to_string()]);
    let (seen, produced) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| process::run(&mut watch));
        let produced = process::run(&mut produce);
        (watching.join().expect("watching does not panic"), produced)
    });
    drop(server);
    let produced: Value = serde_json::from_str(produced?.0.lines().last().unwrap_or_default())?;
    let schedule = Schedule {
        start_us: produced["start_us"].as_i64().unwrap_or_default(),
        rate,
        lanes: Lanes::of(&templates, events)?,
    };
    let ages = schedule.ages(&seen?.0, rate * WARM_UP_S)?;
    let late_ms = produced["late_max_ms"].as_f64().unwrap_or(f64::NAN);
    say(&format!(
        "live {name}: {rate} events/s, age when first seen: {ages}; the producer was late by at most {late_ms:.0} ms"
    ));
    Ok(json!({ "events_s": rate, "age": ages.line(), "producer_late_max_ms": late_ms }))
}

/// The numbers of the events of each country, in order. The topic is keyed by country, so those of one country
/// become visible in this order, and how many of them are tells which.
struct Lanes(BTreeMap<String, Vec<u32>>);

impl Lanes {
    /// As the producer goes through the templates.
    fn of(templates: &Path, events: u64) -> io::Result<Self> {
        let mut countries = Vec::new();
        for line in BufReader::new(File::open(templates)?).lines().take(TEMPLATES_MAX) {
            let event: Value = serde_json::from_str(&line?)?;
            countries.push(event["country"].as_str().unwrap_or_default().to_owned());
        }
        let mut lanes = BTreeMap::<String, Vec<u32>>::new();
        for event in 0..u32::try_from(events).map_err(io::Error::other)? {
            let country = &countries[event as usize % countries.len()];
            match lanes.get_mut(country) {
                Some(lane) => lane.push(event),
                None => drop(lanes.insert(country.clone(), vec![event])),
            }
        }
        Ok(Self(lanes))
    }
}

/// When each event was to be sent.
struct Schedule {
    start_us: i64,
    rate: u64,
    lanes: Lanes,
}

impl Schedule {
    /// How old each event was when it was first seen, but for the first ones. `seen` has a line for each look at
    /// which something was new: the time behind the answer, and how many events of each country were there.
    fn ages(&self, seen: &str, warm_up: u64) -> io::Result<Latency> {
        let mut ages = Latency::default();
        let mut before = BTreeMap::new();
        for line in seen.lines() {
            let look: Value = serde_json::from_str(line)?;
            let at_us = look["at_us"].as_i64().unwrap_or_default();
            for (country, count) in look["seen"].as_object().into_iter().flatten() {
                let lane = self.lanes.0.get(country).map_or(&[][..], Vec::as_slice);
                let to = count.as_u64().unwrap_or_default() as usize;
                let from = before.insert(country.clone(), to).unwrap_or(0);
                let new = lane.get(from..to).ok_or_else(|| {
                    io::Error::other(format!("{country}: {to} events seen after {from}, {} sent", lane.len()))
                })?;
                for event in new.iter().map(|e| u64::from(*e)).filter(|e| *e >= warm_up) {
                    // An event seen before it was due would be a fault of the clock: 0.
                    let due_us =
                        self.start_us + (u128::from(event) * 1_000_000 / u128::from(self.rate)) as i64;
                    ages.record(Duration::from_micros(u64::try_from(at_us - due_us).unwrap_or(0)));
                }
            }
        }
        let all = self.lanes.0.values().map(Vec::len).sum::<usize>() as u64 - warm_up;
        if ages.count() != all {
            return Err(io::Error::other(format!("{} of {all} events were seen", ages.count())));
        }
        Ok(ages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two countries take turns, an event each millisecond; the reader stalls for half a second.
    #[test]
    fn a_stall_ages_every_event_that_was_due_meanwhile() {
        let lane = |first: u32| (first..1000).step_by(2).collect::<Vec<_>>();
        let lanes = Lanes(BTreeMap::from([("DE".to_owned(), lane(0)), ("JP".to_owned(), lane(1))]));
        let schedule = Schedule { start_us: 0, rate: 1000, lanes };
        let look = |at_ms: u32, each: u32| {
            format!("{{\"at_us\":{},\"seen\":{{\"DE\":{each},\"JP\":{each}}}}}\n", at_ms * 1000)
        };
        let seen = look(500, 250) + &look(1000, 500);
        let ages = schedule.ages(&seen, 0).expect("all are seen");
        assert_eq!(ages.count(), 1000);
        assert!((ages.quantile_ms(0.5) - 250.0).abs() < 5.0, "{ages}");
        assert!((ages.quantile_ms(1.0) - 500.0).abs() < 5.0, "{ages}");
        assert!(schedule.ages(&look(500, 250), 0).is_err());
    }
}
