//! Which keys a reader wants: conditions on key columns, and the ranges of key bytes that they come to.
//!
//! Ranges hold at least the keys that satisfy the conditions. Key bytes are those of
//! [`crate::rollup::KeyCodec`]: the columns' one behind the other, none of them the beginning of another.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, SortField};

use crate::error::Result;
use crate::lake::Wanted;
use crate::rollup::{KeyCodec, Layout};

/// Ranges that one scan is divided into at most; beyond it they are taken together.
const RANGES_MAX: usize = 256;

/// What a reader wants of one key column. Values have the column's type and are not NULL.
#[derive(Clone, Debug)]
pub struct KeyCondition {
    /// The column's place among the keys.
    pub key: usize,
    pub wanted: Wanted,
}

/// Keys from `low` on and less than `high`; without `high` all from `low` on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    pub low: Vec<u8>,
    pub high: Option<Vec<u8>>,
}

impl KeyRange {
    pub const ALL: Self = Self { low: Vec::new(), high: None };

    /// Every key that begins with these bytes.
    fn beginning(prefix: Vec<u8>) -> Self {
        let high = after(prefix.clone());
        Self { low: prefix, high }
    }

    pub fn is_empty(&self) -> bool {
        self.high.as_ref().is_some_and(|high| *high <= self.low)
    }

    /// What both hold.
    pub(super) fn and(&self, other: &Self) -> Self {
        let high = match (&self.high, &other.high) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.as_ref().or(b.as_ref()),
        };
        Self { low: self.low.clone().max(other.low.clone()), high: high.cloned() }
    }

    /// The rows of a sorted batch that it holds.
    pub(super) fn slice(&self, layout: &Layout, batch: &RecordBatch) -> Result<RecordBatch> {
        let Some(last) = batch.num_rows().checked_sub(1) else {
            return Ok(batch.clone());
        };
        let start = match self.low.is_empty() || key_at(layout, batch, 0)? >= self.low {
            true => 0,
            false => rows_below(layout, batch, &self.low)?,
        };
        let end = match &self.high {
            Some(high) if key_at(layout, batch, last)? >= *high => rows_below(layout, batch, high)?,
            _ => batch.num_rows(),
        };
        Ok(batch.slice(start, end.saturating_sub(start)))
    }
}

/// The key of a row, as bytes in the order of keys.
pub(super) fn key_at(layout: &Layout, batch: &RecordBatch, row: usize) -> Result<Vec<u8>> {
    let columns: Vec<_> = layout.key_columns(batch).iter().map(|c| c.slice(row, 1)).collect();
    Ok(layout.keys.encode(&columns)?.row(0).data().to_vec())
}

/// How many rows of a sorted batch have lesser keys.
pub(super) fn rows_below(layout: &Layout, batch: &RecordBatch, key: &[u8]) -> Result<usize> {
    let (mut low, mut high) = (0, batch.num_rows());
    while low < high {
        let middle = low.midpoint(high);
        if *key_at(layout, batch, middle)? < *key { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// The first bytes behind all that begin with these; `None` if there are none.
fn after(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

/// The ranges that hold all keys which satisfy all conditions: sorted, apart from each other, none empty.
/// Columns count up to the first one without a list of values, in the order of the keys.
pub fn ranges(keys: &KeyCodec, conditions: &[KeyCondition]) -> Result<Vec<KeyRange>> {
    let mut prefixes = vec![Vec::new()];
    for (column, data_type) in keys.types().iter().enumerate() {
        let own: Vec<&Wanted> = conditions.iter().filter(|c| c.key == column).map(|c| &c.wanted).collect();
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        let encode = |values: &ArrayRef| -> Result<Vec<Vec<u8>>> {
            let rows = converter.convert_columns(std::slice::from_ref(values))?;
            Ok(rows.iter().map(|row| row.data().to_vec()).collect())
        };
        let mut bound = KeyRange::ALL;
        let mut points: Option<Vec<Vec<u8>>> = None;
        for wanted in own {
            match wanted {
                Wanted::OneOf(values) => {
                    let mut values = encode(values)?;
                    points = Some(match points {
                        None => values,
                        Some(others) => {
                            values.retain(|v| others.contains(v));
                            values
                        }
                    });
                }
                Wanted::From { value, inclusive } => {
                    let range = KeyRange::beginning(encode(value)?.swap_remove(0));
                    let low = if *inclusive { Some(range.low) } else { range.high };
                    bound = bound.and(&KeyRange { low: low.unwrap_or_default(), high: None });
                }
                Wanted::To { value, inclusive } => {
                    let range = KeyRange::beginning(encode(value)?.swap_remove(0));
                    let high = if *inclusive { range.high } else { Some(range.low) };
                    bound = bound.and(&KeyRange { low: Vec::new(), high });
                }
            }
        }
        if let Some(points) = &mut points {
            points.sort_unstable();
            points.dedup();
            points.retain(|p| *p >= bound.low && bound.high.as_ref().is_none_or(|high| p < high));
        }
        match points {
            Some(points) if prefixes.len() * points.len() <= RANGES_MAX => {
                let next = prefixes.iter().flat_map(|p| points.iter().map(|v| [p.as_slice(), v].concat()));
                prefixes = next.collect();
            }
            Some(points) => {
                // Too many: from the least to the greatest.
                bound.low = points[0].clone();
                bound.high = after(points[points.len() - 1].clone());
                return Ok(within(&prefixes, &bound));
            }
            None => return Ok(within(&prefixes, &bound)),
        }
    }
    Ok(within(&prefixes, &KeyRange::ALL))
}

/// For each prefix, the keys that begin with it and go on within `bound`.
fn within(prefixes: &[Vec<u8>], bound: &KeyRange) -> Vec<KeyRange> {
    let of = |prefix: &Vec<u8>| KeyRange {
        low: [prefix.as_slice(), &bound.low].concat(),
        high: match &bound.high {
            Some(high) => Some([prefix.as_slice(), high].concat()),
            None => after(prefix.clone()),
        },
    };
    let mut ranges: Vec<KeyRange> = prefixes.iter().map(of).filter(|r| !r.is_empty()).collect();
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};
    use arrow::datatypes::DataType;

    use super::*;

    fn codec() -> KeyCodec {
        KeyCodec::new(vec![DataType::Int32, DataType::Utf8]).expect("both have an order")
    }

    fn key(number: Option<i32>, text: &str) -> Vec<u8> {
        let columns: [ArrayRef; 2] =
            [Arc::new(Int32Array::from(vec![number])), Arc::new(StringArray::from(vec![text]))];
        codec().encode(&columns).expect("encodes").row(0).data().to_vec()
    }

    fn numbers(values: &[i32]) -> ArrayRef {
        Arc::new(Int32Array::from(values.to_vec()))
    }

    fn holds(conditions: &[KeyCondition], key: &[u8]) -> bool {
        let ranges = ranges(&codec(), conditions).expect("encodes");
        assert!(ranges.is_sorted() && ranges.windows(2).all(|w| w[0].high.as_ref() <= Some(&w[1].low)));
        ranges.iter().any(|r| *r.low <= *key && r.high.as_ref().is_none_or(|high| *key < **high))
    }

    #[test]
    fn bounds_of_the_first_column_are_exact() {
        let from = |value, inclusive| KeyCondition {
            key: 0,
            wanted: Wanted::From { value: numbers(&[value]), inclusive },
        };
        let to = |value, inclusive| KeyCondition {
            key: 0,
            wanted: Wanted::To { value: numbers(&[value]), inclusive },
        };
        for (conditions, wanted) in [
            (vec![from(-3, true), to(5, false)], -3..=4),
            (vec![from(-3, false), to(5, true)], -2..=5),
            (vec![from(2, true), from(-8, true)], 2..=10),
            (vec![to(2, true), to(7, false)], -10..=2),
        ] {
            for number in -10..=10 {
                assert_eq!(holds(&conditions, &key(Some(number), "x")), wanted.contains(&number), "{number}");
            }
        }
        assert!(ranges(&codec(), &[from(3, true), to(2, true)]).expect("encodes").is_empty());
        assert!(!holds(&[from(i32::MIN, true)], &key(None, "x")), "NULL satisfies nothing");
    }

    #[test]
    fn lists_go_on_to_the_next_column() {
        let list = KeyCondition { key: 0, wanted: Wanted::OneOf(numbers(&[7, -1, 7])) };
        let text: ArrayRef = Arc::new(StringArray::from(vec!["b"]));
        let from = KeyCondition { key: 1, wanted: Wanted::From { value: text, inclusive: true } };
        let both = [list, from];
        assert!(holds(&both, &key(Some(7), "b")) && holds(&both, &key(Some(-1), "long")));
        assert!(!holds(&both, &key(Some(7), "a")) && !holds(&both, &key(Some(6), "b")));
        let many = KeyCondition { key: 0, wanted: Wanted::OneOf(numbers(&(0..1_000).collect::<Vec<_>>())) };
        assert!(
            holds(std::slice::from_ref(&many), &key(Some(999), "")) && !holds(&[many], &key(Some(1_000), ""))
        );
        assert_eq!(ranges(&codec(), &[]).expect("encodes"), [KeyRange::ALL]);
    }
}
