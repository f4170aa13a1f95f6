//! The engine of Siltstone: an operator graph folds events into mergeable states, a store keeps them in
//! columnar blocks, and snapshots of it answer reads.
//!
//! Modules in the order in which they may use each other: a module imports from those above it only.

pub mod error;

pub mod calendar;
pub mod clock;

pub mod lake;

pub mod aggregate;

pub mod connector;

pub mod rollup;

pub mod lsm;

pub mod dataflow;

pub mod checkpoint;

pub mod runtime;
