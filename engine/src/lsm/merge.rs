//! Merging sorted sequences of state batches into one, each group once: the read path, and compaction.
//!
//! Works on slices of whole batches: all rows up to the least of the inputs' last keys can be merged at
//! once, since no input has more of them. Where only one input has such rows they pass through unread.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::range::key_at;
use crate::error::Result;
use crate::rollup::{GroupTable, Layout};

/// A sequence of batches.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Merges inputs of one layout; an iterator of state batches in key order.
pub struct Merge {
    layout: Arc<Layout>,
    waiting: Vec<Batches>,
    inputs: Vec<Input>,
    table: Option<GroupTable>,
}

struct Input {
    rest: Batches,
    batch: RecordBatch,
    last: Vec<u8>,
    next: usize,
}

impl Input {
    /// The next batch with rows in it, or `None` at the end.
    fn open(layout: &Layout, mut rest: Batches) -> Result<Option<Self>> {
        for batch in rest.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let last = key_at(layout, &batch, batch.num_rows() - 1)?;
                return Ok(Some(Self { rest, batch, last, next: 0 }));
            }
        }
        Ok(None)
    }

    /// The number of rows with keys up to `bound`, counted from the batch's start.
    fn up_to(&self, layout: &Layout, bound: &[u8]) -> Result<usize> {
        let (mut low, mut high) = (self.next, self.batch.num_rows());
        if *self.last <= *bound {
            return Ok(high);
        }
        while low < high {
            let middle = low.midpoint(high);
            if *key_at(layout, &self.batch, middle)? <= *bound { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

impl Merge {
    pub fn new(layout: Arc<Layout>, inputs: Vec<Batches>) -> Self {
        Self { layout, waiting: inputs, inputs: Vec::new(), table: None }
    }

    fn step(&mut self) -> Result<Option<RecordBatch>> {
        if self.layout.keys.is_empty() {
            return self.merge_all();
        }
        for rest in std::mem::take(&mut self.waiting) {
            self.inputs.extend(Input::open(&self.layout, rest)?);
        }
        let Some(bound) = self.inputs.iter().map(|i| &i.last).min().cloned() else {
            return Ok(None);
        };
        let mut slices = Vec::with_capacity(self.inputs.len());
        for input in &mut self.inputs {
            let end = input.up_to(&self.layout, &bound)?;
            if end > input.next {
                slices.push(input.batch.slice(input.next, end - input.next));
                input.next = end;
            }
        }
        let (done, open) =
            std::mem::take(&mut self.inputs).into_iter().partition(|i| i.next == i.batch.num_rows());
        self.inputs = open;
        self.waiting = done.into_iter().map(|i: Input| i.rest).collect();
        match <[RecordBatch; 1]>::try_from(slices) {
            Ok([only]) => Ok(Some(only)),
            Err(slices) => self.merge(&slices).map(Some),
        }
    }

    fn merge(&mut self, batches: &[RecordBatch]) -> Result<RecordBatch> {
        let table = match &mut self.table {
            Some(table) => table,
            none => none.insert(GroupTable::new(self.layout.clone())),
        };
        for batch in batches {
            table.merge(batch)?;
        }
        table.take()
    }

    /// Without keys everything is one group.
    fn merge_all(&mut self) -> Result<Option<RecordBatch>> {
        let inputs = std::mem::take(&mut self.waiting);
        let batches = inputs.into_iter().flatten().collect::<Result<Vec<_>>>()?;
        if batches.is_empty() {
            return Ok(None);
        }
        self.merge(&batches).map(Some)
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.inputs.clear();
            self.waiting.clear();
        }
        step.transpose()
    }
}
