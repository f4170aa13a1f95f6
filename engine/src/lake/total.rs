//! What the numeric columns of a file or snapshot come to, recorded when they are written, so that whatever
//! reads them later can be held against it.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use serde::{Deserialize, Serialize};

use crate::error::Result;

const LANES: usize = 4;

/// Count, sum, least and greatest of a column's values that are not NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnTotal {
    pub count: u64,
    /// Compensated for floats.
    #[serde(with = "float")]
    pub sum: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    error: f64,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// A float in JSON, which has no number for some of them.
mod float {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { to.serialize_f64(*value) } else { to.serialize_str(&value.to_string()) }
    }

    /// `null` is what was written for all of them before.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
            Null(()),
        }
        match Written::deserialize(from)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
            Written::Null(()) => Ok(f64::NAN),
        }
    }
}

/// By the column's name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Totals(pub BTreeMap<String, ColumnTotal>);

impl ColumnTotal {
    fn add(&mut self, values: &Float64Array) {
        match values.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.add_values(values.values()),
            Some(nulls) => {
                let valid: Vec<f64> = nulls.valid_indices().map(|i| values.value(i)).collect();
                self.add_values(&valid);
            }
        }
    }

    fn add_integers(&mut self, values: &Int64Array) {
        self.count += (values.len() - values.null_count()) as u64;
        let sum: i128 = match values.null_count() {
            0 => values.values().iter().map(|&value| i128::from(value)).sum(),
            _ => values.iter().flatten().map(i128::from).sum(),
        };
        self.add_sum(sum as f64);
        self.widen(min(values).map(|value| value as f64), max(values).map(|value| value as f64));
    }

    /// Several sums side by side: each value has to wait for the one before it in its own sum only.
    fn add_values(&mut self, values: &[f64]) {
        let mut lanes = [(Self::default(), f64::INFINITY, f64::NEG_INFINITY); LANES];
        for chunk in values.chunks(LANES) {
            for ((sum, min, max), &value) in lanes.iter_mut().zip(chunk) {
                sum.add_sum(value);
                *min = min.min(value);
                *max = max.max(value);
            }
        }
        self.count += values.len() as u64;
        for (sum, min, max) in lanes {
            self.merge(&sum);
            let is_known = min <= max;
            self.widen(is_known.then_some(min), is_known.then_some(max));
        }
    }

    fn widen(&mut self, min: Option<f64>, max: Option<f64>) {
        let of = |a: Option<f64>, b: Option<f64>, choose: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(choose(a, b)),
            (a, b) => a.or(b),
        };
        self.min = of(self.min, min, f64::min);
        self.max = of(self.max, max, f64::max);
    }

    /// Neumaier's sum.
    fn add_sum(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_finite() {
            self.error += if self.sum.abs() >= value.abs() {
                (self.sum - sum) + value
            } else {
                (value - sum) + self.sum
            };
        }
        self.sum = sum;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.add_sum(other.sum);
        self.error += other.error;
        self.widen(other.min, other.max);
    }

    /// The sum with what rounding took from it.
    pub fn total(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.error } else { self.sum }
    }
}

impl Totals {
    /// Adds a batch.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            match field.data_type() {
                DataType::Decimal128(_, scale) => {
                    let power = 10_f64.powi(i32::from(*scale));
                    let values = column.as_primitive::<Decimal128Type>();
                    let values = values.unary::<_, Float64Type>(|value| value as f64 / power);
                    self.0.entry(field.name().clone()).or_default().add(&values);
                }
                t if t.is_integer() => {
                    let values = cast(column, &DataType::Int64)?;
                    let own = self.0.entry(field.name().clone()).or_default();
                    own.add_integers(values.as_primitive::<Int64Type>());
                }
                t if t.is_floating() => {
                    let values = cast(column, &DataType::Float64)?;
                    let own = self.0.entry(field.name().clone()).or_default();
                    own.add(values.as_primitive::<Float64Type>());
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn merge(&mut self, other: &Self) {
        for (name, total) in &other.0 {
            self.0.entry(name.clone()).or_default().merge(total);
        }
    }

    /// Of several files.
    pub fn of<'t>(totals: impl Iterator<Item = &'t Self>) -> Self {
        let mut all = Self::default();
        totals.for_each(|totals| all.merge(totals));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray};

    use super::*;

    #[test]
    fn totals_of_parts_merge_to_those_of_the_whole() {
        let batch = |range: std::ops::Range<i32>| {
            let numbers: ArrayRef =
                Arc::new(Int32Array::from_iter(range.clone().map(|i| (i % 3 > 0).then_some(i))));
            let floats: ArrayRef =
                Arc::new(Float64Array::from_iter_values(range.clone().map(|i| f64::from(i) / 10.0)));
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values(range.map(|i| i.to_string())));
            RecordBatch::try_from_iter([("n", numbers), ("f", floats), ("t", texts)])
                .expect("columns of one length")
        };
        let of = |ranges: &[std::ops::Range<i32>]| {
            let totals = ranges.iter().map(|range| {
                let mut totals = Totals::default();
                totals.add(&batch(range.clone())).expect("adds");
                totals
            });
            Totals::of(totals.collect::<Vec<_>>().iter())
        };
        let (parts, whole) = (of(&[0..10, 10..11, 11..100]), of(std::slice::from_ref(&(0..100))));
        assert_eq!(parts.0.keys().collect::<Vec<_>>(), ["f", "n"]);
        assert_eq!(parts.0["n"], whole.0["n"]);
        assert_eq!((whole.0["n"].count, whole.0["n"].total()), (66, 3267.0));
        assert!((parts.0["f"].total() - 495.0).abs() < 1e-12);
        assert_eq!((whole.0["f"].min, whole.0["f"].max), (Some(0.0), Some(9.9)));
    }
}
