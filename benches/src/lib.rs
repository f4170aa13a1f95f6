//! What Siltstone is measured with: the ad events, and a peer that answers the same questions in the same
//! run. A figure here is a ratio against that peer, with commit, machine, rows and seed beside it.

pub mod ad;
pub mod report;
pub mod setting;
pub mod stopwatch;
pub mod workload;
