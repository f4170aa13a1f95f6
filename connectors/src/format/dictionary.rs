//! The distinct values of a text column, and the code of each: a table of our own for short texts.
//!
//! Up to sixteen bytes are compared as words; longer texts by a hash and then byte by byte. Codes count up
//! from 0 and never change. Everything is limited: a column that would go beyond is not worth a dictionary.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use siltstone_engine::error::Result;

use super::word::{load8, load16, lowest8, lowest16};

/// Most values.
pub(crate) const VALUES_MAX: usize = 1 << 16;
/// Most bytes of all values together.
const BYTES_MAX: usize = 4 << 20;
/// Slots that are tried for one value. Texts made to collide are what ends here.
const PROBES_MAX: usize = 256;
/// Bytes of the longest text that is compared by words.
const SHORT_BYTES: usize = 16;
/// Slots of an empty table; at least half of them stay free.
const SLOTS_MIN: usize = 64;

/// Texts and their codes.
#[derive(Debug)]
pub(crate) struct Dictionary {
    slots: Vec<Slot>,
    /// Bits of a hash that are not used to choose a slot.
    shift: u32,
    /// Value `code` is `bytes[offsets[code]..offsets[code + 1]]`.
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    /// The values as they were given out last.
    array: Option<ArrayRef>,
}

/// A value in the table. Of a long one `low` is a hash.
#[derive(Clone, Copy, Debug)]
struct Slot {
    low: u64,
    high: u64,
    length: u32,
    code: u32,
}

const FREE: Slot = Slot { low: 0, high: 0, length: u32::MAX, code: u32::MAX };

impl Dictionary {
    pub(crate) fn new() -> Self {
        Self {
            slots: vec![FREE; SLOTS_MIN],
            shift: u64::BITS - SLOTS_MIN.trailing_zeros(),
            offsets: vec![0],
            bytes: Vec::new(),
            array: None,
        }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The text of a code.
    pub(crate) fn text(&self, code: u32) -> &[u8] {
        let code = code as usize;
        &self.bytes[self.offsets[code] as usize..self.offsets[code + 1] as usize]
    }

    /// The code of `bytes[start..end]`, valid UTF-8; `None`: it is new, and there is no room for it.
    #[inline(always)]
    pub(crate) fn code(&mut self, bytes: &[u8], start: usize, end: usize) -> Option<u32> {
        let length = end - start;
        let slot = if length <= 8 {
            Slot::new(lowest8(load8(bytes, start), length), 0, length)
        } else if length <= SHORT_BYTES {
            let word = lowest16(load16(bytes, start), length);
            Slot::new(word as u64, (word >> 64) as u64, length)
        } else {
            return self.find(Slot::new(hash_long(&bytes[start..end]), 0, length), &bytes[start..end]);
        };
        let mask = self.slots.len() - 1;
        let found = &self.slots[slot.home(self.shift) & mask];
        if found.is_like(&slot) { Some(found.code) } else { self.find(slot, &bytes[start..end]) }
    }

    /// The code of a text that belongs into a slot like `slot`.
    #[inline(never)]
    fn find(&mut self, mut slot: Slot, text: &[u8]) -> Option<u32> {
        let home = slot.home(self.shift);
        for probe in 0..PROBES_MAX {
            let at = (home + probe) & (self.slots.len() - 1);
            let found = &self.slots[at];
            if found.is_free() {
                slot.code = self.add(text)?;
                self.slots[at] = slot;
                return self.make_room().then_some(slot.code);
            }
            if found.is_like(&slot) && (text.len() <= SHORT_BYTES || self.text(found.code) == text) {
                return Some(found.code);
            }
        }
        None
    }

    #[cold]
    fn add(&mut self, text: &[u8]) -> Option<u32> {
        if self.len() >= VALUES_MAX || self.bytes.len() + text.len() > BYTES_MAX {
            return None;
        }
        let code = self.len() as u32;
        self.bytes.extend_from_slice(text);
        self.offsets.push(self.bytes.len() as i32);
        self.array = None;
        Some(code)
    }

    /// Keeps half of the slots free; false if the values cannot be spread.
    fn make_room(&mut self) -> bool {
        if self.len() * 2 <= self.slots.len() {
            return true;
        }
        let slots = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![FREE; slots]);
        self.shift -= 1;
        for slot in old.into_iter().filter(|slot| !slot.is_free()) {
            let home = slot.home(self.shift);
            let tried = (0..PROBES_MAX).map(|probe| (home + probe) & (slots - 1));
            let mut free = tried.filter(|at| self.slots[*at].is_free());
            let Some(at) = free.next() else { return false };
            self.slots[at] = slot;
        }
        true
    }

    /// The values by code, the same array as before if none was added.
    pub(crate) fn values(&mut self) -> Result<ArrayRef> {
        if let Some(array) = &self.array {
            return Ok(array.clone());
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets.clone()));
        let array: ArrayRef =
            Arc::new(StringArray::try_new(offsets, Buffer::from_vec(self.bytes.clone()), None)?);
        self.array = Some(array.clone());
        Ok(array)
    }
}

impl Slot {
    #[inline(always)]
    fn new(low: u64, high: u64, length: usize) -> Self {
        // No text that is kept is as long as a length can be.
        Self { low, high, length: length.min(FREE.length as usize - 1) as u32, code: FREE.code }
    }

    #[inline(always)]
    fn is_like(&self, other: &Self) -> bool {
        (self.low ^ other.low) | (self.high ^ other.high) | u64::from(self.length ^ other.length) == 0
    }

    #[inline(always)]
    fn is_free(&self) -> bool {
        self.length == FREE.length
    }

    /// The slot to try first.
    #[inline(always)]
    fn home(&self, shift: u32) -> usize {
        let mixed = self.low ^ self.high.rotate_left(29) ^ u64::from(self.length);
        (mixed.wrapping_mul(MULTIPLIER) >> shift) as usize
    }
}

/// 2^64 over the golden ratio, as for Fibonacci hashing.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn hash_long(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.chain([load8(rest, 0)]).fold(text.len() as u64, |hash, word| {
        let mixed = (hash ^ word).wrapping_mul(MULTIPLIER);
        mixed ^ mixed >> 32
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use proptest::prelude::*;

    use super::*;

    fn code(dictionary: &mut Dictionary, text: &str) -> Option<u32> {
        // What stands around a text must not matter.
        let bytes = format!("\0{text}x{text}");
        dictionary.code(bytes.as_bytes(), 1, 1 + text.len())
    }

    proptest! {
        #[test]
        fn codes_stand_for_their_texts(texts in prop::collection::vec("[a\0ü]{0,20}", 0..200)) {
            let mut dictionary = Dictionary::new();
            let codes: Vec<u32> = texts.iter().map(|t| code(&mut dictionary, t).unwrap()).collect();
            let values = dictionary.values().unwrap();
            let values = values.as_string::<i32>();
            for (text, code) in texts.iter().zip(codes) {
                prop_assert_eq!(values.value(code as usize), text);
            }
            let mut distinct = texts;
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(values.len(), distinct.len());
        }
    }

    #[test]
    fn values_are_one_array_until_one_is_added() {
        let mut dictionary = Dictionary::new();
        code(&mut dictionary, "a");
        let first = dictionary.values().unwrap();
        code(&mut dictionary, "a");
        assert!(Arc::ptr_eq(&first, &dictionary.values().unwrap()));
        assert_eq!(code(&mut dictionary, "b"), Some(1));
        let second = dictionary.values().unwrap();
        assert_eq!(second.as_string::<i32>().slice(0, 1), *first.as_string::<i32>());
    }

    #[test]
    fn there_is_room_for_so_many_values_and_bytes() {
        let mut dictionary = Dictionary::new();
        for number in 0..VALUES_MAX {
            assert_eq!(code(&mut dictionary, &number.to_string()), Some(number as u32));
        }
        assert_eq!(code(&mut dictionary, "new"), None);
        assert_eq!(code(&mut dictionary, "77"), Some(77));
        let mut dictionary = Dictionary::new();
        assert_eq!(code(&mut dictionary, &"x".repeat(BYTES_MAX)), Some(0));
        assert_eq!(code(&mut dictionary, "y"), None);
    }
}
