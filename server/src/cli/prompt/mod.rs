//! The prompt of `siltstone sql`: statements over several lines, history, completion, a few commands that
//! psql's users know.

mod complete;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};
use siltstone_engine::clock;

use super::failure::Failure;
use super::part::show;
use super::signal::Signals;
use super::target::Target;
use crate::channel::Part;
use crate::keyword;
use crate::print::{Format, Printer};
use crate::remark::Remark;
use crate::task;
use crate::value::Column;
use complete::{Helper, Names};

/// Lines of history that are kept.
const HISTORY_LINES_MAX: usize = 10_000;

const COMMANDS: &str = "  \\d [NAME]   tables, sources and views; the columns of one
  \\dt         the same as \\d
  \\timing     show how long statements take, or stop showing it
  \\q          leave (as does Ctrl-D)
  \\?          this list
A statement ends with a semicolon. Ctrl-C gives up what is typed, or the statement that runs.";

const LIST: &str = "SELECT table_schema, table_name, table_type FROM information_schema.tables \
    WHERE table_schema IN ('public', 'siltstone') ORDER BY 1, 2";

type Prompt = Editor<Helper, DefaultHistory>;

/// Asks for statements until the user leaves.
pub(super) async fn prompt(target: &mut Target, dir: &Path, format: Format) -> Result<(), Failure> {
    let names: Names = Arc::new(RwLock::new(Vec::new()));
    let mut editor = Some(editor(Arc::clone(&names))?);
    let history = history_file();
    if let (Some(file), Some(editor)) = (&history, &mut editor) {
        // There is none at first.
        let _ = editor.load_history(file);
    }
    println!("siltstone {} on {}. \\? lists the commands.", env!("CARGO_PKG_VERSION"), dir.display());
    let mut signals = Signals::new()?;
    let mut timing = false;
    learn(target, &names).await;
    loop {
        let mut taken = editor.take().expect("the editor is put back after each line");
        let (back, line) = task::start_blocking(move || {
            let line = taken.readline("siltstone=> ");
            (taken, line)
        })
        .await;
        let editor = editor.insert(back);
        let line = match line {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(Failure::new(format!("reading the prompt: {error}"))),
        };
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(text);
        let sql = match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["\\q"] => break,
            ["\\?"] => {
                println!("{COMMANDS}");
                continue;
            }
            ["\\timing"] => {
                timing = !timing;
                println!("Timing is {}.", if timing { "on" } else { "off" });
                continue;
            }
            ["\\d" | "\\dt"] => LIST.to_owned(),
            ["\\d", name] => format!("DESCRIBE {name}"),
            [word, ..] if word.starts_with('\\') => {
                println!("There is no command {word}; \\? lists them.");
                continue;
            }
            _ => text.to_owned(),
        };
        let started = clock::now();
        let mut printer = Printer::new(io::BufWriter::new(io::stdout()), format);
        let mut give = |part| show(&mut printer, part);
        let done = tokio::select! {
            done = target.run(&sql, &mut give) => Some(done),
            _ = signals.next() => None,
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(remark)) => eprintln!("{remark}"),
            None => {
                eprintln!("given up");
                target.renew().await?;
            }
        }
        if timing {
            println!("Time: {:.3} ms", started.elapsed().as_secs_f64() * 1_000.0);
        }
        if matches!(keyword::first(&sql).as_str(), "CREATE" | "DROP") {
            learn(target, &names).await;
        }
    }
    if let (Some(file), Some(editor)) = (&history, &mut editor) {
        // History that cannot be kept is no failure.
        let _ = editor.save_history(file);
    }
    Ok(())
}

fn editor(names: Names) -> Result<Prompt, Failure> {
    let starting = |e: ReadlineError| Failure::new(format!("starting the prompt: {e}"));
    let config = Config::builder().max_history_size(HISTORY_LINES_MAX).map_err(starting)?.build();
    let mut editor = Prompt::with_config(config).map_err(starting)?;
    editor.set_helper(Some(Helper::new(names)));
    Ok(editor)
}

/// Asks for the names that completion offers.
async fn learn(target: &mut Target, names: &Names) {
    let mut found = Vec::new();
    let mut take = |part| {
        if let Part::Rows(batch) = part {
            let columns = batch.columns().iter().map(Column::new).collect::<Result<Vec<_>, _>>();
            let columns = columns.map_err(|e| Remark::error("XX000", e.to_string()))?;
            for row in 0..batch.num_rows() {
                let text = |i: usize| {
                    let mut text = String::new();
                    // Writing to a string cannot fail.
                    let _ = columns[i].write_text(row, &mut text);
                    text
                };
                found.push(if text(0) == "public" { text(1) } else { format!("{}.{}", text(0), text(1)) });
            }
        }
        Ok(())
    };
    // Without names there is less completion, and no more harm.
    let _ = target.run(LIST, &mut take).await;
    *names.write().unwrap_or_else(PoisonError::into_inner) = found;
}

/// `$XDG_STATE_HOME/siltstone/history`, by default below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = match env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()) {
        Some(state) => PathBuf::from(state),
        None => PathBuf::from(env::var_os("HOME")?).join(".local/state"),
    };
    let dir = state.join("siltstone");
    fs::create_dir_all(&dir).ok()?;
    Some(dir.join("history"))
}
