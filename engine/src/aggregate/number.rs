//! The kernels: numbers into words, in one pass for all aggregates of an argument.
//!
//! Float sums follow Knuth's TwoSum ("The Art of Computer Programming", vol. 2, 4.2.2): the error of every
//! addition is kept and added at the end.

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::i256;

use super::plan::Input;
use super::row::Rows;

/// Which rows of a batch count.
pub(super) enum Counted {
    All(usize),
    Set(BooleanBuffer),
}

impl Counted {
    /// Calls `each` with the number of every row that counts.
    #[inline(always)]
    pub fn for_each(&self, each: impl FnMut(usize)) {
        match self {
            Self::All(rows) => (0..*rows).for_each(each),
            Self::Set(set) => set.set_indices().for_each(each),
        }
    }
}

/// A number of up to 64 bits.
pub trait Number: Copy {
    /// Adds it to the two words of a sum.
    fn add(self, sum: &mut [u64]);
    /// An integer with the same order.
    fn ordered(self) -> i64;
}

impl Number for i64 {
    #[inline(always)]
    fn add(self, sum: &mut [u64]) {
        // 2^64 rows of 64-bit values fit into 128 bits.
        let total = integer_sum(sum).wrapping_add(i128::from(self));
        sum[0] = total as u64;
        sum[1] = (total >> 64) as u64;
    }

    #[inline(always)]
    fn ordered(self) -> i64 {
        self
    }
}

impl Number for f64 {
    #[inline(always)]
    fn add(self, sum: &mut [u64]) {
        let before = f64::from_bits(sum[0]);
        let total = before + self;
        let part = total - before;
        let error = (before - (total - part)) + (self - part);
        sum[0] = total.to_bits();
        sum[1] = (f64::from_bits(sum[1]) + error).to_bits();
    }

    /// The total order of IEEE 754, in which a positive NaN is above infinity. There is one NaN: machines
    /// disagree on the sign of what 0.0 / 0.0 gives.
    #[inline(always)]
    fn ordered(self) -> i64 {
        let bits = if self.is_nan() { f64::NAN } else { self }.to_bits() as i64;
        bits ^ (((bits >> 63) as u64) >> 1) as i64
    }
}

/// The float that [`Number::ordered`] gave.
pub fn float(ordered: i64) -> f64 {
    f64::from_bits((ordered ^ (((ordered >> 63) as u64) >> 1) as i64) as u64)
}

pub(super) fn integer_sum(words: &[u64]) -> i128 {
    (i128::from(words[1] as i64) << 64) | i128::from(words[0])
}

pub(super) fn decimal_sum(words: &[u64]) -> i256 {
    let low = u128::from(words[0]) | (u128::from(words[1]) << 64);
    let high = u128::from(words[2]) | (u128::from(words[3]) << 64);
    i256::from_parts(low, high as i128)
}

/// Puts a sum back; false if there was none, since it overflowed.
pub(super) fn set_decimal_sum(words: &mut [u64], sum: Option<i256>) -> bool {
    let (low, high) = sum.unwrap_or_default().to_parts();
    let parts = [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64];
    words[..4].copy_from_slice(&parts);
    sum.is_some()
}

/// The words of an input in the rows of the groups.
pub(super) struct Words<'w> {
    pub rows: &'w mut Rows,
    /// The first of them.
    pub start: usize,
}

/// Folds numbers into the rows of their groups.
pub(super) fn fold<N: Number>(
    input: &Input,
    words: Words<'_>,
    groups: &[u32],
    values: &[N],
    counted: &Counted,
) {
    match (input.sums, input.mins, input.maxes) {
        (true, true, true) => pass::<N, true, true, true>(words, groups, values, counted),
        (true, true, false) => pass::<N, true, true, false>(words, groups, values, counted),
        (true, false, true) => pass::<N, true, false, true>(words, groups, values, counted),
        (true, false, false) => pass::<N, true, false, false>(words, groups, values, counted),
        (false, true, true) => pass::<N, false, true, true>(words, groups, values, counted),
        (false, true, false) => pass::<N, false, true, false>(words, groups, values, counted),
        (false, false, true) => pass::<N, false, false, true>(words, groups, values, counted),
        (false, false, false) => count(words, groups, counted),
    }
}

/// One pass, with what it does known to the compiler.
fn pass<N: Number, const SUM: bool, const MIN: bool, const MAX: bool>(
    Words { rows, start }: Words<'_>,
    groups: &[u32],
    values: &[N],
    counted: &Counted,
) {
    let length = 1 + 2 * usize::from(SUM) + usize::from(MIN) + usize::from(MAX);
    let min = 1 + 2 * usize::from(SUM);
    let max = min + usize::from(MIN);
    let (groups, values) = (&groups[..values.len()], values);
    counted.for_each(|i| {
        let row = &mut rows.get_mut(groups[i])[start..start + length];
        row[0] += 1;
        if SUM {
            values[i].add(&mut row[1..3]);
        }
        let value = values[i].ordered();
        if MIN {
            row[min] = value.min(row[min] as i64) as u64;
        }
        if MAX {
            row[max] = value.max(row[max] as i64) as u64;
        }
    });
}

/// Counts rows.
pub(super) fn count(Words { rows, start }: Words<'_>, groups: &[u32], counted: &Counted) {
    counted.for_each(|i| rows.get_mut(groups[i])[start] += 1);
}

/// Folds decimals; false if a sum overflowed.
pub(super) fn fold_decimals(
    input: &Input,
    Words { rows, start }: Words<'_>,
    groups: &[u32],
    values: &[i128],
    counted: &Counted,
) -> bool {
    let mut fits = true;
    counted.for_each(|i| {
        let row = &mut rows.get_mut(groups[i])[start..start + input.words()];
        row[0] += 1;
        if input.sums {
            let sum = &mut row[input.sum()..];
            fits &= set_decimal_sum(sum, decimal_sum(sum).checked_add(i256::from_i128(values[i])));
        }
        if input.mins {
            keep(&mut row[input.min()..], values[i], i128::min);
        }
        if input.maxes {
            keep(&mut row[input.max()..], values[i], i128::max);
        }
    });
    fits
}

/// Keeps the better of a stored 128-bit value and another.
pub(super) fn keep(words: &mut [u64], value: i128, better: impl Fn(i128, i128) -> i128) {
    let best = better(integer_sum(words), value);
    words[0] = best as u64;
    words[1] = (best >> 64) as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_above_all_numbers_whatever_its_sign() {
        for nan in [f64::NAN, -f64::NAN, f64::from_bits(0xfff8_0000_0000_0001)] {
            assert!(nan.ordered() > f64::INFINITY.ordered());
            assert_eq!(nan.ordered(), f64::NAN.ordered());
            assert!(float(nan.ordered()).is_nan());
        }
        assert!((-1.0).ordered() < 0.5.ordered() && f64::NEG_INFINITY.ordered() < (-1.0).ordered());
    }
}
