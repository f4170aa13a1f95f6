//! A source of numbered rows, column expressions, and what the rows must add up to.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef};
use siltstone_engine::aggregate::Function;
use siltstone_engine::connector::{
    Column, Connector, Decoded, Decoder, Expression, Fetch, Gap, OptionSpec, Payload, Poll, Registry, Source,
    SourceDefinition, SourceSpec, Split, SplitId, SplitReader, without_unread,
};
use siltstone_engine::error::{Error, Result};
use siltstone_engine::rollup::{AggregateCall, Key, ViewDefinition};
use siltstone_engine::runtime::{Engine, Options, Snapshot};

/// The longest wait for anything in these tests.
pub const LIMIT: Duration = Duration::from_secs(60);
/// An interval at which many epochs close.
pub const SHORT: Duration = Duration::from_millis(5);

const SPLITS: i64 = 3;

/// What happens to the numbers, and what their source was told.
#[derive(Default)]
pub struct Outside {
    /// Rows of a split before this one are gone.
    pub gone: AtomicI64,
    /// The source can say so before it is read.
    pub is_gone_told: AtomicBool,
    /// Nobody answers.
    pub is_away: AtomicBool,
    pub is_interrupted: AtomicBool,
    /// Calls of `committed`.
    pub commits: AtomicI64,
    pub flushes: AtomicI64,
}

/// Rows 0, 1, 2 … of three splits: `id` (unique), `key` (`id % keys`). `limit` rows a split may be read so
/// far; the source ends at `total`.
#[derive(Clone)]
pub struct Numbers {
    pub total: i64,
    pub keys: i64,
    pub limit: Arc<AtomicI64>,
    pub batch: i64,
    pub outside: Arc<Outside>,
}

impl Numbers {
    pub fn new(total: i64, keys: i64) -> Self {
        Self { total, keys, limit: Arc::new(AtomicI64::new(total)), batch: 500, outside: Arc::default() }
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("key", DataType::Int64, true),
        ]))
    }

    fn rows(&self, split: i64, from: i64, to: i64) -> RecordBatch {
        let ids: Int64Array = (from..to).map(|i| i * SPLITS + split).collect::<Vec<_>>().into();
        let keys: Int64Array = ids.values().iter().map(|id| id % self.keys).collect::<Vec<_>>().into();
        RecordBatch::try_new(Self::schema(), vec![Arc::new(ids), Arc::new(keys)])
            .expect("the schema's columns")
    }

    /// What each key's `count(*)` and `sum(id)` must be when everything is read.
    pub fn expected(&self) -> BTreeMap<i64, (i64, i128)> {
        let mut all = BTreeMap::new();
        for id in 0..self.total * SPLITS {
            let entry = all.entry(id % self.keys).or_insert((0, 0));
            entry.0 += 1;
            entry.1 += i128::from(id);
        }
        all
    }
}

impl Connector for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }
    fn source(&self, _spec: &SourceSpec) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }
}

impl Source for Numbers {
    fn discover(&self, known: &[Split]) -> Result<Vec<Split>> {
        let start = siltstone_engine::clock::now();
        while self.outside.is_away.load(Ordering::Acquire) && start.elapsed() < LIMIT / 4 {
            if self.outside.is_interrupted.load(Ordering::Acquire) {
                return Ok(Vec::new());
            }
            siltstone_engine::clock::sleep(Duration::from_millis(1));
        }
        let split =
            |i| Split { id: format!("n/{i}").into(), start: 0, end: Some(self.total), detail: String::new() };
        Ok((0..SPLITS).map(split).filter(|s| !known.contains(s)).collect())
    }
    fn is_bounded(&self) -> bool {
        true
    }
    fn is_replayable(&self) -> bool {
        true
    }
    fn reader(&self) -> Result<Box<dyn SplitReader>> {
        Ok(Box::new(Reader { source: self.clone(), open: VecDeque::new() }))
    }
    fn decoder(&self, wanted: &[bool]) -> Result<Box<dyn Decoder>> {
        Ok(Box::new(Through { wanted: wanted.to_vec() }))
    }
    fn ends(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        Ok(splits.iter().map(|s| (s.id.clone(), self.total)).collect())
    }
    fn firsts(&self, splits: &[Split]) -> Result<BTreeMap<SplitId, i64>> {
        if !self.outside.is_gone_told.load(Ordering::Acquire) {
            return Ok(BTreeMap::new());
        }
        Ok(splits.iter().map(|s| (s.id.clone(), self.outside.gone.load(Ordering::Acquire))).collect())
    }
    fn committed(&self, _offsets: &BTreeMap<SplitId, i64>) {
        self.outside.commits.fetch_add(1, Ordering::AcqRel);
    }
    fn flush(&self, _limit: Duration) {
        self.outside.flushes.fetch_add(1, Ordering::AcqRel);
    }
    fn interrupt(&self) {
        self.outside.is_interrupted.store(true, Ordering::Release);
    }
}

struct Reader {
    source: Numbers,
    open: VecDeque<(SplitId, i64, i64)>,
}

impl SplitReader for Reader {
    fn assign(&mut self, split: &Split, from: i64) -> Result<()> {
        self.open.push_back((split.id.clone(), from, split.end.unwrap_or(self.source.total)));
        Ok(())
    }

    fn poll(&mut self, _rows_max: usize, timeout: Duration) -> Result<Poll> {
        let Some((split, next, end)) = self.open.front_mut() else {
            return Ok(Poll::Idle);
        };
        if next >= end {
            let split = split.clone();
            self.open.pop_front();
            return Ok(Poll::Finished(split));
        }
        let gone = self.source.outside.gone.load(Ordering::Acquire).min(*end);
        if *next < gone {
            let from = std::mem::replace(next, gone);
            let reason = "they were deleted".to_owned();
            return Ok(Poll::Gap(Gap { split: split.clone(), from, to: gone, reason }));
        }
        let to = (*next + self.source.batch).min(*end).min(self.source.limit.load(Ordering::Acquire));
        if to <= *next {
            siltstone_engine::clock::sleep(timeout.min(Duration::from_millis(1)));
            return Ok(Poll::Idle);
        }
        let number: i64 = split[2..].parse().map_err(|_| Error::invalid("a split without a number"))?;
        let (offset, batch) = (*next, self.source.rows(number, *next, to));
        *next = to;
        let progress = vec![(split.clone(), to)];
        Ok(Poll::Records(Fetch { payload: Payload::Rows { split: split.clone(), offset, batch }, progress }))
    }
}

struct Through {
    wanted: Vec<bool>,
}

impl Decoder for Through {
    fn decode(&mut self, payload: &Payload) -> Result<Decoded> {
        let Payload::Rows { batch, .. } = payload else {
            return Err(Error::invalid("numbers come as rows"));
        };
        Ok(Decoded { batch: without_unread(batch, &self.wanted)?, origins: Vec::new(), bad: Vec::new() })
    }
}

/// A column as an expression.
#[derive(Debug)]
pub struct At(pub usize, pub DataType);

impl Expression for At {
    fn data_type(&self) -> &DataType {
        &self.1
    }
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(batch.column(self.0).clone())
    }
}

pub fn source(keeps_rows: bool) -> SourceDefinition {
    let column = |f: &Arc<Field>| Column { field: f.as_ref().clone(), generated: None };
    SourceDefinition {
        name: "numbers".into(),
        columns: Numbers::schema().fields().iter().map(column).collect(),
        connector: "numbers".into(),
        options: BTreeMap::new(),
        keeps_rows,
        partition: None,
        retain: None,
    }
}

/// `SELECT key, count(*), sum(id) FROM numbers GROUP BY key`.
pub fn view(name: &str, source: u32) -> ViewDefinition {
    let call = |name: &str, function: Function, argument: Option<usize>| AggregateCall {
        name: name.into(),
        function,
        argument: argument.map(|i| Arc::new(At(i, DataType::Int64)) as Arc<dyn Expression>),
        filter: None,
        output: function.output_type(argument.map(|_| &DataType::Int64)).expect("supported"),
    };
    ViewDefinition {
        name: name.into(),
        source,
        filter: None,
        keys: vec![Key { name: "key".into(), expression: Arc::new(At(1, DataType::Int64)), bucket: None }],
        aggregates: vec![call("n", Function::Count, None), call("total", Function::Sum, Some(0))],
        retain: None,
    }
}

pub fn open(dir: &Path, numbers: &Numbers, memory_bytes: u64, interval: Duration) -> Arc<Engine> {
    let options = Options {
        memory_bytes,
        workers: 2,
        epoch_interval: interval,
        owner: "test".into(),
        ..Options::default()
    };
    let registry = Arc::new(Registry::default().with(Arc::new(numbers.clone())));
    let engine = Engine::open(dir, options, registry).expect("opens");
    for stored in engine.stored() {
        match stored.source {
            None => engine.attach_source(stored.id, source(stored.text == "keeps")).expect("attaches"),
            Some(id) => engine.attach_view(stored.id, view(&stored.name, id)).expect("attaches"),
        }
    }
    engine
}

/// Waits for something to become true.
pub fn until(engine: &Engine, what: &str, is_true: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_true() {
        looks += 1;
        assert!(looks < 20_000, "never came true: {what}: {:?}", engine.status());
        siltstone_engine::clock::sleep(Duration::from_millis(1));
    }
}

/// Each key's count and sum, as a snapshot shows them; every key must come once, in order.
pub fn groups(snapshot: &Snapshot, view: u32) -> BTreeMap<i64, (i64, i128)> {
    let mut all = BTreeMap::new();
    let mut last = None;
    for batch in snapshot.scan_view(view, None).expect("scans") {
        let batch = batch.expect("reads");
        let keys = batch.column(0).as_primitive::<Int64Type>();
        let counts = batch.column(1).as_primitive::<Int64Type>();
        let sums = batch.column(2).as_primitive::<Decimal128Type>();
        for i in 0..batch.num_rows() {
            assert!(!keys.is_null(i) && last < Some(keys.value(i)), "keys in order, each once");
            last = Some(keys.value(i));
            all.insert(keys.value(i), (counts.value(i), sums.value(i)));
        }
    }
    all
}

pub fn count(snapshot: &Snapshot, view: u32) -> i64 {
    groups(snapshot, view).values().map(|g| g.0).sum()
}
