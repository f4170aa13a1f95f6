//! Splits and how they are read.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Names a split within its source, the same in every process (`topic/3`, `/data/a.csv@0`).
pub type SplitId = Arc<str>;

/// A readable piece of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    #[serde(with = "id_as_text")]
    pub id: SplitId,
    /// Offset of the first record, where reading starts if nothing has been read yet.
    pub start: i64,
    /// Offset behind the last record, if the split has an end (`None`: it goes on, as a topic does).
    pub end: Option<i64>,
    /// Private to the connector, kept with the split (for a file: how its range was cut).
    pub detail: String,
}

/// Reads the splits assigned to one worker. Lives on that worker's thread.
pub trait SplitReader: Send {
    /// Starts reading `split` at `from` (at least `split.start`) and stops at `split.end`, if there is one.
    fn assign(&mut self, split: &Split, from: i64) -> Result<()>;

    /// The next records, of any assigned split, about `rows_max` of them. Waits at most `timeout`.
    ///
    /// # Errors
    /// Only what retrying here cannot mend; a broker that is away for a while is [`Poll::Idle`].
    fn poll(&mut self, rows_max: usize, timeout: Duration) -> Result<Poll>;

    /// It would be well to close an epoch: what is kept until then leaves little room for more. Asked after each
    /// poll, and true once for each such epoch.
    fn is_pressed(&mut self) -> bool {
        false
    }
}

/// What a reader has.
#[derive(Debug)]
pub enum Poll {
    Records(Fetch),
    /// Nothing came within the time given.
    Idle,
    /// Records between the two offsets are gone. The reader goes on at `Gap::to` if polled again.
    Gap(Gap),
    /// A split with an end was read to it.
    Finished(SplitId),
}

/// Records that should have been there and were not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    #[serde(with = "id_as_text")]
    pub split: SplitId,
    /// The offset that was to be read.
    pub from: i64,
    /// The offset where records go on; below `from` when the topic was recreated.
    pub to: i64,
    pub reason: String,
}

/// Records, and how far they bring each split.
#[derive(Debug)]
pub struct Fetch {
    pub payload: Payload,
    /// For each split in the payload, the offset to go on from when all of it is taken.
    pub progress: Vec<(SplitId, i64)>,
}

/// Records as the connector has them.
#[derive(Debug)]
pub enum Payload {
    /// Whole text records (lines) of one split; `offset` is that of the first byte.
    Text { split: SplitId, offset: i64, bytes: Vec<u8> },
    /// One record in each message.
    Messages(Messages),
    /// Rows that are columns already, with the source's physical schema; `offset` is the first row's.
    Rows { split: SplitId, offset: i64, batch: RecordBatch },
}

/// Messages of one or more splits, their values in one buffer.
#[derive(Debug, Default)]
pub struct Messages {
    pub bytes: Vec<u8>,
    pub splits: Vec<SplitId>,
    pub entries: Vec<Message>,
}

/// One message: `bytes[start..end]` of its buffer.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Index into [`Messages::splits`].
    pub split: u32,
    pub offset: i64,
    pub start: u32,
    pub end: u32,
    /// The message has no value at all (in Kafka, a tombstone).
    pub absent: bool,
}

/// Split ids in records: plain strings.
pub(super) mod id_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::SplitId;

    pub fn serialize<S: Serializer>(id: &SplitId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SplitId, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}
