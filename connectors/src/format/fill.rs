//! The values of one column in many rows, taken at once: the column's type is looked at once for all of
//! them. What is not plainly a value stops it; that row is then decoded by itself, by the way that knows all
//! rules and all reasons.

use super::dictionary::Dictionary;
use super::validity::Validity;
use super::value;
use super::values::Values;
use super::{decimal, moment, number};

/// Where one column's values stand in rows behind each other.
pub(crate) trait Cells {
    /// Values are written as JSON writes them, not by the input rules of their type.
    const JSON: bool;

    /// What the spans are of; those of text are valid UTF-8.
    fn bytes(&self) -> &[u8];

    fn rows(&self) -> usize;

    /// Start and end of a row's value, of a string without its quotes; `None`: it is NULL.
    fn span(&self, row: usize) -> Option<(usize, usize)>;
}

/// The rows that are left to fill a column from.
struct Rows<'a, C> {
    cells: &'a C,
    from: usize,
    /// NULLs are allowed.
    nullable: bool,
    validity: &'a mut Validity,
}

impl Values {
    /// Adds a value for each row and answers how many rows that were: the value behind them is not plainly
    /// one of this column, or NULL where the column is not `nullable`.
    pub(crate) fn fill<C: Cells>(&mut self, cells: &C, nullable: bool, validity: &mut Validity) -> usize {
        let mut rows = Rows { cells, from: 0, nullable, validity };
        match self {
            Self::Boolean(values) => {
                rows.fill(values, |bytes, start, end| boolean(C::JSON, &bytes[start..end]))
            }
            Self::Int16(values) => rows.fill(values, |bytes, start, end| {
                number::integer(C::JSON, bytes, start, end).and_then(|value| value.try_into().ok())
            }),
            Self::Int32(values) => rows.fill(values, |bytes, start, end| {
                number::integer(C::JSON, bytes, start, end).and_then(|value| value.try_into().ok())
            }),
            Self::Int64(values) => {
                rows.fill(values, |bytes, start, end| number::integer(C::JSON, bytes, start, end));
            }
            Self::Float32(values) => rows.fill(values, |bytes, start, end| {
                number_text(C::JSON, &bytes[start..end]).and_then(|text| value::single(text).ok())
            }),
            Self::Float64(values) => {
                rows.fill(values, |bytes, start, end| number::double(C::JSON, bytes, start, end));
            }
            Self::Decimal { values, precision, scale } => rows.fill(values, |bytes, start, end| {
                let text = number_text(C::JSON, &bytes[start..end])?;
                decimal::decimal(text, *precision, *scale).ok()
            }),
            Self::Text { offsets, bytes } => rows.fill_text(offsets, bytes),
            Self::Coded { codes, dictionary } => {
                if !rows.fill_codes(codes, dictionary) && self.spell_out(rows.validity).is_ok() {
                    let Self::Text { offsets, bytes } = self else { unreachable!("it was spelled out") };
                    rows.fill_text(offsets, bytes);
                }
            }
            Self::Unread => rows.pass(),
            Self::Binary { offsets, bytes: out } => rows.fill_by(offsets, |bytes, span| {
                if let Some((start, end)) = span {
                    value::bytes(&bytes[start..end], out).ok()?;
                }
                i32::try_from(out.len()).ok()
            }),
            Self::Date(values) => {
                rows.fill(values, |bytes, start, end| moment::date(&bytes[start..end]).ok())
            }
            Self::Time(values) => {
                rows.fill(values, |bytes, start, end| moment::time(&bytes[start..end]).ok())
            }
            Self::Timestamp { values, zone } => {
                let zoned = zone.is_some();
                rows.fill(values, |bytes, start, end| moment::timestamp(&bytes[start..end], zoned).ok());
            }
        }
        rows.from
    }
}

impl<C: Cells> Rows<'_, C> {
    /// Adds what `value` makes of each span, and a zero for each NULL, until it makes nothing.
    #[inline(always)]
    fn fill<T: Copy + Default>(
        &mut self,
        values: &mut Vec<T>,
        mut value: impl FnMut(&[u8], usize, usize) -> Option<T>,
    ) {
        self.fill_by(values, |bytes, span| match span {
            Some((start, end)) => value(bytes, start, end),
            None => Some(T::default()),
        });
    }

    #[inline(always)]
    fn fill_by<T: Copy + Default>(
        &mut self,
        values: &mut Vec<T>,
        mut value: impl FnMut(&[u8], Option<(usize, usize)>) -> Option<T>,
    ) {
        let (bytes, rows, before) = (self.cells.bytes(), self.cells.rows(), values.len());
        let start = self.from;
        values.resize(before + rows - start, T::default());
        for places in values[before..].chunks_mut(64) {
            let (mut valid, mut taken) = (0u64, 0);
            for place in places.iter_mut() {
                let span = self.cells.span(self.from + taken);
                if span.is_none() && !self.nullable {
                    break;
                }
                let Some(value) = value(bytes, span) else { break };
                *place = value;
                valid |= u64::from(span.is_some()) << taken;
                taken += 1;
            }
            self.validity.append(valid, taken);
            self.from += taken;
            if taken < places.len() {
                break;
            }
        }
        values.truncate(before + self.from - start);
    }

    fn fill_text(&mut self, offsets: &mut Vec<i32>, text: &mut Vec<u8>) {
        self.fill_by(offsets, |bytes, span| {
            if let Some((start, end)) = span {
                text.extend_from_slice(&bytes[start..end]);
            }
            i32::try_from(text.len()).ok()
        });
        // A text that its offset could not count.
        text.truncate(offsets.last().map_or(0, |end| *end as usize));
    }

    /// False if there is a text that the dictionary does not take.
    fn fill_codes(&mut self, codes: &mut Vec<u32>, dictionary: &mut Dictionary) -> bool {
        let mut is_full = false;
        self.fill(codes, |bytes, start, end| {
            let code = dictionary.code(bytes, start, end);
            is_full |= code.is_none();
            code
        });
        !is_full
    }

    /// Goes over rows whose values do not matter.
    fn pass(&mut self) {
        let rows = self.cells.rows();
        let null = |row: &usize| !self.nullable && self.cells.span(*row).is_none();
        let to = (self.from..rows).find(null).unwrap_or(rows);
        self.validity.append_valid(to - self.from);
        self.from = to;
    }
}

fn boolean(json: bool, text: &[u8]) -> Option<bool> {
    match (json, text) {
        (true, b"true") => Some(true),
        (true, b"false") => Some(false),
        (true, _) => None,
        (false, _) => value::boolean(text).ok(),
    }
}

fn number_text(json: bool, text: &[u8]) -> Option<&[u8]> {
    (!json || number::is_json(text)).then_some(text)
}
