//! Keys of some rows as numbers, one column of them.

use std::sync::OnceLock;

use arrow::buffer::NullBuffer;

/// The codes of some rows: 0 is NULL, but for wide parts, which have a validity beside them.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    pub values: Vec<u64>,
    pub valid: Option<NullBuffer>,
    span: OnceLock<(u64, u64)>,
}

impl Codes {
    pub fn new(values: Vec<u64>, valid: Option<NullBuffer>) -> Self {
        Self { values, valid, span: OnceLock::new() }
    }

    /// Codes of which is known that those of values are in this span.
    pub fn within(values: Vec<u64>, span: (u64, u64)) -> Self {
        Self { values, valid: None, span: span.into() }
    }

    /// No code of a value is less than the first or greater than the second; the first is above the second if
    /// there are only NULLs. For codes of a `wide` part, or not: they are looked through once.
    pub fn span(&self, wide: bool) -> (u64, u64) {
        *self.span.get_or_init(|| {
            let values = self.values.iter().copied();
            let widen = |(least, greatest): (u64, u64), code: u64| (least.min(code), greatest.max(code));
            match &self.valid {
                Some(valid) => {
                    let values = values.zip(valid).filter_map(|(code, valid)| valid.then_some(code));
                    values.fold((u64::MAX, 0), widen)
                }
                None if wide => values.fold((u64::MAX, 0), widen),
                None => {
                    // NULL is 0 here; less one it is the greatest.
                    let widen = |(least, greatest): (u64, u64), code: u64| {
                        (least.min(code.wrapping_sub(1)), greatest.max(code))
                    };
                    let (least, greatest) = values.fold((u64::MAX, 0), widen);
                    (least.saturating_add(1), greatest)
                }
            }
        })
    }

    /// Only the rows numbered in `rows`.
    pub fn take(&self, rows: &[u32]) -> Self {
        let values = rows.iter().map(|&i| self.values[i as usize]).collect();
        let valid =
            self.valid.as_ref().map(|valid| rows.iter().map(|&i| valid.is_valid(i as usize)).collect());
        Self::new(values, valid)
    }
}
