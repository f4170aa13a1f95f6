//! Rollups: what a materialized view keeps, the table that folds rows into it, and which view is a merge of
//! which other. Pure.

mod bucket;
mod codes;
mod columnar;
mod definition;
mod dense;
mod dictionary;
#[cfg(test)]
pub mod fixture;
mod index;
mod key;
mod lattice;
mod layout;
mod packing;
mod part;
mod sort;
mod table;

pub use bucket::Granularity;
pub use codes::Codes;
pub use columnar::Columnar;
pub use definition::{AggregateCall, Bucket, Key, ViewDefinition};
pub use dictionary::{Dictionary, TEXTS_MAX, TextCoder, plain};
pub use key::KeyCodec;
pub use lattice::{Derivation, Feed, lattice};
pub use layout::Layout;
pub use part::Part;
pub use table::{BLOCK_ROWS, Dictionaries, Drain, GroupTable, Keys};
