//! `count(*)` and `count(x)`: one integer a group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int64Type;

use super::{States, mask};
use crate::error::Result;

#[derive(Default)]
pub(super) struct Counts {
    counts: Vec<i64>,
}

impl States for Counts {
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()> {
        self.counts.resize(count, 0);
        match (values, mask) {
            (None, None) => groups.iter().for_each(|&g| self.counts[g as usize] += 1),
            (None, Some(mask)) => mask.set_indices().for_each(|i| self.counts[groups[i] as usize] += 1),
            (Some(values), mask) => {
                mask::for_each(values.as_ref(), mask, |i| self.counts[groups[i] as usize] += 1);
            }
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()> {
        self.counts.resize(count, 0);
        let other = states[0].as_primitive::<Int64Type>();
        for (&group, &n) in groups.iter().zip(other.values()) {
            self.counts[group as usize] += n;
        }
        Ok(())
    }

    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>> {
        let counts: Int64Array = order.iter().map(|&g| self.counts[g as usize]).collect::<Vec<_>>().into();
        debug_assert_eq!(counts.null_count(), 0);
        Ok(vec![Arc::new(counts)])
    }

    fn clear(&mut self) {
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}
