//! Scans of ranges give what scans of everything give, filtered; over runs of random groups.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type};
use proptest::prelude::*;

use super::*;
use crate::aggregate::Function;
use crate::connector::Expression;
use crate::error::Result;
use crate::lsm::{
    Block, Change, KeyCondition, RelationKind, RelationRecord, RunWriter, StoreOptions, Wanted, ranges,
};
use crate::rollup::{AggregateCall, GroupTable, Key, Keys, ViewDefinition};

#[derive(Debug)]
struct Field(usize, DataType);

impl Expression for Field {
    fn data_type(&self) -> &DataType {
        &self.1
    }
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(batch.column(self.0).clone())
    }
}

/// `sum(v) GROUP BY a, b`.
fn layout() -> Arc<Layout> {
    let key = |i, t| Key { name: format!("k{i}"), expression: Arc::new(Field(i, t)), bucket: None };
    let view = ViewDefinition {
        name: "v".into(),
        source: 1,
        filter: None,
        keys: vec![key(0, DataType::Int32), key(1, DataType::Utf8)],
        aggregates: vec![AggregateCall {
            name: "n".into(),
            function: Function::Sum,
            argument: Some(Arc::new(Field(2, DataType::Int64))),
            filter: None,
            output: DataType::Decimal128(38, 0),
        }],
    };
    Arc::new(Layout::new(&view).expect("valid"))
}

type Event = (Option<i32>, Option<String>, i64);
type Groups = BTreeMap<(Option<i32>, Option<String>), i128>;

const VIEW: u32 = 7;

fn store(dir: &std::path::Path) -> Arc<Store> {
    let options = StoreOptions { memory_bytes: 32 << 20, owner: "a test".into() };
    let (store, _) = Store::open(dir, &options).expect("opens");
    let record = RelationRecord {
        id: VIEW,
        kind: RelationKind::View,
        name: "v".into(),
        text: String::new(),
        source: None,
        cursor: None,
    };
    store.commit(Change { put_relations: vec![record], ..Change::default() }).expect("commits");
    store
}

/// Commits the events as one run, in blocks of `block_rows` groups.
fn add_run(store: &Arc<Store>, layout: &Arc<Layout>, events: &[Event], block_rows: usize, bounded: bool) {
    let numbers: ArrayRef = Arc::new(events.iter().map(|e| e.0).collect::<Int32Array>());
    let texts: ArrayRef = Arc::new(events.iter().map(|e| e.1.as_deref()).collect::<StringArray>());
    let values: ArrayRef = Arc::new(events.iter().map(|e| e.2).collect::<Int64Array>());
    let mut table = GroupTable::new(layout.clone());
    table.fold(events.len(), Keys::Columns(&[numbers, texts]), &[values], &[]).expect("folds");
    let all = table.take().expect("drains");
    let mut run = RunWriter::begin(store, VIEW);
    for start in (0..all.num_rows()).step_by(block_rows) {
        let batch = all.slice(start, block_rows.min(all.num_rows() - start));
        let block = if bounded { Block::sorted(&batch, layout) } else { Block::new(&batch) };
        run.write_encoded(block.expect("encodes")).expect("writes");
    }
    let added = run.finish(0).expect("finishes").into_iter().collect();
    store.commit(Change { closes_epoch: true, add_runs: added, ..Change::default() }).expect("commits");
}

fn groups(batches: impl Iterator<Item = Result<RecordBatch>>) -> Groups {
    let mut all = Groups::new();
    for batch in batches {
        let batch = batch.expect("reads");
        let numbers = batch.column(0).as_primitive::<Int32Type>();
        let texts = batch.column(1).as_string::<i32>();
        let sums = batch.column(2).as_primitive::<Decimal128Type>();
        for row in 0..batch.num_rows() {
            let number = numbers.is_valid(row).then(|| numbers.value(row));
            let text = texts.is_valid(row).then(|| texts.value(row).to_owned());
            assert!(all.insert((number, text), sums.value(row)).is_none(), "a group comes once");
        }
    }
    all
}

/// A condition, and whether a key satisfies it.
#[derive(Clone, Debug)]
enum Asked {
    Number(i32, i32),
    Numbers(Vec<i32>),
    Text(String, bool),
    Texts(Vec<String>),
}

impl Asked {
    fn conditions(&self) -> Vec<KeyCondition> {
        let number = |v: &[i32]| Arc::new(Int32Array::from(v.to_vec())) as ArrayRef;
        let text =
            |v: &[String]| Arc::new(v.iter().map(|v| Some(v.as_str())).collect::<StringArray>()) as ArrayRef;
        let all = match self {
            Self::Number(low, high) => vec![
                (0, Wanted::From { value: number(&[*low]), inclusive: true }),
                (0, Wanted::To { value: number(&[*high]), inclusive: false }),
            ],
            Self::Numbers(values) => vec![(0, Wanted::OneOf(number(values)))],
            Self::Text(value, true) => {
                vec![(1, Wanted::From { value: text(std::slice::from_ref(value)), inclusive: false })]
            }
            Self::Text(value, false) => {
                vec![(1, Wanted::To { value: text(std::slice::from_ref(value)), inclusive: true })]
            }
            Self::Texts(values) => vec![(1, Wanted::OneOf(text(values)))],
        };
        all.into_iter().map(|(key, wanted)| KeyCondition { key, wanted }).collect()
    }

    fn is_satisfied(&self, (number, text): &(Option<i32>, Option<String>)) -> bool {
        match self {
            Self::Number(low, high) => number.is_some_and(|n| (*low..*high).contains(&n)),
            Self::Numbers(values) => number.is_some_and(|n| values.contains(&n)),
            Self::Text(value, true) => text.as_ref().is_some_and(|t| t > value),
            Self::Text(value, false) => text.as_ref().is_some_and(|t| t <= value),
            Self::Texts(values) => text.as_ref().is_some_and(|t| values.contains(t)),
        }
    }
}

fn texts() -> impl Strategy<Value = String> {
    // Some longer than what bounds keep of a key.
    prop_oneof!["[a-d]{0,2}", "x{70,72}[a-c]"]
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        (-25_i32..25, -25_i32..25).prop_map(|(a, b)| Asked::Number(a.min(b), a.max(b))),
        prop::collection::vec(-25_i32..25, 1..4).prop_map(Asked::Numbers),
        (texts(), any::<bool>()).prop_map(|(t, greater)| Asked::Text(t, greater)),
        prop::collection::vec(texts(), 1..3).prop_map(Asked::Texts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_pruned_scan_gives_what_a_whole_one_gives(
        runs in prop::collection::vec(
            (prop::collection::vec((prop::option::of(-20_i32..20), prop::option::of(texts()), -9_i64..9), 1..120), 1_usize..9, 0..4),
            1..7,
        ),
        questions in prop::collection::vec(prop::collection::vec(asked(), 1..4), 1..12),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, layout) = (store(dir.path()), layout());
        for (events, block_rows, kind) in &runs {
            add_run(&store, &layout, events, *block_rows, *kind > 0);
        }
        let version = store.version();
        let own = version.runs(VIEW);
        let whole = groups(scan(&store, &layout, own, &KeyRange::ALL));
        let mut expected = Groups::new();
        for (number, text, value) in runs.iter().flat_map(|(events, ..)| events) {
            *expected.entry((*number, text.clone())).or_default() += i128::from(*value);
        }
        prop_assert_eq!(&whole, &expected);
        for question in questions {
            let conditions: Vec<_> = question.iter().flat_map(Asked::conditions).collect();
            let ranges = ranges(&layout.keys, &conditions).expect("encodes");
            let mut found = groups(ranges.iter().flat_map(|range| scan(&store, &layout, own, range)));
            for (key, value) in &found {
                prop_assert_eq!(whole.get(key), Some(value), "a group is whole, {:?}", key);
            }
            found.retain(|key, _| question.iter().all(|q| q.is_satisfied(key)));
            let wanted = whole.iter().filter(|(key, _)| question.iter().all(|q| q.is_satisfied(key)));
            prop_assert_eq!(found, wanted.map(|(k, v)| (k.clone(), *v)).collect::<Groups>());
        }
    }
}
