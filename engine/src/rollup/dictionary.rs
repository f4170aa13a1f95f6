//! Texts as codes: one dictionary for all workers of a pipeline, and for each a memory of what it has seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt32Type};
use foldhash::fast::FixedState;

use super::codes::Codes;
use crate::error::Result;

/// Bits of a text's code.
pub(super) const TEXT_BITS: u32 = 18;

/// Texts of a dictionary at most: as many as there are codes besides that of NULL.
pub const TEXTS_MAX: usize = (1 << TEXT_BITS) - 1;

/// Bytes of the texts of a dictionary at most.
const TEXT_BYTES_MAX: usize = 32 << 20;

/// Places in a coder's memory of short texts.
const SHORT: usize = 256;
/// Bytes of a short text at most.
const SHORT_BYTES: usize = 16;

/// Texts by code, 1 for the first: 0 is NULL. It only grows.
#[derive(Debug, Default)]
pub struct Dictionary {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    texts: Vec<Arc<str>>,
    codes: HashMap<Arc<str>, u32, FixedState>,
    bytes: usize,
    /// The texts' places in their order, as far as they were last asked for.
    ranks: Arc<Vec<u32>>,
}

impl Dictionary {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code of a text; `None` if there is no room for one more.
    fn code(&self, text: &str) -> Option<(Arc<str>, u32)> {
        let mut inner = self.inner();
        if let Some((text, &code)) = inner.codes.get_key_value(text) {
            return Some((text.clone(), code));
        }
        if inner.texts.len() >= TEXTS_MAX || inner.bytes + text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let text: Arc<str> = text.into();
        inner.texts.push(text.clone());
        inner.bytes += text.len();
        let code = inner.texts.len() as u32;
        inner.codes.insert(text.clone(), code);
        Some((text, code))
    }

    /// How many texts it has.
    pub fn texts_count(&self) -> usize {
        self.inner().texts.len()
    }

    /// All texts, that of code 1 first.
    pub fn texts(&self) -> Vec<Arc<str>> {
        self.inner().texts.clone()
    }

    /// For each code, 0 included, its place in the order of the texts.
    pub fn ranks(&self) -> Arc<Vec<u32>> {
        let mut inner = self.inner();
        if inner.ranks.len() != inner.texts.len() + 1 {
            let mut order: Vec<u32> = (0..inner.texts.len() as u32).collect();
            order.sort_unstable_by(|&a, &b| inner.texts[a as usize].cmp(&inner.texts[b as usize]));
            let mut ranks = vec![0; order.len() + 1];
            for (rank, text) in order.into_iter().enumerate() {
                ranks[text as usize + 1] = rank as u32 + 1;
            }
            inner.ranks = Arc::new(ranks);
        }
        inner.ranks.clone()
    }
}

/// Codes texts by a shared dictionary, which it asks only for those that are new to it.
#[derive(Debug)]
pub struct TextCoder {
    dictionary: Arc<Dictionary>,
    known: HashMap<Arc<str>, u32, FixedState>,
    /// Short texts: their bytes, length and code.
    short: Vec<(u128, u32, u32)>,
    /// The values of the last arrow dictionary, and their codes.
    last: Option<(ArrayRef, Codes)>,
}

impl TextCoder {
    pub fn new(dictionary: Arc<Dictionary>) -> Self {
        Self { dictionary, known: HashMap::default(), short: vec![(0, u32::MAX, 0); SHORT], last: None }
    }

    pub fn dictionary(&self) -> &Arc<Dictionary> {
        &self.dictionary
    }

    /// The codes of a column of text, as it is or with a dictionary of its own; `None` if they are too many.
    pub fn encode(&mut self, column: &ArrayRef) -> Result<Option<Codes>> {
        let Some(coded) = column.as_any_dictionary_opt() else {
            return self.encode_texts(column);
        };
        if !matches!(coded.values().data_type(), DataType::Utf8)
            || coded.keys().data_type() != &DataType::UInt32
        {
            return self.encode_texts(&cast(column, &DataType::Utf8)?);
        }
        let values = coded.values();
        let known = self.last.as_ref().is_some_and(|(last, _)| is_same(last, values));
        if !known {
            let Some(codes) = self.encode_texts(values)? else {
                return Ok(None);
            };
            self.last = Some((values.clone(), codes));
        }
        let Some((_, all)) = &self.last else {
            return Ok(None);
        };
        let code = |key: u32| all.values[key as usize];
        let keys = coded.keys().as_primitive::<UInt32Type>();
        let values: Vec<u64> = match keys.nulls().filter(|n| n.null_count() > 0) {
            None => keys.values().iter().map(|&k| code(k)).collect(),
            Some(_) => keys.iter().map(|k| k.map_or(0, code)).collect(),
        };
        // A dictionary that has grown large says nothing of these few.
        let few = all.values.len() <= values.len();
        Ok(Some(if few { Codes::within(values, all.span(false)) } else { Codes::new(values, None) }))
    }

    fn encode_texts(&mut self, column: &ArrayRef) -> Result<Option<Codes>> {
        let texts = column.as_string::<i32>();
        let (bytes, offsets) = (texts.value_data(), texts.value_offsets());
        let mut codes = Vec::with_capacity(texts.len());
        let mut greatest = 0;
        for (text, &start) in texts.iter().zip(offsets) {
            let code = match text {
                None => Some(0),
                Some(text) if text.len() > SHORT_BYTES => self.look_up(text),
                Some(text) => self.short_code(bytes, start as usize, text),
            };
            match code {
                Some(code) => {
                    greatest = greatest.max(code);
                    codes.push(u64::from(code));
                }
                None => return Ok(None),
            }
        }
        Ok(Some(Codes::within(codes, (1, greatest.into()))))
    }

    /// The code of a short text, which stands in `bytes` at `start` and is compared as a number.
    #[inline]
    fn short_code(&mut self, bytes: &[u8], start: usize, text: &str) -> Option<u32> {
        let length = text.len();
        let word = match bytes.get(start..).and_then(<[u8]>::first_chunk) {
            Some(word) => {
                u128::from_le_bytes(*word) & !(u128::MAX.checked_shl(length as u32 * 8).unwrap_or(0))
            }
            None => {
                let mut word = [0; SHORT_BYTES];
                word[..length].copy_from_slice(text.as_bytes());
                u128::from_le_bytes(word)
            }
        };
        let mixed =
            ((word as u64) ^ ((word >> 64) as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = (mixed >> 56) as usize % SHORT;
        let (kept, kept_length, code) = self.short[place];
        if kept == word && kept_length as usize == length {
            return Some(code);
        }
        let code = self.look_up(text)?;
        self.short[place] = (word, length as u32, code);
        Some(code)
    }

    fn look_up(&mut self, text: &str) -> Option<u32> {
        if let Some(&code) = self.known.get(text) {
            return Some(code);
        }
        let (text, code) = self.dictionary.code(text)?;
        self.known.insert(text, code);
        Some(code)
    }

    /// Bytes held, but for what belongs to the dictionary.
    pub fn bytes(&self) -> usize {
        self.known.capacity() * (size_of::<(Arc<str>, u32)>() + 1) + SHORT * size_of::<(u128, u32, u32)>()
    }
}

/// Whether two arrays of text are one in memory.
fn is_same(a: &ArrayRef, b: &ArrayRef) -> bool {
    let (a, b) = (a.as_string::<i32>(), b.as_string::<i32>());
    a.offsets().ptr_eq(b.offsets()) && a.values().ptr_eq(b.values())
}

/// The column without a dictionary.
pub fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values)?,
        _ => column.clone(),
    })
}
