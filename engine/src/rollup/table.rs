//! The table that folds rows into groups: one hash probe a row, states in columns.
//!
//! Invariants: group numbers are dense and given in order of first sight; a drained table gives its
//! groups sorted by key bytes, each once.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::row::Rows;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::{Layout, key};
use crate::aggregate::States;
use crate::error::Result;

/// Groups in one block of states.
pub const BLOCK_ROWS: usize = 8192;

/// Groups and their states.
pub struct GroupTable {
    layout: Arc<Layout>,
    hasher: FixedState,
    map: HashTable<u32>,
    hashes: Vec<u64>,
    /// Key bytes of all groups, one behind the other.
    keys: Vec<u8>,
    ends: Vec<usize>,
    states: Vec<Box<dyn States>>,
    groups: Vec<u32>,
}

impl GroupTable {
    pub fn new(layout: Arc<Layout>) -> Result<Self> {
        let states = layout.states()?;
        Ok(Self {
            layout,
            hasher: FixedState::default(),
            map: HashTable::new(),
            hashes: Vec::new(),
            keys: Vec::new(),
            ends: Vec::new(),
            states,
            groups: Vec::new(),
        })
    }

    /// Groups held.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held, and those that draining will need on top.
    pub fn bytes(&self) -> usize {
        let states: usize = self.states.iter().map(|s| s.bytes()).sum();
        let order = self.len() * size_of::<(u64, u32)>();
        self.map.allocation_size()
            + self.hashes.capacity() * 8
            + self.keys.capacity()
            + self.ends.capacity() * 8
            + states
            + order
    }

    /// Folds `rows` rows: their key columns, and for each aggregate its argument and its mask.
    pub fn fold(
        &mut self,
        rows: usize,
        keys: Vec<ArrayRef>,
        arguments: &[(Option<ArrayRef>, Option<BooleanBuffer>)],
    ) -> Result<()> {
        let keys: Vec<ArrayRef> = keys.into_iter().map(key::normalize).collect();
        self.intern(rows, &keys)?;
        let count = self.len();
        for (states, (values, mask)) in self.states.iter_mut().zip(arguments) {
            states.update(&self.groups, count, values.as_ref(), mask.as_ref())?;
        }
        Ok(())
    }

    /// Merges a state batch of this layout.
    pub fn merge(&mut self, batch: &RecordBatch) -> Result<()> {
        let layout = self.layout.clone();
        self.intern(batch.num_rows(), layout.key_columns(batch))?;
        let count = self.len();
        for (i, states) in self.states.iter_mut().enumerate() {
            states.merge(&self.groups, count, layout.state_columns(batch, i))?;
        }
        Ok(())
    }

    /// Sets `self.groups` to the group of each row, adding those not seen before.
    fn intern(&mut self, rows: usize, keys: &[ArrayRef]) -> Result<()> {
        self.groups.clear();
        if self.layout.keys.is_empty() {
            if rows > 0 && self.is_empty() {
                self.add(0, &[]);
            }
            self.groups.resize(rows, 0);
            return Ok(());
        }
        let encoded: Rows = self.layout.keys.encode(keys)?;
        self.groups.reserve(rows);
        for row in &encoded {
            let bytes = row.data();
            let hash = self.hasher.hash_one(bytes);
            let found = self.map.find(hash, |&g| {
                self.hashes[g as usize] == hash && key_at(&self.keys, &self.ends, g as usize) == bytes
            });
            let group = match found {
                Some(&group) => group,
                None => self.add(hash, bytes),
            };
            self.groups.push(group);
        }
        Ok(())
    }

    fn add(&mut self, hash: u64, bytes: &[u8]) -> u32 {
        let group = u32::try_from(self.ends.len()).expect("a table is drained long before 2^32 groups");
        self.keys.extend_from_slice(bytes);
        self.ends.push(self.keys.len());
        self.hashes.push(hash);
        self.map.insert_unique(hash, group, |&g| self.hashes[g as usize]);
        group
    }

    /// All groups as state batches of at most [`BLOCK_ROWS`], sorted by key.
    pub fn drain(self) -> Drain {
        Drain { order: self.order(), table: self, next: 0 }
    }

    /// All groups as one sorted state batch; the table is empty afterwards and keeps its memory.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let order = self.order();
        let batch = self.export(&order)?;
        self.map.clear();
        self.hashes.clear();
        self.keys.clear();
        self.ends.clear();
        self.states.iter_mut().for_each(|s| s.clear());
        Ok(batch)
    }

    fn order(&self) -> Vec<u32> {
        let prefix = |g: usize| {
            let mut bytes = [0; 8];
            let key = key_at(&self.keys, &self.ends, g);
            let n = key.len().min(8);
            bytes[..n].copy_from_slice(&key[..n]);
            u64::from_be_bytes(bytes)
        };
        let mut order: Vec<(u64, u32)> = (0..self.len()).map(|g| (prefix(g), g as u32)).collect();
        order.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| {
                let key = |g: u32| key_at(&self.keys, &self.ends, g as usize);
                key(a.1).cmp(key(b.1))
            })
        });
        order.into_iter().map(|(_, g)| g).collect()
    }

    fn export(&self, order: &[u32]) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.layout.schema().fields().len());
        if !self.layout.keys.is_empty() {
            let keys = order.iter().map(|&g| key_at(&self.keys, &self.ends, g as usize));
            columns.extend(self.layout.keys.decode(keys)?);
        }
        for states in &self.states {
            columns.extend(states.export(order)?);
        }
        Ok(RecordBatch::try_new(self.layout.schema().clone(), columns)?)
    }
}

#[inline]
fn key_at<'a>(keys: &'a [u8], ends: &[usize], group: usize) -> &'a [u8] {
    let start = if group == 0 { 0 } else { ends[group - 1] };
    &keys[start..ends[group]]
}

/// The groups of a table, in key order.
pub struct Drain {
    table: GroupTable,
    order: Vec<u32>,
    next: usize,
}

impl Iterator for Drain {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = (self.next + BLOCK_ROWS).min(self.order.len());
        if self.next == end {
            return None;
        }
        let batch = self.table.export(&self.order[self.next..end]);
        self.next = end;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use arrow::datatypes::DataType;

    use super::*;
    use crate::aggregate::Function;
    use crate::connector::Expression;
    use crate::rollup::{AggregateCall, Key, ViewDefinition};

    #[derive(Debug)]
    struct Field(usize, DataType);

    impl Expression for Field {
        fn data_type(&self) -> &DataType {
            &self.1
        }
        fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
            Ok(batch.column(self.0).clone())
        }
    }

    fn table() -> GroupTable {
        let key = |i, t| Key { name: format!("k{i}"), expression: Arc::new(Field(i, t)) };
        let view = ViewDefinition {
            name: "v".into(),
            source: 1,
            filter: None,
            keys: vec![key(0, DataType::Utf8), key(1, DataType::Float64)],
            aggregates: vec![AggregateCall {
                name: "n".into(),
                function: Function::Sum,
                argument: Some(Arc::new(Field(2, DataType::Int64))),
                filter: None,
                output: DataType::Decimal128(38, 0),
            }],
        };
        GroupTable::new(Arc::new(Layout::new(&view).expect("valid"))).expect("valid")
    }

    #[test]
    fn keys_group_as_postgresql_groups_them_and_drain_in_order() {
        let mut table = table();
        let strings: ArrayRef =
            Arc::new(StringArray::from(vec![Some("b"), None, Some("b"), None, Some("a"), Some("a")]));
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![
            0.0,
            f64::NAN,
            -0.0,
            other_nan,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ]));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
        table.fold(6, vec![strings, floats], &[(Some(values), None)]).expect("folds");
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
}
