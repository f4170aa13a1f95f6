//! The lake at work: hot states and kept rows pressed into files in the background, and what can be asked of them.

mod face;
mod status;

pub use face::Past;
pub use status::{AsOf, CompactionRow, FileRow, SnapshotRow};
