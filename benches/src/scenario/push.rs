//! `push`: this process hands Arrow batches to a source, as a service does that embeds Siltstone; four rollups,
//! an epoch a second, and it ends when all of it is durable. Batches follow each other without waiting: a
//! second thread waits for each one's acknowledgement.
//!
//! The peer groups the same batches inside its own process, in memory: nothing of it is durable, and nothing
//! can be seen before the end. Both have the events in memory before the clock starts; the peaks are what
//! came on top of them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use serde_json::json;
use siltstone::{Siltstone, SourceHandle};

use crate::ad::batch::batches;
use crate::arena::{Arena, engine};
use crate::latency::Latency;
use crate::process::{Cost, own};
use crate::race::Race;
use crate::report::{publish, say};
use crate::script::{ROOTS, source, views};
use crate::setting::Setting;
use crate::stopwatch::Stopwatch;

const EPOCH_INTERVAL: Duration = Duration::from_secs(1);
/// An acknowledgement that takes longer is a failure.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(120);

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let batches = batches(setting.rows, setting.seed);
    let file = arena.path("events.arrow");
    write(&file, &batches)?;
    let mut acknowledged = Latency::default();
    let race = Race::run(
        "push",
        setting.runs,
        |_| run(&arena.fresh("data")?, &batches, setting.rows, &mut acknowledged),
        |_| {
            let (line, _) = arena.peer("duckdb_push.py", &[&file.to_string_lossy()])?;
            Ok(Some((engine(&line), Cost::told(&line))))
        },
    )?;
    let mut figures = race.figures(Some(setting.rows));
    say(&format!("push: from handing in a batch to its acknowledgement: {acknowledged}"));
    figures["acknowledged"] = acknowledged.line();
    figures["durable"] = json!({ "siltstone": true, "peer": false });
    publish("push", setting, figures)
}

/// One run, in an empty directory; opening it and defining the views is not counted.
fn run(data: &Path, batches: &[RecordBatch], rows: u64, acknowledged: &mut Latency) -> io::Result<Cost> {
    let db = Siltstone::builder(data).epoch_interval(EPOCH_INTERVAL).open().map_err(io::Error::other)?;
    let script = source("connector = 'push'")? + &views(&ROOTS)?;
    db.execute(&script).map_err(io::Error::other)?;
    let events = db.source("events").map_err(io::Error::other)?;
    let ((), cost) = own(|| push(&events, batches, acknowledged))?;
    for view in ROOTS {
        let sum = db.query(&format!("SELECT CAST(sum(n) AS BIGINT) = {rows} AS whole FROM {view}"));
        let sum = sum.map_err(io::Error::other)?;
        let whole = arrow::array::AsArray::as_boolean(sum[0].column(0)).value(0);
        if !whole {
            return Err(io::Error::other(format!("{view} does not hold {rows} events")));
        }
    }
    db.close();
    Ok(cost)
}

/// Hands in all batches, and returns when the last is acknowledged.
fn push(events: &SourceHandle, batches: &[RecordBatch], acknowledged: &mut Latency) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || -> io::Result<()> {
            for (ticket, since) in receiver {
                let since: Stopwatch = since;
                events.wait_for(&[ticket], ACKNOWLEDGED_WITHIN).map_err(io::Error::other)?;
                acknowledged.record(since.elapsed());
            }
            Ok(())
        });
        for batch in batches {
            let since = Stopwatch::start();
            let ticket = events.push(batch.clone()).map_err(io::Error::other)?;
            // Fails only if the other thread has: its error is told below.
            let _ = sender.send((ticket, since));
        }
        drop(sender);
        waiting.join().expect("waiting does not panic")
    })
}

/// For the peer: the same batches, in Arrow's file format.
fn write(path: &Path, batches: &[RecordBatch]) -> io::Result<()> {
    let Some(first) = batches.first() else { return Err(io::Error::other("no rows to push")) };
    let mut writer = FileWriter::try_new(File::create(path)?, &first.schema()).map_err(io::Error::other)?;
    batches.iter().try_for_each(|batch| writer.write(batch)).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)
}
