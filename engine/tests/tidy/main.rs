//! What a machine can check of this repository's manners, over its files as text: that imports have no
//! cycle and point down, that third-party types stay where they belong, that the documents name paths that
//! exist, and the shape of files. A rule that stands in CONTRIBUTING.md and can be checked is checked here.

mod document;
mod import;
mod module;
mod package;
mod shape;
mod tree;

/// Fails with all findings at once, one a line.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} found:\n{}", findings.len(), findings.join("\n"));
}
