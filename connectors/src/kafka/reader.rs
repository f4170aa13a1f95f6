//! Reads the partitions assigned to one worker, through one consumer of its own.
//!
//! A partition is read in order from its position, and nothing below the position is ever handed out again.
//! The position moves with every message, and past holes when the end of the partition is reached. What
//! librdkafka tells of a partition is first noted on it, and looked into before the next messages are taken.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use siltstone_engine::clock;
use siltstone_engine::connector::{
    Fetch, Gap, Message, Messages, Payload, Poll, Split, SplitId, SplitReader,
};
use siltstone_engine::error::{Error, Result};

use super::client::{Client, Context, Place, is_final, refusal};
use super::intake::{Intake, Item, Topic};
use super::partition::Partition;
use super::topic::Topics;

/// Bytes of values in one fetch; the value that reaches it is still part of it.
const FETCH_BYTES_MAX: usize = 8 << 20;
/// Least time between two looks at a partition that is in doubt.
const DOUBT_EVERY: Duration = Duration::from_millis(250);
/// A question about a partition in doubt waits this long at most. There are up to three, and they are asked
/// however short the poll: a shorter wait might never see an answer.
const QUESTION_MAX: Duration = Duration::from_millis(500);

pub(super) struct KafkaReader {
    intake: Intake,
    client: Arc<Client>,
    topics: Arc<Topics>,
    skips_gaps: bool,
    /// The version of `topics` that the partitions were last checked against.
    topics_version: u64,
    partitions: Vec<Assigned>,
    /// What is to be told before anything else is read.
    ready: VecDeque<Poll>,
    is_any_in_doubt: bool,
    next_look: Option<Instant>,
}

struct Assigned {
    split: SplitId,
    partition: Partition,
    /// The next offset to hand out.
    position: i64,
    end: Option<i64>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The broker refused the position: it is out of range, or the topic is another one.
    Refused,
    /// The broker did not know the topic or partition: it may be another one by now.
    Doubtful,
    /// Read to its end, or never to be read again: its topic was recreated.
    Over,
}

impl KafkaReader {
    pub(super) fn new(
        consumer: BaseConsumer<Context>,
        client: Arc<Client>,
        topics: Arc<Topics>,
        skips_gaps: bool,
    ) -> Result<Self> {
        Ok(Self {
            intake: Intake::new(consumer)?,
            client,
            topics_version: topics.version(),
            topics,
            skips_gaps,
            partitions: Vec::new(),
            ready: VecDeque::new(),
            is_any_in_doubt: false,
            next_look: None,
        })
    }

    /// Gives the partition to librdkafka, from its position on.
    fn start(&self, at: usize) -> Result<()> {
        let Assigned { partition, position, split, .. } = &self.partitions[at];
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*position))
            .and_then(|()| self.intake.consumer().incremental_assign(&list))
            .map_err(|e| Error::io(format!("assigning split {split} at offset {position}"), e))
    }

    /// Takes the partition away from librdkafka; what it still holds of it is dropped there.
    fn stop(&self, at: usize) -> Result<()> {
        let Assigned { partition, split, .. } = &self.partitions[at];
        self.intake
            .consumer()
            .incremental_unassign(&super::partition::list([partition]))
            .map_err(|e| Error::io(format!("letting go of split {split}"), e))
    }

    fn finish(&mut self, at: usize) {
        self.partitions[at].state = State::Over;
        self.ready.push_back(Poll::Finished(self.partitions[at].split.clone()));
    }

    /// Lets go of the partitions that have reached their end.
    fn finish_ended(&mut self) -> Result<()> {
        for at in 0..self.partitions.len() {
            let Assigned { state, position, end, .. } = self.partitions[at];
            if state != State::Over && end.is_some_and(|end| position >= end) {
                self.stop(at)?;
                self.finish(at);
            }
        }
        Ok(())
    }

    /// Ends the splits of topics that have been recreated, by what is known of their ids.
    fn end_replaced(&mut self) -> Result<()> {
        self.topics_version = self.topics.version();
        for at in 0..self.partitions.len() {
            let Assigned { state, partition, .. } = &self.partitions[at];
            if *state != State::Over && partition.is_replaced_by(&self.topics.id(&partition.topic)) {
                self.stop(at)?;
                self.end_one_replaced(at);
            }
        }
        Ok(())
    }

    fn end_one_replaced(&mut self, at: usize) {
        let Assigned { split, partition, position, end, state } = &mut self.partitions[at];
        *state = State::Over;
        // An earlier run has told of it and gone on; where a gap is an error, it stays one.
        if !(self.skips_gaps && self.topics.is_superseded(split)) {
            let reason = format!("topic '{}' was deleted and created again", partition.topic);
            let gap = Gap { split: split.clone(), from: *position, to: *position, reason };
            self.ready.push_back(Poll::Gap(gap));
        }
        if end.is_some() {
            self.finish(at);
        }
    }

    /// Looks into the partitions that librdkafka gave up on or could not find.
    fn resolve_doubts(&mut self) -> Result<()> {
        let now = clock::now();
        if !self.is_any_in_doubt || self.next_look.is_some_and(|next| now < next) {
            return Ok(());
        }
        self.next_look = Some(now + DOUBT_EVERY);
        self.is_any_in_doubt = false;
        for at in 0..self.partitions.len() {
            if matches!(self.partitions[at].state, State::Refused | State::Doubtful) && !self.resolve(at)? {
                self.is_any_in_doubt = true;
            }
        }
        Ok(())
    }

    /// Looks into one; false if it cannot be told yet.
    fn resolve(&mut self, at: usize) -> Result<bool> {
        let partition = self.partitions[at].partition.clone();
        let description = match self.client.describe(&partition.topic, QUESTION_MAX) {
            Ok(Some(description)) => description,
            Ok(None) => {
                self.intake
                    .consumer()
                    .context()
                    .trouble(&format!("topic '{}' does not exist", partition.topic));
                return Ok(false);
            }
            Err(error) => return self.unanswered(&error),
        };
        self.topics.set_id(&partition.topic, &description.topic_id);
        if partition.is_replaced_by(&description.topic_id) {
            self.stop(at)?;
            self.end_one_replaced(at);
            return Ok(true);
        }
        if self.partitions[at].state == State::Doubtful {
            // It is the one we know; librdkafka goes on by itself.
            self.partitions[at].state = State::Reading;
            return Ok(true);
        }
        let asked = std::slice::from_ref(&partition);
        let bounds = (|| {
            let first = self.client.offsets(asked, Place::First, QUESTION_MAX)?;
            Ok((first, self.client.offsets(asked, Place::End, QUESTION_MAX)?))
        })();
        let (first, end) = match bounds {
            Ok((first, end)) => (first, end),
            Err(error) => return self.unanswered(&error),
        };
        let (&[Some(first)], &[Some(end)]) = (&*first, &*end) else { return Ok(false) };
        self.go_on(at, first, end, !description.topic_id.is_empty())?;
        Ok(true)
    }

    fn unanswered(&self, error: &Error) -> Result<bool> {
        self.intake.consumer().context().trouble(&error.to_string());
        Ok(false)
    }

    /// Goes on with a refused partition that now has records from `first` to `end`.
    fn go_on(&mut self, at: usize, first: i64, end: i64, has_topic_id: bool) -> Result<()> {
        self.stop(at)?;
        let assigned = &mut self.partitions[at];
        let from = assigned.position;
        if let Some((to, reason)) = gap_of(from, first, end, has_topic_id) {
            assigned.position = to;
            self.ready.push_back(Poll::Gap(Gap { split: assigned.split.clone(), from, to, reason }));
        }
        assigned.state = State::Reading;
        self.start(at)
    }

    /// Takes what there is, waiting for the first of it.
    fn take(&mut self, rows_max: usize, wait: Duration) -> Result<Option<Fetch>> {
        let mut taken = Taken::new(&mut self.partitions);
        let context = self.intake.consumer().context().clone();
        let mut failure = None;
        self.intake.take(wait, |item| match item {
            Item::Message { topic, partition, offset, value } => {
                taken.message(topic, partition, offset, value);
                if taken.messages.entries.len() >= rows_max || taken.messages.bytes.len() >= FETCH_BYTES_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }
            Item::Partition { topic, partition, offset, code } => {
                if is_final(code) {
                    failure =
                        Some(refusal(&format!("reading partition {partition} of topic '{topic}'"), code));
                    return ControlFlow::Break(());
                }
                if let Some(reason) = taken.notice(&topic, partition, offset, code) {
                    context.trouble(&reason);
                }
                ControlFlow::Continue(())
            }
            Item::Client { code, reason } => {
                if is_final(code) {
                    failure = Some(refusal(&reason, code));
                    return ControlFlow::Break(());
                }
                context.trouble(&reason);
                ControlFlow::Continue(())
            }
        });
        self.is_any_in_doubt |= taken.is_any_in_doubt;
        let fetch = taken.into_fetch();
        match failure {
            Some(error) => Err(error),
            None => Ok(fetch),
        }
    }
}

impl SplitReader for KafkaReader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        let partition = Partition::from_split(split)?;
        // The split of a topic's earlier incarnation must be let go before its partition is taken again.
        if self.topics.version() != self.topics_version {
            self.end_replaced()?;
        }
        let is_replaced = partition.is_replaced_by(&self.topics.id(&partition.topic));
        let is_at_end = split.end.is_some_and(|end| from >= end);
        let state = State::Reading;
        self.partitions.push(Assigned {
            split: split.id.clone(),
            partition,
            position: from,
            end: split.end,
            state,
        });
        let at = self.partitions.len() - 1;
        if is_replaced {
            self.end_one_replaced(at);
        } else if is_at_end {
            self.finish(at);
        } else {
            self.start(at)?;
        }
        Ok(())
    }

    fn poll(&mut self, rows_max: usize, timeout: Duration) -> Result<Poll> {
        let deadline = clock::now() + timeout;
        loop {
            if self.topics.version() != self.topics_version {
                self.end_replaced()?;
            }
            self.resolve_doubts()?;
            if let Some(poll) = self.ready.pop_front() {
                return Ok(poll);
            }
            let wait = deadline.saturating_duration_since(clock::now());
            // A doubt is looked into as soon as its time has come.
            let fetch =
                self.take(rows_max, if self.is_any_in_doubt { wait.min(DOUBT_EVERY) } else { wait })?;
            self.finish_ended()?;
            if let Some(fetch) = fetch {
                return Ok(Poll::Records(fetch));
            }
            if self.ready.is_empty() && clock::now() >= deadline {
                return Ok(Poll::Idle);
            }
        }
    }
}

/// Where reading goes on when `from` was refused, and why; `None` if it is in range after all.
fn gap_of(from: i64, first: i64, end: i64, has_topic_id: bool) -> Option<(i64, String)> {
    if from < first {
        Some((first, format!("records before offset {first} were deleted")))
    } else if from > end && has_topic_id {
        Some((
            end,
            format!("the log was cut off at offset {end}: records that were read before are lost there"),
        ))
    } else if from > end {
        Some((first, format!("the log ends at offset {end}: the topic was deleted and created again")))
    } else {
        None
    }
}

/// The messages of one take, and what they do to their partitions.
struct Taken<'a> {
    partitions: &'a mut [Assigned],
    messages: Messages,
    /// Which partitions have moved.
    has_moved: Vec<bool>,
    /// The partition of the last message, by librdkafka's name for it: the next one is mostly of the same.
    last: Option<(Topic, i32, usize)>,
    seen: Vec<(Topic, i32, usize)>,
    is_any_in_doubt: bool,
}

impl<'a> Taken<'a> {
    fn new(partitions: &'a mut [Assigned]) -> Self {
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

    fn message(&mut self, topic: Topic, number: i32, offset: i64, value: Option<&[u8]>) {
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
    fn notice(&mut self, topic: &str, number: i32, offset: i64, code: RDKafkaErrorCode) -> Option<String> {
        use RDKafkaErrorCode as Code;
        let at = self.partitions.iter().position(|a| is_at(a, topic, number))?;
        let assigned = &mut self.partitions[at];
        if assigned.state == State::Over {
            return None;
        }
        match code {
            Code::PartitionEOF => {
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
                let at = self.partitions.iter().position(|a| is_at(a, &name, number))?;
                self.seen.push((topic, number, at));
                (topic, number, at)
            }
        };
        self.last = Some(found);
        Some(found.2)
    }

    fn into_fetch(mut self) -> Option<Fetch> {
        if !self.has_moved.contains(&true) {
            return None;
        }
        self.messages.splits = self.partitions.iter().map(|a| a.split.clone()).collect();
        let moved = self.partitions.iter().zip(&self.has_moved).filter(|(_, has_moved)| **has_moved);
        let progress = moved.map(|(a, _)| (a.split.clone(), a.position)).collect();
        Some(Fetch { payload: Payload::Messages(self.messages), progress })
    }
}

/// Of several splits of one partition, only one is not over.
fn is_at(assigned: &Assigned, topic: &str, number: i32) -> bool {
    assigned.partition.number == number && assigned.partition.topic == topic && assigned.state != State::Over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_goes_to_where_records_are() {
        let to = |from, first, end, has_id| gap_of(from, first, end, has_id).map(|(to, _)| to);
        assert_eq!(to(5, 10, 20, true), Some(10));
        assert_eq!(to(10, 10, 20, true), None);
        assert_eq!(to(20, 10, 20, true), None);
        assert_eq!(to(21, 10, 20, true), Some(20), "what was read is not read again");
        assert_eq!(to(21, 10, 20, false), Some(10), "without ids it counts as recreated");
    }
}
