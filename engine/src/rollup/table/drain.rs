//! Giving groups back: sorted by key, as state batches.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{BLOCK_ROWS, GroupTable, KeyStore, key_at};
use crate::error::Result;
use crate::rollup::dense::Dense;
use crate::rollup::packing::Packing;
use crate::rollup::{TextCoder, sort};

impl GroupTable {
    /// All groups as state batches, sorted by key.
    pub fn drain(self) -> Drain {
        let sorted = self.sorted();
        Drain { sorted, table: self, next: 0 }
    }

    /// All groups as one sorted state batch; the table is empty afterwards and keeps its memory.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let sorted = self.sorted();
        self.take_in(&sorted)
    }

    /// As [`GroupTable::take`], in no order.
    pub fn take_unsorted(&mut self) -> Result<RecordBatch> {
        let texts = match &self.keys {
            KeyStore::Packed { coders, .. } => texts(coders),
            _ => Vec::new(),
        };
        self.take_in(&Sorted { order: (0..self.len() as u32).collect(), texts })
    }

    fn take_in(&mut self, sorted: &Sorted) -> Result<RecordBatch> {
        let batch = self.export(sorted, 0, sorted.order.len())?;
        self.index.clear();
        self.groups.clear();
        match &mut self.keys {
            KeyStore::None => {}
            KeyStore::Packed { packing, dense, .. } => *dense = Some(Dense::new(packing.parts())),
            KeyStore::Bytes { bytes, ends, .. } => {
                bytes.clear();
                ends.clear();
            }
        }
        Ok(batch)
    }

    fn sorted(&self) -> Sorted {
        match &self.keys {
            KeyStore::None => Sorted { order: (0..self.len() as u32).collect(), ..Sorted::default() },
            KeyStore::Packed { packing, coders, .. } => self.sorted_words(packing, coders),
            KeyStore::Bytes { bytes, ends, .. } => {
                Sorted { order: sorted_bytes(bytes, ends), ..Sorted::default() }
            }
        }
    }

    fn sorted_words(&self, packing: &Packing, coders: &[Option<TextCoder>]) -> Sorted {
        let coded = |coder: &Option<TextCoder>| coder.as_ref().map(|c| c.dictionary().clone());
        let dictionaries: Vec<_> = coders.iter().map(coded).collect();
        let ranks: Vec<_> = dictionaries.iter().map(|d| d.as_ref().map(|d| d.ranks())).collect();
        let order = sort::order(self.len(), |groups| {
            let keys = groups.map(|group| self.groups.key_of(group as u32));
            let codes = ranks.iter().enumerate().map(|(i, ranks)| {
                let mut codes = packing.unpack(i, keys.clone());
                if let Some(ranks) = ranks {
                    codes.values.iter_mut().for_each(|code| *code = u64::from(ranks[*code as usize]));
                }
                codes
            });
            codes.collect()
        });
        Sorted { order, texts: texts(coders) }
    }

    /// The groups from `start` to `end` in their order.
    fn export(&self, sorted: &Sorted, start: usize, end: usize) -> Result<RecordBatch> {
        let order = &sorted.order[start..end];
        let groups = self.groups.gather(order);
        let mut columns = Vec::with_capacity(self.layout.schema().fields().len());
        match &self.keys {
            KeyStore::None => {}
            KeyStore::Packed { packing, .. } => {
                for (i, part) in packing.parts().enumerate() {
                    let (codes, data_type) = (packing.unpack(i, groups.keys()), &self.layout.keys.types()[i]);
                    columns.push(part.decode(&codes, data_type, &sorted.texts[i]));
                }
            }
            KeyStore::Bytes { bytes, ends, .. } => {
                let keys = order.iter().map(|&g| key_at(bytes, ends, g as usize));
                columns.extend(self.layout.keys.decode(keys)?);
            }
        }
        columns.extend(groups.export()?);
        Ok(RecordBatch::try_new(self.layout.schema().clone(), columns)?)
    }
}

/// For each key column that is packed, the texts of its dictionary.
fn texts(coders: &[Option<TextCoder>]) -> Vec<Vec<Arc<str>>> {
    coders.iter().map(|c| c.as_ref().map(|c| c.dictionary().texts()).unwrap_or_default()).collect()
}

/// The order of keys that are bytes.
fn sorted_bytes(bytes: &[u8], ends: &[usize]) -> Vec<u32> {
    let prefix = |g: usize| {
        let mut first = [0; 8];
        let key = key_at(bytes, ends, g);
        let n = key.len().min(8);
        first[..n].copy_from_slice(&key[..n]);
        u64::from_be_bytes(first)
    };
    let mut order: Vec<(u64, u32)> = (0..ends.len()).map(|g| (prefix(g), g as u32)).collect();
    order.sort_unstable_by(|a, b| {
        a.0.cmp(&b.0).then_with(|| {
            let key = |g: u32| key_at(bytes, ends, g as usize);
            key(a.1).cmp(key(b.1))
        })
    });
    order.into_iter().map(|(_, g)| g).collect()
}

/// Groups in order.
#[derive(Default)]
struct Sorted {
    order: Vec<u32>,
    /// For each key column that is packed, the texts of its dictionary.
    texts: Vec<Vec<Arc<str>>>,
}

/// The groups of a table, in key order, as blocks of at most [`BLOCK_ROWS`].
pub struct Drain {
    table: GroupTable,
    sorted: Sorted,
    next: usize,
}

impl Drain {
    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.sorted.order.len().div_ceil(BLOCK_ROWS)
    }

    /// Block `i`.
    pub fn block(&self, i: usize) -> Result<RecordBatch> {
        let end = self.sorted.order.len().min((i + 1) * BLOCK_ROWS);
        self.table.export(&self.sorted, i * BLOCK_ROWS, end)
    }
}

impl Iterator for Drain {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = (self.next < self.blocks()).then(|| self.block(self.next));
        self.next += 1;
        block
    }
}
