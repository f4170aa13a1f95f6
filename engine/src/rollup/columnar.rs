//! A view's groups as the columns of a file that other engines read: keys and finished values under the view's
//! names, and a binary column beside each value that its state cannot be made of again.
//!
//! | function | column | state beside it |
//! |---|---|---|
//! | count, min, max | the value | |
//! | sum of integers or decimals | the value | |
//! | sum of floats | the value, rounded | what rounding took: a double in 8 bytes, NULL for none |
//! | avg | the mean | the sum, what rounding took if it is of floats, and the count |
//!
//! Numbers in binary columns are little-endian: doubles, `i64` counts, `i128` sums of integers, `i256` sums of
//! decimals.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Decimal128Array, Decimal256Array, Float64Array,
    Int64Array, RecordBatch, RecordBatchOptions,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type, Field,
    Float64Type, Int64Type, Schema, SchemaRef, i256,
};

use super::Layout;
use crate::aggregate::Function;
use crate::error::{Error, Result};

/// Turns state batches into rows of files and back.
#[derive(Clone, Debug)]
pub struct Columnar {
    layout: Arc<Layout>,
    schema: SchemaRef,
    /// For each aggregate, the place of its value and of its state beside it.
    places: Vec<(usize, Option<usize>)>,
}

impl Columnar {
    pub fn new(layout: Arc<Layout>) -> Self {
        let output = layout.output().clone();
        let mut names: BTreeSet<String> = output.fields().iter().map(|f| f.name().clone()).collect();
        let keys = layout.keys.types().len();
        let mut fields: Vec<Field> = output.fields()[..keys].iter().map(|f| f.as_ref().clone()).collect();
        let mut places = Vec::new();
        for (i, field) in output.fields()[keys..].iter().enumerate() {
            fields.push(field.as_ref().clone());
            let value = fields.len() - 1;
            let state = needs_state(layout.function(i), field.data_type()).then(|| {
                let mut name = format!("{}_state", field.name());
                while !names.insert(name.clone()) {
                    name.push('_');
                }
                fields.push(Field::new(name, DataType::Binary, true));
                fields.len() - 1
            });
            places.push((value, state));
        }
        Self { layout, schema: Arc::new(Schema::new(fields)), places }
    }

    /// The columns of a file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows of a file.
    ///
    /// # Errors
    /// [`crate::error::Kind::OutOfRange`] if a value does not fit its type.
    pub fn rows(&self, states: &RecordBatch) -> Result<RecordBatch> {
        let finished = self.layout.finish(states, None)?;
        let keys = self.layout.keys.types().len();
        let mut columns = finished.columns()[..keys].to_vec();
        for (i, (_, state)) in self.places.iter().enumerate() {
            columns.push(finished.column(keys + i).clone());
            if state.is_some() {
                let states = self.layout.state_columns(states, i);
                columns.push(match self.layout.function(i) {
                    Function::Avg => avg_state(states)?,
                    _ => sum_state(states),
                });
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(states.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// The states that [`Columnar::rows`] made rows of.
    pub fn states(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = self.layout.keys.types().len();
        let mut columns = rows.columns()[..keys].to_vec();
        for (i, &(value, state)) in self.places.iter().enumerate() {
            let types: Vec<&DataType> = self.layout.state_fields(i).iter().map(|f| f.data_type()).collect();
            let value = rows.column(value);
            match (state.map(|state| rows.column(state)), self.layout.function(i)) {
                (None, _) => columns.push(widened(value, types[0])?),
                (Some(state), Function::Avg) => columns.extend(avg_of(state, &types)?),
                (Some(state), _) => {
                    columns.push(value.clone());
                    columns.push(errors_of(state)?);
                }
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.layout.schema().clone(), columns, &options)?)
    }

    /// Rows of a file as a query sees them: the columns of [`Layout::output`] that `projection` names.
    pub fn finished(&self, rows: &RecordBatch, projection: Option<&[usize]>) -> Result<RecordBatch> {
        let keys = self.layout.keys.types().len();
        let place = |i: usize| if i < keys { i } else { self.places[i - keys].0 };
        let all = 0..self.layout.output().fields().len();
        let wanted: Vec<usize> = projection.map_or_else(|| all.collect(), <[usize]>::to_vec);
        let columns = wanted.iter().map(|&i| rows.column(place(i)).clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let schema = Arc::new(self.layout.output().project(&wanted)?);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

fn needs_state(function: Function, output: &DataType) -> bool {
    match function {
        Function::Avg => true,
        Function::Sum => output.is_floating(),
        Function::Count | Function::Min | Function::Max => false,
    }
}

fn widened(value: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if value.data_type() == to {
        return Ok(value.clone());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(value, to, &options)?)
}

/// A sum and its error as the rounded sum and what rounding took: Knuth's TwoSum, without loss.
fn rounded(sum: f64, error: f64) -> (f64, f64) {
    let total = sum + error;
    if !total.is_finite() {
        return (sum, 0.0);
    }
    let part = total - sum;
    (total, (sum - (total - part)) + (error - part))
}

fn sum_state(states: &[ArrayRef]) -> ArrayRef {
    let (sums, errors) = (states[0].as_primitive::<Float64Type>(), states[1].as_primitive::<Float64Type>());
    let mut column = BinaryBuilder::with_capacity(sums.len(), sums.len() * 8);
    for (sum, &error) in sums.iter().zip(errors.values()) {
        match sum.map(|sum| rounded(sum, error).1) {
            Some(error) if error != 0.0 => column.append_value(error.to_le_bytes()),
            _ => column.append_null(),
        }
    }
    Arc::new(column.finish())
}

fn errors_of(state: &ArrayRef) -> Result<ArrayRef> {
    let read = |bytes: Option<&[u8]>| match bytes {
        None => Ok(0.0),
        Some(bytes) => Ok(f64::from_le_bytes(part(bytes, 0)?)),
    };
    let errors = binary(state)?.iter().map(read).collect::<Result<Vec<f64>>>()?;
    Ok(Arc::new(Float64Array::from(errors)))
}

fn avg_state(states: &[ArrayRef]) -> Result<ArrayRef> {
    let (counts, sums) = states.split_last().expect("avg has a count column");
    let counts = counts.as_primitive::<Int64Type>().values();
    let mut column = BinaryBuilder::new();
    let mut bytes = Vec::new();
    for (i, count) in counts.iter().enumerate() {
        bytes.clear();
        match sums[0].data_type() {
            DataType::Float64 => {
                let (sum, error) =
                    (sums[0].as_primitive::<Float64Type>(), sums[1].as_primitive::<Float64Type>());
                let (sum, error) = rounded(sum.value(i), error.value(i));
                bytes.extend(sum.to_le_bytes());
                bytes.extend(error.to_le_bytes());
            }
            DataType::Decimal128(..) => {
                bytes.extend(sums[0].as_primitive::<Decimal128Type>().value(i).to_le_bytes());
            }
            DataType::Decimal256(..) => {
                bytes.extend(sums[0].as_primitive::<Decimal256Type>().value(i).to_le_bytes());
            }
            other => return Err(Error::corrupt(format!("a sum of type {other}"))),
        }
        bytes.extend(count.to_le_bytes());
        column.append_value(&bytes);
    }
    Ok(Arc::new(column.finish()))
}

fn avg_of(state: &ArrayRef, types: &[&DataType]) -> Result<Vec<ArrayRef>> {
    let state = binary(state)?;
    let value = |i: usize| if state.is_null(i) { &[][..] } else { state.value(i) };
    let rows = 0..state.len();
    let counts = rows.clone().map(|i| {
        let bytes = value(i);
        Ok(i64::from_le_bytes(part(bytes, bytes.len().saturating_sub(8))?))
    });
    let counts = counts.collect::<Result<Vec<i64>>>()?;
    let some = |i: usize| counts[i] > 0;
    let mut columns: Vec<ArrayRef> = Vec::new();
    match types[0] {
        DataType::Float64 => {
            let at = |i, at| Ok(f64::from_le_bytes(part(value(i), at)?));
            let sums = rows.clone().map(|i| some(i).then(|| at(i, 0)).transpose());
            columns.push(Arc::new(sums.collect::<Result<Float64Array>>()?));
            let errors = rows.map(|i| if some(i) { at(i, 8) } else { Ok(0.0) });
            columns.push(Arc::new(Float64Array::from(errors.collect::<Result<Vec<f64>>>()?)));
        }
        DataType::Decimal128(_, scale) => {
            let at = |i| Ok(i128::from_le_bytes(part(value(i), 0)?));
            let sums =
                rows.map(|i| some(i).then(|| at(i)).transpose()).collect::<Result<Decimal128Array>>()?;
            columns.push(Arc::new(sums.with_precision_and_scale(DECIMAL128_MAX_PRECISION, *scale)?));
        }
        DataType::Decimal256(_, scale) => {
            let at = |i| Ok(i256::from_le_bytes(part(value(i), 0)?));
            let sums =
                rows.map(|i| some(i).then(|| at(i)).transpose()).collect::<Result<Decimal256Array>>()?;
            columns.push(Arc::new(sums.with_precision_and_scale(DECIMAL256_MAX_PRECISION, *scale)?));
        }
        other => return Err(Error::corrupt(format!("a sum of type {other}"))),
    }
    columns.push(Arc::new(Int64Array::from(counts)));
    Ok(columns)
}

fn binary(column: &ArrayRef) -> Result<&BinaryArray> {
    column.as_binary_opt::<i32>().ok_or_else(|| Error::corrupt("a state that is not binary"))
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let part = bytes.get(at..at + N).and_then(|part| part.try_into().ok());
    part.ok_or_else(|| Error::corrupt(format!("a state of {} bytes", bytes.len())))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;
    use crate::rollup::GroupTable;
    use crate::rollup::fixture::over;

    /// States of two groups, the second of which no row counted for, as rows and back.
    fn check(function: Function, argument: DataType, states: Vec<ArrayRef>) {
        let output = function.output_type(Some(&argument)).expect("supported");
        let layout = over(function, argument, output);
        let columnar = Columnar::new(layout.clone());
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec![None, Some("a")]))];
        columns.extend(states);
        let states = RecordBatch::try_new(layout.schema().clone(), columns).expect("states");
        let rows = columnar.rows(&states).expect("rows");
        assert_eq!(rows.schema(), *columnar.schema());
        let again = columnar.states(&rows).expect("states");
        let finish = |states: &RecordBatch| layout.finish(states, None).expect("finishes");
        assert_eq!(finish(&again), finish(&states), "{function:?}");
        assert_eq!(columnar.finished(&rows, None).expect("projects"), finish(&states));
        // What they are merged with later comes to the same.
        let doubled = |batch: &RecordBatch| {
            let mut table = GroupTable::new(layout.clone());
            table.merge(batch).expect("merges");
            table.merge(&states).expect("merges");
            finish(&table.take().expect("groups"))
        };
        assert_eq!(doubled(&again), doubled(&states), "{function:?}");
    }

    fn integers(values: [Option<i64>; 2]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn states_come_back_from_the_rows_of_a_file() {
        let wide = |values: [Option<i128>; 2], scale| -> ArrayRef {
            let values = Decimal128Array::from(values.to_vec());
            Arc::new(values.with_precision_and_scale(38, scale).expect("a scale"))
        };
        let wider = |values: [Option<i128>; 2], scale| -> ArrayRef {
            let values: Decimal256Array = values.map(|v| v.map(i256::from_i128)).into_iter().collect();
            Arc::new(values.with_precision_and_scale(76, scale).expect("a scale"))
        };
        let floats = |values: [Option<f64>; 2]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        check(Function::Count, DataType::Int64, vec![integers([Some(7), Some(0)])]);
        check(Function::Min, DataType::Utf8, vec![Arc::new(StringArray::from(vec![Some("x"), None]))]);
        check(Function::Max, DataType::Int64, vec![integers([Some(-3), None])]);
        check(Function::Sum, DataType::Int32, vec![wide([Some(1 << 40), None], 0)]);
        check(Function::Sum, DataType::Int64, vec![wide([Some(-(1 << 80)), None], 0)]);
        check(Function::Sum, DataType::Decimal128(10, 2), vec![wider([Some(12_345), None], 2)]);
        for (sum, error) in [(0.1 + 0.2, 1e-17), (1e300, -1e280), (1.0, 0.4e-16), (f64::INFINITY, 0.0)] {
            let sums = || vec![floats([Some(sum), None]), floats([Some(error), Some(0.0)])];
            check(Function::Sum, DataType::Float64, sums());
            check(Function::Avg, DataType::Float64, [sums(), vec![integers([Some(3), Some(0)])]].concat());
        }
        let counts = || integers([Some(3), Some(0)]);
        check(Function::Avg, DataType::Int64, vec![wide([Some(22), None], 0), counts()]);
        check(Function::Avg, DataType::Decimal128(10, 2), vec![wider([Some(1_000), None], 2), counts()]);
    }

    #[test]
    fn other_bytes_are_refused() {
        let layout = over(Function::Avg, DataType::Int64, DataType::Float64);
        let columnar = Columnar::new(layout);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["a"])),
            Arc::new(Float64Array::from(vec![1.0])),
            Arc::new(BinaryArray::from(vec![&[1_u8, 2][..]])),
        ];
        let rows = RecordBatch::try_new(columnar.schema().clone(), columns).expect("rows");
        assert!(columnar.states(&rows).is_err());
    }
}
