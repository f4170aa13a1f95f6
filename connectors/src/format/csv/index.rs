//! Where the fields of records without quotes start: found for many records in one pass over their bytes.

use std::ops::Range;

use memchr::memchr_iter;

use crate::format::word::either64;

/// Bounds that are written at once.
const BOUNDS_AT_ONCE: usize = 8;

/// For each field where it starts, and at the end where the next one would: a field ends one byte before
/// the start that follows it.
#[derive(Debug, Default)]
pub(super) struct Index {
    bounds: Vec<u32>,
    /// How many of them are in use; the others are room.
    used: usize,
}

impl Index {
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Those from number `from` on.
    pub(super) fn bounds(&self, from: usize) -> &[u32] {
        &self.bounds[from..self.used]
    }

    /// Indexes whole lines in place of what was there.
    pub(super) fn set_lines(&mut self, bytes: &[u8], lines: Range<usize>, delimiter: u8) {
        self.clear();
        self.make_room(lines.len());
        self.push(lines.start);
        self.scan(bytes, lines, delimiter, b'\n');
    }

    /// How many lines from bound number `at` on have so many fields and not too many bytes.
    pub(super) fn regular_lines(&self, bytes: &[u8], at: usize, fields: usize, bytes_max: usize) -> usize {
        let bounds = self.bounds(at);
        let (Some(first), Some(last), 1..) = (bounds.first(), bounds.last(), fields) else { return 0 };
        let is_line_end = |bound: u32| bytes[bound as usize - 1] == b'\n';
        let line = |row: usize| (bounds[row * fields], bounds[(row + 1) * fields]);
        let ends_well = |row: &usize| {
            let (start, end) = line(*row);
            is_line_end(end) && (end - start) as usize - 1 <= bytes_max
        };
        let rows = (bounds.len() - 1) / fields;
        // Mostly all of them: there are as many line ends as rows, and each row ends with one.
        if at == 0
            && rows * fields == bounds.len() - 1
            && (0..rows).all(|row| ends_well(&row))
            && memchr_iter(b'\n', &bytes[*first as usize..*last as usize]).count() == rows
        {
            return rows;
        }
        let within = |row: usize| &bounds[row * fields + 1..(row + 1) * fields];
        let is_regular = |row: &usize| ends_well(row) && !within(*row).iter().any(|b| is_line_end(*b));
        (0..rows).take_while(is_regular).count()
    }

    /// The number of the bound behind the line that starts at bound number `at`.
    pub(super) fn line_end(&self, bytes: &[u8], at: usize) -> usize {
        let rest = &self.bounds(at)[1..];
        at + 1 + rest.iter().position(|b| bytes[*b as usize - 1] == b'\n').unwrap_or(rest.len() - 1)
    }

    /// Adds a record that has no line end, if it has so many fields.
    pub(super) fn push_record(
        &mut self,
        bytes: &[u8],
        record: Range<usize>,
        delimiter: u8,
        fields: usize,
    ) -> bool {
        let (before, end) = (self.used, record.end);
        self.make_room(record.len());
        self.push(record.start);
        self.scan(bytes, record, delimiter, delimiter);
        self.push(end + 1);
        let is_regular = self.used - before == fields + 1;
        if !is_regular {
            self.used = before;
        }
        is_regular
    }

    /// For every byte of a text, its end, and what is written too much.
    fn make_room(&mut self, bytes: usize) {
        let wanted = self.used + bytes + 2 + BOUNDS_AT_ONCE;
        if self.bounds.len() < wanted {
            self.bounds.resize(wanted.next_power_of_two(), 0);
        }
    }

    fn push(&mut self, bound: usize) {
        self.bounds[self.used] = bound as u32;
        self.used += 1;
    }

    fn scan(&mut self, bytes: &[u8], text: Range<usize>, a: u8, b: u8) {
        let mut at = text.start;
        while at < text.end {
            let ends = match bytes[at..].first_chunk() {
                Some(chunk) => either64(chunk, a, b),
                None => {
                    let mut chunk = [0; 64];
                    chunk[..bytes.len() - at].copy_from_slice(&bytes[at..]);
                    either64(&chunk, a, b)
                }
            };
            let left = text.end - at;
            self.push_bits(at as u32 + 1, if left < 64 { ends & ((1 << left) - 1) } else { ends });
            at += 64;
        }
    }

    /// Adds `first` plus the number of each bit.
    #[inline(always)]
    fn push_bits(&mut self, first: u32, mut bits: u64) {
        let mut at = self.used;
        self.used += bits.count_ones() as usize;
        while at < self.used {
            // What is written behind the last bit is overwritten by the next.
            for place in &mut self.bounds[at..at + BOUNDS_AT_ONCE] {
                *place = first.wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
            }
            at += BOUNDS_AT_ONCE;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bounds_stand_behind_delimiters_and_line_ends(text in "[ab,\n]{0,300}", start in 0usize..70) {
            let bytes = format!("{}{text}\nrest, of it", "x".repeat(start)).into_bytes();
            let end = start + text.len() + 1;
            let mut index = Index::default();
            index.set_lines(&bytes, start..end, b',');
            let behind = |n: &usize| matches!(bytes[*n - 1], b',' | b'\n');
            let expected: Vec<u32> =
                [start].into_iter().chain((start + 1..=end).filter(behind)).map(|n| n as u32).collect();
            prop_assert_eq!(index.bounds(0), &expected);

            // Line by line: so many fields, so many bytes.
            let mut at = 0;
            for line in bytes[start..end].split_inclusive(|b| *b == b'\n') {
                let fields = line.iter().filter(|b| **b == b',').count() + 1;
                prop_assert!(index.regular_lines(&bytes, at, fields, line.len() - 1) >= 1);
                prop_assert_eq!(index.regular_lines(&bytes, at, fields + 1, 1000), 0);
                if line.len() > 1 {
                    prop_assert_eq!(index.regular_lines(&bytes, at, fields, line.len() - 2), 0);
                }
                at = index.line_end(&bytes, at);
            }
            prop_assert_eq!(at, expected.len() - 1);
        }

        #[test]
        fn records_without_line_ends_are_put_side_by_side(records in prop::collection::vec("[ab,]{0,80}", 0..8)) {
            let bytes = records.concat().into_bytes();
            let (mut index, mut expected, mut start) = (Index::default(), Vec::new(), 0);
            for record in &records {
                let end = start + record.len();
                let fields = record.split(',').count();
                prop_assert!(!index.push_record(&bytes, start..end, b',', fields + 1));
                prop_assert!(index.push_record(&bytes, start..end, b',', fields));
                let mut at = start;
                for field in record.split(',') {
                    expected.push(at as u32);
                    at += field.len() + 1;
                }
                expected.push(at as u32);
                start = end;
            }
            prop_assert_eq!(index.bounds(0), expected);
        }
    }
}
