//! What the Tab key offers, and when a statement is complete.

use std::sync::{Arc, PoisonError, RwLock};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Result};
use siltstone_sql::script;

/// Names of tables, sources and views.
pub(super) type Names = Arc<RwLock<Vec<String>>>;

const KEYWORDS: [&str; 44] = [
    "AND",
    "AS",
    "AVG",
    "BETWEEN",
    "BY",
    "CASE",
    "COUNT",
    "CREATE",
    "DATE_TRUNC",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXPLAIN",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INSERT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LIKE",
    "LIMIT",
    "MATERIALIZED",
    "MAX",
    "MIN",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "SELECT",
    "SHOW",
    "SOURCE",
    "SUM",
    "TABLE",
    "THEN",
    "VIEW",
    "WHERE",
    "WITH",
];

pub(super) struct Helper {
    names: Names,
}

impl Helper {
    pub(super) fn new(names: Names) -> Self {
        Self { names }
    }
}

impl Completer for Helper {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        Ok(candidates(&line[..position], &names))
    }
}

/// Where the word before the cursor begins, and what it may become.
fn candidates(before: &str, names: &[String]) -> (usize, Vec<String>) {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let start = before
        .rfind(|c: char| !part_of_word(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    if word.is_empty() {
        return (start, Vec::new());
    }
    let upper = word.to_ascii_uppercase();
    let small = word.chars().all(|c| !c.is_ascii_uppercase());
    let keywords = KEYWORDS.iter().filter(|k| k.starts_with(&upper));
    let keywords = keywords.map(|k| if small { k.to_ascii_lowercase() } else { (*k).to_owned() });
    let names = names.iter().filter(|n| n.to_ascii_uppercase().starts_with(&upper)).cloned();
    (start, names.chain(keywords).collect())
}

impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        let text = context.input().trim();
        let done = text.is_empty() || text.starts_with('\\') || script::is_complete(text);
        Ok(if done { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Highlighter for Helper {}

impl Hinter for Helper {
    type Hint = String;
}

impl rustyline::Helper for Helper {}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn names_and_keywords_in_the_case_that_is_typed() {
        let names = ["selected".to_owned(), "siltstone.views".to_owned()];
        let (start, offered) = candidates("sel", &names);
        assert_eq!((start, offered), (0, vec!["selected".to_owned(), "select".to_owned()]));
        assert_eq!(candidates("SELECT 1 FROM siltstone.v", &names), (14, vec!["siltstone.views".to_owned()]));
        assert_eq!(candidates("SELECT ", &names), (7, Vec::new()));
    }
}
