//! The lake: columnar files, and the tables of a catalog that name them, as other engines read them.
//!
//! What is here is pure, but for [`fault`]: what a table of a relation looks like ([`TableSpec`]), what a file
//! holds ([`FileRecord`]), which files to write anew ([`choose_merges`], [`is_due`]), and what to do after a
//! crash ([`resolve`]). Who carries it out implements [`Lake`].
//!
//! Invariants:
//! - A data file is never changed, and is durable before anything names it.
//! - A snapshot is committed at most once: its number is chosen before, and looked for after an unknown
//!   outcome, before anything else is done.
//! - A file is deleted only when no snapshot that is left names it and no reader has it.

pub mod fault;
mod file;
mod merge;
mod policy;
mod protocol;
mod table;
mod total;
mod wanted;

pub use file::{FileRecord, FileWriter, Files};
pub use merge::{MERGE_FILES, choose_merges};
pub use policy::{Pressure, WRITE_AMPLIFICATION_MAX, is_due};
pub use protocol::{Facts, Recovery, resolve};
pub use table::{Commit, Lake, Operation, Partition, SnapshotRef, TableSpec, TableState, Transform};
pub use total::{ColumnTotal, Totals};
pub use wanted::{ColumnCondition, Wanted};
