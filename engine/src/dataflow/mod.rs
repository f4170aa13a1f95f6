//! The operator graph of one worker, and the edge that leaves it.
//!
//! A worker's operators form a tree and run on one thread, so a batch passes from one to the next by a
//! call: no queue, no copy, and no lock but that of a large table. What an epoch produces (group tables, kept rows, bad rows) leaves
//! the graph as an [`Emission`] on a bounded channel to the pipeline's committer; when the committer
//! falls behind, the worker blocks there, stops polling, and the source's own flow control does the rest.
//!
//! Invariants:
//! - A barrier reaches every operator after every batch that was sent before it and before any sent
//!   after it. The emissions of an epoch come before its [`Emission::Barrier`].
//! - A row is folded into every view of the graph or is in an error row, never neither.

mod ad_hoc;
mod decode;
mod emission;
mod evaluate;
mod fold;
mod graph;
mod keep;
mod key;
mod memo;
mod operator;
mod paired;
mod project;
mod worker;

pub use ad_hoc::{AdHoc, AdHocFold, Condition};
pub use emission::{Barrier, Emission, ViewError};
pub use fold::FoldSpec;
pub use graph::{Graph, GraphSpec};
pub use keep::RowFiles;
pub use key::KeyColumns;
pub use operator::Metrics;
pub use worker::{Control, Load, Worker, WorkerSpec, divide};
