//! States as columns: what blocks hold.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Decimal256Array, Float64Array, Int32Array, Int64Array,
    StringArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType};

use super::Function;
use super::group::Groups;
use super::number::{decimal_sum, float, integer_sum};
use super::plan::{Input, Kind};
use crate::error::Result;

impl Groups {
    /// Copies of the rows of the groups in `order`, which lie anywhere: each is looked up once.
    pub fn gather<'g>(&'g self, order: &'g [u32]) -> Gathered<'g> {
        let words = self.key_words + self.plan.words();
        let mut rows = Vec::with_capacity(order.len() * words);
        for &group in order {
            rows.extend_from_slice(self.rows.get(group));
            rows.extend_from_slice(self.more.get(group));
        }
        Gathered { rows, words, groups: self, order }
    }
}

/// Keys and states of some groups.
pub struct Gathered<'g> {
    /// The words of one group behind those of the other, its key first.
    rows: Vec<u64>,
    /// Words of a group.
    words: usize,
    groups: &'g Groups,
    order: &'g [u32],
}

impl Gathered<'_> {
    fn each_row(&self) -> impl Iterator<Item = &[u64]> + Clone {
        self.rows.chunks_exact(self.words.max(1))
    }

    /// The key words of each group.
    pub fn keys(&self) -> impl Iterator<Item = &[u64]> + Clone {
        self.each_row().map(|row| &row[..self.groups.key_words])
    }

    /// The entries, as the columns that [`super::Plan::state_types`] names, those of all calls one behind the
    /// other.
    pub fn export(&self) -> Result<Vec<ArrayRef>> {
        let plan = &self.groups.plan;
        let mut columns = Vec::new();
        for call in &plan.calls {
            let input = &plan.inputs[call.input];
            match call.function {
                Function::Count => columns.push(self.counts(input)),
                Function::Sum => self.sums(input, call.data_type.as_ref(), &mut columns)?,
                Function::Avg => {
                    self.sums(input, call.data_type.as_ref(), &mut columns)?;
                    columns.push(self.counts(input));
                }
                Function::Min => {
                    columns.push(self.extremes(input, false, call.data_type.as_ref())?);
                }
                Function::Max => {
                    columns.push(self.extremes(input, true, call.data_type.as_ref())?);
                }
            }
        }
        Ok(columns)
    }

    /// What `length` words of each group from word `at` of its states stand for.
    fn each<T>(&self, at: usize, length: usize, value: impl Fn(&[u64]) -> T) -> impl Iterator<Item = T> {
        let at = self.groups.key_words + at;
        self.each_row().map(move |row| value(&row[at..at + length]))
    }

    fn counts(&self, input: &Input) -> ArrayRef {
        let counts: Vec<i64> = self.each(input.at, 1, |w| w[0] as i64).collect();
        Arc::new(Int64Array::from(counts))
    }

    /// Set for the groups of which a row counted; `None` if that is all.
    fn seen(&self, input: &Input) -> Option<NullBuffer> {
        let seen: BooleanBuffer = self.each(input.at, 1, |w| w[0] > 0).collect();
        let seen = NullBuffer::new(seen);
        (seen.null_count() > 0).then_some(seen)
    }

    fn sums(&self, input: &Input, argument: Option<&DataType>, columns: &mut Vec<ArrayRef>) -> Result<()> {
        let nulls = self.seen(input);
        let at = input.at + input.sum();
        match (input.kind, argument) {
            (Kind::Float, _) => {
                let sums: Vec<f64> = self.each(at, 1, |w| f64::from_bits(w[0])).collect();
                let errors: Vec<f64> = self.each(at + 1, 1, |w| f64::from_bits(w[0])).collect();
                columns.push(Arc::new(Float64Array::new(sums.into(), nulls)));
                columns.push(Arc::new(Float64Array::from(errors)));
            }
            (Kind::Decimal, Some(DataType::Decimal128(_, scale))) => {
                let sums: Vec<_> = self.each(at, 4, decimal_sum).collect();
                let sums = Decimal256Array::new(ScalarBuffer::from(sums), nulls);
                columns.push(Arc::new(sums.with_precision_and_scale(DECIMAL256_MAX_PRECISION, *scale)?));
            }
            _ => {
                let sums: Vec<i128> = self.each(at, 2, integer_sum).collect();
                let sums = Decimal128Array::new(sums.into(), nulls);
                columns.push(Arc::new(sums.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?));
            }
        }
        Ok(())
    }

    fn extremes(&self, input: &Input, max: bool, argument: Option<&DataType>) -> Result<ArrayRef> {
        let nulls = self.seen(input);
        let argument = argument.unwrap_or(&DataType::Int64);
        let at = input.at + if max { input.max() } else { input.min() };
        // Where no row counted the words hold the identity, which a column need not show.
        let zero = |i: usize| nulls.as_ref().is_some_and(|n| n.is_null(i));
        Ok(match input.kind {
            Kind::Float => {
                let best = self.each(at, 1, |w| float(w[0] as i64)).enumerate();
                let best: Vec<f64> = best.map(|(i, v)| if zero(i) { 0.0 } else { v }).collect();
                cast(&Float64Array::new(best.into(), nulls), argument)?
            }
            Kind::Decimal => {
                let best = self.each(at, 2, integer_sum).enumerate();
                let best: Vec<i128> = best.map(|(i, v)| if zero(i) { 0 } else { v }).collect();
                let best = Decimal128Array::new(best.into(), nulls);
                Arc::new(best.with_data_type(argument.clone()))
            }
            Kind::Text => {
                let texts = &self.groups.texts[input.text[usize::from(max)]];
                Arc::new(self.order.iter().map(|&g| texts.get(g)).collect::<StringArray>())
            }
            Kind::Integer | Kind::Count => {
                let best = self.each(at, 1, |w| w[0] as i64).enumerate();
                let best: Vec<i64> = best.map(|(i, v)| if zero(i) { 0 } else { v }).collect();
                if argument == &DataType::Date32 {
                    let days: Int32Array = Int32Array::new(best.iter().map(|&v| v as i32).collect(), nulls);
                    return Ok(
                        Arc::new(days.reinterpret_cast::<arrow::datatypes::Date32Type>()) as Arc<Date32Array>
                    );
                }
                cast(&Int64Array::new(best.into(), nulls), argument)?
            }
        })
    }
}
