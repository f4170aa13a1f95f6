//! Records of a shape that was seen before: where their values stand is told by comparing bytes.
//!
//! What stands between two values of an object (a comma, a key, a colon, spaces) is a *gap*. The gaps of a
//! record that was walked by all the rules are kept; a record that has nothing else between its values is
//! an object by the same right, in whatever order the gaps come. So only values are looked at: strings for
//! their closing quote, others for what ends them. Whoever takes a value checks what it is; those of keys
//! that name no column are checked here. Of anything that is unusual (a new key, an escape, a repeated key)
//! the answer is that the record must be walked.

use super::skip::value_end;
use super::walk::Member;
use crate::format::word::{load16, lowest16, scalar_end, string_end};

/// Gaps that are kept. When others come, all are forgotten.
const GAPS_MAX: usize = 128;
/// Bytes of a gap that are compared at once.
const WORD_BYTES: usize = 16;

/// Where a value stands in the payload; a string without its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// No value, since its key is not there.
    pub(super) const ABSENT: Self = Self { start: 2, end: 0 };
    /// `null`.
    const NULL: Self = Self { start: 1, end: 0 };

    pub(super) fn is_null(self) -> bool {
        self.start > self.end
    }
}

/// The gaps that were seen, and which followed which.
#[derive(Debug)]
pub(super) struct Shape {
    gaps: Vec<Gap>,
    /// The number of the gap that the last record began with.
    first: usize,
    /// For each column: it is written as a string.
    strings: Vec<bool>,
    /// Something stood where a gap should, that is none of these.
    is_missing: bool,
}

#[derive(Debug)]
struct Gap {
    text: Box<[u8]>,
    /// Its first bytes, and which bits of them count; its last bytes if it has more.
    head: u128,
    mask: u128,
    tail: u128,
    /// It stands before the first value.
    is_first: bool,
    behind: Behind,
    /// The number of the gap that stood behind the next value last time.
    next: usize,
}

/// What stands behind a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// The value of a column that is written as a string.
    Text(usize),
    /// The value of another column.
    Scalar(usize),
    /// The value of no column.
    Unknown,
    /// Nothing: the record ends.
    End,
}

/// The number of no gap.
const NONE: usize = usize::MAX;

impl Shape {
    /// `strings`: for each column, whether it is written as a string.
    pub(super) fn new(strings: Vec<bool>) -> Self {
        Self { gaps: Vec::new(), first: NONE, strings, is_missing: true }
    }

    /// Finds the values of the record `bytes[start..end]`, valid UTF-8, where all `spans` are absent. False:
    /// the record is to be walked.
    #[inline]
    pub(super) fn find(&mut self, bytes: &[u8], start: usize, end: usize, spans: &mut [Span]) -> bool {
        let (mut at, mut number, mut before) = (start, self.first, NONE);
        loop {
            let mut gap = self.gaps.get(number).filter(|gap| gap.stands(bytes, at));
            if gap.is_none() {
                number = self.search(bytes, at, end, before);
                gap = self.gaps.get(number);
            }
            let Some(gap) = gap else { return false };
            at += gap.text.len();
            let found = match gap.behind {
                Behind::Text(column) => {
                    text(bytes, at).filter(|_| spans[column] == Span::ABSENT).map(|found| {
                        spans[column] = found.0;
                        found.1
                    })
                }
                Behind::Scalar(column) => {
                    scalar(bytes, at).filter(|_| spans[column] == Span::ABSENT).map(|found| {
                        spans[column] = found.0;
                        found.1
                    })
                }
                Behind::Unknown => value_end(bytes, at),
                Behind::End => return at == end,
            };
            // At least a closing brace is to follow, which is a gap's.
            let Some(behind) = found.filter(|behind| *behind < end) else { return false };
            (at, before, number) = (behind, number, gap.next);
        }
    }

    /// The gap at `at` that is not the predicted one, and will be predicted next time; or [`NONE`].
    #[inline(never)]
    fn search(&mut self, bytes: &[u8], at: usize, end: usize, before: usize) -> usize {
        let fits = |gap: &Gap| {
            let ends = at + gap.text.len() == end;
            gap.is_first == (before == NONE) && ends == (gap.behind == Behind::End) && gap.stands(bytes, at)
        };
        let found = self.gaps.iter().position(fits).unwrap_or(NONE);
        self.is_missing |= found == NONE;
        if found != NONE {
            match self.gaps.get_mut(before) {
                Some(gap) => gap.next = found,
                None => self.first = found,
            }
        }
        found
    }

    /// Keeps the gaps of a record that was walked, if it may have been for want of them.
    #[cold]
    pub(super) fn learn(&mut self, record: &[u8], members: &[Member]) {
        if !std::mem::take(&mut self.is_missing) {
            return;
        }
        let mut from = 0;
        for member in members {
            let behind = match member.column {
                Some(column) if self.strings[column] => Behind::Text(column),
                Some(column) => Behind::Scalar(column),
                None => Behind::Unknown,
            };
            self.keep(&record[from..member.start], from == 0, behind);
            from = member.end;
        }
        if from > 0 {
            self.keep(&record[from..], false, Behind::End);
        }
    }

    fn keep(&mut self, text: &[u8], is_first: bool, behind: Behind) {
        if self.gaps.iter().any(|gap| *gap.text == *text) {
            return;
        }
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.clear();
            self.first = NONE;
        }
        let mask = lowest16(u128::MAX, text.len());
        let head = load16(text, 0) & mask;
        let tail = load16(text, text.len().saturating_sub(WORD_BYTES));
        self.gaps.push(Gap { text: text.into(), head, mask, tail, is_first, behind, next: NONE });
    }
}

impl Gap {
    #[inline(always)]
    fn stands(&self, bytes: &[u8], at: usize) -> bool {
        let length = self.text.len();
        (load16(bytes, at) ^ self.head) & self.mask == 0
            && (length <= WORD_BYTES || load16(bytes, at + length - WORD_BYTES) == self.tail)
            && (length <= 2 * WORD_BYTES || bytes[at..].starts_with(&self.text))
    }
}

/// The span of a string at `at`, or of `null`, and where it ends.
#[inline(always)]
fn text(bytes: &[u8], at: usize) -> Option<(Span, usize)> {
    if bytes.get(at) != Some(&b'"') {
        return null(bytes, at);
    }
    let end = string_end(bytes, at + 1)?;
    Some((Span { start: at as u32 + 1, end: end as u32 }, end + 1))
}

/// The span of what is no string, object or array, or of `null`, and where it ends.
#[inline(always)]
fn scalar(bytes: &[u8], at: usize) -> Option<(Span, usize)> {
    match bytes.get(at)? {
        b'n' => null(bytes, at),
        b'"' | b'{' | b'[' => None,
        _ => {
            let end = scalar_end(bytes, at);
            Some((Span { start: at as u32, end: end as u32 }, end))
        }
    }
}

#[inline(always)]
fn null(bytes: &[u8], at: usize) -> Option<(Span, usize)> {
    (bytes.get(at..).and_then(<[u8]>::first_chunk) == Some(b"null")).then_some((Span::NULL, at + 4))
}
