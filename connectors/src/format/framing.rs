//! Where a text record ends: at a newline, in CSV at one outside of quotes.
//!
//! Readers cut texts by this and the CSV decoder takes them apart by it, so that both always agree.
//! Every quote toggles (as in PostgreSQL), so with `escape == quote` a newline ends a record exactly if an
//! even number of quotes stands before it: that can be counted from any record's start.

use memchr::{memchr, memchr2, memrchr};

/// The rule of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Every newline ends a record.
    Lines,
    /// A newline inside of quotes belongs to its field.
    Quoted { quote: u8, escape: u8 },
}

/// How far into a record a scan is, between two pieces of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    in_quotes: bool,
    /// The last piece ended behind an escape character, inside of quotes.
    escaping: bool,
}

impl Scan {
    /// The scan stands inside of quotes.
    pub fn in_quotes(self) -> bool {
        self.in_quotes
    }
}

impl Framing {
    /// Where the first record of `bytes` ends, behind its newline; `None` if it goes on behind `bytes`.
    /// `scan` is the state at the start of `bytes`, and afterwards that at the answer or the end.
    pub fn first_end(self, scan: &mut Scan, bytes: &[u8]) -> Option<usize> {
        let Self::Quoted { quote, escape } = self else {
            return memchr(b'\n', bytes).map(|at| at + 1);
        };
        let mut at = 0;
        while let Some(hit) = self.next_mark(scan, quote, escape, bytes, &mut at) {
            if hit == b'\n' {
                return Some(at);
            }
        }
        None
    }

    /// Where the last whole record of `bytes` ends; `bytes` starts where a record does. The second value
    /// is the state at the end of `bytes`.
    pub fn last_end(self, bytes: &[u8]) -> (Option<usize>, Scan) {
        let mut scan = Scan::default();
        let last_newline = |bytes| memrchr(b'\n', bytes).map(|at| at + 1);
        let Self::Quoted { quote, escape } = self else { return (last_newline(bytes), scan) };
        // Without a quote every newline counts; with quotes only those outside of them.
        let Some(first_quote) = memchr(quote, bytes) else { return (last_newline(bytes), scan) };
        let mut last = last_newline(&bytes[..first_quote]);
        let mut at = first_quote;
        while let Some(hit) = self.next_mark(&mut scan, quote, escape, bytes, &mut at) {
            if hit == b'\n' {
                last = Some(at);
            }
        }
        (last, scan)
    }

    /// Goes behind the next quote, or newline outside of quotes, and says which it was.
    fn next_mark(self, scan: &mut Scan, quote: u8, escape: u8, bytes: &[u8], at: &mut usize) -> Option<u8> {
        loop {
            let rest = &bytes[*at..];
            if scan.escaping {
                // Only a quote or an escape character can be escaped.
                let first = *rest.first()?;
                scan.escaping = false;
                *at += usize::from(first == quote || first == escape);
                continue;
            }
            let found = match (scan.in_quotes, quote == escape) {
                (false, _) => memchr2(quote, b'\n', rest),
                (true, true) => memchr(quote, rest),
                (true, false) => memchr2(quote, escape, rest),
            };
            let Some(found) = found else {
                *at = bytes.len();
                return None;
            };
            *at += found + 1;
            let hit = rest[found];
            if hit == quote {
                scan.in_quotes = !scan.in_quotes;
                return Some(quote);
            }
            if hit == b'\n' {
                return Some(hit);
            }
            scan.escaping = true;
        }
    }

    /// Where the records of a long text may be cut: for each of `targets` (ascending), the first record
    /// start at or behind it. Fed piece by piece, from the text's start.
    pub fn cutter(self, targets: Vec<u64>) -> Cutter {
        Cutter { framing: self, scan: Scan::default(), at: 0, targets, next: 0, cuts: Vec::new() }
    }
}

/// Finds record starts near given places in one pass over a text.
#[derive(Debug)]
pub struct Cutter {
    framing: Framing,
    scan: Scan,
    /// Bytes seen.
    at: u64,
    targets: Vec<u64>,
    next: usize,
    cuts: Vec<u64>,
}

impl Cutter {
    /// Takes the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut from = 0;
        while let Some(&target) = self.targets.get(self.next) {
            if self.cuts.last().is_some_and(|&cut| cut >= target) {
                self.next += 1;
                continue;
            }
            // A record that ends at the target or later is followed by the start that is looked for.
            let skip =
                usize::try_from(target.saturating_sub(1).saturating_sub(self.at)).unwrap_or(usize::MAX);
            let skip = skip.clamp(from, bytes.len());
            self.pass(&bytes[from..skip]);
            match self.framing.first_end(&mut self.scan, &bytes[skip..]) {
                Some(end) => {
                    from = skip + end;
                    self.cuts.push(self.at + from as u64);
                    self.next += 1;
                }
                None => {
                    from = bytes.len();
                    break;
                }
            }
        }
        if self.next >= self.targets.len() {
            self.pass(&bytes[from.min(bytes.len())..]);
        }
        self.at += bytes.len() as u64;
    }

    /// The cuts found, ascending; fewer than asked for if a record is longer than a range.
    pub fn finish(self) -> (Vec<u64>, Scan) {
        (self.cuts, self.scan)
    }

    /// Goes over bytes in which no cut is wanted: only quotes matter.
    fn pass(&mut self, bytes: &[u8]) {
        let Framing::Quoted { quote, escape } = self.framing else { return };
        if quote == escape {
            let odd = memchr::memchr_iter(quote, bytes).count() % 2 == 1;
            self.scan.in_quotes ^= odd;
            return;
        }
        let mut at = 0;
        while self.framing.next_mark(&mut self.scan, quote, escape, bytes, &mut at).is_some() {}
    }
}

/// Without the newline, and a carriage return before it.
pub(crate) fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CSV: Framing = Framing::Quoted { quote: b'"', escape: b'"' };
    const BACKSLASH: Framing = Framing::Quoted { quote: b'"', escape: b'\\' };

    /// Every record end, byte by byte: what the fast ways are checked against.
    fn all_ends(framing: Framing, bytes: &[u8]) -> Vec<usize> {
        let (mut in_quotes, mut escaping, mut ends) = (false, false, Vec::new());
        for (at, &byte) in bytes.iter().enumerate() {
            match framing {
                Framing::Lines => {}
                Framing::Quoted { quote, escape } => {
                    if escaping {
                        escaping = false;
                        if byte == quote || byte == escape {
                            continue;
                        }
                    }
                    if byte == quote {
                        in_quotes = !in_quotes;
                    } else if in_quotes && byte == escape {
                        escaping = true;
                    }
                }
            }
            if byte == b'\n' && !in_quotes {
                ends.push(at + 1);
            }
        }
        ends
    }

    #[test]
    fn a_newline_in_quotes_does_not_end_a_record() {
        let text = b"a,\"x\ny\"\nb,c\nrest";
        assert_eq!(CSV.first_end(&mut Scan::default(), text), Some(8));
        assert_eq!(CSV.last_end(text), (Some(12), Scan::default()));
        assert_eq!(Framing::Lines.first_end(&mut Scan::default(), text), Some(5));
    }

    #[test]
    fn an_escaped_quote_does_not_close() {
        let text = b"\"a\\\"\nb\"\nc\n";
        assert_eq!(BACKSLASH.first_end(&mut Scan::default(), text), Some(8));
        assert!(CSV.last_end(b"a\n\"b\n").1.in_quotes());
    }

    proptest! {
        /// Pieces of any size, and any way of asking, find the same record ends.
        #[test]
        fn record_ends_do_not_depend_on_the_pieces(
            text in "[ab,\"\\\\\n]{0,60}", piece in 1usize..9, framing in 0usize..3, step in 1u64..20
        ) {
            let framing = [Framing::Lines, CSV, BACKSLASH][framing];
            let bytes = text.as_bytes();
            let ends = all_ends(framing, bytes);
            prop_assert_eq!(framing.last_end(bytes).0, ends.last().copied());

            let (mut scan, mut found) = (Scan::default(), Vec::new());
            for (index, piece_bytes) in bytes.chunks(piece).enumerate() {
                let mut from = 0;
                while let Some(end) = framing.first_end(&mut scan, &piece_bytes[from..]) {
                    from += end;
                    found.push(index * piece + from);
                }
            }
            prop_assert_eq!(&found, &ends);

            let targets: Vec<u64> = (1..=bytes.len() as u64 / step).map(|k| k * step).collect();
            let mut cutter = framing.cutter(targets.clone());
            bytes.chunks(piece).for_each(|c| cutter.feed(c));
            let mut wanted: Vec<u64> =
                targets.iter().filter_map(|t| ends.iter().map(|e| *e as u64).find(|e| e >= t)).collect();
            wanted.dedup();
            let (cuts, end) = cutter.finish();
            prop_assert_eq!(cuts, wanted);
            prop_assert_eq!(end.in_quotes(), framing.last_end(bytes).1.in_quotes());
        }
    }
}
