//! From a key's codes to its group without hashing: an array with a cell for every key within bounds.
//!
//! Each key column has a range of codes; a key's cell is its place in the box of all ranges, with the column
//! of times, if there is one, the slowest to change: what is near in time is near in memory. The box grows
//! with the keys that come, as long as enough of its cells are taken.

use std::ops::Range;

use super::codes::Codes;
use super::part::Part;

/// Cells that a box may have however few groups there are.
const CELLS_FREE: u64 = 1 << 14;
/// Cells for each group beyond that, and at most.
const CELLS_PER_GROUP: u64 = 32;
const CELLS_MAX: u64 = 1 << 24;

/// The cells, and the box that they are.
#[derive(Debug)]
pub struct Dense {
    /// By key column.
    sides: Vec<Side>,
    /// The columns from the slowest to the fastest.
    order: Vec<usize>,
    /// The group's number plus one; 0 is empty.
    cells: Vec<u32>,
    cells_max: u64,
}

/// The codes of one column that are within bounds: `base + 1` to `base + length - 1`, and NULL, at 0.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    base: u64,
    length: u64,
    /// Cells between neighbours.
    stride: u64,
    /// The code 0 is a value like any other, and NULLs are told apart by their validity.
    wide: bool,
}

/// What has to be done before keys have cells.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// The box was changed: groups that are in it have to be set again.
    Moved,
    /// It would be too large for what is in it.
    Sparse,
}

impl Dense {
    pub fn new(parts: impl Iterator<Item = Part>) -> Self {
        let (mut order, mut sides) = (Vec::new(), Vec::new());
        for (i, part) in parts.enumerate() {
            sides.push(Side { wide: part.is_wide(), ..Side::default() });
            let is_time = matches!(part, Part::Bucket(_) | Part::Timestamp | Part::Date);
            order.push((!is_time, i));
        }
        order.sort_unstable();
        let order = order.into_iter().map(|(_, i): (bool, usize)| i).collect();
        Self { sides, order, cells: Vec::new(), cells_max: CELLS_MAX }
    }

    /// Has at most so many bytes, but those of a small box.
    pub fn limit(&mut self, bytes: usize) {
        self.cells_max = (bytes as u64 / 4).clamp(CELLS_FREE, CELLS_MAX);
    }

    /// Makes room for all of these keys, beside `groups` that there are.
    pub fn fit(&mut self, codes: &[&Codes], groups: usize) -> Fit {
        if self.sides.iter().zip(codes).all(|(side, codes)| side.holds(codes)) {
            return Fit::Fits;
        }
        let mut sides = self.sides.clone();
        for (side, codes) in sides.iter_mut().zip(codes) {
            if !side.include(codes) {
                return Fit::Sparse;
            }
        }
        let mut stride = 1_u64;
        for &i in self.order.iter().rev() {
            sides[i].stride = stride;
            stride = match stride.checked_mul(sides[i].length) {
                Some(cells) if cells <= self.cells_max => cells,
                _ => return Fit::Sparse,
            };
        }
        let rows = codes.first().map_or(0, |codes| codes.values.len());
        let wanted = (groups + rows) as u64 * CELLS_PER_GROUP;
        if stride > CELLS_FREE.max(wanted) {
            return Fit::Sparse;
        }
        // More of the slowest column, and nothing else, is more cells behind those there are.
        let slowest = self.order.first().copied().unwrap_or_default();
        let stays = !self.cells.is_empty()
            && sides.iter().zip(&self.sides).enumerate().all(|(i, (new, old))| {
                new.base == old.base && new.stride == old.stride && (i == slowest || new.length == old.length)
            });
        self.sides = sides;
        if stays {
            self.cells.resize(stride as usize, 0);
            return Fit::Fits;
        }
        self.cells.clear();
        self.cells.resize(stride as usize, 0);
        Fit::Moved
    }

    /// The cells of these rows, all of them within bounds.
    pub fn cells_of(&self, codes: &[&Codes], rows: Range<usize>, cells: &mut Vec<u32>) {
        cells.clear();
        cells.resize(rows.len(), 0);
        for (side, codes) in self.sides.iter().zip(codes) {
            let (base, stride) = (side.base, side.stride as u32);
            let values = &codes.values[rows.clone()];
            match &codes.valid {
                Some(valid) => {
                    for ((cell, &code), row) in cells.iter_mut().zip(values).zip(rows.clone()) {
                        let place = if valid.is_valid(row) { code.wrapping_sub(base) as u32 } else { 0 };
                        *cell += place * stride;
                    }
                }
                None if base == 0 || side.wide => {
                    for (cell, &code) in cells.iter_mut().zip(values) {
                        *cell += code.wrapping_sub(base) as u32 * stride;
                    }
                }
                None => {
                    for (cell, &code) in cells.iter_mut().zip(values) {
                        let place = if code == 0 { 0 } else { code.wrapping_sub(base) as u32 };
                        *cell += place * stride;
                    }
                }
            }
        }
    }

    /// What is in a cell.
    #[inline(always)]
    pub fn get(&self, cell: u32) -> Option<u32> {
        self.cells[cell as usize].checked_sub(1)
    }

    pub fn set(&mut self, cell: u32, group: u32) {
        self.cells[cell as usize] = group + 1;
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.cells.capacity() * 4
    }
}

impl Side {
    /// These codes are within bounds.
    fn holds(&self, codes: &Codes) -> bool {
        let (least, greatest) = codes.span(self.wide);
        self.length > 0 && (least > greatest || (least > self.base && greatest - self.base < self.length))
    }

    /// Widens the side to hold these codes; false if it cannot.
    fn include(&mut self, codes: &Codes) -> bool {
        let (least, greatest) = codes.span(self.wide);
        if self.holds(codes) {
            return true;
        }
        if least == 0 {
            return false;
        }
        if least > greatest {
            // NULLs only.
            self.length = 1;
        } else if self.length <= 1 {
            // Codes of texts count from 1; a side that begins there has room below.
            self.base = if greatest < CELLS_FREE { 0 } else { least - 1 };
            self.length = room(greatest - self.base);
        } else {
            if least <= self.base {
                self.length = self.length.saturating_add(self.base - (least - 1));
                self.base = least - 1;
            }
            if greatest - self.base >= self.length {
                self.length = room(greatest - self.base);
            }
        }
        true
    }
}

/// The length of a side that reaches so far, and a little more.
fn room(reach: u64) -> u64 {
    reach.saturating_add(1).saturating_add(reach / 4)
}

#[cfg(test)]
mod tests {
    use arrow::buffer::NullBuffer;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Keys that differ have cells that differ, however the box has grown.
        #[test]
        fn every_key_has_a_cell_of_its_own(
            chunks in prop::collection::vec(
                prop::collection::vec((0u64..40, prop::option::of(0u64..6), 1u64..9), 1..50), 1..8
            ),
            base in prop::sample::select(vec![0u64, 1 << 33, (1 << 63) - 20]),
        ) {
            let parts = [Part::Int32, Part::Int64, Part::Text];
            let mut dense = Dense::new(parts.into_iter());
            let mut groups: Vec<(u64, Option<u64>, u64)> = Vec::new();
            for rows in chunks {
                let all = |rows: &[(u64, Option<u64>, u64)]| {
                    let narrow = |v: u64| if v == 0 { 0 } else { base / 4 + v };
                    let wide: Vec<u64> = rows.iter().map(|r| r.1.map_or(0, |v| base + v + 1)).collect();
                    [
                        Codes::new(rows.iter().map(|r| narrow(r.0)).collect(), None),
                        Codes::new(wide, Some(rows.iter().map(|r| r.1.is_some()).collect::<NullBuffer>())),
                        Codes::new(rows.iter().map(|r| r.2).collect(), None),
                    ]
                };
                let codes = all(&rows);
                let codes: Vec<&Codes> = codes.iter().collect();
                let mut cells = Vec::new();
                match dense.fit(&codes, groups.len()) {
                    Fit::Fits => {}
                    Fit::Moved => {
                        let before = all(&groups);
                        let before: Vec<&Codes> = before.iter().collect();
                        dense.cells_of(&before, 0..groups.len(), &mut cells);
                        cells.iter().zip(0..).for_each(|(&cell, group)| dense.set(cell, group));
                    }
                    Fit::Sparse => return Ok(()),
                }
                dense.cells_of(&codes, 0..rows.len(), &mut cells);
                for (row, &cell) in rows.iter().zip(&cells) {
                    match dense.get(cell) {
                        Some(group) => prop_assert_eq!(&groups[group as usize], row),
                        None => {
                            prop_assert!(!groups.contains(row));
                            dense.set(cell, groups.len() as u32);
                            groups.push(*row);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_least_bigint_is_not_null() {
        let codes = Codes::new(vec![0, 5], None);
        assert_eq!(Dense::new([Part::Int64].into_iter()).fit(&[&codes], 0), Fit::Sparse);
    }
}
