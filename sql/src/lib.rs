//! SQL over the engine: our dialect, the catalog, views compiled to rollups, queries by DataFusion.
//!
//! [`Database`] opens a data directory and compiles what is defined in it; a [`Session`] parses and runs
//! statements. No type of DataFusion crosses this face.
//!
//! Modules in the order in which they may use each other: a module imports from those above it only.

mod error;

mod nearest;

mod failure;

mod data_type;

mod parse;

pub mod script;

mod plan;

mod catalog;

mod outcome;

mod setting;

mod routes;

mod table;

mod route;

mod planned;

mod database;

mod definition;

mod query;

pub use database::Database;
pub use error::{Error, Result, sqlstate};
pub use outcome::{Answer, Described, Notice, Outcome, RowStream, Value};
pub use parse::Statement;
pub use query::Session;
