//! What a connection keeps of the extended protocol: prepared statements and portals.

use std::sync::Arc;

use siltstone_sql::{Described, Statement, Value};

use super::rows::{Formats, Rows};

/// A statement that was parsed.
pub(super) struct Prepared {
    /// `None` for an empty string.
    pub(super) statement: Option<Statement>,
    pub(super) described: Described,
    /// The parameters' types: as the client said, else as the statement needs them.
    pub(super) oids: Vec<u32>,
    /// Whether the client said so.
    pub(super) stated: Vec<bool>,
}

/// A statement with its parameters, before, during or after its run.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) formats: Formats,
    pub(super) state: State,
}

pub(super) enum State {
    Bound(Vec<Value>),
    Running(Rows, &'static str),
    Finished,
}
