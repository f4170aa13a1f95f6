//! Modules and who imports whom: no cycle among siblings at any level of any crate, and in the engine left
//! only.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{File, code, files};
use super::{assert_none, import};

/// The engine's modules; each may import only those that stand before it.
const ENGINE_ORDER: [&str; 12] = [
    "error",
    "calendar",
    "clock",
    "lake",
    "changelog",
    "aggregate",
    "connector",
    "rollup",
    "lsm",
    "dataflow",
    "checkpoint",
    "runtime",
];

const CRATES: [&str; 6] = ["engine", "connectors", "sql", "server", "examples", "benches"];

type Path = Vec<String>;

/// A crate's modules, and for each the names that it re-exports from modules below it.
struct Modules {
    exports: BTreeMap<Path, BTreeMap<String, Path>>,
    code: BTreeMap<Path, String>,
}

impl Modules {
    fn of(name: &str, files: &[File]) -> Self {
        let source = format!("{name}/src/");
        let mut modules = Self { exports: BTreeMap::new(), code: BTreeMap::new() };
        for file in files {
            let Some(inner) = file.path.strip_prefix(&source) else { continue };
            if inner.starts_with("bin/") || inner == "main.rs" {
                continue;
            }
            modules.code.insert(module_path(inner), code(&file.text));
        }
        let exports = modules.code.iter().map(|(path, code)| (path.clone(), modules.exports_of(path, code)));
        modules.exports = exports.collect();
        modules
    }

    /// `pub use child::{A, B}` as A and B → child.
    fn exports_of(&self, path: &Path, code: &str) -> BTreeMap<String, Path> {
        let mut exports = BTreeMap::new();
        for statement in code.split(';') {
            let Some((before, used)) = statement.split_once("use ") else { continue };
            if !before.trim_start().contains("pub") || before.contains('{') {
                continue;
            }
            let relative = used.trim().trim_start_matches("self::");
            for mut leaf in import::paths(&format!("super::{relative}")) {
                leaf.remove(0);
                let Some(name) = leaf.last().cloned() else { continue };
                let child = [path.clone(), leaf[..1].to_vec()].concat();
                if leaf.len() > 1 && self.code.contains_key(&child) {
                    exports.insert(name, child);
                }
            }
        }
        exports
    }

    /// The module that a path written in `from` leads to.
    fn resolve(&self, from: &Path, written: &[String]) -> Path {
        let mut at = from.clone();
        let mut rest = written;
        if rest.first().is_some_and(|s| s == "crate") {
            at.clear();
            rest = &rest[1..];
        }
        while rest.first().is_some_and(|s| s == "super") {
            at.pop();
            rest = &rest[1..];
        }
        for segment in rest {
            let child = [at.clone(), vec![segment.clone()]].concat();
            if self.code.contains_key(&child) {
                at = child;
            } else if let Some(target) = self.exports.get(&at).and_then(|e| e.get(segment)) {
                return target.clone();
            } else {
                break;
            }
        }
        at
    }

    /// For each module with children, which child imports which.
    fn edges(&self) -> BTreeMap<Path, BTreeSet<(String, String)>> {
        let mut edges: BTreeMap<Path, BTreeSet<(String, String)>> = BTreeMap::new();
        for (from, code) in &self.code {
            for written in import::paths(code) {
                let to = self.resolve(from, &written);
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if let (Some(a), Some(b)) = (from.get(shared), to.get(shared)) {
                    edges.entry(from[..shared].to_vec()).or_default().insert((a.clone(), b.clone()));
                }
            }
        }
        edges
    }
}

/// `lsm/mod.rs` is `[lsm]`, `lsm/block.rs` is `[lsm, block]`, `lib.rs` is the root.
fn module_path(file: &str) -> Path {
    let mut path: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|name| name == "mod" || name == "lib") {
        path.pop();
    }
    path
}

/// A cycle, as the names on it, if there is one.
fn cycle(edges: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    fn visit<'a>(
        node: &'a str,
        edges: &'a BTreeSet<(String, String)>,
        trail: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|n| *n == node) {
            return Some(trail[start..].iter().chain([&node]).map(|n| (*n).to_owned()).collect());
        }
        if done.contains(node) {
            return None;
        }
        trail.push(node);
        for (_, to) in edges.iter().filter(|(from, _)| from == node) {
            if let Some(found) = visit(to, edges, trail, done) {
                return Some(found);
            }
        }
        trail.pop();
        done.insert(node);
        None
    }
    let mut done = BTreeSet::new();
    edges.iter().find_map(|(from, _)| visit(from, edges, &mut Vec::new(), &mut done))
}

#[test]
fn imports_have_no_cycle() {
    let files = files(&[".rs"]);
    let mut findings = Vec::new();
    for name in CRATES {
        for (level, edges) in Modules::of(name, &files).edges() {
            if let Some(names) = cycle(&edges) {
                let level = [vec![name.to_owned()], level].concat().join("::");
                findings.push(format!("{level}: {}", names.join(" → ")));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn the_engine_imports_left_only() {
    let rank = |module: &str| ENGINE_ORDER.iter().position(|m| *m == module);
    let mut findings = Vec::new();
    let modules = Modules::of("engine", &files(&[".rs"]));
    for path in modules.code.keys().filter(|p| p.len() == 1) {
        if rank(&path[0]).is_none() {
            findings.push(format!(
                "engine::{} has no place in the order: {}",
                path[0],
                ENGINE_ORDER.join(" < ")
            ));
        }
    }
    for (from, to) in modules.edges().remove(&Vec::new()).unwrap_or_default() {
        if rank(&from) < rank(&to) {
            findings.push(format!("engine::{from} imports engine::{to}, which comes after it"));
        }
    }
    assert_none(&findings);
}

#[test]
fn a_cycle_through_a_re_export_is_seen() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let files = [
        file("x/src/lib.rs", "mod a;\nmod b;\n"),
        file("x/src/a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::{Two, Three};\n"),
        file("x/src/a/one.rs", "use super::Three;\n"),
        file("x/src/a/two.rs", "use crate::a::One;\n"),
        file("x/src/b.rs", "use crate::a::Two;\n"),
    ];
    let edges = Modules::of("x", &files).edges();
    assert_eq!(cycle(&edges[&vec!["a".to_owned()]]).map(|c| c.join(" ")), Some("one two one".to_owned()));
    assert_eq!(cycle(&edges[&Vec::new()]), None);
}
