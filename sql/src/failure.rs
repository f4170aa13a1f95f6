//! From the planner's errors to ours: a SQLSTATE for each, and the message without what stands around it.
//!
//! Some are told apart by their type, the others only by their text; the texts are those of DataFusion 54
//! and are pinned by the golden tests.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use siltstone_engine::error::Kind;

use crate::error::{Error, sqlstate};
use crate::nearest::nearest;

/// Column names that a hint lists at most.
const COLUMNS_LISTED_MAX: usize = 20;

/// The error as a client should see it.
pub fn from_datafusion(error: &DataFusionError) -> Error {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let place = span.map(|span| (span.start.line, span.start.column));
    let error = from_root(error.find_root());
    let place = error.place().or(place);
    error.at(place)
}

/// The engine's error about a snapshot.
pub fn from_snapshot(error: siltstone_engine::error::Error) -> Error {
    match error.kind() {
        Kind::NotFound => Error::new(sqlstate::UNDEFINED_OBJECT, error.to_string())
            .with_hint("siltstone.snapshots lists snapshots and their tags"),
        _ => Error::from(error),
    }
}

fn from_root(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::SQL(parser, _) => from_parser(parser),
        DataFusionError::ArrowError(arrow, _) => from_arrow(arrow),
        DataFusionError::SchemaError(schema, _) => from_schema(schema),
        DataFusionError::NotImplemented(message) => {
            Error::new(sqlstate::FEATURE_NOT_SUPPORTED, first_line(message))
        }
        DataFusionError::Plan(message) => from_plan(message),
        DataFusionError::Configuration(message) => {
            Error::new(sqlstate::INVALID_PARAMETER_VALUE, first_line(message))
        }
        DataFusionError::Execution(message) => from_execution(message),
        DataFusionError::ResourcesExhausted(message) => {
            Error::new(sqlstate::OUT_OF_MEMORY, format!("query memory is used up: {}", first_line(message)))
                .with_hint("give the process more with --memory, or ask for fewer groups or rows at once")
        }
        DataFusionError::IoError(io) => Error::new(sqlstate::IO_ERROR, io.to_string()),
        DataFusionError::External(inner) => from_external(inner.as_ref()),
        DataFusionError::Collection(errors) => errors.first().map_or_else(
            || Error::new(sqlstate::INTERNAL, "several errors, none of them given"),
            from_datafusion,
        ),
        other => Error::new(sqlstate::INTERNAL, first_line(&other.message())),
    }
}

fn from_external(inner: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if let Some(ours) = inner.downcast_ref::<Error>() {
        return ours.clone();
    }
    if let Some(engine) = inner.downcast_ref::<siltstone_engine::error::Error>() {
        // A value that could not be computed: the text says more than the kind.
        let told = from_execution(&engine.to_string());
        let is_value = matches!(engine.kind(), Kind::Invalid | Kind::OutOfRange);
        return match is_value && told.sqlstate() != sqlstate::INVALID_PARAMETER_VALUE {
            true => told,
            false => Error::from(engine.duplicate()),
        };
    }
    if let Some(wrapped) = inner.downcast_ref::<DataFusionError>() {
        return from_datafusion(wrapped);
    }
    Error::new(sqlstate::INTERNAL, inner.to_string())
}

fn from_parser(error: &ParserError) -> Error {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            Error::syntax(message.clone())
        }
        ParserError::RecursionLimitExceeded => {
            Error::new(sqlstate::TOO_COMPLEX, "the statement is nested too deeply")
        }
    }
}

/// Arrow's errors: bad values and numbers out of range.
pub fn from_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::new(sqlstate::DIVISION_BY_ZERO, "division by zero"),
        ArrowError::ArithmeticOverflow(message) => {
            Error::new(sqlstate::NUMERIC_OUT_OF_RANGE, format!("number out of range: {message}"))
        }
        ArrowError::CastError(message) | ArrowError::ParseError(message) => bad_value(message),
        ArrowError::InvalidArgumentError(message) if is_range(message) => {
            Error::new(sqlstate::NUMERIC_OUT_OF_RANGE, first_line(message))
        }
        ArrowError::InvalidArgumentError(message) => {
            Error::new(sqlstate::INVALID_PARAMETER_VALUE, first_line(message))
        }
        ArrowError::NotYetImplemented(message) => {
            Error::new(sqlstate::FEATURE_NOT_SUPPORTED, first_line(message))
        }
        ArrowError::ExternalError(inner) => from_external(inner.as_ref()),
        other => Error::new(sqlstate::INTERNAL, first_line(&other.to_string())),
    }
}

fn from_execution(message: &str) -> Error {
    let lower = message.to_lowercase();
    let state = if lower.contains("divide by zero") || lower.contains("division by zero") {
        sqlstate::DIVISION_BY_ZERO
    } else if is_range(message) {
        sqlstate::NUMERIC_OUT_OF_RANGE
    } else if lower.contains("error parsing") || lower.contains("parse") {
        sqlstate::INVALID_TEXT
    } else if lower.contains("more than one row") || lower.contains("more than one element") {
        sqlstate::CARDINALITY_VIOLATION
    } else {
        sqlstate::INVALID_PARAMETER_VALUE
    };
    Error::new(state, first_line(message))
}

fn bad_value(message: &str) -> Error {
    let state = if is_range(message) {
        sqlstate::NUMERIC_OUT_OF_RANGE
    } else if message.to_lowercase().contains("timestamp") {
        sqlstate::INVALID_DATETIME
    } else {
        sqlstate::INVALID_TEXT
    };
    Error::new(state, first_line(message))
}

fn is_range(message: &str) -> bool {
    let lower = message.to_lowercase();
    ["overflow", "out of range", "too large to store", "can't cast value"]
        .iter()
        .any(|part| lower.contains(part))
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            let hint = nearest(&field.name, names.iter().copied())
                .map(|near| format!("did you mean \"{near}\"?"))
                .or_else(|| {
                    let few = names.iter().take(COLUMNS_LISTED_MAX).copied().collect::<Vec<_>>().join(", ");
                    (!few.is_empty()).then(|| format!("the columns are {few}"))
                });
            Error::new(sqlstate::UNDEFINED_COLUMN, format!("column \"{}\" does not exist", field.flat_name()))
                .with_hint_if(hint)
        }
        SchemaError::AmbiguousReference { field } => Error::new(
            sqlstate::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.flat_name()),
        ),
        other => Error::new(sqlstate::DUPLICATE_COLUMN, other.to_string())
            .with_hint("give one of them another name with AS"),
    }
}

fn from_plan(message: &str) -> Error {
    let line = first_line(message);
    if let Some(name) = quoted_after(message, "table '")
        && line.ends_with("not found")
    {
        let name = shorten(name);
        return Error::new(sqlstate::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
    }
    if let Some(name) = quoted_after(message, "table function '") {
        return Error::new(sqlstate::UNDEFINED_FUNCTION, format!("function {name}() does not exist"));
    }
    if let Some(name) = quoted_after(message, "Invalid function '") {
        let hint = quoted_after(message, "Did you mean '").map(|near| format!("did you mean {near}?"));
        return Error::new(sqlstate::UNDEFINED_FUNCTION, format!("function {name} does not exist"))
            .with_hint_if(hint);
    }
    let state = if message.contains("GROUP BY") {
        sqlstate::GROUPING_ERROR
    } else if message.contains("No function matches") || message.contains("does not support zero arguments") {
        sqlstate::UNDEFINED_FUNCTION
    } else if message.contains("type_coercion")
        || message.contains("coerce")
        || message.contains("Cannot infer common")
        || message.contains("boolean predicate")
        || message.contains("non-boolean")
    {
        sqlstate::DATATYPE_MISMATCH
    } else if message.contains("require unique expression names")
        || message.contains("specified more than once")
    {
        sqlstate::DUPLICATE_COLUMN
    } else if message.contains("not supported") || message.contains("Unsupported") {
        sqlstate::FEATURE_NOT_SUPPORTED
    } else if message.contains("placeholder") || message.contains("parameter") {
        sqlstate::UNDEFINED_PARAMETER
    } else {
        sqlstate::SYNTAX_ERROR
    };
    Error::new(state, line)
}

/// `siltstone.public.x` as a user wrote it.
fn shorten(name: &str) -> &str {
    name.strip_prefix("siltstone.").map_or(name, |rest| rest.strip_prefix("public.").unwrap_or(rest))
}

fn quoted_after<'a>(message: &'a str, mark: &str) -> Option<&'a str> {
    let start = message.find(mark)? + mark.len();
    let end = message[start..].find('\'')? + start;
    Some(&message[start..end])
}

/// The first line, without trailing punctuation of a list that follows.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim_end().to_owned()
}
