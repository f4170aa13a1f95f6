//! `replay`: historical CSV becomes the ten ad rollups, in Siltstone (durable, exactly once) and in DuckDB, both
//! as whole processes, taking turns.
//!
//! The peer without `--keep` holds everything in memory and keeps no events: one scan of the needed columns,
//! four GROUP BYs, the six coarser rollups from the finer ones. With `--keep` both sides keep all columns of
//! the events on disk; the peer's are in a database file, and its last step is CHECKPOINT.

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::arena::{Arena, engine};
use crate::process::Cost;
use crate::race::Race;
use crate::report::publish;
use crate::script::ad;
use crate::setting::Setting;

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let csv = arena.ads("csv")?;
    let (script, mode) = if setting.keep { (ad("csv_table.sql"), "load") } else { (ad("csv.sql"), "derive") };
    let mut name = "replay".to_owned();
    for (asked, word) in [(setting.keep, " keep"), (setting.spread, " spread")] {
        name += if asked { word } else { "" };
    }
    over_files(&arena, &name, &script, &format!("csv={csv}"), &[mode, &csv])
}

/// Races our script, which takes one variable, against a mode of the peer's.
pub(super) fn over_files(
    arena: &Arena,
    name: &str,
    script: &Path,
    variable: &str,
    peer: &[&str],
) -> io::Result<()> {
    let database = arena.path("peer.db");
    let database = database.to_string_lossy().into_owned();
    let race = Race::run(
        name,
        arena.setting.runs,
        |_| arena.run(&arena.fresh("data")?, script, &["-v", variable]),
        |run| {
            arena.fresh("peer.db")?;
            let (line, mut cost) = arena.peer("duckdb_ad.py", &[peer, &[&database]].concat())?;
            let check = Cost::told(&line["check"]);
            cost.seconds -= check.seconds;
            cost.cpu_s -= check.cpu_s;
            if run == 0 {
                agree(arena, &line["views"])?;
            }
            Ok(Some((engine(&line), cost)))
        },
    )?;
    publish(name, &arena.setting, race.figures(Some(arena.setting.rows)))
}

/// Both sides must have the same groups of the same events, else the figures mean nothing.
fn agree(arena: &Arena, theirs: &Value) -> io::Result<()> {
    let theirs = theirs.as_object().ok_or_else(|| io::Error::other("the peer told of no views"))?;
    let selects = theirs.keys().map(|view| {
        format!(
            "SELECT '{view}' AS view, count(*) AS groups, sum(n) AS events, sum(bid_n) AS bids FROM {view}"
        )
    });
    let ours = arena.ask(&arena.path("data"), &selects.collect::<Vec<_>>().join(" UNION ALL "))?;
    if ours.len() != theirs.len() {
        return Err(io::Error::other(format!("{} views here, {} there", ours.len(), theirs.len())));
    }
    for line in &ours {
        let view = line["view"].as_str().unwrap_or_default();
        for field in ["groups", "events", "bids"] {
            let (our, their) = (whole_number(&line[field]), whole_number(&theirs[view][field]));
            if our.is_none() || our != their {
                return Err(io::Error::other(format!("{view}: {our:?} {field} here, {their:?} there")));
            }
        }
    }
    Ok(())
}

/// A number that may stand in quotes, as large ones do.
pub(super) fn whole_number(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.to_string().parse().ok(),
    }
}
