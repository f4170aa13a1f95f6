//! Ad events of the year 2024: drawn from a seed, written as files, or held in memory as columns.

pub mod batch;
pub mod event;
pub mod file;
