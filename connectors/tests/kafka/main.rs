//! The connector `kafka` against a real broker.
//!
//! The broker is the one that `SILTSTONE_TEST_KAFKA` names (host:port), else one that `docker/kafka/kafka`
//! starts in a temporary folder. Each test has topics of its own.
#![cfg(feature = "kafka")]

mod broker;
mod gap;
mod mock;
mod outage;
mod read;
mod reading;
mod refusal;
mod transaction;
