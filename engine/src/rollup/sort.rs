//! The order of groups by their keys' codes: as few bits as tell them apart, sorted by radix.

use super::part::Codes;

/// Bits that one pass of the radix sort looks at.
const DIGIT_BITS: u32 = 11;

/// What a group is compared by.
type Code<'c> = Box<dyn Fn(usize) -> u64 + 'c>;

/// The numbers of the groups in the order of their keys: by the first column, then the second, and so on.
/// Within a column the order is that of the codes, NULL first.
pub fn order(columns: &[Codes], groups: usize) -> Vec<u32> {
    let mut digits: Vec<(u64, u64, Code<'_>)> = Vec::new();
    for codes in columns {
        if let Some(valid) = &codes.valid {
            digits.push((0, 1, Box::new(|i| u64::from(valid.is_valid(i)))));
        }
        let least = codes.values.iter().copied().min().unwrap_or_default();
        let greatest = codes.values.iter().copied().max().unwrap_or_default();
        digits.push((least, greatest, Box::new(|i| codes.values[i])));
    }
    let bits = |least: u64, greatest: u64| 64 - (greatest - least).leading_zeros();
    let total: u32 = digits.iter().map(|(least, greatest, _)| bits(*least, *greatest)).sum();
    if total <= 64 {
        let mut keys: Vec<(u64, u32)> = (0..groups as u32).map(|g| (0, g)).collect();
        for (least, greatest, code) in &digits {
            let bits = bits(*least, *greatest);
            if bits > 0 {
                for (key, g) in &mut keys {
                    let code = code(*g as usize) - least;
                    *key = if bits == 64 { code } else { (*key << bits) | code };
                }
            }
        }
        return radix(keys, total);
    }
    let mut order: Vec<u32> = (0..groups as u32).collect();
    let compare = |a: usize, b: usize| {
        let sides = digits.iter().map(|(_, _, code)| code(a).cmp(&code(b)));
        sides.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    order.sort_unstable_by(|&a, &b| compare(a as usize, b as usize));
    order
}

fn radix(mut keys: Vec<(u64, u32)>, bits: u32) -> Vec<u32> {
    // For few keys the counting costs more than comparing.
    if keys.len() < 1 << DIGIT_BITS {
        keys.sort_unstable();
    } else {
        let mut other = vec![(0, 0); keys.len()];
        for shift in (0..bits).step_by(DIGIT_BITS as usize) {
            let digit = |key: u64| (key >> shift) as usize & ((1 << DIGIT_BITS) - 1);
            let mut starts = vec![0_usize; 1 << DIGIT_BITS];
            keys.iter().for_each(|(key, _)| starts[digit(*key)] += 1);
            let mut sum = 0;
            for start in &mut starts {
                sum += std::mem::replace(start, sum);
            }
            for &entry in &keys {
                let start = &mut starts[digit(entry.0)];
                other[*start] = entry;
                *start += 1;
            }
            std::mem::swap(&mut keys, &mut other);
        }
    }
    keys.into_iter().map(|(_, group)| group).collect()
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
                Codes { values: rows.iter().map(|r| r.0).collect(), valid: None },
                Codes {
                    values: rows.iter().map(|r| key(r).2).collect(),
                    valid: Some(rows.iter().map(|r| r.2).collect()),
                },
                Codes { values: rows.iter().map(|r| r.3).collect(), valid: None },
            ];
            let order = order(&columns, rows.len());
            prop_assert_eq!(order.len(), rows.len());
            let sorted: Vec<_> = order.iter().map(|&g| key(&rows[g as usize])).collect();
            prop_assert!(sorted.is_sorted());
        }
    }
}
