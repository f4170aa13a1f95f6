//! The paths that a file's code names: `crate::a::b`, `super::c`, and each leaf of `use crate::{a, b::{c, d}}`.

/// Paths that start with `crate` or `super`, segment by segment.
pub fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = next_start(code, from) {
        let (leaves, end) = leaves(code, at);
        found.extend(leaves.into_iter().map(|leaf| {
            // `a as b` names a; `self` is the path before it.
            leaf.into_iter().filter(|s| s != "self" && !s.is_empty()).collect()
        }));
        from = end.max(at + 1);
    }
    found
}

/// Where the next `crate::` or `super::` starts that is no part of a longer path or word.
fn next_start(code: &str, from: usize) -> Option<usize> {
    let candidates = ["crate::", "super::"].iter().filter_map(|word| {
        let mut from = from;
        loop {
            let at = from + code[from..].find(word)?;
            let before = code[..at].chars().next_back();
            // `pub(crate)` has no `::` and does not come here; `$crate::` and `x::super::` are not ours.
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                return Some(at);
            }
            from = at + word.len();
        }
    });
    candidates.min()
}

/// Every path of the (possibly braced) path that starts at `at`, and where it ends.
fn leaves(code: &str, at: usize) -> (Vec<Vec<String>>, usize) {
    let mut path = Vec::new();
    let mut position = at;
    loop {
        let rest = &code[position..];
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        position += word.len();
        path.push(word);
        if !code[position..].starts_with("::") {
            return (vec![path], position);
        }
        position += 2;
        if code[position..].starts_with('{') {
            return group(code, position + 1, &path);
        }
    }
}

/// The members of a group; `position` stands behind its brace.
fn group(code: &str, mut position: usize, prefix: &[String]) -> (Vec<Vec<String>>, usize) {
    let mut found = Vec::new();
    loop {
        let rest = &code[position..];
        let blank = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',').len();
        position += blank;
        match code[position..].chars().next() {
            None => return (found, position),
            Some('}') => return (found, position + 1),
            Some(c) if c.is_alphanumeric() || c == '_' => {
                let (inner, end) = leaves(code, position);
                found.extend(inner.into_iter().map(|leaf| [prefix, &leaf].concat()));
                position = end;
                // An alias is no path.
                if let Some(alias) = code[position..].trim_start().strip_prefix("as ") {
                    let name = alias.trim_start();
                    let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                    position = code.len() - name.len() + length;
                }
            }
            Some(c) => position += c.len_utf8(),
        }
    }
}

#[test]
fn groups_are_opened() {
    let found = paths("use crate::{a, b::{c, D as E, self}};\nlet x = super::super::f(crate::g::H);");
    let joined: Vec<String> = found.iter().map(|p| p.join("::")).collect();
    assert_eq!(
        joined,
        ["crate::a", "crate::b::c", "crate::b::D", "crate::b", "super::super::f", "crate::g::H"]
    );
}

#[test]
fn other_paths_are_left_alone() {
    assert!(paths("pub(crate) use a::b; $crate::m!(); my_crate::x(); std::super_::y();").is_empty());
}
