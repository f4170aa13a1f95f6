//! Between which keys the blocks of a sorted run stand, so that a reader of some keys knows which it needs.

use std::ops::Range;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::range::KeyRange;

/// Bytes of a key that are kept; of a longer one only its beginning is.
const KEY_BYTES_MAX: usize = 64;

/// For a run of `n` blocks, `n + 1` keys as [`crate::rollup::KeyCodec`] writes them: that of its first row,
/// then that of each block's last row. None of them where the run does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    keys: Arc<[Box<[u8]>]>,
}

/// The keys of a block's first and last row, cut to what is kept of them.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    first: Box<[u8]>,
    last: Box<[u8]>,
}

impl Ends {
    pub(super) fn new(first: &[u8], last: &[u8]) -> Self {
        Self { first: cut(first).into(), last: cut(last).into() }
    }
}

fn cut(key: &[u8]) -> &[u8] {
    &key[..key.len().min(KEY_BYTES_MAX)]
}

impl Bounds {
    /// Those of blocks in their order; `None` for a block that is not sorted.
    pub(super) fn of(blocks: Vec<Option<Ends>>) -> Self {
        let Some(ends) = blocks.into_iter().collect::<Option<Vec<Ends>>>() else {
            return Self::default();
        };
        let first = ends.first().map(|e| e.first.clone());
        Self { keys: first.into_iter().chain(ends.into_iter().map(|e| e.last)).collect() }
    }

    /// The keys of the first row and the last, as far as they are kept. `None` where the run does not say.
    pub(super) fn ends(&self) -> Option<(&[u8], &[u8])> {
        Some((self.keys.first()?, self.keys.last()?))
    }

    /// Those of a run of one block.
    #[cfg(test)]
    pub(super) fn between(first: &[u8], last: &[u8]) -> Self {
        Self::of(vec![Some(Ends::new(first, last))])
    }

    /// The keys of those last rows behind which another block follows.
    pub(super) fn inner(&self) -> &[Box<[u8]>] {
        self.keys.get(1..self.keys.len().saturating_sub(1)).unwrap_or_default()
    }

    /// The positions of the blocks, of `blocks` there are, that may hold keys of a range.
    pub(super) fn positions(&self, blocks: u32, range: &KeyRange) -> Range<u32> {
        if self.keys.len() != blocks as usize + 1 {
            return 0..blocks;
        }
        // What is kept of a key is no more than the key, and of two keys no more of the lesser one.
        let low = cut(&range.low);
        let start = self.keys[1..].partition_point(|last| **last < *low);
        let end = match &range.high {
            None => blocks as usize,
            Some(high) => self.keys[..blocks as usize].partition_point(|key| **key < **high),
        };
        start as u32..end.max(start) as u32
    }
}

/// As hexadecimal digits.
impl Serialize for Bounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.keys.iter().map(|key| {
            key.iter().fold(String::with_capacity(key.len() * 2), |mut text, byte| {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(digit.into(), 16).expect("half a byte is a digit"));
                }
                text
            })
        }))
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let key = |text: &String| {
            let digits: Option<Vec<u8>> =
                text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
            let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
            rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
        };
        let keys: Option<Vec<Box<[u8]>>> = texts.iter().map(key).collect();
        keys.map(|keys| Self { keys: keys.into() })
            .ok_or_else(|| D::Error::custom("a key that is not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: &[u8], high: Option<&[u8]>) -> KeyRange {
        KeyRange { low: low.to_vec(), high: high.map(<[u8]>::to_vec) }
    }

    #[test]
    fn a_range_names_the_blocks_that_may_hold_it() {
        let ends = |first: &[u8], last: &[u8]| Some(Ends::new(first, last));
        let bounds = Bounds::of(vec![ends(b"b", b"d"), ends(b"e", b"g"), ends(b"h", b"k")]);
        assert_eq!(bounds.positions(3, &range(b"", None)), 0..3);
        assert_eq!(bounds.positions(3, &range(b"e", Some(b"f"))), 1..2);
        assert_eq!(bounds.positions(3, &range(b"d", Some(b"e"))), 0..2);
        assert!(bounds.positions(3, &range(b"", Some(b"b"))).is_empty());
        assert!(bounds.positions(3, &range(b"l", None)).is_empty());
        assert_eq!(bounds.positions(4, &range(b"l", None)), 0..4, "bounds of another run say nothing");
        assert!(Bounds::of(vec![ends(b"b", b"d"), None]).keys.is_empty());
    }

    #[test]
    fn of_a_long_key_the_beginning_is_enough() {
        let long = |last: u8| [vec![b'x'; 100], vec![last]].concat();
        let bounds =
            Bounds::of(vec![Some(Ends::new(&long(1), &long(5))), Some(Ends::new(&long(6), &long(9)))]);
        assert_eq!(bounds.positions(2, &range(&long(7), Some(&long(8)))), 0..2);
        assert!(bounds.positions(2, &range(b"y", None)).is_empty());
        assert!(bounds.positions(2, &range(b"", Some(b"x"))).is_empty());
    }

    #[test]
    fn bounds_read_back_and_other_text_is_refused() {
        let bounds = Bounds::of(vec![Some(Ends::new(&[0, 255], &[1, 16]))]);
        let text = serde_json::to_string(&bounds).expect("writes");
        assert_eq!(text, r#"["00ff","0110"]"#);
        assert_eq!(serde_json::from_str::<Bounds>(&text).expect("reads"), bounds);
        assert!(serde_json::from_str::<Bounds>(r#"["0"]"#).is_err());
        assert!(serde_json::from_str::<Bounds>(r#"["zz"]"#).is_err());
    }
}
