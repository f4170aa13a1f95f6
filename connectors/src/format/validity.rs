//! Which rows of a column are not NULL: nothing but a count until the first NULL, then bits by the word.

use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// The validity of a column being built.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    rows: usize,
    nulls: usize,
    /// A bit for each row, set where it is valid, and none behind the last row. Empty without NULLs.
    words: Vec<u64>,
}

impl Validity {
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.nulls == 0 || self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Adds one row.
    #[inline]
    pub(crate) fn push(&mut self, is_valid: bool) {
        self.append(u64::from(is_valid), 1);
    }

    /// Adds `count` rows, at most 64, that are valid where the lowest bits are set; the others are not.
    #[inline]
    pub(crate) fn append(&mut self, bits: u64, count: usize) {
        let nulls = count - bits.count_ones() as usize;
        if self.nulls + nulls > 0 {
            self.append_words(bits, count);
        }
        self.rows += count;
        self.nulls += nulls;
    }

    fn append_words(&mut self, bits: u64, count: usize) {
        let used = self.rows % 64;
        if self.nulls == 0 {
            self.words.clear();
            self.words.resize(self.rows / 64, u64::MAX);
            self.words.extend((used > 0).then_some((1 << used) - 1));
        }
        match self.words.last_mut() {
            Some(last) if used > 0 => {
                *last |= bits << used;
                self.words.extend((used + count > 64).then(|| bits >> (64 - used)));
            }
            _ => self.words.extend((count > 0).then_some(bits)),
        }
    }

    /// Adds rows that are valid.
    pub(crate) fn append_valid(&mut self, mut count: usize) {
        while self.nulls > 0 && count > 64 {
            self.append(u64::MAX, 64);
            count -= 64;
        }
        if self.nulls == 0 {
            self.rows += count;
        } else {
            self.append(if count == 64 { u64::MAX } else { (1 << count) - 1 }, count);
        }
    }

    /// Takes back everything behind the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows >= self.rows {
            return;
        }
        self.rows = rows;
        if self.nulls == 0 {
            return;
        }
        self.words.truncate(rows.div_ceil(64));
        if let Some(last) = self.words.last_mut()
            && !rows.is_multiple_of(64)
        {
            *last &= (1 << (rows % 64)) - 1;
        }
        let valid: usize = self.words.iter().map(|w| w.count_ones() as usize).sum();
        self.nulls = rows - valid;
    }

    /// The rows' validity, `None` if all are valid; it is empty afterwards.
    pub(crate) fn finish(&mut self) -> Option<NullBuffer> {
        let Self { rows, nulls, mut words } = std::mem::take(self);
        if nulls == 0 {
            return None;
        }
        // Arrow counts bits by the byte.
        words.iter_mut().for_each(|word| *word = word.to_le());
        self.words = Vec::with_capacity(words.len());
        Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(words), 0, rows)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<bool>),
        Valid(usize),
        Truncate(usize),
        Finish,
    }

    fn step() -> impl Strategy<Value = Step> {
        let row = prop::bool::weighted(0.9);
        prop_oneof![
            4 => prop::collection::vec(row, 0..=64).prop_map(Step::Append),
            2 => (0usize..200).prop_map(Step::Valid),
            2 => (0usize..300).prop_map(Step::Truncate),
            1 => Just(Step::Finish),
        ]
    }

    proptest! {
        #[test]
        fn bits_are_what_was_added(steps in prop::collection::vec(step(), 0..20)) {
            let (mut validity, mut model) = (Validity::default(), Vec::new());
            for step in steps.into_iter().chain([Step::Finish]) {
                match step {
                    Step::Append(rows) => {
                        let bits = rows.iter().rev().fold(0, |bits, valid| bits << 1 | u64::from(*valid));
                        validity.append(bits, rows.len());
                        model.extend(rows);
                    }
                    Step::Valid(count) => {
                        validity.append_valid(count);
                        model.resize(model.len() + count, true);
                    }
                    Step::Truncate(rows) => {
                        validity.truncate(rows);
                        model.truncate(rows);
                    }
                    Step::Finish => {
                        let expected = model.contains(&false).then(|| NullBuffer::from(std::mem::take(&mut model)));
                        prop_assert_eq!(validity.finish(), expected);
                        model.clear();
                    }
                }
                prop_assert_eq!(validity.len(), model.len());
                prop_assert!(model.iter().enumerate().all(|(row, valid)| validity.is_valid(row) == *valid));
            }
        }
    }
}
