//! Kafka topics as sources: every partition is a split, its offsets are ours.
//!
//! Partitions are assigned by the engine and never by a consumer group, and reading always starts at the
//! offset that the engine gives. Offsets are committed to a group only if one is named, as advice for lag
//! tools. An offset that is out of range is a gap, never a silent reset.
//!
//! Holes in a log are no gaps: compacted records, transaction markers and aborted records were never to be
//! seen. Progress past them is reported when the end of the partition is reached, without records.
//!
//! A topic that was deleted and created again has another topic id, and its offsets mean other records. So
//! its partitions are new splits (`topic/3@id`), and the old splits end with a gap. A reader learns of it
//! when the broker refuses its offset or at the next discovery; should the new topic have outgrown the old
//! offset before that, records of it may have been read as if they followed the old ones. Brokers that tell
//! no topic id (before 2.8) are known by offsets alone.

mod setting;

mod client;
mod describe;
mod intake;
mod partition;
mod topic;

mod assigned;
mod reader;
mod source;
mod taken;

mod mock;

use std::sync::Arc;

use siltstone_engine::connector::{Connector, OptionSpec, Source, SourceSpec};
use siltstone_engine::error::Result;

pub use mock::MockBroker;

/// The connector `kafka`.
pub struct KafkaConnector;

impl Connector for KafkaConnector {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn options(&self) -> &'static [OptionSpec] {
        setting::OPTIONS
    }

    fn is_operational(&self, option: &str) -> bool {
        setting::is_operational(option)
    }

    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(source::KafkaSource::new(spec)?))
    }
}
