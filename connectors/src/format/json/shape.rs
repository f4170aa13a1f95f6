//! Records of a shape that was seen before: where their values stand is told by comparing bytes.
//!
//! What stands between two values of an object (a comma, a key, a colon, spaces) is a *gap*. The gaps of a
//! record that was walked by all the rules are kept; a record that has nothing else between its values is
//! an object by the same right, in whatever order the gaps come. So only values are looked at: strings for
//! their closing quote, others for what ends them. Whoever takes a value checks what it is; those of keys
//! that name no column are checked here. Of anything that is unusual (a new key, an escape, an object in the
//! object, a repeated key) the answer is that the record must be walked.

use super::walk::Member;
use crate::format::number;
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
    /// The gap that the last record began with.
    first: usize,
    /// For each column: it is written as a string.
    strings: Vec<bool>,
}

#[derive(Debug)]
struct Gap {
    text: Box<[u8]>,
    /// Its first and its last bytes, at most [`WORD_BYTES`] each.
    head: u128,
    tail: u128,
    place: Place,
    /// The gap that stood behind the next value last time.
    next: usize,
}

/// Where in a record a gap may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first value, which is the column's.
    First(Option<usize>),
    /// Between two values, of which the second is the column's.
    Between(Option<usize>),
    /// Behind the last value, at the end of the record.
    Last,
}

impl Shape {
    /// `strings`: for each column, whether it is written as a string.
    pub(super) fn new(strings: Vec<bool>) -> Self {
        Self { gaps: Vec::new(), first: 0, strings }
    }

    /// Finds the values of the record `bytes[start..end]`, valid UTF-8, where all `spans` are absent. False:
    /// the record is to be walked.
    #[inline]
    pub(super) fn find(&mut self, bytes: &[u8], start: usize, end: usize, spans: &mut [Span]) -> bool {
        let mut at = start;
        let mut before = None;
        loop {
            let predicted = before.map_or(self.first, |gap: usize| self.gaps[gap].next);
            let mut number = predicted;
            if !self.stands(number, before.is_none(), bytes, at, end) {
                let Some(found) =
                    (0..self.gaps.len()).find(|gap| self.stands(*gap, before.is_none(), bytes, at, end))
                else {
                    return false;
                };
                number = found;
                match before {
                    Some(gap) => self.gaps[gap].next = number,
                    None => self.first = number,
                }
            }
            let gap = &self.gaps[number];
            at += gap.text.len();
            let (Place::First(column) | Place::Between(column)) = gap.place else { return true };
            let Some((span, behind)) = self.value(column, bytes, at) else { return false };
            // At least the closing brace is to follow.
            if behind >= end {
                return false;
            }
            if let Some(column) = column {
                if spans[column] != Span::ABSENT {
                    return false;
                }
                spans[column] = span;
            }
            at = behind;
            before = Some(number);
        }
    }

    /// Whether a gap stands at `at` and may do so.
    #[inline(always)]
    fn stands(&self, number: usize, is_first: bool, bytes: &[u8], at: usize, end: usize) -> bool {
        let Some(gap) = self.gaps.get(number) else { return false };
        let length = gap.text.len();
        let fits = match gap.place {
            Place::First(_) => is_first && at + length < end,
            Place::Between(_) => !is_first && at + length < end,
            Place::Last => !is_first && at + length == end,
        };
        fits && lowest16(load16(bytes, at), length) == gap.head
            && (length <= WORD_BYTES || load16(bytes, at + length - WORD_BYTES) == gap.tail)
            && (length <= 2 * WORD_BYTES || bytes[at..at + length] == *gap.text)
    }

    /// The span of the value at `at`, and where it ends.
    #[inline(always)]
    fn value(&self, column: Option<usize>, bytes: &[u8], at: usize) -> Option<(Span, usize)> {
        let is_string = column.map(|column| self.strings[column]);
        match *bytes.get(at)? {
            b'"' if is_string != Some(false) => {
                let end = string_end(bytes, at + 1)?;
                Some((Span { start: at as u32 + 1, end: end as u32 }, end + 1))
            }
            b'"' | b'{' | b'[' => None,
            first => {
                let end = scalar_end(bytes, at);
                let span = Span { start: at as u32, end: end as u32 };
                match is_string {
                    _ if first == b'n' => (bytes[at..end] == *b"null").then_some((Span::NULL, end)),
                    Some(false) => Some((span, end)),
                    Some(true) => None,
                    None => is_scalar(&bytes[at..end]).then_some((span, end)),
                }
            }
        }
    }

    /// Keeps the gaps of a record that was walked.
    #[cold]
    pub(super) fn learn(&mut self, record: &[u8], members: &[Member]) {
        if members.is_empty() {
            return;
        }
        let mut from = 0;
        for (number, member) in members.iter().enumerate() {
            let column = member.column;
            let place = if number == 0 { Place::First(column) } else { Place::Between(column) };
            self.keep(&record[from..member.start], place);
            from = member.end;
        }
        self.keep(&record[from..], Place::Last);
    }

    fn keep(&mut self, text: &[u8], place: Place) {
        if self.gaps.iter().any(|gap| *gap.text == *text) {
            return;
        }
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.clear();
        }
        let head = lowest16(load16(text, 0), text.len());
        let tail = load16(text, text.len().saturating_sub(WORD_BYTES));
        self.gaps.push(Gap { text: text.into(), head, tail, place, next: 0 });
    }
}

/// A number, `true` or `false`.
fn is_scalar(text: &[u8]) -> bool {
    matches!(text, b"true" | b"false") || number::is_json(text)
}
