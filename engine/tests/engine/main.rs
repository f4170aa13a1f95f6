//! The engine as a whole, over sources made for the test: one binary, one module for each concern.

mod backfill;
mod fixture;
mod gap;
mod recovery;
mod spill;
mod stop;
