//! Freshness: how old events are when a client first sees them in a rollup.
//!
//! Events are produced on a schedule and carry the time at which they were to be sent, not that at which they
//! were, and each one's age counts from there: a stall in the producer, the broker, the reader or the client
//! makes every event older that was due meanwhile (no coordinated omission).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::arena::Arena;
use crate::broker::Broker;
use crate::latency::Latency;
use crate::process;

/// Events that the producer goes through again and again, with new times.
const TEMPLATES_MAX: usize = 200_000;

/// What to produce, and how the server that reads it is started.
pub struct Plan<'a> {
    /// A new one.
    pub topic: &'a str,
    /// Of `siltstone serve`.
    pub flags: Vec<String>,
    /// Events a second.
    pub rate: u64,
    pub events: u64,
}

/// What a client saw of events that were produced on a schedule.
pub struct Watched {
    schedule: Schedule,
    looks: Vec<Look>,
    /// By how much the producer was behind its schedule at worst.
    pub late_ms: f64,
}

/// A look at the rollup at which something was new: the time behind the answer, and how many events of each
/// country were there.
struct Look {
    at_us: i64,
    seen: BTreeMap<String, usize>,
}

impl Look {
    fn told(line: &str) -> io::Result<Self> {
        let line: Value = serde_json::from_str(line)?;
        let counts = line["seen"].as_object().into_iter().flatten();
        let seen = counts.map(|(country, n)| (country.clone(), n.as_u64().unwrap_or_default() as usize));
        Ok(Self { at_us: line["at_us"].as_i64().unwrap_or_default(), seen: seen.collect() })
    }

    fn events(&self) -> usize {
        self.seen.values().sum()
    }
}

/// A server over the topic, a producer that keeps to its schedule, and a client that looks again and again
/// until it has seen all.
pub fn watch(arena: &Arena, broker: &Broker, plan: &Plan) -> io::Result<Watched> {
    arena.peer("kafka_topic.py", &["create", broker.address(), plan.topic])?;
    let port = arena.free_port()?;
    let flags: Vec<&OsStr> = plan.flags.iter().map(OsStr::new).collect();
    let server = arena.serve(&arena.fresh("data")?, port, &flags)?;

    let templates = arena.path("jsonl/events_0000.jsonl");
    let mut look = arena.script("pg_watch.py");
    look.args([port.to_string(), plan.events.to_string()]);
    let mut produce = arena.script("kafka_pace.py");
    produce.args([broker.address(), plan.topic]).arg(&templates);
    produce.args([TEMPLATES_MAX.to_string(), plan.rate.to_string(), plan.events.to_string()]);
    let (seen, produced) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| process::run(&mut look));
        let produced = process::run(&mut produce);
        (looking.join().expect("looking does not panic"), produced)
    });
    drop(server);
    let produced: Value = serde_json::from_str(produced?.0.lines().last().unwrap_or_default())?;
    let start_us = produced["start_us"].as_i64().unwrap_or_default();
    Ok(Watched {
        schedule: Schedule { start_us, rate: plan.rate, lanes: Lanes::of(&templates, plan.events)? },
        looks: seen?.0.lines().map(Look::told).collect::<Result<_, _>>()?,
        late_ms: produced["late_max_ms"].as_f64().unwrap_or(f64::NAN),
    })
}

impl Watched {
    /// Events a second between the first look that saw some and the last, which saw all.
    pub fn sustained(&self) -> u64 {
        let mut looks = self.looks.iter().filter(|look| look.events() > 0);
        let (Some(first), Some(last)) = (looks.next(), looks.next_back()) else {
            // All at once: within one epoch.
            return self.looks.last().map_or(1, |look| look.events() as u64);
        };
        let micros = (last.at_us - first.at_us).max(1) as u64;
        (last.events() - first.events()) as u64 * 1_000_000 / micros
    }

    /// How old each event was when it was first seen, but for the first ones.
    ///
    /// # Errors
    /// If the client did not see exactly the events that were sent.
    pub fn ages(&self, warm_up: u64) -> io::Result<Latency> {
        self.schedule.ages(&self.looks, warm_up)
    }
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
    /// How old each event was when it was first seen, but for the first ones.
    fn ages(&self, looks: &[Look], warm_up: u64) -> io::Result<Latency> {
        let mut ages = Latency::default();
        let mut before = BTreeMap::new();
        for look in looks {
            for (country, to) in &look.seen {
                let lane = self.lanes.0.get(country).map_or(&[][..], Vec::as_slice);
                let from = before.insert(country, *to).unwrap_or(0);
                let new = lane.get(from..*to).ok_or_else(|| {
                    io::Error::other(format!("{country}: {to} events seen after {from}, {} sent", lane.len()))
                })?;
                for event in new.iter().map(|e| u64::from(*e)).filter(|e| *e >= warm_up) {
                    ages.record(Duration::from_micros((look.at_us - self.due_us(event)).max(0) as u64));
                }
            }
        }
        let all = self.lanes.0.values().map(Vec::len).sum::<usize>() as u64 - warm_up;
        if ages.count() != all {
            return Err(io::Error::other(format!("{} of {all} events were seen", ages.count())));
        }
        Ok(ages)
    }

    fn due_us(&self, event: u64) -> i64 {
        self.start_us + (u128::from(event) * 1_000_000 / u128::from(self.rate)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_read_as_the_script_prints_it() {
        let look =
            Look::told(r#"{"at_us": 1700000000000000, "seen": {"US": 3, "JP": 4}}"#).expect("it is JSON");
        assert_eq!((look.at_us, look.events()), (1_700_000_000_000_000, 7));
    }

    /// Two countries take turns, an event each millisecond; the reader stalls for half a second.
    #[test]
    fn a_stall_ages_every_event_that_was_due_meanwhile() {
        let lane = |first: u32| (first..1000).step_by(2).collect::<Vec<_>>();
        let lanes = Lanes(BTreeMap::from([("DE".to_owned(), lane(0)), ("JP".to_owned(), lane(1))]));
        let schedule = Schedule { start_us: 0, rate: 1000, lanes };
        let look = |at_ms: i64, each: usize| Look {
            at_us: at_ms * 1000,
            seen: BTreeMap::from([("DE".to_owned(), each), ("JP".to_owned(), each)]),
        };
        let seen = [look(500, 250), look(1000, 500)];
        let ages = schedule.ages(&seen, 0).expect("all are seen");
        assert_eq!(ages.count(), 1000);
        assert!((ages.quantile_ms(0.5) - 250.0).abs() < 5.0, "{ages}");
        assert!((ages.quantile_ms(1.0) - 500.0).abs() < 5.0, "{ages}");
        assert!(schedule.ages(&[look(500, 250)], 0).is_err());
    }
}
