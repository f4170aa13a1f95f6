//! What Siltstone is measured with: the ad events, and peers that do the same work in the same run. A figure
//! here is a ratio against such a peer, with commit, machine, rows and seed beside it.

pub mod ad;
pub mod arena;
pub mod broker;
pub mod compare;
pub mod latency;
pub mod process;
pub mod race;
pub mod report;
pub mod scenario;
pub mod script;
pub mod setting;
pub mod stopwatch;
