//! Rollups: what a materialized view keeps, and the table that folds rows into it. Pure.

mod definition;
mod key;
mod layout;
mod table;

pub use definition::{AggregateCall, Key, ViewDefinition};
pub use key::KeyCodec;
pub use layout::Layout;
pub use table::{BLOCK_ROWS, Drain, GroupTable};
