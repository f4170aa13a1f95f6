//! Golden cases: `statement ok`, `statement error SQLSTATE [part of the message]`, `query [sorted]` with its
//! rows behind `----`, `settle` to wait for bounded sources. Cases of one file share a database.

use std::path::{Path, PathBuf};

use futures::FutureExt;
use siltstone_sql::{Error, Result, Session};

use crate::support::{settled, started};

/// The rows of a statement; a panic is an error of its case.
async fn ask(session: &Session, sql: &str) -> Result<Vec<String>> {
    let asked = std::panic::AssertUnwindSafe(crate::support::ask(session, sql)).catch_unwind().await;
    asked.unwrap_or_else(|_| Err(Error::new("XX000", "it panicked")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_gives_its_rows() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the cases")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", directory.display());
    let mut failures = Vec::new();
    for file in &files {
        check(file, &mut failures).await;
    }
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

async fn check(file: &Path, failures: &mut Vec<String>) {
    let (_directory, database) = started();
    let session = database.session();
    let text = std::fs::read_to_string(file).expect("a case file");
    for (line, case) in cases(&text) {
        let mut fail = |what: String| failures.push(format!("{}:{line}: {what}", file.display()));
        let (head, body) = case.split_once('\n').unwrap_or((case.as_str(), ""));
        let words: Vec<&str> = head.split_whitespace().collect();
        match words.as_slice() {
            ["settle"] => settled(&database).await,
            ["statement", "ok"] => {
                if let Err(error) = ask(&session, body).await {
                    fail(format!("{} {error} ({:?})", error.sqlstate(), error.hint()));
                }
            }
            ["statement", "error", state, ..] => {
                let part = head.split_once(state).map_or("", |(_, rest)| rest.trim());
                match ask(&session, body).await {
                    Ok(rows) => fail(format!("no error, but {rows:?}")),
                    Err(error) if error.sqlstate() != *state => {
                        fail(format!("{}: {error}", error.sqlstate()))
                    }
                    Err(error) => {
                        let whole = format!("{error} | {}", error.hint().unwrap_or_default());
                        if !whole.contains(part) {
                            fail(format!("\"{part}\" is not in: {whole}"));
                        }
                    }
                }
            }
            ["query", rest @ ..] => {
                let (sql, expected) = body.split_once("\n----").unwrap_or((body, ""));
                let mut expected: Vec<&str> = expected.lines().filter(|l| !l.is_empty()).collect();
                match ask(&session, sql).await {
                    Err(error) => fail(format!("{}: {error} ({:?})", error.sqlstate(), error.hint())),
                    Ok(mut found) => {
                        if rest.contains(&"sorted") {
                            found.sort();
                            expected.sort_unstable();
                        }
                        if found != expected {
                            fail(format!("found\n{}", found.join("\n")));
                        }
                    }
                }
            }
            _ => fail(format!("what is \"{head}\"?")),
        }
    }
    let engine = std::sync::Arc::clone(database.engine());
    tokio::task::spawn_blocking(move || engine.stop()).await.expect("an engine that stops");
}

/// Cases stand between empty lines; lines of `#` say why.
fn cases(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            open = false;
        } else if !line.starts_with('#') {
            match found.last_mut().filter(|_| open) {
                Some((_, case)) => {
                    case.push('\n');
                    case.push_str(line);
                }
                None => found.push((number + 1, line.to_owned())),
            }
            open = true;
        }
    }
    found
}
