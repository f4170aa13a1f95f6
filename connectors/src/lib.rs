//! Where events come from: the connectors of this build and the formats they decode.
//!
//! [`registry`] is the one door. A connector implements the engine's traits in a folder of its own;
//! formats stand apart from them, so that a file, a topic and a test read the same bytes in the same way.

mod option;

pub mod format;

pub mod datagen;
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lake;
pub mod push;

use std::sync::Arc;

use siltstone_engine::connector::Registry;

/// Every connector of this build.
pub fn registry() -> Registry {
    let registry = Registry::default()
        .with(Arc::new(file::FileConnector))
        .with(Arc::new(datagen::DatagenConnector))
        .with(Arc::new(push::PushConnector));
    #[cfg(feature = "kafka")]
    let registry = registry.with(Arc::new(kafka::KafkaConnector));
    registry
}
