//! Documents name what is there.

use super::assert_none;
use super::tree::{files, root, top_level};

/// What `text` holds between backticks, outside of fenced blocks.
fn spans(text: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    for (i, part) in text.split("```").enumerate() {
        if i % 2 == 0 {
            spans.extend(part.lines().flat_map(|line| line.split('`').skip(1).step_by(2)));
        }
    }
    spans
}

/// A path of this repository: it starts with a name that stands at the top, or would have to.
fn looks_like_a_path(span: &str, top: &[String]) -> bool {
    let plain = span.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c));
    let first = span.split('/').next().unwrap_or_default();
    let source =
        [".rs", ".md", ".py", ".sql", ".java"].iter().any(|e| span.ends_with(e)) && span.contains('/');
    plain && !span.starts_with('/') && (source || top.iter().any(|t| t == first) && !first.is_empty())
}

#[test]
fn paths_in_documents_exist() {
    let (root, top) = (root(), top_level());
    let mut findings = Vec::new();
    for file in files(&[".md"]) {
        for span in spans(&file.text) {
            let beside = root.join(&file.path).with_file_name("").join(span);
            if looks_like_a_path(span, &top) && !root.join(span).exists() && !beside.exists() {
                findings.push(format!("{}: `{span}` does not exist", file.path));
            }
        }
    }
    assert_none(&findings);
}

/// `[text](target)` to files of this repository.
#[test]
fn links_in_documents_lead_somewhere() {
    let mut findings = Vec::new();
    for file in files(&[".md"]) {
        for target in file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            let beside = root().join(&file.path).with_file_name("").join(target);
            if !target.is_empty() && !target.contains("://") && !beside.exists() {
                findings.push(format!("{}: link to {target}", file.path));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn what_looks_like_a_path() {
    let top = ["engine".to_owned(), "Makefile".to_owned()];
    for (span, expected) in [
        ("engine/src/lsm", true),
        ("Makefile", true),
        ("no/such/file.rs", true),
        ("CREATE TABLE", false),
        ("text/plain", false),
        ("/etc/x.md", false),
        ("siltstone.errors", false),
    ] {
        assert_eq!(looks_like_a_path(span, &top), expected, "{span}");
    }
    assert_eq!(spans("a `b` c\n```\n`d`\n```\n`e`"), ["b", "e"]);
}
