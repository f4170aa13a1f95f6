//! What a connector is to the engine: traits, and the registry that whoever assembles the process fills.
//!
//! A [`Connector`] makes a [`Source`] from a definition's options. A source is a set of [`Split`]s, each
//! an ordered sequence of records with `i64` offsets (a Kafka partition, a range of a file, a push
//! queue). Every worker of a source owns one [`SplitReader`], which reads the splits assigned to it, and
//! one [`Decoder`], which turns payloads into typed columns.
//!
//! Invariants:
//! - An offset names the *next* record to read. Reading from an offset that was returned by
//!   [`Fetch::progress`] continues without loss or repetition, in another process too.
//! - A record that cannot be decoded is a [`BadRow`], never an error of the call.
//! - Records that are gone are a [`Poll::Gap`], never skipped silently.

mod decode;
mod definition;
mod expression;
mod registry;
mod split;

pub use decode::{BadRow, Decoded, Decoder, Origin, RAW_BYTES_MAX, without_unread};
pub use definition::{Column, SourceDefinition};
pub use expression::Expression;
pub use registry::{Connector, OptionSpec, PushPort, Registry, Sink, Source, SourceSpec};
pub use split::{Fetch, Gap, Message, Messages, Payload, Poll, Split, SplitId, SplitReader};
