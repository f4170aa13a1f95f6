//! Ad events of the year 2024: drawn from a seed, written as files.

pub mod event;
pub mod file;
