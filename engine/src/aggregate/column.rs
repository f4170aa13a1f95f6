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
    /// The entries of the groups in `order`, as the columns that [`super::Plan::state_types`] names, those
    /// of all calls one behind the other.
    pub fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        // The rows are looked up once, each as a whole; columns are then taken from their copies.
        let mut rows = Vec::with_capacity(order.len() * self.plan.words());
        for &group in order {
            rows.extend_from_slice(&self.rows.get(group)[self.key_words..]);
            rows.extend_from_slice(self.more.get(group));
        }
        let states = States { rows: &rows, words: self.plan.words(), groups: self, order };
        let mut columns = Vec::new();
        for call in &self.plan.calls {
            let input = &self.plan.inputs[call.input];
            match call.function {
                Function::Count => columns.push(states.counts(input)),
                Function::Sum => states.sums(input, call.data_type.as_ref(), &mut columns)?,
                Function::Avg => {
                    states.sums(input, call.data_type.as_ref(), &mut columns)?;
                    columns.push(states.counts(input));
                }
                Function::Min => {
                    columns.push(states.extremes(input, false, call.data_type.as_ref())?);
                }
                Function::Max => {
                    columns.push(states.extremes(input, true, call.data_type.as_ref())?);
                }
            }
        }
        Ok(columns)
    }
}

/// The states of some groups.
struct States<'g> {
    /// The words of one group behind those of the other.
    rows: &'g [u64],
    /// Words of a group.
    words: usize,
    groups: &'g Groups,
    order: &'g [u32],
}

impl States<'_> {
    /// What `length` words of each group from word `at` stand for.
    fn each<T>(&self, at: usize, length: usize, value: impl Fn(&[u64]) -> T) -> impl Iterator<Item = T> {
        self.rows.chunks_exact(self.words).map(move |row| value(&row[at..at + length]))
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
