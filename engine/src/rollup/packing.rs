//! A whole key as a few words: the codes of its columns, each in its place.

use std::ops::Range;

use super::codes::Codes;
use super::part::Part;

/// Words of a key at most.
const WORDS_MAX: usize = 4;

/// Where each column's code is.
#[derive(Clone, Debug)]
pub struct Packing {
    places: Vec<Place>,
    words: usize,
}

#[derive(Clone, Debug)]
struct Place {
    part: Part,
    code: Bits,
    /// For a wide part: the bit that is set where there is a value.
    valid: Option<Bits>,
}

#[derive(Clone, Debug)]
struct Bits {
    word: usize,
    shift: u32,
    mask: u64,
}

impl Packing {
    /// `None` if the parts do not fit.
    pub fn new(parts: &[Part]) -> Option<Self> {
        let mut free = [64_u32; WORDS_MAX];
        let mut place = |bits: u32| {
            let word = free.iter().position(|&free| free >= bits)?;
            let shift = 64 - free[word];
            free[word] -= bits;
            Some(Bits { word, shift, mask: u64::MAX >> (64 - bits) })
        };
        let places = parts.iter().map(|&part| {
            let code = place(part.bits())?;
            let valid = if part.is_wide() { Some(place(1)?) } else { None };
            Some(Place { part, code, valid })
        });
        let places = places.collect::<Option<Vec<_>>>()?;
        let words = free.iter().filter(|&&free| free < 64).count();
        Some(Self { places, words })
    }

    /// Words of a key.
    pub fn words(&self) -> usize {
        self.words
    }

    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.places.iter().map(|p| p.part)
    }

    /// The keys of `rows`, one behind the other, into `keys`.
    pub fn pack<'c>(&self, codes: impl Iterator<Item = &'c Codes>, rows: Range<usize>, keys: &mut Vec<u64>) {
        let words = self.words;
        keys.clear();
        keys.resize(rows.len() * words, 0);
        for (place, codes) in self.places.iter().zip(codes) {
            let Bits { word, shift, .. } = place.code;
            let values = &codes.values[rows.clone()];
            if words == 1 {
                keys.iter_mut().zip(values).for_each(|(key, code)| *key |= code << shift);
            } else {
                let keys = keys[word..].iter_mut().step_by(words);
                keys.zip(values).for_each(|(key, code)| *key |= code << shift);
            }
            if let Some(Bits { word, shift, .. }) = &place.valid {
                let keys = keys[*word..].iter_mut().step_by(words);
                let valid = |i: usize| codes.valid.as_ref().is_none_or(|v| v.is_valid(i));
                keys.zip(rows.clone()).for_each(|(key, i)| *key |= u64::from(valid(i)) << shift);
            }
        }
    }

    /// The key of one row, as [`Packing::pack`] makes it.
    #[inline]
    pub fn pack_row(&self, codes: &[&Codes], row: usize) -> [u64; WORDS_MAX] {
        let mut key = [0; WORDS_MAX];
        for (Place { code, valid, .. }, codes) in self.places.iter().zip(codes) {
            key[code.word] |= codes.values[row] << code.shift;
            if let Some(Bits { word, shift, .. }) = valid {
                let valid = codes.valid.as_ref().is_none_or(|v| v.is_valid(row));
                key[*word] |= u64::from(valid) << shift;
            }
        }
        key
    }

    /// The codes of column `i` of keys.
    pub fn unpack<'k>(&self, i: usize, keys: impl Iterator<Item = &'k [u64]> + Clone) -> Codes {
        let place = &self.places[i];
        let get = |bits: &Bits, key: &[u64]| (key[bits.word] >> bits.shift) & bits.mask;
        let valid = place.valid.as_ref().map(|bits| keys.clone().map(|key| get(bits, key) == 1).collect());
        Codes::new(keys.map(|key| get(&place.code, key)).collect(), valid)
    }
}
