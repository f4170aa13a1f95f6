//! What one take does: messages are copied into one buffer, positions move, doubts are noted.
//!
//! Nothing below a partition's position is taken, and nothing at or behind its end.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use siltstone_engine::connector::{Fetch, Message, Messages, Payload};

use super::assigned::{Assigned, State};
use super::intake::Topic;

/// The messages of one take, and what they do to their partitions.
pub(super) struct Taken<'a> {
    partitions: &'a mut [Assigned],
    pub messages: Messages,
    /// Which partitions have moved.
    has_moved: Vec<bool>,
    /// The partition of the last message, by librdkafka's name for it: the next one is mostly of the same.
    last: Option<(Topic, i32, usize)>,
    seen: Vec<(Topic, i32, usize)>,
    pub is_any_in_doubt: bool,
}

impl<'a> Taken<'a> {
    pub(super) fn new(partitions: &'a mut [Assigned]) -> Self {
        let has_moved = vec![false; partitions.len()];
        Self {
            partitions,
            messages: Messages::default(),
            has_moved,
            last: None,
            seen: Vec::new(),
            is_any_in_doubt: false,
        }
    }

    pub(super) fn message(&mut self, topic: Topic, number: i32, offset: i64, value: Option<&[u8]>) {
        let Some(at) = self.find(topic, number) else { return };
        let assigned = &mut self.partitions[at];
        if assigned.state == State::Over || offset < assigned.position {
            return;
        }
        self.has_moved[at] = true;
        if assigned.end.is_some_and(|end| offset >= end) {
            // Behind the end, so all before it is read.
            assigned.position = assigned.position.max(assigned.end.unwrap_or(offset));
            return;
        }
        assigned.position = offset + 1;
        let start = self.messages.bytes.len();
        self.messages.bytes.extend_from_slice(value.unwrap_or_default());
        // At most FETCH_BYTES_MAX and one value, which Kafka limits to 2 GiB.
        let place = |at: usize| u32::try_from(at).expect("a fetch is shorter than 4 GiB");
        self.messages.entries.push(Message {
            split: place(at),
            offset,
            start: place(start),
            end: place(self.messages.bytes.len()),
            absent: value.is_none(),
        });
    }

    /// Notes what was said of a partition; returns what is worth a log line.
    pub(super) fn notice(
        &mut self,
        topic: &str,
        number: i32,
        offset: i64,
        code: RDKafkaErrorCode,
    ) -> Option<String> {
        use RDKafkaErrorCode as Code;
        let at = self.partitions.iter().position(|a| a.takes(topic, number))?;
        let assigned = &mut self.partitions[at];
        if assigned.state == State::Over {
            return None;
        }
        match code {
            Code::PartitionEOF => {
                // What is behind the split's own end was dropped, not read.
                let offset = assigned.end.map_or(offset, |end| offset.min(end));
                if offset > assigned.position {
                    assigned.position = offset;
                    self.has_moved[at] = true;
                }
                return None;
            }
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
                assigned.state = State::Refused
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition
                if assigned.state == State::Reading =>
            {
                assigned.state = State::Doubtful;
            }
            _ => {}
        }
        self.is_any_in_doubt |= assigned.state != State::Reading;
        Some(format!("partition {number} of topic '{topic}': {}", KafkaError::MessageConsumption(code)))
    }

    /// Which assigned partition it is.
    fn find(&mut self, topic: Topic, number: i32) -> Option<usize> {
        let is_same = |of: &&(Topic, i32, usize)| of.0 == topic && of.1 == number;
        if let Some(&(_, _, at)) = self.last.as_ref().filter(is_same) {
            return Some(at);
        }
        let found = match self.seen.iter().find(is_same) {
            Some(&seen) => seen,
            None => {
                let name = topic.name();
                let at = self.partitions.iter().position(|a| a.takes(&name, number))?;
                self.seen.push((topic, number, at));
                (topic, number, at)
            }
        };
        self.last = Some(found);
        Some(found.2)
    }

    pub(super) fn into_fetch(mut self) -> Option<Fetch> {
        if !self.has_moved.contains(&true) {
            return None;
        }
        self.messages.splits = self.partitions.iter().map(|a| a.split.clone()).collect();
        let moved = self.partitions.iter().zip(&self.has_moved).filter(|(_, has_moved)| **has_moved);
        let progress = moved.map(|(a, _)| (a.split.clone(), a.position)).collect();
        Some(Fetch { payload: Payload::Messages(self.messages), progress })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition at offset 7 that ends before 10, and librdkafka's name for it.
    fn partition() -> (Vec<Assigned>, Topic) {
        let split = "t/0".into();
        let partition =
            super::super::partition::Partition { topic: "t".to_owned(), number: 0, topic_id: String::new() };
        (
            vec![Assigned { split, partition, position: 7, end: Some(10), state: State::Reading }],
            Topic::none(),
        )
    }

    /// Takes messages at `offsets` and then the partition's end at 20.
    fn position_after(offsets: &[i64]) -> (i64, usize) {
        let (mut partitions, topic) = partition();
        let mut taken = Taken::new(&mut partitions);
        taken.seen.push((topic, 0, 0));
        for &offset in offsets {
            taken.message(topic, 0, offset, Some(b"x"));
        }
        assert_eq!(taken.notice("t", 0, 20, RDKafkaErrorCode::PartitionEOF), None);
        let count = taken.into_fetch().map_or(0, |fetch| match fetch.payload {
            Payload::Messages(messages) => messages.entries.len(),
            _ => 0,
        });
        (partitions[0].position, count)
    }

    #[test]
    fn the_position_stays_at_the_end_whatever_lies_behind_it() {
        assert_eq!(position_after(&[]), (10, 0));
        assert_eq!(position_after(&[7, 8, 9]), (10, 3));
        assert_eq!(position_after(&[7, 8, 9, 10, 11]), (10, 3));
        assert_eq!(position_after(&[8, 12]), (10, 1), "what is between them was never to be seen");
    }
}
