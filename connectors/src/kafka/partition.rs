//! Which partition of which topic a split is: its name, and what is kept with it.

use rdkafka::TopicPartitionList;
use serde::{Deserialize, Serialize};
use siltstone_engine::connector::{Split, SplitId};
use siltstone_engine::error::{Error, Result};

/// A partition of one incarnation of a topic. Kept as JSON in [`Split::detail`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Partition {
    pub topic: String,
    pub number: i32,
    /// The topic's id when the partition was found, which changes when the topic is created again; empty
    /// if the broker tells none.
    pub topic_id: String,
}

impl Partition {
    pub(super) fn from_split(split: &Split) -> Result<Self> {
        serde_json::from_str(&split.detail)
            .map_err(|e| Error::corrupt(format!("reading the detail of split {}", split.id)).because(e))
    }

    /// The split, without an end. Later incarnations carry their topic's id in their name.
    pub(super) fn to_split(&self, is_first: bool, start: i64) -> Split {
        let Self { topic, number, topic_id } = self;
        let id = if is_first { format!("{topic}/{number}") } else { format!("{topic}/{number}@{topic_id}") };
        let detail = serde_json::to_string(self).expect("strings and a number are JSON");
        Split { id: SplitId::from(id), start, end: None, detail }
    }

    /// The topic now has another id than when this partition was found.
    pub(super) fn is_replaced_by(&self, topic_id: &str) -> bool {
        !self.topic_id.is_empty() && !topic_id.is_empty() && self.topic_id != topic_id
    }
}

/// The list that librdkafka wants, without offsets.
pub(super) fn list<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_names_its_partition_and_brings_it_back() {
        let partition = Partition { topic: "a.b".into(), number: 3, topic_id: "x".into() };
        let split = partition.to_split(true, 7);
        assert_eq!((&*split.id, split.start, split.end), ("a.b/3", 7, None));
        assert_eq!(Partition::from_split(&split).expect("detail"), partition);
        assert_eq!(&*partition.to_split(false, 0).id, "a.b/3@x");
    }

    #[test]
    fn only_two_known_ids_can_differ() {
        let of = |id: &str| Partition { topic: "t".into(), number: 0, topic_id: id.into() };
        assert!(of("a").is_replaced_by("b"));
        assert!(!of("a").is_replaced_by("a"));
        assert!(!of("").is_replaced_by("b"));
        assert!(!of("a").is_replaced_by(""));
    }
}
