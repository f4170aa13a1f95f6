//! A Kafka source: discovers partitions, tells where they end, makes readers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use rdkafka::{Offset, TopicPartitionList};
use siltstone_engine::clock;
use siltstone_engine::connector::{Decoder, Source, SourceSpec, Split, SplitId, SplitReader};
use siltstone_engine::error::{Error, Kind, Result};

use super::client::{Client, Description, Place};
use super::partition::Partition;
use super::reader::KafkaReader;
use super::setting::{Settings, Start};
use super::topic::Topics;

/// How long the first discovery waits for brokers before it is an error.
const FIRST_DISCOVERY_MAX: Duration = Duration::from_secs(30);
/// How long a later one waits, while the readers go on.
const LATER_DISCOVERY_MAX: Duration = Duration::from_secs(3);
/// A topic that was just created may take this long to be known to every broker.
const UNKNOWN_TOPIC_GRACE: Duration = Duration::from_secs(1);
/// How long the ends of partitions are waited for.
const ENDS_MAX: Duration = Duration::from_secs(10);
/// How long the first offsets are waited for, which a view that is being created waits for, too.
const FIRSTS_MAX: Duration = Duration::from_secs(2);
/// Least time between two commits to the group.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Sends of offsets that do not change. Nobody tells whether one has arrived, and the first may find that
/// the group has no coordinator yet.
const SENDS_MAX: u32 = 5;
/// How long one look at what the group holds may take while offsets are flushed.
const FLUSH_LOOK: Duration = Duration::from_millis(300);
/// Pause between two looks at something that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) struct KafkaSource {
    settings: Settings,
    name: String,
    schema: SchemaRef,
    client: Arc<Client>,
    topics: Arc<Topics>,
    is_discovered: AtomicBool,
    advice: Mutex<Advice>,
}

/// The offsets that the group is to have.
#[derive(Default)]
struct Advice {
    offsets: BTreeMap<SplitId, i64>,
    /// How often they were sent as they are.
    sends: u32,
    last_sent: Option<Instant>,
}

impl Advice {
    fn update(&mut self, offsets: &BTreeMap<SplitId, i64>) {
        if offsets.iter().any(|(split, offset)| self.offsets.get(split) != Some(offset)) {
            self.offsets.extend(offsets.iter().map(|(split, offset)| (split.clone(), *offset)));
            self.sends = 0;
        }
    }

    /// Whether to send now; counts it.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.sends < SENDS_MAX && self.last_sent.is_none_or(|last| now - last >= COMMIT_EVERY);
        if is_due {
            self.sends += 1;
            self.last_sent = Some(now);
        }
        is_due
    }
}

impl KafkaSource {
    pub(super) fn new(spec: &SourceSpec) -> Result<Self> {
        let settings = Settings::from_options(&spec.options)?;
        let client = Arc::new(Client::new(&settings, &spec.name)?);
        Ok(Self {
            settings,
            name: spec.name.clone(),
            schema: spec.schema.clone(),
            client,
            topics: Arc::default(),
            is_discovered: AtomicBool::new(false),
            advice: Mutex::default(),
        })
    }

    /// The topic's new partitions; their starts are still open.
    fn find(&self, topic: &str, known: &[Partition], limit: Duration) -> Result<Vec<Found>> {
        let description = self.describe(topic, limit)?;
        self.topics.set_id(topic, &description.topic_id);
        Ok(new_partitions(topic, &description, known))
    }

    fn describe(&self, topic: &str, limit: Duration) -> Result<Description> {
        let grace = clock::now() + UNKNOWN_TOPIC_GRACE;
        loop {
            if let Some(description) = self.client.describe(topic, limit)? {
                return Ok(description);
            }
            if clock::now() >= grace {
                let message = format!("topic '{topic}' does not exist at {}", self.settings.servers);
                return Err(Error::new(Kind::NotFound, message)
                    .with_hint("create the topic first, or correct option 'topic'"));
            }
            clock::sleep(LOOK_AGAIN);
        }
    }

    fn discover_within(&self, known: &[Split], limit: Duration) -> Result<Vec<Split>> {
        let known_partitions: Vec<Partition> =
            known.iter().map(Partition::from_split).collect::<Result<_>>()?;
        let mut found = Vec::new();
        for topic in &self.settings.topics {
            found.extend(self.find(topic, &known_partitions, limit)?);
        }
        self.note_superseded(known, &known_partitions);
        let (fresh, later): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|f| f.is_fresh);
        let place = match self.settings.start {
            Start::Earliest => Place::First,
            Start::Latest => Place::End,
            Start::Timestamp(ms) => Place::Time(ms),
        };
        let mut splits = self.starting_at(fresh, place, limit)?;
        // Whatever was deleted of these before they were found is a gap, which the reader tells.
        splits.extend(later.into_iter().map(|f| f.partition.to_split(f.is_first, 0)));
        Ok(splits)
    }

    fn starting_at(&self, found: Vec<Found>, place: Place, limit: Duration) -> Result<Vec<Split>> {
        let partitions: Vec<Partition> = found.iter().map(|f| f.partition.clone()).collect();
        let starts = self.client.offsets(&partitions, place, limit)?;
        let split = |(found, start): (Found, Option<i64>)| {
            let start = start.ok_or_else(|| {
                let Partition { topic, number, .. } = &found.partition;
                Error::new(
                    Kind::Io,
                    format!("asking for the offsets of partition {number} of topic '{topic}': no leader"),
                )
                .with_hint("a partition without a leader cannot be read; see to its broker")
            })?;
            Ok(found.partition.to_split(found.is_first, start))
        };
        found.into_iter().zip(starts).map(split).collect()
    }

    /// Which known splits are of an earlier incarnation, with a later one known: on the first discovery,
    /// that is what an earlier run has stored.
    fn note_superseded(&self, known: &[Split], partitions: &[Partition]) {
        if self.is_discovered.load(Ordering::Acquire) {
            return;
        }
        for (split, partition) in known.iter().zip(partitions) {
            let current = self.topics.id(&partition.topic);
            let has_successor =
                partitions.iter().any(|p| p.topic == partition.topic && p.topic_id == current);
            if partition.is_replaced_by(&current) && has_successor {
                self.topics.supersede(split.id.clone());
            }
        }
    }

    /// The partition a split's name tells, unless a later incarnation of the topic is known. Names sort so
    /// that the first incarnation, which carries no id, comes before the others.
    fn current_partition(&self, split: &str) -> Option<(String, i32)> {
        let (name, topic_id) = split.split_once('@').unwrap_or((split, ""));
        let (topic, number) = name.rsplit_once('/')?;
        let is_current = topic_id.is_empty() || topic_id == self.topics.id(topic);
        is_current.then_some((topic.to_owned(), number.parse().ok()?))
    }

    /// The offset at `place` in each split, or another where its topic was created again.
    fn bounds(
        &self,
        splits: &[Split],
        place: Place,
        limit: Duration,
        of_replaced: impl Fn(&Split) -> i64,
    ) -> Result<BTreeMap<SplitId, i64>> {
        let mut bounds = BTreeMap::new();
        let (mut asked, mut partitions) = (Vec::new(), Vec::new());
        for split in splits {
            let partition = Partition::from_split(split)?;
            if partition.is_replaced_by(&self.topics.id(&partition.topic)) {
                bounds.insert(split.id.clone(), of_replaced(split));
            } else {
                asked.push(split);
                partitions.push(partition);
            }
        }
        let found = self.client.offsets(&partitions, place, limit)?;
        bounds.extend(asked.iter().zip(found).filter_map(|(split, at)| Some((split.id.clone(), at?))));
        Ok(bounds)
    }

    fn to_commit(&self, offsets: &BTreeMap<SplitId, i64>) -> TopicPartitionList {
        let mut latest = BTreeMap::new();
        for (split, offset) in offsets {
            if let Some(partition) = self.current_partition(split) {
                latest.insert(partition, *offset);
            }
        }
        let mut list = TopicPartitionList::new();
        for ((topic, number), offset) in latest {
            // Only an offset that is no offset is refused, and there is nobody to tell.
            let _ = list.add_partition_offset(&topic, number, Offset::Offset(offset));
        }
        list
    }

    fn advice(&self) -> MutexGuard<'_, Advice> {
        self.advice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for KafkaSource {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        if !self.is_discovered.load(Ordering::Acquire) {
            let splits = self.discover_within(known, FIRST_DISCOVERY_MAX)?;
            self.is_discovered.store(true, Ordering::Release);
            return Ok(splits);
        }
        self.discover_within(known, LATER_DISCOVERY_MAX)
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        let consumer = super::client::consumer(&self.settings, &self.name)?;
        let reader =
            KafkaReader::new(consumer, self.client.clone(), self.topics.clone(), self.settings.skips_gaps)?;
        Ok(Box::new(reader))
    }

    fn decoder(&self) -> Result<Box<dyn Decoder>> {
        self.settings.decoding.decoder(&self.schema)
    }

    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        // Nothing is left to be read of a partition whose topic was created again.
        self.bounds(splits, Place::End, ENDS_MAX, |replaced| replaced.start)
    }

    fn firsts(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        self.bounds(splits, Place::First, FIRSTS_MAX, |_| i64::MAX)
    }

    fn committed(&self, offsets: &BTreeMap<SplitId, i64>) {
        if self.settings.group.is_none() {
            return;
        }
        let mut advice = self.advice();
        advice.update(offsets);
        if advice.is_due(clock::now()) {
            self.client.commit(&self.to_commit(&advice.offsets));
        }
    }

    fn flush(&self, limit: Duration) {
        let list = {
            let mut advice = self.advice();
            // Sent often enough, they have arrived, or never will.
            if advice.offsets.is_empty() || advice.sends >= SENDS_MAX {
                return;
            }
            advice.sends = SENDS_MAX;
            self.to_commit(&advice.offsets)
        };
        let deadline = clock::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return;
            }
            match self.client.is_committed(&list, left.min(FLUSH_LOOK)) {
                Some(true) => return,
                Some(false) => self.client.commit(&list),
                // What cannot be sent would hold up the client's end.
                None => {}
            }
        }
    }

    fn interrupt(&self) {
        self.client.close();
    }

    fn skips_gaps(&self) -> bool {
        self.settings.skips_gaps
    }
}

impl Drop for KafkaSource {
    /// Sends what still waits; the client waits for its answer when it is closed.
    fn drop(&mut self) {
        let advice = std::mem::take(&mut *self.advice());
        if !advice.offsets.is_empty() && advice.sends == 0 {
            self.client.commit(&self.to_commit(&advice.offsets));
        }
    }
}

/// A partition that is not known yet.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    partition: Partition,
    /// Of the topic's first incarnation that this source has seen.
    is_first: bool,
    /// Nothing of the topic was known: the source's start applies. Otherwise it is read from its beginning.
    is_fresh: bool,
}

fn new_partitions(topic: &str, now: &Description, known: &[Partition]) -> Vec<Found> {
    let known: Vec<&Partition> = known.iter().filter(|p| p.topic == topic).collect();
    let is_first = !known.iter().any(|p| p.is_replaced_by(&now.topic_id));
    let is_known = |number: i32| known.iter().any(|p| p.number == number && !p.is_replaced_by(&now.topic_id));
    let found = now.partitions.iter().copied().filter(|&number| !is_known(number)).map(|number| Found {
        partition: Partition { topic: topic.to_owned(), number, topic_id: now.topic_id.clone() },
        is_first,
        is_fresh: known.is_empty(),
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32, topic_id: &str) -> Partition {
        Partition { topic: "t".into(), number, topic_id: topic_id.into() }
    }

    fn check(now: (&str, &[i32]), known: &[Partition], expected: &[(i32, bool, bool)]) {
        let now = Description { topic_id: now.0.into(), partitions: now.1.to_vec() };
        let found = new_partitions("t", &now, known);
        let found: Vec<_> = found.iter().map(|f| (f.partition.number, f.is_first, f.is_fresh)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn all_of_a_new_topic_start_where_the_source_says() {
        check(("a", &[0, 1]), &[], &[(0, true, true), (1, true, true)]);
    }

    #[test]
    fn an_added_partition_is_read_from_its_beginning() {
        check(("a", &[0, 1]), &[partition(0, "a")], &[(1, true, false)]);
        check(("a", &[0, 1]), &[partition(0, "a"), partition(1, "a")], &[]);
    }

    #[test]
    fn a_recreated_topic_brings_new_splits() {
        check(("b", &[0]), &[partition(0, "a"), partition(1, "a")], &[(0, false, false)]);
        check(("b", &[0, 1]), &[partition(0, "a"), partition(0, "b")], &[(1, false, false)]);
    }

    #[test]
    fn without_ids_a_partition_stays_the_same() {
        check(("", &[0, 1]), &[partition(0, "a")], &[(1, true, false)]);
        check(("b", &[0]), &[partition(0, "")], &[]);
    }
}
