//! Packages and what they depend on: the direction among our crates, the one crate where each third-party
//! library's types may appear, licences, and libraries of which the tree may hold one version only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::assert_none;
use super::tree::{code, files, root};

/// Which of our packages each of them may depend on.
const DIRECTION: [(&str, &[&str]); 6] = [
    ("siltstone-engine", &[]),
    ("siltstone-connectors", &["siltstone-engine"]),
    ("siltstone-sql", &["siltstone-engine"]),
    ("siltstone", &["siltstone-engine", "siltstone-connectors", "siltstone-sql"]),
    ("siltstone-examples", &["siltstone"]),
    ("siltstone-benches", &["siltstone"]),
];

/// Libraries, and the one package that may depend on each.
const HOME: [(&str, &str); 9] = [
    ("fjall", "siltstone-engine"),
    ("rdkafka", "siltstone-connectors"),
    ("parquet", "siltstone-connectors"),
    ("datafusion", "siltstone-sql"),
    ("datafusion-pg-catalog", "siltstone-sql"),
    ("axum", "siltstone"),
    ("pgwire", "siltstone"),
    ("arrow-pg", "siltstone"),
    ("clap", "siltstone"),
];

/// The folder of the engine that may name the store's types.
const STORE_FOLDER: &str = "engine/src/lsm/";

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn crates_point_down_and_libraries_stay_at_home() {
    let direction = BTreeMap::from(DIRECTION);
    let mut findings = Vec::new();
    for package in list(&metadata(&["--no-deps"]), "packages") {
        let name = text(package, "name");
        let Some(below) = direction.get(name) else {
            findings.push(format!("package {name} has no place in the direction of crates"));
            continue;
        };
        for dependency in list(package, "dependencies").iter().map(|d| text(d, "name")) {
            if direction.contains_key(dependency) && !below.contains(&dependency) {
                findings.push(format!("{name} depends on {dependency}"));
            }
            if let Some((_, home)) =
                HOME.iter().find(|(library, home)| *library == dependency && *home != name)
            {
                findings.push(format!("{name} depends on {dependency}, which is {home}'s alone"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn only_the_lsm_names_the_store() {
    let mut findings = Vec::new();
    for file in files(&[".rs"]).iter().filter(|f| !f.path.starts_with(STORE_FOLDER)) {
        if code(&file.text).contains("fjall::") {
            findings.push(format!("{} names fjall, which belongs in {STORE_FOLDER}", file.path));
        }
    }
    assert_none(&findings);
}

/// The strings of the list that follows `key` in deny.toml, or of its lines that hold `key`.
fn deny_list(start: &str) -> Vec<String> {
    let deny = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let lines =
        deny.lines().skip_while(|l| !l.starts_with(start)).skip(1).take_while(|l| !l.starts_with(']'));
    lines.filter_map(|l| l.split('"').nth(1).map(str::to_owned)).collect()
}

#[test]
fn licences_are_among_those_allowed() {
    let allowed: BTreeSet<String> = deny_list("allow = [").into_iter().collect();
    assert!(allowed.contains("Apache-2.0"), "the list of licences was not found in deny.toml");
    let mut findings = Vec::new();
    for package in list(&metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]), "packages") {
        let licence = text(package, "license");
        if !is_allowed(licence, &allowed) {
            findings.push(format!("{} {}: {licence:?}", text(package, "name"), text(package, "version")));
        }
    }
    assert_none(&findings);
}

#[test]
fn one_version_of_what_crosses_crates() {
    let once = deny_list("deny = [");
    assert!(once.iter().any(|n| n == "arrow"), "the list of single versions was not found in deny.toml");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in list(&metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]), "packages") {
        versions
            .entry(text(package, "name").to_owned())
            .or_default()
            .insert(text(package, "version").to_owned());
    }
    let doubled =
        once.iter().filter_map(|name| versions.get(name).filter(|v| v.len() > 1).map(|v| (name, v)));
    assert_none(&doubled.map(|(name, versions)| format!("{name}: {versions:?}")).collect::<Vec<_>>());
}

/// An SPDX expression: some alternative of which every part is allowed. Parentheses are rare enough to be
/// multiplied out by hand: `(A OR B) AND C` holds if C does and one of A and B does.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    if let (Some(open), Some(close)) = (expression.find('('), expression.find(')')) {
        let inner = if is_allowed(&expression[open + 1..close], allowed) { "Apache-2.0" } else { "none" };
        return is_allowed(&format!("{}{inner}{}", &expression[..open], &expression[close + 1..]), allowed);
    }
    let alternatives = expression.replace('/', " OR ");
    alternatives.split(" OR ").any(|one| one.split(" AND ").all(|part| allowed.contains(part.trim())))
}

#[test]
fn licence_expressions() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned(), "Zlib".to_owned()]);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND Zlib", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND Zlib", true),
        ("(GPL-3.0 OR LGPL-3.0) AND Zlib", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}
