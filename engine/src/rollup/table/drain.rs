//! Giving groups back: sorted by key, as state batches.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{BLOCK_ROWS, GroupTable, KeyStore, key_at};
use crate::error::Result;
use crate::rollup::dense::Dense;
use crate::rollup::{Codes, TextCoder, sort};

impl GroupTable {
    /// All groups as state batches of at most [`BLOCK_ROWS`], sorted by key.
    pub fn drain(self) -> Drain {
        let sorted = self.sorted();
        Drain { sorted, table: self, next: 0 }
    }

    /// All groups as one sorted state batch; the table is empty afterwards and keeps its memory.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let sorted = self.sorted();
        let batch = self.export(&sorted, 0, sorted.order.len())?;
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
            KeyStore::Packed { coders, .. } => self.sorted_words(coders),
            KeyStore::Bytes { bytes, ends, .. } => {
                Sorted { order: sorted_bytes(bytes, ends), ..Sorted::default() }
            }
        }
    }

    fn sorted_words(&self, coders: &[Option<TextCoder>]) -> Sorted {
        let codes = self.codes();
        let ranked = codes.iter().zip(coders).map(|(codes, coder)| match coder {
            None => codes.clone(),
            Some(coder) => {
                let ranks = coder.dictionary().ranks();
                let values = codes.values.iter().map(|&c| u64::from(ranks[c as usize])).collect();
                Codes { values, valid: None }
            }
        });
        let order = sort::order(&ranked.collect::<Vec<_>>(), self.len());
        let texts = coders.iter().map(|c| c.as_ref().map(|c| c.dictionary().texts()).unwrap_or_default());
        Sorted { order, codes, texts: texts.collect() }
    }

    /// The groups from `start` to `end` in their order.
    fn export(&self, sorted: &Sorted, start: usize, end: usize) -> Result<RecordBatch> {
        let order = &sorted.order[start..end];
        let mut columns = Vec::with_capacity(self.layout.schema().fields().len());
        match &self.keys {
            KeyStore::None => {}
            KeyStore::Packed { packing, .. } => {
                for (i, (part, codes)) in packing.parts().zip(&sorted.codes).enumerate() {
                    let data_type = &self.layout.keys.types()[i];
                    columns.push(part.decode(&codes.take(order), data_type, &sorted.texts[i]));
                }
            }
            KeyStore::Bytes { bytes, ends, .. } => {
                let keys = order.iter().map(|&g| key_at(bytes, ends, g as usize));
                columns.extend(self.layout.keys.decode(keys)?);
            }
        }
        columns.extend(self.groups.export(order)?);
        Ok(RecordBatch::try_new(self.layout.schema().clone(), columns)?)
    }
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

/// Groups in order, and what their packed keys stand for.
#[derive(Default)]
struct Sorted {
    order: Vec<u32>,
    /// For each key column, the codes of all groups by number, and the texts of its dictionary.
    codes: Vec<Codes>,
    texts: Vec<Vec<Arc<str>>>,
}

/// The groups of a table, in key order.
pub struct Drain {
    table: GroupTable,
    sorted: Sorted,
    next: usize,
}

impl Iterator for Drain {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = (self.next + BLOCK_ROWS).min(self.sorted.order.len());
        if self.next == end {
            return None;
        }
        let batch = self.table.export(&self.sorted, self.next, end);
        self.next = end;
        Some(batch)
    }
}
