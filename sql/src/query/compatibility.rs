//! PostgreSQL's spellings that the planner does not know, rewritten before planning.
//!
//! What asks the catalog of PostgreSQL (psql's `\d`, drivers) goes through the whole set of rewrites of the
//! catalog crate, whose matches of whole queries those need; other queries only lose qualifiers of functions
//! and get their special names resolved, so that nothing about them changes silently.

use datafusion::sql::sqlparser::ast::Statement;

use crate::error::Result;

#[cfg(feature = "pg-catalog")]
pub fn rewrite(statement: Statement) -> Result<Statement> {
    use std::sync::LazyLock;

    use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
    use datafusion_pg_catalog::sql::rules::{
        CurrentUserVariableToSessionUserFunctionCall, RewriteArrayAnyAllOperation, SqlStatementRewriteRule,
        StripCallableQualifier, StripCollate,
    };

    use crate::error::Error;

    static PARSER: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

    let text = statement.to_string();
    if !asks_catalog(&text) {
        let rules: [&dyn SqlStatementRewriteRule; 4] = [
            &RewriteArrayAnyAllOperation,
            &StripCallableQualifier,
            &CurrentUserVariableToSessionUserFunctionCall,
            &StripCollate,
        ];
        return Ok(rules.iter().fold(statement, |statement, rule| rule.rewrite(statement)));
    }
    let parsed = PARSER.parse(&text).map_err(|e| Error::syntax(e.to_string()))?;
    Ok(parsed.into_iter().next().unwrap_or(statement))
}

#[cfg(not(feature = "pg-catalog"))]
#[allow(clippy::unnecessary_wraps, reason = "the same face as with the catalog")]
pub fn rewrite(statement: Statement) -> Result<Statement> {
    Ok(statement)
}

/// Whether a query names anything of PostgreSQL's catalog.
#[cfg(feature = "pg-catalog")]
fn asks_catalog(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["pg_", "regclass", "regtype", "regproc", "regnamespace", "information_schema"].iter().any(|mark| lower.contains(mark))
}
