//! The repository's text files.

use std::fs;
use std::path::{Path, PathBuf};

/// A file: its path from the repository's root, with `/`, and its text.
pub struct File {
    pub path: String,
    pub text: String,
}

/// Folders that are not ours to check.
const SKIPPED: [&str; 5] = ["target", "__pycache__", ".git", ".cache", ".pytest_cache"];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the repository").to_path_buf()
}

/// All files whose name ends with one of the endings (`.rs`), or is one of them (`Makefile`).
pub fn files(endings: &[&str]) -> Vec<File> {
    let root = root();
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be listed") {
            let path = entry.expect("an entry of the repository can be read").path();
            let name = path.file_name().and_then(|n| n.to_str()).expect("names are UTF-8");
            if path.is_dir() {
                if !SKIPPED.contains(&name) {
                    folders.push(path);
                }
            } else if endings.iter().any(|e| name.ends_with(e)) {
                let relative = path.strip_prefix(&root).expect("found below the root");
                let relative = relative.to_str().expect("names are UTF-8").to_owned();
                found.push(File { path: relative, text: fs::read_to_string(&path).unwrap_or_default() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The names that stand at the repository's top.
pub fn top_level() -> Vec<String> {
    let entries = fs::read_dir(root()).expect("the repository can be listed");
    entries
        .map(|e| e.expect("an entry can be read").file_name().into_string().expect("names are UTF-8"))
        .collect()
}

/// Rust source without comments, string literals and its trailing `mod tests`: what remains is code.
pub fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut code = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|&c| c != '\n').is_some() {},
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                code.push_str("\"\"");
            }
            // A quote in quotes is no string's start.
            '\'' => {
                let rest: String = chars.clone().take(2).collect();
                if rest == "\"'" {
                    chars.next();
                    chars.next();
                }
                code.push('\'');
            }
            _ => code.push(c),
        }
    }
    code
}

#[test]
fn code_has_no_comments_strings_and_tests() {
    let text = "use a::b; // use c::d;\nlet s = \"crate::e \\\" x\"; let q = '\"';\nf();\n#[cfg(test)]\nmod tests { use g; }";
    assert_eq!(code(text), "use a::b; \nlet s = \"\"; let q = ';\nf();\n");
}
