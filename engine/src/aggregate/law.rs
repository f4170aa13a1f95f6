//! The laws of the module's head, as properties.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use proptest::prelude::*;

use super::{Argument, Call, Function, Groups, Plan, finish};

const GROUPS: usize = 4;

/// No groups yet, of one aggregate.
fn groups_of(function: Function, argument: &DataType, count: usize) -> Groups {
    let argument = Argument { value: 0, data_type: argument.clone() };
    let plan = Plan::new(&[Call { function, argument: Some(argument), filter: None }]).expect("supported");
    let mut groups = Groups::new(Arc::new(plan), 0);
    (0..count).for_each(|_| {
        groups.add(&[]);
    });
    groups
}

/// Folds rows in parts and merges the parts in the order given, by their columns or as they are.
fn folded(
    function: Function,
    groups: &[u32],
    values: &ArrayRef,
    cuts: &[usize],
    order: &[usize],
    absorbs: bool,
) -> ArrayRef {
    let t = values.data_type();
    let mut edges = vec![0];
    edges.extend(cuts.iter().map(|c| c % (groups.len() + 1)));
    edges.push(groups.len());
    edges.sort_unstable();
    let all: Vec<u32> = (0..GROUPS as u32).collect();
    let mut parts: Vec<Groups> = Vec::new();
    for edge in edges.windows(2) {
        let mut part = groups_of(function, t, GROUPS);
        let slice = values.slice(edge[0], edge[1] - edge[0]);
        part.update(&groups[edge[0]..edge[1]], &[slice], &[]).expect("in range");
        parts.push(part);
    }
    let mut total = groups_of(function, t, GROUPS);
    let mut order = order.iter();
    while !parts.is_empty() {
        let part = parts.remove(order.next().map_or(0, |i| i % parts.len()));
        if absorbs {
            total.absorb(&all, &part).expect("in range");
        } else {
            let columns = part.gather(&all).export().expect("exports");
            total.merge(&all, |_| &columns).expect("in range");
        }
    }
    let output = function.output_type(Some(t)).expect("supported");
    finish(function, &total.gather(&all).export().expect("exports"), &output).expect("in range")
}

fn close(a: &ArrayRef, b: &ArrayRef, magnitude: f64) -> bool {
    let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
    a.iter().zip(b.iter()).all(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * magnitude.max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    })
}

proptest! {
    #[test]
    fn parts_merged_in_any_order_equal_the_whole(
        rows in prop::collection::vec((0..GROUPS as u32, prop::option::of(any::<i64>()), "[a-c]{0,3}"), 0..60),
        cuts in prop::collection::vec(any::<usize>(), 0..4),
        order in prop::collection::vec(any::<usize>(), 0..6),
        absorbs in any::<bool>(),
    ) {
        let groups: Vec<u32> = rows.iter().map(|r| r.0).collect();
        let integers: ArrayRef = Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>());
        let decimals: ArrayRef = Arc::new(
            rows.iter().map(|r| r.1.map(|v| i128::from(v) * 1_000_003)).collect::<Decimal128Array>()
                .with_precision_and_scale(38, 3).expect("valid"),
        );
        let floats: ArrayRef = Arc::new(rows.iter().map(|r| r.1.map(|v| v as f64 / 1e6)).collect::<Float64Array>());
        let strings: ArrayRef = Arc::new(rows.iter().map(|r| r.1.map(|_| r.2.as_str())).collect::<StringArray>());
        let magnitude = rows.iter().filter_map(|r| r.1).map(|v| (v as f64 / 1e6).abs()).sum::<f64>();
        use Function::{Avg, Count, Max, Min, Sum};
        for (functions, values) in [
            (&[Count, Sum, Min, Max, Avg][..], &integers),
            (&[Count, Sum, Min, Max, Avg][..], &decimals),
            (&[Count, Sum, Min, Max, Avg][..], &floats),
            (&[Count, Min, Max][..], &strings),
        ] {
            for &function in functions {
                let whole = folded(function, &groups, values, &[], &[], false);
                let parts = folded(function, &groups, values, &cuts, &order, absorbs);
                if whole.data_type() == &DataType::Float64 && matches!(function, Sum | Avg) {
                    prop_assert!(close(&whole, &parts, magnitude), "{function:?}: {whole:?} {parts:?}");
                } else {
                    prop_assert_eq!(&whole, &parts, "{:?}", function);
                }
            }
        }
    }
}

#[test]
fn a_sum_that_does_not_fit_is_an_error_and_never_wraps() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX]));
    let mut sums = groups_of(Function::Sum, &DataType::Int64, 1);
    sums.update(&[0, 0], &[values], &[]).expect("fits 128 bits");
    let state = sums.gather(&[0]).export().expect("exports");
    assert!(finish(Function::Sum, &state, &DataType::Int64).is_err());
    let wide = finish(Function::Sum, &state, &DataType::Decimal128(38, 0)).expect("fits");
    assert_eq!(wide.as_primitive::<arrow::datatypes::Decimal128Type>().value(0), i128::from(i64::MAX) * 2);
}

#[test]
fn a_group_without_values_is_null_but_counts_zero() {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>]));
    for (function, null) in
        [(Function::Count, false), (Function::Sum, true), (Function::Min, true), (Function::Avg, true)]
    {
        let mut s = groups_of(function, &DataType::Int64, 1);
        s.update(&[0], std::slice::from_ref(&values), &[]).expect("folds");
        let output = function.output_type(Some(&DataType::Int64)).expect("supported");
        let value = finish(function, &s.gather(&[0]).export().expect("exports"), &output).expect("finishes");
        assert_eq!(value.is_null(0), null, "{function:?}");
    }
}
