//! The tables that queries read: the relations of `public` at one snapshot, the system schemas, and how their
//! rows come out of the engine.

mod column;
mod filter;
mod fold;
mod lake;
mod past;
mod pinned;
mod postgres;
#[cfg(feature = "pg-catalog")]
mod postgres_built_in;
mod relation;
mod scan;
mod system;
mod view;

pub use filter::is_of_times;
pub use fold::{Fold, Folds};
pub use past::PastPlanner;
pub use pinned::pinned;
pub use postgres::catalog_schema;
pub use relation::RelationTable;
pub use system::System;
