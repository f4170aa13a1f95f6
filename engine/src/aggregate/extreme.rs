//! `min` and `max`, in PostgreSQL's order: NaN above every number, strings by their bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};

use super::{Function, States, mask};
use crate::error::Result;

/// The type itself, if it has an order here.
pub(super) fn check(argument: &DataType) -> Result<DataType> {
    extremes(argument, false).map(|_| argument.clone())
}

pub(super) fn extremes(argument: &DataType, max: bool) -> Result<Box<dyn States>> {
    fn primitive<T: ArrowPrimitiveType>(t: &DataType, max: bool) -> Box<dyn States> {
        Box::new(Primitives::<T> { data_type: t.clone(), max, best: Vec::new(), seen: Vec::new() })
    }
    Ok(match argument {
        DataType::Int8 => primitive::<Int8Type>(argument, max),
        DataType::Int16 => primitive::<Int16Type>(argument, max),
        DataType::Int32 => primitive::<Int32Type>(argument, max),
        DataType::Int64 => primitive::<Int64Type>(argument, max),
        DataType::Float32 => primitive::<Float32Type>(argument, max),
        DataType::Float64 => primitive::<Float64Type>(argument, max),
        DataType::Decimal128(..) => primitive::<Decimal128Type>(argument, max),
        DataType::Date32 => primitive::<Date32Type>(argument, max),
        DataType::Time64(TimeUnit::Microsecond) => primitive::<Time64MicrosecondType>(argument, max),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive::<TimestampMicrosecondType>(argument, max),
        DataType::Utf8 => Box::new(Strings { max, best: Vec::new(), heap_bytes: 0 }),
        other => {
            let function = if max { Function::Max } else { Function::Min };
            return Err(function.unsupported(Some(other)));
        }
    })
}

struct Primitives<T: ArrowPrimitiveType> {
    data_type: DataType,
    max: bool,
    best: Vec<T::Native>,
    seen: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Primitives<T> {
    fn fold(&mut self, groups: &[u32], count: usize, values: &ArrayRef, mask: Option<&BooleanBuffer>) {
        self.best.resize(count, T::Native::default());
        self.seen.resize(count, false);
        let values = values.as_primitive::<T>();
        let max = self.max;
        mask::for_each(values, mask, |i| {
            let (group, value) = (groups[i] as usize, values.value(i));
            // `is_gt` and `is_lt` are total orders: every NaN that is positive is above infinity.
            let better = if max { value.is_gt(self.best[group]) } else { value.is_lt(self.best[group]) };
            if better || !self.seen[group] {
                self.best[group] = value;
                self.seen[group] = true;
            }
        });
    }
}

impl<T: ArrowPrimitiveType> States for Primitives<T> {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.fold(groups, count, values.expect("min and max have an argument"), mask);
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.fold(groups, count, &states[0], None);
        Ok(())
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let best = order.iter().map(|&g| self.seen[g as usize].then_some(self.best[g as usize]));
        let best: PrimitiveArray<T> = best.collect();
        Ok(vec![Arc::new(best.with_data_type(self.data_type.clone()))])
    }

    fn clear(&mut self) {
        self.best.clear();
        self.seen.clear();
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<T::Native>() + self.seen.capacity()
    }
}

struct Strings {
    max: bool,
    best: Vec<Option<Box<str>>>,
    heap_bytes: usize,
}

impl Strings {
    fn fold(&mut self, groups: &[u32], count: usize, values: &ArrayRef, mask: Option<&BooleanBuffer>) {
        self.best.resize(count, None);
        let values = values.as_string::<i32>();
        mask::for_each(values, mask, |i| {
            let (best, value) = (&mut self.best[groups[i] as usize], values.value(i));
            let better = match best.as_deref() {
                None => true,
                Some(b) if self.max => value > b,
                Some(b) => value < b,
            };
            if better {
                self.heap_bytes += value.len();
                self.heap_bytes -= best.as_deref().map_or(0, str::len);
                *best = Some(value.into());
            }
        });
    }
}

impl States for Strings {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.fold(groups, count, values.expect("min and max have an argument"), mask);
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.fold(groups, count, &states[0], None);
        Ok(())
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let best: StringArray = order.iter().map(|&g| self.best[g as usize].as_deref()).collect();
        Ok(vec![Arc::new(best)])
    }

    fn clear(&mut self) {
        self.best.clear();
        self.heap_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<Box<str>>>() + self.heap_bytes
    }
}
