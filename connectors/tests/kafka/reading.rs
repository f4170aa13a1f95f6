//! A source read as the engine reads it, with everything it said kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use siltstone_connectors::kafka::KafkaConnector;
use siltstone_engine::clock;
use siltstone_engine::connector::{
    Connector, Gap, Payload, Poll, Source, SourceSpec, Split, SplitId, SplitReader,
};
use siltstone_engine::error::Result;

use crate::broker::ANSWER_MAX;

/// One poll waits this long at most.
const POLL_MAX: Duration = Duration::from_millis(200);

/// A source of one text column.
pub fn source(address: &str, topic: &str, more: &[(&str, &str)]) -> Arc<dyn Source> {
    try_source(address, topic, more).expect("a source")
}

pub fn try_source(address: &str, topic: &str, more: &[(&str, &str)]) -> Result<Arc<dyn Source>> {
    let base = [("bootstrap.servers", address), ("topic", topic)];
    let options = base.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Utf8, true)]));
    KafkaConnector.source(&SourceSpec { name: "events".into(), schema, options: options.collect() })
}

/// Offset and value of a message.
type Record = (i64, Option<Vec<u8>>);

/// A reader and all that came from it.
pub struct Reading {
    reader: Box<dyn SplitReader>,
    /// What came of every split, in order.
    pub messages: BTreeMap<SplitId, Vec<Record>>,
    pub progress: BTreeMap<SplitId, i64>,
    pub gaps: Vec<Gap>,
    pub finished: Vec<SplitId>,
}

impl Reading {
    /// Reads `splits` from their starts, up to their ends if they have one.
    pub fn start(source: &dyn Source, splits: &[Split]) -> Self {
        Self::resume(source, splits, &BTreeMap::new())
    }

    /// Reads `splits` from the offsets given, or their starts.
    pub fn resume(source: &dyn Source, splits: &[Split], from: &BTreeMap<SplitId, i64>) -> Self {
        let mut reading = Self {
            reader: source.reader().expect("a reader"),
            messages: BTreeMap::new(),
            progress: BTreeMap::new(),
            gaps: Vec::new(),
            finished: Vec::new(),
        };
        for split in splits {
            reading.assign(split, from.get(&split.id).copied().unwrap_or(split.start));
        }
        reading
    }

    pub fn assign(&mut self, split: &Split, from: i64) {
        self.reader.assign(split, from).expect("assigned");
    }

    /// One poll of about `rows_max`.
    pub fn step(&mut self, rows_max: usize) {
        let asked = clock::now();
        let poll = self.reader.poll(rows_max, POLL_MAX).expect("no error");
        // Twice a question's limit and some: a busy machine is no failure.
        assert!(clock::now() - asked < Duration::from_secs(8), "poll took too long");
        match poll {
            Poll::Idle => {}
            Poll::Gap(gap) => self.gaps.push(gap),
            Poll::Finished(split) => self.finished.push(split),
            Poll::Records(fetch) => {
                let Payload::Messages(messages) = fetch.payload else { panic!("not messages") };
                assert!(messages.entries.len() <= rows_max);
                for entry in &messages.entries {
                    let split = messages.splits[entry.split as usize].clone();
                    let bytes = messages.bytes[entry.start as usize..entry.end as usize].to_vec();
                    let value = (!entry.absent).then_some(bytes);
                    self.messages.entry(split).or_default().push((entry.offset, value));
                }
                self.progress.extend(fetch.progress);
            }
        }
    }

    /// Polls until it is true; fails the test if it never is.
    pub fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let deadline = clock::now() + ANSWER_MAX;
        while !is_true(self) {
            assert!(
                clock::now() < deadline,
                "never came true: {what}; gaps {:?}, progress {:?}",
                self.gaps,
                self.progress
            );
            self.step(1000);
        }
    }

    /// Polls until `splits` of them are read to their ends.
    pub fn until_finished(&mut self, splits: usize) {
        self.until("the splits are finished", |r| r.finished.len() == splits);
    }

    pub fn total(&self) -> usize {
        self.messages.values().map(Vec::len).sum()
    }

    /// The values of a split as texts.
    pub fn texts(&self, split: &str) -> Vec<String> {
        let messages = self.messages.get(split).map(Vec::as_slice).unwrap_or_default();
        let text =
            |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap_or_default()).expect("text");
        messages.iter().map(|(_, value)| text(value)).collect()
    }
}

/// The numbers of a range as texts.
pub fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// The splits with the ends they have now, as `--bounded` reads them.
pub fn bounded(source: &dyn Source, splits: &[Split]) -> Vec<Split> {
    let ends = source.ends(splits).expect("ends");
    splits.iter().map(|split| Split { end: Some(ends[&split.id]), ..split.clone() }).collect()
}
