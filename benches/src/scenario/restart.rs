//! `restart`: a store with as many groups as rows were asked for is on disk. From the start of the server's
//! process to the first right answer of one group to a client over the wire, beside DuckDB, which opens its
//! database file in a process that runs already and answers in it: starting Python is not counted.

use std::io;

use serde_json::Value;

use super::keys::{SCRIPT, answer, key, write};
use crate::arena::{Arena, engine};
use crate::process::Cost;
use crate::race::Race;
use crate::report::publish;
use crate::setting::Setting;

pub fn measure(setting: &Setting) -> io::Result<()> {
    let arena = Arena::new(setting)?;
    let csv = arena.path("pairs.csv");
    // As many keys as rows, in the order of their numbers: row 0 is number 0.
    write(&csv, setting.rows, setting.rows, setting.seed)?;
    let csv = csv.to_string_lossy().into_owned();
    let (data, file) = (arena.path("data"), arena.path("keys.db"));
    arena.run(&data, &arena.file("keys.sql", SCRIPT)?, &["-v", &format!("csv={csv}")])?;
    let file = file.to_string_lossy().into_owned();
    arena.peer("duckdb_keys.py", &["load", &csv, &file, &setting.memory])?;
    std::fs::remove_file(&csv)?;

    let question = format!("SELECT n, s FROM by_key WHERE k = {}", key(0, setting.seed));
    let expected = answer(0).to_string();
    let program = setting.siltstone.to_string_lossy().into_owned();
    let race = Race::run(
        "restart",
        setting.runs,
        |_| {
            let port = arena.free_port()?.to_string();
            let data = data.to_string_lossy();
            let log = arena.path("serve.log");
            let arguments = [&program, &*data, &port, &question, &expected, &log.to_string_lossy()];
            Ok(Cost::told(&arena.peer("pg_first.py", &arguments)?.0))
        },
        |_| {
            let (line, _): (Value, _) =
                arena.peer("duckdb_keys.py", &["first", &file, &question, &expected])?;
            Ok(Some((engine(&line), Cost::told(&line))))
        },
    )?;
    publish("restart", setting, race.figures(None))
}
