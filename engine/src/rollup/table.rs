//! The table that folds rows into groups: one probe a row, states in words beside the key.
//!
//! Keys are packed into words where they fit, by [`super::packing`]; others stay bytes. Invariants: group
//! numbers are dense and given in order of first sight; a drained table gives its groups sorted by key
//! bytes, each once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use super::index::Index;
use super::packing::Packing;
use super::sort;
use super::{Codes, Derivation, Dictionary, Layout, Part, TextCoder, key};
use crate::aggregate::Groups;
use crate::error::Result;

/// Groups in one block of states.
pub const BLOCK_ROWS: usize = 8192;

/// Rows that go through a table at once: what they touch stays in the cache from one pass to the next.
const CHUNK_ROWS: usize = 2048;

/// For each key column, the dictionary of its texts if it has one.
pub type Dictionaries = Vec<Option<Arc<Dictionary>>>;

/// Keys of rows to fold.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'k> {
    /// For each key column its codes, by the dictionaries of the table.
    Codes(&'k [Arc<Codes>]),
    Columns(&'k [ArrayRef]),
}

/// Groups and their states.
pub struct GroupTable {
    layout: Arc<Layout>,
    index: Index,
    groups: Groups,
    keys: KeyStore,
    /// The group of each row of a chunk, and what it is found by.
    found: Vec<u32>,
    hashes: Vec<u32>,
    packed: Vec<u64>,
}

/// How keys are kept.
enum KeyStore {
    /// Everything is one group.
    None,
    /// In the words of the groups.
    Packed { packing: Packing, coders: Vec<Option<TextCoder>> },
    /// One behind the other, in the row format of arrow.
    Bytes { hasher: FixedState, bytes: Vec<u8>, ends: Vec<usize> },
}

impl GroupTable {
    /// A table by itself.
    pub fn new(layout: Arc<Layout>) -> Self {
        let dictionaries = Self::dictionaries(&layout);
        Self::with(layout, &dictionaries)
    }

    /// A table whose texts are coded by these dictionaries. Tables with the same ones can absorb each other.
    pub fn with(layout: Arc<Layout>, dictionaries: &Dictionaries) -> Self {
        let keys = match &layout.packing {
            _ if layout.keys.is_empty() => KeyStore::None,
            Some(packing) => KeyStore::Packed {
                packing: packing.clone(),
                coders: dictionaries.iter().map(|d| d.clone().map(TextCoder::new)).collect(),
            },
            None => KeyStore::bytes(),
        };
        Self::of(layout, keys)
    }

    /// A table whose keys stay bytes: for texts that are too many for a dictionary.
    pub fn with_bytes(layout: Arc<Layout>) -> Self {
        let keys = if layout.keys.is_empty() { KeyStore::None } else { KeyStore::bytes() };
        Self::of(layout, keys)
    }

    fn of(layout: Arc<Layout>, keys: KeyStore) -> Self {
        let words = match &keys {
            KeyStore::Packed { packing, .. } => packing.words(),
            _ => 0,
        };
        Self {
            groups: Groups::new(layout.plan.clone(), words),
            layout,
            index: Index::default(),
            keys,
            found: Vec::new(),
            hashes: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// New dictionaries for the texts among a layout's keys.
    pub fn dictionaries(layout: &Layout) -> Dictionaries {
        let parts = layout.packing.iter().flat_map(Packing::parts);
        parts.map(|part| (part == Part::Text).then(Arc::default)).collect()
    }

    /// Groups held.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Its keys are folded by their codes.
    pub fn is_packed(&self) -> bool {
        matches!(self.keys, KeyStore::Packed { .. })
    }

    /// Adds the one group of a table without keys, which is there even when no row is.
    pub fn add_group_of_nothing(&mut self) {
        if self.layout.keys.is_empty() {
            self.intern_all(0);
        }
    }

    /// Bytes held, and those that draining will need on top.
    pub fn bytes(&self) -> usize {
        let (keys, order) = match &self.keys {
            KeyStore::None => (0, 0),
            KeyStore::Packed { packing, coders } => {
                let coders = coders.iter().flatten().map(TextCoder::bytes).sum::<usize>();
                (coders, packing.words() * 8 + 32)
            }
            KeyStore::Bytes { bytes, ends, .. } => (bytes.capacity() + ends.capacity() * 8, 32),
        };
        self.index.bytes() + self.groups.bytes() + keys + self.len() * order
    }

    /// Folds `rows` rows: their keys, and the values and masks that the layout asks for.
    pub fn fold(
        &mut self,
        rows: usize,
        keys: Keys<'_>,
        values: &[ArrayRef],
        masks: &[BooleanBuffer],
    ) -> Result<()> {
        self.each_chunk(rows, keys, |groups, found, start| {
            if start == 0 && found.len() == rows {
                return groups.update(found, values, masks);
            }
            let values: Vec<ArrayRef> = values.iter().map(|v| v.slice(start, found.len())).collect();
            let masks: Vec<BooleanBuffer> = masks.iter().map(|m| m.slice(start, found.len())).collect();
            groups.update(found, &values, &masks)
        })
    }

    /// Merges a state batch of this layout.
    pub fn merge(&mut self, batch: &RecordBatch) -> Result<()> {
        let layout = self.layout.clone();
        self.merge_columns(batch.num_rows(), layout.key_columns(batch), |i| layout.state_columns(batch, i))
    }

    /// Merges a state batch of a finer layout.
    pub fn derive(&mut self, batch: &RecordBatch, finer: &Layout, derivation: &Derivation) -> Result<()> {
        let keys: Vec<ArrayRef> = derivation.keys.iter().map(|&k| batch.column(k).clone()).collect();
        let states = |i: usize| finer.state_columns(batch, derivation.aggregates[i]);
        self.merge_columns(batch.num_rows(), &keys, states)
    }

    fn merge_columns<'a>(
        &mut self,
        rows: usize,
        keys: &[ArrayRef],
        states: impl Fn(usize) -> &'a [ArrayRef],
    ) -> Result<()> {
        self.each_chunk(rows, Keys::Columns(keys), |groups, found, start| {
            if start == 0 && found.len() == rows {
                return groups.merge(found, &states);
            }
            let count = found.len();
            let sliced: Vec<Vec<ArrayRef>> = (0..groups.calls())
                .map(|i| states(i).iter().map(|column| column.slice(start, count)).collect())
                .collect();
            groups.merge(found, |i| sliced[i].as_slice())
        })
    }

    /// Merges the groups of another table of the same view.
    pub fn absorb(&mut self, other: Self) -> Result<()> {
        if !self.codes_as(&other) {
            return other.drain().try_for_each(|batch| self.merge(&batch?));
        }
        let found = match self.groups.key_words() {
            1 => self.find_all::<1>(&other.groups),
            2 => self.find_all::<2>(&other.groups),
            3 => self.find_all::<3>(&other.groups),
            _ => self.find_all::<4>(&other.groups),
        };
        self.groups.absorb(&found, &other.groups)
    }

    /// The own groups of another table's keys.
    fn find_all<const WORDS: usize>(&mut self, others: &Groups) -> Vec<u32> {
        let others = (0..others.len() as u32).map(|group| others.key::<WORDS>(group));
        others.map(|key| find_or_add(&mut self.index, &mut self.groups, hash_of(key), key)).collect()
    }

    /// Equal keys have equal words in both tables.
    fn codes_as(&self, other: &Self) -> bool {
        let (KeyStore::Packed { coders, .. }, KeyStore::Packed { coders: others, .. }) =
            (&self.keys, &other.keys)
        else {
            return false;
        };
        coders.iter().zip(others).all(|pair| match pair {
            (Some(a), Some(b)) => Arc::ptr_eq(a.dictionary(), b.dictionary()),
            (a, b) => a.is_none() && b.is_none(),
        })
    }

    /// Calls `each` for every chunk of rows with their groups and the first row's number, having added the
    /// groups that were not there.
    fn each_chunk(
        &mut self,
        rows: usize,
        keys: Keys<'_>,
        mut each: impl FnMut(&mut Groups, &[u32], usize) -> Result<()>,
    ) -> Result<()> {
        let own: Vec<Arc<Codes>>;
        let normal: Vec<ArrayRef>;
        let mut keys = keys;
        if let (Keys::Columns(columns), KeyStore::Packed { packing, coders }) = (keys, &mut self.keys) {
            let parts = packing.parts().zip(columns).zip(coders);
            let codes =
                parts.map(|((part, column), coder)| Ok(part.encode(column, coder.as_mut())?.map(Arc::new)));
            match codes.collect::<Result<Option<Vec<_>>>>()? {
                Some(codes) => {
                    own = codes;
                    keys = Keys::Codes(&own);
                }
                None => self.make_bytes()?,
            }
        }
        if let (Keys::Columns(columns), KeyStore::Bytes { .. }) = (keys, &self.keys) {
            let buckets = self.layout.buckets.iter().copied();
            normal = columns.iter().cloned().zip(buckets).map(|(c, b)| key::normalize(c, b)).collect();
            keys = Keys::Columns(&normal);
        }
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let chunk = start..rows.min(start + CHUNK_ROWS);
            match (&self.keys, keys) {
                (KeyStore::None, _) => self.intern_all(chunk.len()),
                (KeyStore::Packed { packing, .. }, Keys::Codes(codes)) => {
                    packing.pack(codes.iter().map(AsRef::as_ref), chunk, &mut self.packed);
                    self.intern_packed();
                }
                (_, Keys::Columns(columns)) => {
                    let columns: Vec<ArrayRef> =
                        columns.iter().map(|c| c.slice(chunk.start, chunk.len())).collect();
                    self.intern_bytes(&columns)?;
                }
                (KeyStore::Bytes { .. }, Keys::Codes(_)) => {
                    return Err(crate::error::Error::invalid("keys in codes for a table of bytes"));
                }
            }
            each(&mut self.groups, &self.found, start)?;
        }
        Ok(())
    }

    fn intern_all(&mut self, rows: usize) {
        if self.groups.is_empty() {
            self.groups.add(&[]);
        }
        self.found.clear();
        self.found.resize(rows, 0);
    }

    /// Sets `found` to the groups of the keys in `packed`.
    fn intern_packed(&mut self) {
        match self.groups.key_words() {
            1 => self.intern_words::<1>(),
            2 => self.intern_words::<2>(),
            3 => self.intern_words::<3>(),
            _ => self.intern_words::<4>(),
        }
    }

    fn intern_words<const WORDS: usize>(&mut self) {
        let (keys, _) = self.packed.as_chunks::<WORDS>();
        self.hashes.clear();
        self.hashes.extend(keys.iter().map(hash_of));
        // The loads of this pass do not wait for each other.
        self.found.clear();
        self.found.extend(
            self.hashes.iter().map(|&hash| Index::group(self.index.peek(hash), hash).unwrap_or(u32::MAX)),
        );
        for ((found, &hash), key) in self.found.iter_mut().zip(&self.hashes).zip(keys) {
            if *found == u32::MAX || self.groups.key::<WORDS>(*found) != key {
                *found = find_or_add(&mut self.index, &mut self.groups, hash, key);
            }
        }
    }

    fn intern_bytes(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let encoded = self.layout.keys.encode(columns)?;
        let KeyStore::Bytes { hasher, bytes, ends } = &mut self.keys else {
            return Ok(());
        };
        self.found.clear();
        for row in &encoded {
            let key = row.data();
            let hash = (hasher.hash_one(key) >> 32) as u32;
            let own = self.index.find(hash, |g| key_at(bytes, ends, g as usize) == key);
            self.found.push(own.unwrap_or_else(|| {
                let group = self.groups.add(&[]);
                bytes.extend_from_slice(key);
                ends.push(bytes.len());
                self.index.insert(hash, group);
                group
            }));
        }
        Ok(())
    }

    /// Goes over to keys that are bytes.
    pub fn make_bytes(&mut self) -> Result<()> {
        if !self.is_packed() {
            return Ok(());
        }
        let bytes = Self::with_bytes(self.layout.clone());
        let packed = std::mem::replace(self, bytes);
        packed.drain().try_for_each(|batch| self.merge(&batch?))
    }

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
        if let KeyStore::Bytes { bytes, ends, .. } = &mut self.keys {
            bytes.clear();
            ends.clear();
        }
        Ok(batch)
    }

    fn sorted(&self) -> Sorted {
        match &self.keys {
            KeyStore::None => Sorted { order: (0..self.len() as u32).collect(), ..Sorted::default() },
            KeyStore::Packed { packing, coders } => self.sorted_words(packing, coders),
            KeyStore::Bytes { bytes, ends, .. } => {
                Sorted { order: sorted_bytes(bytes, ends), ..Sorted::default() }
            }
        }
    }

    fn sorted_words(&self, packing: &Packing, coders: &[Option<TextCoder>]) -> Sorted {
        let keys = (0..self.len() as u32).map(|g| self.groups.key_of(g));
        let codes: Vec<Codes> = (0..coders.len()).map(|i| packing.unpack(i, keys.clone())).collect();
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

impl KeyStore {
    fn bytes() -> Self {
        Self::Bytes { hasher: FixedState::default(), bytes: Vec::new(), ends: Vec::new() }
    }
}

/// The group of a key, which is added if it is not there.
#[inline]
fn find_or_add<const WORDS: usize>(
    index: &mut Index,
    groups: &mut Groups,
    hash: u32,
    key: &[u64; WORDS],
) -> u32 {
    let own = index.find(hash, |g| groups.key::<WORDS>(g) == key);
    own.unwrap_or_else(|| {
        let group = groups.add(key);
        index.insert(hash, group);
        group
    })
}

/// Multiplies and folds: the upper bits depend on all of the key's.
#[inline(always)]
fn hash_of<const WORDS: usize>(key: &[u64; WORDS]) -> u32 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = 0_u64;
    for &word in key {
        let product = u128::from(hash ^ word ^ 0x2545_f491_4f6c_dd1d) * u128::from(MIX);
        hash = product as u64 ^ (product >> 64) as u64;
    }
    (hash.wrapping_mul(MIX) >> 32) as u32
}

#[inline]
fn key_at<'a>(keys: &'a [u8], ends: &[usize], group: usize) -> &'a [u8] {
    let start = if group == 0 { 0 } else { ends[group - 1] };
    &keys[start..ends[group]]
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

#[cfg(test)]
mod tests;
