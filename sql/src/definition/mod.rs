//! Creating, changing and dropping, one at a time: compile, store in the engine, then show in the catalog.
//!
//! What the catalog shows is durable. These functions block on the disk; they run off the async threads.

mod alter;
mod create;
mod drop;
mod snapshot;

pub use alter::alter;
pub use create::{Existing, create_source, create_view};
pub use drop::drop;
pub use snapshot::optimize;

use crate::catalog::Relation;
use crate::error::{Error, sqlstate};

/// That a statement names another kind than the relation is of.
fn wrong_kind(found: &Relation, named: &str, statement: &str) -> Error {
    let (name, kind) = (found.name(), found.kind());
    let message = format!("\"{name}\" is not a {}", named.to_lowercase());
    Error::new(sqlstate::WRONG_OBJECT_TYPE, message)
        .with_hint(format!("it is a {}: use {statement} {kind}", kind.to_lowercase()))
}
