//! The order of groups by their keys' codes: as few bits as tell them apart, sorted by radix.

use std::ops::Range;

use super::codes::Codes;

/// Bits that one pass of the radix sort looks at.
const DIGIT_BITS: u32 = 11;
/// Groups whose codes are looked at together.
const CHUNK_GROUPS: usize = 4096;

/// A part of what groups are compared by, which is the more significant the earlier it stands.
#[derive(Clone, Copy)]
struct Digit {
    least: u64,
    greatest: u64,
}

impl Digit {
    const NONE: Self = Self { least: u64::MAX, greatest: 0 };

    fn bits(self) -> u32 {
        64 - self.greatest.saturating_sub(self.least).leading_zeros()
    }
}

/// The numbers of the groups in the order of their keys: by the first column, then the second, and so on.
/// Within a column the order is that of the codes, NULL first. `codes` gives those of some groups' keys, by
/// column; it is asked twice.
pub fn order(groups: usize, codes: impl Fn(Range<usize>) -> Vec<Codes>) -> Vec<u32> {
    let chunks = || (0..groups).step_by(CHUNK_GROUPS).map(|start| start..groups.min(start + CHUNK_GROUPS));
    let mut digits: Vec<Digit> = Vec::new();
    for chunk in chunks() {
        let codes = codes(chunk);
        digits.resize(codes.len() * 2, Digit::NONE);
        for (digits, codes) in digits.chunks_exact_mut(2).zip(&codes) {
            let valid = codes.valid.as_ref().map_or(0, |valid| valid.len() - valid.null_count()) as u64;
            let all = if codes.valid.is_some() { codes.values.len() as u64 } else { 0 };
            digits[0].least = digits[0].least.min(u64::from(valid == all));
            digits[0].greatest = digits[0].greatest.max(u64::from(valid > 0));
            for &code in &codes.values {
                digits[1].least = digits[1].least.min(code);
                digits[1].greatest = digits[1].greatest.max(code);
            }
        }
    }
    let bits: u32 = digits.iter().map(|digit| digit.bits()).sum();
    // What is packed for a group, in the order of the groups.
    let pack = |put: &mut dyn FnMut(u64)| {
        let mut keys = Vec::new();
        for chunk in chunks() {
            keys.clear();
            keys.resize(chunk.len(), 0_u64);
            for (digits, codes) in digits.chunks_exact(2).zip(codes(chunk)) {
                if let (1, Some(valid)) = (digits[0].bits(), &codes.valid) {
                    keys.iter_mut().zip(valid).for_each(|(key, v)| *key = (*key << 1) | u64::from(v));
                }
                let (bits, least) = (digits[1].bits(), digits[1].least);
                match bits {
                    0 => {}
                    64 => keys.copy_from_slice(&codes.values),
                    _ => {
                        let pairs = keys.iter_mut().zip(&codes.values);
                        pairs.for_each(|(key, code)| *key = (*key << bits) | (code - least));
                    }
                }
            }
            keys.iter().for_each(|&key| put(key));
        }
    };
    if bits <= 32 {
        let mut keys: Vec<u64> = Vec::with_capacity(groups);
        pack(&mut |key| keys.push((key << 32) | keys.len() as u64));
        return radix(keys, bits).into_iter().map(|entry| entry as u32).collect();
    }
    if bits <= 64 {
        let mut keys: Vec<(u64, u32)> = Vec::with_capacity(groups);
        pack(&mut |key| keys.push((key, keys.len() as u32)));
        let mut other = vec![(0, 0); keys.len()];
        buckets(&mut keys, &mut other, bits);
        return keys.into_iter().map(|(_, group)| group).collect();
    }
    let codes = codes(0..groups);
    let side = |codes: &Codes, i: usize| {
        (codes.valid.as_ref().is_none_or(|valid| valid.is_valid(i)), codes.values[i])
    };
    let compare = |a: usize, b: usize| {
        let mut sides = codes.iter().map(|codes| side(codes, a).cmp(&side(codes, b)));
        sides.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    };
    let mut order: Vec<u32> = (0..groups as u32).collect();
    order.sort_unstable_by(|&a, &b| compare(a as usize, b as usize));
    order
}

/// Sorts entries by the lower bits of their keys, the highest of these first: what shares them is then sorted in
/// the cache. `other` is as long, and what is in it afterwards means nothing.
fn buckets(entries: &mut [(u64, u32)], other: &mut [(u64, u32)], bits: u32) {
    if bits == 0 || entries.len() < 1 << DIGIT_BITS {
        return entries.sort_unstable_by_key(|&(key, _)| key);
    }
    let rest = bits.saturating_sub(DIGIT_BITS);
    let digit = |entry: (u64, u32)| (entry.0 >> rest) as usize & ((1 << (bits - rest)) - 1);
    let mut ends = vec![0_usize; 1 << (bits - rest)];
    entries.iter().for_each(|&entry| ends[digit(entry)] += 1);
    if ends.contains(&entries.len()) {
        return buckets(entries, other, rest);
    }
    to_starts(&mut ends);
    for &entry in &*entries {
        let end = &mut ends[digit(entry)];
        other[*end] = entry;
        *end += 1;
    }
    let mut start = 0;
    for end in ends {
        let (from, to) = (&mut other[start..end], &mut entries[start..end]);
        buckets(from, to, rest);
        to.copy_from_slice(from);
        start = end;
    }
}

/// How many there are of each becomes where the first of each belongs.
fn to_starts(counts: &mut [usize]) {
    let mut sum = 0;
    for count in counts {
        sum += std::mem::replace(count, sum);
    }
}

/// Sorts entries by the lower bits of their upper half, the lowest first.
fn radix(mut entries: Vec<u64>, bits: u32) -> Vec<u64> {
    // For few keys the counting costs more than comparing.
    if entries.len() < 1 << DIGIT_BITS {
        entries.sort_unstable();
        return entries;
    }
    let mut other = vec![0; entries.len()];
    for shift in (0..bits).step_by(DIGIT_BITS as usize) {
        let digit = |entry: u64| (entry >> 32 >> shift) as usize & ((1 << DIGIT_BITS) - 1);
        let mut starts = vec![0_usize; 1 << DIGIT_BITS];
        entries.iter().for_each(|&entry| starts[digit(entry)] += 1);
        to_starts(&mut starts);
        for &entry in &entries {
            let start = &mut starts[digit(entry)];
            other[*start] = entry;
            *start += 1;
        }
        std::mem::swap(&mut entries, &mut other);
    }
    entries
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn groups_stand_in_the_order_of_their_codes(
            rows in prop::collection::vec((0u64..9, any::<u64>(), any::<bool>(), 0u64..5000), 0..5000),
            wide in any::<bool>(),
        ) {
            let shift = if wide { 0 } else { 40 };
            let key = |r: &(u64, u64, bool, u64)| (r.0, r.2, if r.2 { r.1 >> shift } else { 0 }, r.3);
            let columns = [
                Codes::new(rows.iter().map(|r| r.0).collect(), None),
                Codes::new(
                    rows.iter().map(|r| key(r).2).collect(),
                    Some(rows.iter().map(|r| r.2).collect()),
                ),
                Codes::new(rows.iter().map(|r| r.3).collect(), None),
            ];
            let some = |range: Range<usize>| {
                let range: Vec<u32> = range.map(|i| i as u32).collect();
                columns.iter().map(|codes| codes.take(&range)).collect()
            };
            let order = order(rows.len(), some);
            prop_assert_eq!(order.len(), rows.len());
            let sorted: Vec<_> = order.iter().map(|&g| key(&rows[g as usize])).collect();
            prop_assert!(sorted.is_sorted());
        }
    }

    #[test]
    fn keys_that_share_their_high_bits_are_sorted_too() {
        // Most in one bucket of the first digit, some in another: two levels of scattering.
        let key =
            |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 30) | (u64::from(i.is_multiple_of(7)) << 60);
        for shared in [0, 1 << 63] {
            let all: Vec<u64> = (0..50_000).map(|i| key(i) | shared).chain([!shared]).collect();
            let some = |range: Range<usize>| vec![Codes::new(all[range].to_vec(), None)];
            let order = order(all.len(), some);
            let sorted: Vec<u64> = order.iter().map(|&group| all[group as usize]).collect();
            let mut expected = all.clone();
            expected.sort_unstable();
            assert_eq!(sorted, expected);
        }
    }
}
