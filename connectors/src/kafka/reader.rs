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
use rdkafka::{Offset, TopicPartitionList};
use siltstone_engine::clock;
use siltstone_engine::connector::{Fetch, Gap, Poll, Split, SplitReader};
use siltstone_engine::error::{Error, Result};

use super::assigned::{Assigned, State, gap_of};
use super::client::{Client, Context, Place, is_final, refusal};
use super::intake::{Intake, Item};
use super::partition::Partition;
use super::taken::Taken;
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
            // What is gone behind the split's own end is not this reader's.
            let to = assigned.end.map_or(to, |end| to.min(end.max(from)));
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
