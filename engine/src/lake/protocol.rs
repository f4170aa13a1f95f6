//! What to do about a commit to the lake that was cut off: a pure function from the facts found to an action.
//!
//! The steps: *seal* (the record of what goes into the snapshot, and its number), *files* (written and fsynced),
//! *written* (their names added to the record), *commit* (in the catalog), *drop* (the record, and what is hot
//! no longer, in one batch with the new files). Each may be repeated. Nothing that a commit may name is deleted
//! before the catalog has said that it has another snapshot in that place.

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The record names files: all of them are durable.
    pub written: bool,
    /// The catalog has the snapshot, as the current one or behind it.
    pub landed: bool,
    /// The current snapshot is the one that the commit was to follow.
    pub parent_is_current: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Delete what was written and the record; the hot states are still there.
    Discard,
    /// Commit what the record names.
    Commit,
    /// The commit was done: drop what is in it.
    Drop,
}

/// The next step of a commit that was begun.
pub fn resolve(facts: Facts) -> Recovery {
    match facts {
        Facts { landed: true, .. } => Recovery::Drop,
        Facts { written: true, parent_is_current: true, .. } => Recovery::Commit,
        // Another snapshot took its place, so it can no longer come to be; or it has no files yet.
        Facts { .. } => Recovery::Discard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_landed_is_dropped_and_what_can_no_longer_land_is_discarded() {
        let resolved =
            |written, landed, parent_is_current| resolve(Facts { written, landed, parent_is_current });
        assert_eq!(resolved(true, true, false), Recovery::Drop);
        assert_eq!(resolved(true, false, true), Recovery::Commit);
        assert_eq!(resolved(true, false, false), Recovery::Discard);
        assert_eq!(resolved(false, false, true), Recovery::Discard);
        assert_eq!(resolved(false, false, false), Recovery::Discard);
    }
}
