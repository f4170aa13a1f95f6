//! The table as a whole: how it groups, and in what order it gives its groups back.

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;

use super::*;
use crate::aggregate::Function;
use crate::rollup::TEXTS_MAX;
use crate::rollup::fixture::layout;

#[test]
fn keys_group_as_postgresql_groups_them_and_drain_in_order() {
    let mut table = GroupTable::new(layout([DataType::Utf8, DataType::Float64], Function::Sum));
    let strings: ArrayRef =
        Arc::new(StringArray::from(vec![Some("b"), None, Some("b"), None, Some("a"), Some("a")]));
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let floats: ArrayRef =
        Arc::new(Float64Array::from(vec![0.0, f64::NAN, -0.0, other_nan, f64::INFINITY, f64::NEG_INFINITY]));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
    table.fold(6, Keys::Columns(&[strings, floats]), &[values], &[]).expect("folds");
    assert_eq!(table.len(), 4);
    let batches: Vec<_> = table.drain().collect::<Result<_>>().expect("drains");
    let text = arrow::util::pretty::pretty_format_batches(&batches).expect("prints").to_string();
    let rows: Vec<&str> = text.lines().skip(3).take(4).collect();
    assert_eq!(
        rows,
        ["|    | NaN  | 6    |", "| a  | -inf | 6    |", "| a  | inf  | 5    |", "| b  | 0.0  | 4    |"],
        "{text}"
    );
}

/// Two workers' tables over the same keys, in chunks that make their cells grow, become one.
#[test]
fn tables_absorb_each_other() {
    let layout = layout([DataType::Date32, DataType::Utf8, DataType::Int32], Function::Count);
    let dictionaries = GroupTable::dictionaries(&layout);
    let rows = |from: i32, to: i32| -> Vec<ArrayRef> {
        let days: ArrayRef =
            Arc::new(arrow::array::Date32Array::from_iter_values((from..to).map(|i| i / 50)));
        let texts: Vec<String> = (from..to).map(|i| format!("t{}", i % 7)).collect();
        let numbers: ArrayRef =
            Arc::new(arrow::array::Int32Array::from_iter((from..to).map(|i| (i % 11 > 0).then_some(i % 11))));
        vec![days, Arc::new(StringArray::from(texts)), numbers]
    };
    let table = |from: i32, to: i32| {
        let mut table = GroupTable::with(layout.clone(), &dictionaries);
        for start in (from..to).step_by(3000) {
            let end = to.min(start + 3000);
            table.fold((end - start) as usize, Keys::Columns(&rows(start, end)), &[], &[]).expect("folds");
        }
        table
    };
    let mut both = table(40_000, 90_000);
    both.absorb(table(0, 60_000)).expect("absorbs");
    let mut whole = table(0, 90_000);
    assert_eq!(both.len(), whole.len());
    let (both, whole) = (both.take().expect("drains"), whole.take().expect("drains"));
    assert_eq!(both.columns()[..3], whole.columns()[..3]);
    let counts = |batch: &RecordBatch| -> i64 {
        batch.column(3).as_any().downcast_ref::<Int64Array>().expect("counts").values().iter().sum()
    };
    assert_eq!((counts(&both), counts(&whole)), (110_000, 90_000));
}

/// More texts than a dictionary holds: the table goes over to bytes on the way, and meets one that has not.
#[test]
fn too_many_texts_become_bytes() {
    let layout = layout([DataType::Utf8], Function::Count);
    let dictionaries = GroupTable::dictionaries(&layout);
    let table = |from: usize, to: usize| {
        let mut table = GroupTable::with(layout.clone(), &dictionaries);
        for start in (from..to).step_by(8000) {
            let end = to.min(start + 8000);
            let texts: ArrayRef =
                Arc::new(StringArray::from_iter_values((start..end).map(|i| format!("text {i}"))));
            table.fold(end - start, Keys::Columns(&[texts]), &[], &[]).expect("folds");
        }
        table
    };
    let few = table(0, 1000);
    assert!(few.is_packed());
    let many = TEXTS_MAX + 10_000;
    let mut all = table(500, many);
    assert!(!all.is_packed());
    all.absorb(few).expect("absorbs");
    let mut few = table(0, 1000);
    few.absorb(all).expect("absorbs");
    let (mut groups, mut rows) = (0, 0);
    for batch in few.drain() {
        let batch = batch.expect("drains");
        let counts = batch.column(1).as_any().downcast_ref::<Int64Array>().expect("counts");
        rows += counts.values().iter().sum::<i64>() as usize;
        groups += batch.num_rows();
    }
    assert_eq!((groups, rows), (many, many - 500 + 2000));
}
