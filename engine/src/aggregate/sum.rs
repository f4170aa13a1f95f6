//! `sum` and `avg`: exact for integers (128 bits) and decimals (256 bits), compensated for floats.
//!
//! Float sums follow Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen"
//! (1974): the error of every addition is kept and added at the end.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Decimal256Array, Float64Array, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type,
    Float64Type, Int64Type, i256,
};

use super::{Function, States, mask};
use crate::error::{Error, Kind, Result};

/// The state columns of a sum over that type.
pub(super) fn sum_types(argument: &DataType) -> Result<Vec<DataType>> {
    Ok(match argument {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            vec![DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)]
        }
        DataType::Decimal128(_, scale) => vec![DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale)],
        DataType::Float32 | DataType::Float64 => vec![DataType::Float64, DataType::Float64],
        other => return Err(Function::Sum.unsupported(Some(other))),
    })
}

pub(super) fn sums(argument: &DataType) -> Result<Box<dyn States>> {
    Ok(match argument {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Box::<IntegerSums>::default(),
        DataType::Decimal128(_, scale) => {
            Box::new(DecimalSums { scale: *scale, sums: Vec::new(), seen: Vec::new() })
        }
        DataType::Float32 | DataType::Float64 => Box::<FloatSums>::default(),
        other => return Err(Function::Sum.unsupported(Some(other))),
    })
}

fn overflow(what: &str) -> Error {
    Error::new(Kind::OutOfRange, format!("sum of {what} is out of range"))
}

#[derive(Default)]
struct IntegerSums {
    sums: Vec<i128>,
    seen: Vec<bool>,
}

impl IntegerSums {
    fn grow(&mut self, count: usize) {
        self.sums.resize(count, 0);
        self.seen.resize(count, false);
    }
}

impl States for IntegerSums {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.grow(count);
        let values = cast(values.expect("sum has an argument"), &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        // 2^64 rows of 64-bit values fit into 128 bits.
        mask::for_each(values, mask, |i| {
            let group = groups[i] as usize;
            self.sums[group] += i128::from(values.value(i));
            self.seen[group] = true;
        });
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.grow(count);
        let other = states[0].as_primitive::<Decimal128Type>();
        let mut fits = true;
        mask::for_each(other, None, |i| {
            let group = groups[i] as usize;
            match self.sums[group].checked_add(other.value(i)) {
                Some(sum) => self.sums[group] = sum,
                None => fits = false,
            }
            self.seen[group] = true;
        });
        if fits { Ok(()) } else { Err(overflow("integers")) }
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let sums = order.iter().map(|&g| self.seen[g as usize].then_some(self.sums[g as usize]));
        let sums: Decimal128Array = sums.collect();
        Ok(vec![Arc::new(sums.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?)])
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.seen.clear();
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}

struct DecimalSums {
    scale: i8,
    sums: Vec<i256>,
    seen: Vec<bool>,
}

impl DecimalSums {
    fn add(&mut self, group: u32, value: i256) -> bool {
        let group = group as usize;
        self.seen[group] = true;
        let sum = self.sums[group].checked_add(value);
        self.sums[group] = sum.unwrap_or_default();
        sum.is_some()
    }

    fn grow(&mut self, count: usize) {
        self.sums.resize(count, i256::ZERO);
        self.seen.resize(count, false);
    }
}

impl States for DecimalSums {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.grow(count);
        let values = values.expect("sum has an argument").as_primitive::<Decimal128Type>();
        // 2^64 rows of 38 digits fit into 256 bits.
        let mut fits = true;
        mask::for_each(values, mask, |i| fits &= self.add(groups[i], i256::from_i128(values.value(i))));
        if fits { Ok(()) } else { Err(overflow("decimals")) }
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.grow(count);
        let other = states[0].as_primitive::<Decimal256Type>();
        let mut fits = true;
        mask::for_each(other, None, |i| fits &= self.add(groups[i], other.value(i)));
        if fits { Ok(()) } else { Err(overflow("decimals")) }
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let sums = order.iter().map(|&g| self.seen[g as usize].then_some(self.sums[g as usize]));
        let sums: Decimal256Array = sums.collect();
        Ok(vec![Arc::new(sums.with_precision_and_scale(DECIMAL256_MAX_PRECISION, self.scale)?)])
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.seen.clear();
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<i256>() + self.seen.capacity()
    }
}

#[derive(Default)]
struct FloatSums {
    sums: Vec<FloatSum>,
}

#[derive(Clone, Copy, Default)]
struct FloatSum {
    sum: f64,
    compensation: f64,
    seen: bool,
}

impl FloatSum {
    #[inline]
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_finite() {
            let (large, small) =
                if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
            self.compensation += (large - sum) + small;
        }
        self.sum = sum;
        self.seen = true;
    }
}

impl States for FloatSums {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.sums.resize(count, FloatSum::default());
        let values = cast(values.expect("sum has an argument"), &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        mask::for_each(values, mask, |i| self.sums[groups[i] as usize].add(values.value(i)));
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.sums.resize(count, FloatSum::default());
        let sums = states[0].as_primitive::<Float64Type>();
        let compensations = states[1].as_primitive::<Float64Type>();
        mask::for_each(sums, None, |i| {
            let state = &mut self.sums[groups[i] as usize];
            state.add(sums.value(i));
            state.compensation += compensations.value(i);
        });
        Ok(())
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let states = || order.iter().map(|&g| self.sums[g as usize]);
        let sums: Float64Array = states().map(|s| s.seen.then_some(s.sum)).collect();
        let compensations: Float64Array = states().map(|s| s.compensation).collect::<Vec<_>>().into();
        Ok(vec![Arc::new(sums), Arc::new(compensations)])
    }

    fn clear(&mut self) {
        self.sums.clear();
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<FloatSum>()
    }
}

/// `avg`: a sum, and how many values it has.
pub(super) struct Averages {
    sums: Box<dyn States>,
    counts: Vec<i64>,
}

impl Averages {
    pub(super) fn new(argument: &DataType) -> Result<Self> {
        Ok(Self { sums: sums(argument)?, counts: Vec::new() })
    }
}

impl States for Averages {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.counts.resize(count, 0);
        let argument = values.expect("avg has an argument");
        mask::for_each(argument.as_ref(), mask, |i| self.counts[groups[i] as usize] += 1);
        self.sums.update(groups, count, values, mask)
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.counts.resize(count, 0);
        let (counts, sums) = states.split_last().expect("avg has a count column");
        for (&group, &n) in groups.iter().zip(counts.as_primitive::<Int64Type>().values()) {
            self.counts[group as usize] += n;
        }
        self.sums.merge(groups, count, sums)
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = self.sums.export(order)?;
        let counts: Int64Array = order.iter().map(|&g| self.counts[g as usize]).collect::<Vec<_>>().into();
        columns.push(Arc::new(counts));
        Ok(columns)
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.sums.bytes() + self.counts.capacity() * size_of::<i64>()
    }
}
