//! The shape of files: a head that says what the file is, a length that stays readable, names that say
//! something, and nothing that only one machine knows.

use super::assert_none;
use super::tree::{File, files};

const LINES_MAX: usize = 500;

/// Files that are longer, with the length that they may have. An entry may only shrink, and goes when the
/// file is within the limit.
const LONGER: [(&str, usize); 0] = [];

/// Names under which anything can be put.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "manager", "types", "misc", "shared"];

/// Words that must not be written out in this file, which is checked as all others are.
const LATER: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const MACHINE_PATHS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/"),
];

/// Everything that people write by hand.
fn sources() -> Vec<File> {
    files(&[
        ".rs", ".py", ".md", ".sql", ".toml", ".java", ".xml", ".slt", ".yml", ".sh", "Makefile", "run",
        "need", "python",
    ])
}

#[test]
fn rust_files_open_with_what_they_are() {
    let files = files(&[".rs"]);
    let bare = files.iter().filter(|f| !f.text.starts_with("//! "));
    assert_none(&bare.map(|f| format!("{} does not open with //!", f.path)).collect::<Vec<_>>());
}

#[test]
fn files_stay_readable() {
    let mut findings = Vec::new();
    for file in files(&[".rs", ".py", ".java"]) {
        let lines = file.text.lines().count();
        match LONGER.iter().find(|(path, _)| *path == file.path) {
            None if lines > LINES_MAX => {
                findings.push(format!("{}: {lines} lines of {LINES_MAX}", file.path))
            }
            Some((_, most)) if lines > *most => {
                findings.push(format!("{}: {lines} lines of {most}", file.path))
            }
            Some(_) if lines <= LINES_MAX => findings.push(format!("{}: take it off the list", file.path)),
            _ => {}
        }
    }
    for (path, _) in LONGER {
        if !super::tree::root().join(path).exists() {
            findings.push(format!("{path} is gone: take it off the list"));
        }
    }
    assert_none(&findings);
}

#[test]
fn names_say_something() {
    let mut findings = Vec::new();
    for file in files(&[".rs", ".py"]) {
        for part in file.path.split('/') {
            let stem = part.split('.').next().unwrap_or_default();
            if EMPTY_NAMES.contains(&stem) {
                findings.push(format!("{}: {stem} says nothing", file.path));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn what_is_left_for_later_has_an_issue() {
    let mut findings = Vec::new();
    for file in sources() {
        for (number, line) in file.text.lines().enumerate() {
            let issue = line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if LATER.iter().any(|word| line.contains(word)) && !issue {
                findings.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn nothing_names_a_path_of_one_machine() {
    let mut findings = Vec::new();
    for file in sources() {
        for (number, line) in file.text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|path| line.contains(path)) {
                findings.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(&findings);
}
