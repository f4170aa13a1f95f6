//! PostgreSQL's spellings that the planner does not know, rewritten when a query is parsed.
//!
//! What asks the catalog of PostgreSQL (psql's `\d`, drivers) goes through the whole set of rewrites of the
//! catalog crate, which knows some queries by their text; other queries only lose qualifiers of functions and
//! get their special names resolved, so that nothing about them changes silently.

use datafusion::sql::sqlparser::ast::Query;

use crate::error::Result;

/// The query to plan for `query`, which stands as `text` in its statement.
#[cfg(feature = "pg-catalog")]
pub fn rewrite(query: Box<Query>, text: &str) -> Result<Box<Query>> {
    use std::sync::LazyLock;

    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
    use datafusion_pg_catalog::sql::rules::{
        CurrentUserVariableToSessionUserFunctionCall, RewriteArrayAnyAllOperation, SqlStatementRewriteRule,
        StripCallableQualifier, StripCollate,
    };

    use super::past;
    use crate::error::Error;

    static PARSER: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

    let rewritten = if asks_catalog(text) && !past::is_in(&query) {
        let text =
            UNANSWERABLE.iter().fold(text.to_owned(), |text, (part, answer)| text.replace(part, answer));
        let parsed = PARSER.parse(&text).map_err(|e| Error::syntax(e.to_string()))?;
        parsed.into_iter().next()
    } else {
        let rules: [&dyn SqlStatementRewriteRule; 4] = [
            &RewriteArrayAnyAllOperation,
            &StripCallableQualifier,
            &CurrentUserVariableToSessionUserFunctionCall,
            &StripCollate,
        ];
        let statement = Statement::Query(query.clone());
        Some(rules.iter().fold(statement, |statement, rule| rule.rewrite(statement)))
    };
    Ok(match rewritten {
        Some(Statement::Query(query)) => query,
        _ => query,
    })
}

/// The query to plan for `query`, which stands as `text` in its statement.
#[cfg(not(feature = "pg-catalog"))]
#[allow(clippy::unnecessary_wraps, reason = "the same face as with the catalog")]
pub fn rewrite(query: Box<Query>, _text: &str) -> Result<Box<Query>> {
    Ok(query)
}

/// Whether a query names anything of PostgreSQL's catalog.
#[cfg(feature = "pg-catalog")]
fn asks_catalog(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["pg_", "regclass", "regtype", "regproc", "regnamespace", "information_schema"]
        .iter()
        .any(|mark| lower.contains(mark))
}

/// Parts of psql's queries that cannot be planned, and what they come to here.
#[cfg(feature = "pg-catalog")]
const UNANSWERABLE: [(&str, &str); 2] = [
    // `\d+`: no relation has storage options.
    (
        "pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ')",
        "''",
    ),
    // `\du`: no role is a member of another.
    (
        "ARRAY(SELECT b.rolname\n        FROM pg_catalog.pg_auth_members m\n        JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid)\n        WHERE m.member = r.oid)",
        "'{}'",
    ),
];
