//! Names: folding to lower case as PostgreSQL does, quoting where a name needs it, and schemas.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use datafusion::sql::sqlparser::keywords::{ALL_KEYWORDS, ALL_KEYWORDS_INDEX, Keyword};
use datafusion::sql::sqlparser::keywords::{
    RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_IDENTIFIER, RESERVED_FOR_TABLE_ALIAS,
};

use crate::error::{Error, Result, sqlstate};

/// The database's name, which is also that of the schema of system tables.
pub const DATABASE: &str = "siltstone";
/// The schema of sources, tables and views.
pub const PUBLIC: &str = "public";

/// The name that an identifier stands for.
pub fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// An identifier that folds to `name`.
pub fn quote(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !is_reserved(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A string literal that stands for `value`.
pub fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn is_reserved(name: &str) -> bool {
    let upper = name.to_uppercase();
    let Ok(index) = ALL_KEYWORDS.binary_search(&upper.as_str()) else { return false };
    let keyword: Keyword = ALL_KEYWORDS_INDEX[index];
    [RESERVED_FOR_IDENTIFIER, RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS]
        .iter()
        .any(|reserved| reserved.contains(&keyword))
}

/// The parts of a name, folded.
pub fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(fold(ident)),
            other => Err(Error::syntax(format!("\"{other}\" is not a name"))),
        })
        .collect()
}

/// The name of a source, table or view: what stands behind `public.`, if anything stands before it.
pub fn relation(name: &ObjectName) -> Result<String> {
    let parts = parts(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [name] | [PUBLIC, name] | [DATABASE, PUBLIC, name] => Ok((*name).to_owned()),
        _ => Err(Error::new(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("\"{name}\" does not stand in schema public"),
        )
        .with_hint("sources, tables and views all live in schema public; leave the schema out")),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quotes_only_where_needed() {
        assert_eq!(quote("events"), "events");
        assert_eq!(quote("type"), "type");
        assert_eq!(quote("Events"), "\"Events\"");
        assert_eq!(quote("select"), "\"select\"");
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote("1st"), "\"1st\"");
    }
}
