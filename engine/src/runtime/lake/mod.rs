//! The lake at work: hot states and kept rows are pressed into files in the background, and what can be asked of
//! them.
//!
//! Each view and each table of kept rows is a table of the lake. A snapshot of it shows one epoch, whole. Its files
//! are runs of the store beside the hot ones, so that a reader of this process sees each group's states and each
//! row once, whatever moves from one to the other: the record that makes the files its runs is written by the same
//! batch that takes the hot ones away.

mod commit;
mod cut;
mod past;
mod press;
mod sorted;
mod staged;
mod status;
mod target;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

pub use commit::Committer;
pub use past::{Past, choose};
pub use press::rebuilt;
pub use staged::row_files;
pub use status::{AsOf, CompactionRow, FileRow, SnapshotRow};
pub use target::{Target, partition_text};
pub use work::{Extent, Work};

use super::state::Shared;
use crate::error::{Error, Kind};

/// The longest time between two looks at what is due.
const TICK_MAX: Duration = Duration::from_secs(5);

/// Does what is due, again and again, until the other end of `stopped` is gone.
pub fn keep(shared: &std::sync::Weak<Shared>, stopping: &Arc<AtomicBool>, stopped: &Receiver<()>) {
    loop {
        let Some(tick) = shared.upgrade().map(|shared| (shared.options.lake_interval / 4).min(TICK_MAX))
        else {
            return;
        };
        match stopped.recv_timeout(tick) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return,
        }
        let Some(shared) = shared.upgrade() else { return };
        let Some(lake) = shared.options.lake.clone() else { return };
        let cancelled = || match stopping.load(Ordering::Acquire) {
            true => Err(Error::new(Kind::Cancelled, "the engine is stopping")),
            false => Ok(()),
        };
        Work { shared: &shared, lake: &lake, cancelled: &cancelled }.round(Extent::Due);
    }
}

/// Commits rows that are in files but in no snapshot yet.
pub fn commit_staged(shared: &Arc<Shared>) {
    if let Some(lake) = &shared.options.lake {
        Work { shared, lake, cancelled: &|| Ok(()) }.round(Extent::Staged);
    }
}
