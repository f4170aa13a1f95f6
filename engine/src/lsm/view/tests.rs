//! Whatever is kept in memory, and whatever happened to the runs before: a view shows what was folded into it.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type};
use proptest::prelude::*;

use super::*;
use crate::aggregate::Function;
use crate::error::Result;
use crate::lake::Wanted;
use crate::lsm::{
    Block, BlockReader, Change, KeyCondition, Merge, RelationKind, RelationRecord, RunWriter, StoreOptions,
    Version, ranges,
};
use crate::rollup::{self, GroupTable, Keys};

/// `sum(v) GROUP BY a, b`.
fn layout() -> Arc<Layout> {
    rollup::fixture::layout([DataType::Int32, DataType::Utf8], Function::Sum)
}

type Event = (Option<i32>, Option<String>, i64);
type Groups = BTreeMap<(Option<i32>, Option<String>), i128>;

const VIEW: u32 = 7;

fn store(dir: &std::path::Path, merged_bytes: u64) -> Arc<Store> {
    let options = StoreOptions { memory_bytes: 32 << 20, merged_bytes, owner: "a test".into(), lake: None };
    let (store, _) = Store::open(dir, &options).expect("opens");
    let record = RelationRecord {
        id: VIEW,
        kind: RelationKind::View,
        name: "v".into(),
        text: String::new(),
        source: None,
        cursor: None,
        lacks_rows: false,
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

/// What happens to the view between two questions.
#[derive(Clone, Debug)]
enum Step {
    /// A run of these events, in blocks of so many groups, with bounds or without.
    Add(Vec<Event>, usize, bool),
    /// The first so many runs become one.
    Compact(usize),
    /// What is asked later is also asked of the runs there are now.
    Pin,
    Ask(Vec<Asked>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (prop::option::of(-20_i32..20), prop::option::of(texts()), -9_i64..9);
    // Numbers that grow, so that new runs often leave the old ones' keys alone.
    let late = (prop::option::of(15_i32..25), prop::option::of(texts()), -9_i64..9);
    let events = prop_oneof![prop::collection::vec(event, 1..120), prop::collection::vec(late, 1..40)];
    let step = prop_oneof![
        3 => (events, 1_usize..9, 0..6).prop_map(|(e, rows, kind)| Step::Add(e, rows, kind > 0)),
        1 => (2_usize..5).prop_map(Step::Compact),
        1 => Just(Step::Pin),
        6 => prop::collection::vec(asked(), 0..4).prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 1..40)
}

fn compact(store: &Arc<Store>, layout: &Arc<Layout>, runs: usize) {
    let version = store.version();
    let chosen: Vec<_> = version.runs(VIEW).iter().take(runs).collect();
    let inputs = chosen.iter().map(|run| store.read(run, BlockReader::default())).collect();
    let mut run = RunWriter::begin(store, VIEW).sorted(layout.clone());
    for batch in Merge::new(layout.clone(), inputs) {
        run.write(batch.expect("reads")).expect("writes");
    }
    let remove_runs = chosen.iter().map(|run| (VIEW, run.record.run)).collect();
    let add_runs = run.finish(1).expect("finishes").into_iter().collect();
    store.commit(Change { add_runs, remove_runs, ..Change::default() }).expect("commits");
}

fn read(store: &Arc<Store>, layout: &Arc<Layout>, version: &Version, asked: &[Asked]) -> Groups {
    let conditions: Vec<_> = asked.iter().flat_map(Asked::conditions).collect();
    let ranges = ranges(&layout.keys, &conditions).expect("encodes");
    match read_view(store, layout, (VIEW, version.runs(VIEW)), &ranges, None).expect("reads") {
        Scan::Ready(batches) => groups(batches.into_iter().map(Ok)),
        Scan::Blocking(batches) => groups(batches),
    }
}

/// The answer must have the groups asked for, and no group that is not whole.
fn check(store: &Arc<Store>, layout: &Arc<Layout>, version: &Version, expected: &Groups, asked: &[Asked]) {
    let mut found = read(store, layout, version, asked);
    for (key, value) in &found {
        assert_eq!(expected.get(key), Some(value), "{key:?}");
    }
    let satisfied = |key: &(Option<i32>, Option<String>)| asked.iter().all(|a| a.is_satisfied(key));
    found.retain(|key, _| satisfied(key));
    let wanted = expected.iter().filter(|(key, _)| satisfied(key));
    assert_eq!(found, wanted.map(|(k, v)| (k.clone(), *v)).collect::<Groups>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_kept_a_pruned_scan_gives_what_a_whole_one_gives(steps in steps(), kept in 0..4) {
        let dir = tempfile::tempdir().expect("a directory");
        let layout = layout();
        let store = store(dir.path(), [0, 10_000, 60_000, 10_000_000][kept as usize]);
        let mut expected = Groups::new();
        let mut pinned = None;
        for step in steps {
            match step {
                Step::Add(events, block_rows, bounded) => {
                    add_run(&store, &layout, &events, block_rows, bounded);
                    for (number, text, value) in events {
                        *expected.entry((number, text)).or_default() += i128::from(value);
                    }
                }
                Step::Compact(runs) => compact(&store, &layout, runs),
                Step::Pin => pinned = Some((store.version(), expected.clone())),
                Step::Ask(asked) => {
                    check(&store, &layout, &store.version(), &expected, &asked);
                    if let Some((version, expected)) = &pinned {
                        check(&store, &layout, version, expected, &asked);
                    }
                }
            }
        }
    }
}

#[test]
fn what_was_merged_once_is_ready_until_a_run_with_its_keys_comes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, layout) = (store(dir.path(), 10_000_000), layout());
    let events = |from: i32, to: i32| (from..to).map(|n| (Some(n), None, 1)).collect::<Vec<Event>>();
    add_run(&store, &layout, &events(0, 50), 10, true);
    let is_ready = |low: i32, high: i32| {
        let version = store.version();
        let ranges = ranges(&layout.keys, &Asked::Number(low, high).conditions()).expect("encodes");
        let rows = read_view(&store, &layout, (VIEW, version.runs(VIEW)), &ranges, None).expect("reads");
        let ready = matches!(rows, Scan::Ready(_));
        if let Scan::Blocking(batches) = rows {
            batches.for_each(|batch| assert!(batch.is_ok()));
        }
        ready
    };
    assert!(!is_ready(12, 15) && is_ready(12, 15) && is_ready(10, 19));
    assert!(!is_ready(0, 50) && is_ready(0, 50));
    add_run(&store, &layout, &events(45, 60), 20, true);
    assert!(is_ready(0, 39) && !is_ready(30, 50) && is_ready(30, 50));
    store.commit(Change { delete_relations: vec![VIEW], ..Change::default() }).expect("commits");
    assert!(store.segments().get(VIEW, &store.segments().division(VIEW, &[]).segments(&[], &[])).is_empty());
}
