//! The table that folds rows into groups: one probe a row, states in words beside the key.
//!
//! Keys are packed into words where they fit, by [`super::packing`]; others stay bytes. Invariants: group
//! numbers are dense and given in order of first sight; a drained table gives its groups sorted by key
//! bytes, each once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use super::dense::{Dense, Fit};
use super::index::Index;
use super::packing::Packing;
use super::{Codes, Derivation, Dictionary, Layout, Part, TextCoder, key, plain};
use crate::aggregate::Groups;
use crate::error::Result;

mod drain;

pub use drain::Drain;

/// Groups in one block of states.
pub const BLOCK_ROWS: usize = 8192;

/// Rows that go through a table at once: what they touch stays in the cache from one pass to the next.
const CHUNK_ROWS: usize = 2048;

/// Bytes for each group that sorting packed keys needs at most, in most cases.
const ORDER_BYTES: usize = 36;

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
    cells: Vec<u32>,
    packed: Vec<u64>,
}

/// How keys are kept.
enum KeyStore {
    /// Everything is one group.
    None,
    /// In the words of the groups. Found by their cells as long as that is no waste, then by their hashes.
    Packed { packing: Packing, coders: Vec<Option<TextCoder>>, dense: Option<Dense> },
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
                dense: Some(Dense::new(packing.parts())),
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
            cells: Vec::new(),
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

    /// Gives the array in which keys are looked up without hashing at most so many bytes.
    pub fn limit_cells(&mut self, bytes: usize) {
        if let KeyStore::Packed { dense: Some(dense), .. } = &mut self.keys {
            dense.limit(bytes);
        }
    }

    /// Makes room for so many groups, if they are found by their hashes.
    pub fn reserve(&mut self, groups: usize) {
        if !matches!(self.keys, KeyStore::None | KeyStore::Packed { dense: Some(_), .. }) {
            self.index.reserve(groups);
        }
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
            KeyStore::Packed { coders, dense, .. } => {
                let coders = coders.iter().flatten().map(TextCoder::bytes).sum::<usize>();
                let cells = dense.as_ref().map_or(0, Dense::bytes);
                (coders + cells, ORDER_BYTES)
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
        let codes = other.codes();
        let codes: Vec<&Codes> = codes.iter().collect();
        let mut found = Vec::with_capacity(other.len());
        for start in (0..other.len()).step_by(CHUNK_ROWS) {
            self.intern_codes(&codes, start..other.len().min(start + CHUNK_ROWS));
            found.extend_from_slice(&self.found);
        }
        self.groups.absorb(&found, &other.groups)
    }

    /// The codes of all groups' keys, by key column.
    fn codes(&self) -> Vec<Codes> {
        let KeyStore::Packed { packing, .. } = &self.keys else {
            return Vec::new();
        };
        let keys = (0..self.len() as u32).map(|g| self.groups.key_of(g));
        (0..packing.parts().count()).map(|i| packing.unpack(i, keys.clone())).collect()
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
        if let (Keys::Columns(columns), KeyStore::Packed { packing, coders, .. }) = (keys, &mut self.keys) {
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
            let plain = columns
                .iter()
                .zip(buckets)
                .map(|(column, bucket)| Ok(key::normalize(plain(column)?, bucket)));
            normal = plain.collect::<Result<_>>()?;
            keys = Keys::Columns(&normal);
        }
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let chunk = start..rows.min(start + CHUNK_ROWS);
            match (&self.keys, keys) {
                (KeyStore::None, _) => self.intern_all(chunk.len()),
                (KeyStore::Packed { .. }, Keys::Codes(codes)) => {
                    let codes: Vec<&Codes> = codes.iter().map(AsRef::as_ref).collect();
                    self.intern_codes(&codes, chunk);
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

    /// Sets `found` to the groups of these rows.
    fn intern_codes(&mut self, codes: &[&Codes], rows: Range<usize>) {
        let KeyStore::Packed { dense: Some(dense), .. } = &mut self.keys else {
            return self.intern_hashed(codes, rows);
        };
        match dense.fit(codes, self.groups.len()) {
            Fit::Fits => {}
            Fit::Moved => self.set_cells(),
            Fit::Sparse => {
                self.make_hashed();
                return self.intern_hashed(codes, rows);
            }
        }
        let KeyStore::Packed { packing, dense: Some(dense), .. } = &mut self.keys else {
            return;
        };
        dense.cells_of(codes, rows.clone(), &mut self.cells);
        self.found.clear();
        for (&cell, row) in self.cells.iter().zip(rows) {
            let group = dense.get(cell).unwrap_or_else(|| {
                let group = self.groups.add(&packing.pack_row(codes, row));
                dense.set(cell, group);
                group
            });
            self.found.push(group);
        }
    }

    /// Gives all groups their cells.
    fn set_cells(&mut self) {
        let codes = self.codes();
        let codes: Vec<&Codes> = codes.iter().collect();
        if let KeyStore::Packed { dense: Some(dense), .. } = &mut self.keys {
            dense.cells_of(&codes, 0..self.groups.len(), &mut self.cells);
            self.cells.iter().zip(0..).for_each(|(&cell, group)| dense.set(cell, group));
        }
    }

    /// Goes over from cells to hashes.
    fn make_hashed(&mut self) {
        if let KeyStore::Packed { dense, .. } = &mut self.keys {
            *dense = None;
        }
        for group in 0..self.groups.len() as u32 {
            self.index.insert(hash_of(self.groups.key_of(group)), group);
        }
    }

    fn intern_hashed(&mut self, codes: &[&Codes], rows: Range<usize>) {
        if let KeyStore::Packed { packing, .. } = &self.keys {
            packing.pack(codes.iter().copied(), rows, &mut self.packed);
        }
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
        self.hashes.extend(keys.iter().map(|key| hash_of(key)));
        // The loads of this pass do not wait for each other.
        self.found.clear();
        self.found.extend(
            self.hashes.iter().map(|&hash| Index::group(self.index.peek(hash), hash).unwrap_or(u32::MAX)),
        );
        for ((found, &hash), key) in self.found.iter_mut().zip(&self.hashes).zip(keys) {
            if *found != u32::MAX && self.groups.key::<WORDS>(*found) == key {
                continue;
            }
            let own = self.index.find(hash, |g| self.groups.key::<WORDS>(g) == key);
            *found = own.unwrap_or_else(|| {
                let group = self.groups.add(key);
                self.index.insert(hash, group);
                group
            });
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
}

impl KeyStore {
    fn bytes() -> Self {
        Self::Bytes { hasher: FixedState::default(), bytes: Vec::new(), ends: Vec::new() }
    }
}

/// Multiplies and folds: the upper bits depend on all of the key's.
#[inline(always)]
fn hash_of(key: &[u64]) -> u32 {
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

#[cfg(test)]
mod tests;
