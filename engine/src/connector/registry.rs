//! Connectors by name, and what each makes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::{Decoder, Split, SplitId, SplitReader};
use crate::error::{Error, Kind, Result};

/// A kind of external system, by the name that `WITH (connector = …)` gives.
pub trait Connector: Send + Sync {
    fn name(&self) -> &'static str;

    /// Every option it takes. What is not listed is refused before [`Connector::source`] is called.
    fn options(&self) -> &'static [OptionSpec];

    /// Whether an option may change while the source stays the same one: how it is reached and what is done
    /// on trouble, never what it reads.
    fn is_operational(&self, _option: &str) -> bool {
        false
    }

    /// Makes a source. Checks the options' values; need not reach the external system yet.
    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>>;

    /// Makes a sink.
    fn sink(&self, _spec: &SourceSpec) -> Result<Box<dyn Sink>> {
        Err(Error::new(Kind::Unsupported, format!("connector '{}' cannot be written to", self.name())))
    }
}

/// One option of a connector.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    pub name: &'static str,
    pub required: bool,
    /// One line: what it means, its unit, its default.
    pub help: &'static str,
}

/// What a source is made from.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    pub name: String,
    /// The columns to decode, without generated ones. A field that is not nullable is `NOT NULL`.
    pub schema: SchemaRef,
    /// The options of `WITH`, without `connector`.
    pub options: BTreeMap<String, String>,
}

/// Where events come from.
pub trait Source: Send + Sync {
    /// The splits there are now. `known` are those found before, which keep their place and their
    /// `start`; the answer holds new ones only.
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>>;

    /// Every split that will ever come has an end and is there from the start.
    fn is_bounded(&self) -> bool;

    /// Reading from [`Split::start`] again gives the same records again.
    fn is_replayable(&self) -> bool;

    /// A reader for one worker.
    fn reader(&self) -> Result<Box<dyn SplitReader>>;

    /// A decoder for one worker; `wanted` has a flag for each physical column: somebody reads it.
    ///
    /// A column that nobody reads is checked like the others (a bad value makes a bad row), but its values
    /// are not kept: it comes as an arrow `NullArray` (its field's type in the batch's schema is `Null`).
    /// A text column (declared `Utf8`) may come as `DictionaryArray<UInt32Type>` with `Utf8` values, when it
    /// has few distinct values. The dictionary's `values` array stays the very same `Arc` from batch to batch
    /// while no new value appears, and only ever grows by appending: codes keep their meaning during a
    /// decoder's life. A column may turn from a dictionary to plain text, but never back.
    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>>;

    /// The offset behind each split's last record as of now: what `--bounded` reads to, and what lag is
    /// counted against. A split whose end cannot be told now is left out.
    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>>;

    /// The first offset that is still there of each split, where records go as time passes. A split that
    /// cannot be told of is left out; of one that is gone altogether it is `i64::MAX`.
    fn firsts(&self, _splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        Ok(BTreeMap::new())
    }

    /// Told whenever an epoch has closed, also an empty one, what is durable: advice for tools outside; must
    /// not block or fail.
    fn committed(&self, _offsets: &BTreeMap<SplitId, i64>) {}

    /// Sends what [`Source::committed`] has held back, at a clean stop; waits for at most `limit`.
    fn flush(&self, _limit: Duration) {}

    /// The process stops: calls that wait for the external system are to return soon, from now on.
    fn interrupt(&self) {}

    /// What to do about a gap: `true` records it and goes on, `false` stops the source with an error.
    fn skips_gaps(&self) -> bool {
        false
    }

    /// The queue behind a source that this process feeds itself.
    fn push_port(&self) -> Option<&dyn PushPort> {
        None
    }
}

/// The queue of a source that rows are handed to.
pub trait PushPort: Send + Sync {
    /// Queues rows of the source's physical schema, waiting while the queue is full. The answer is the
    /// split and offset that must be durable before the rows are.
    fn push(&self, batch: RecordBatch) -> Result<(SplitId, i64)>;
}

/// Where rows go.
pub trait Sink: Send {
    /// Takes rows that belong to `epoch`.
    fn write(&mut self, epoch: u64, batch: &RecordBatch) -> Result<()>;

    /// Makes everything written up to `epoch` durable on the other side. Called again with the same
    /// epoch after a crash.
    fn commit(&mut self, epoch: u64) -> Result<()>;
}

/// The connectors of this process.
#[derive(Default)]
pub struct Registry {
    connectors: BTreeMap<&'static str, Arc<dyn Connector>>,
}

impl Registry {
    /// Adds a connector; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, connector: Arc<dyn Connector>) -> Self {
        self.connectors.insert(connector.name(), connector);
        self
    }

    /// The connector of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Connector>> {
        self.connectors.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.connectors.keys().copied()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.connectors.keys()).finish()
    }
}
