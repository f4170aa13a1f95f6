//! The rows of all groups: key words first, then the states.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};

use super::number::{
    Counted, Number, Words, count, decimal_sum, fold, fold_decimals, integer_sum, keep, set_decimal_sum,
};
use super::plan::{Input, Kind, Plan};
use super::row::Rows;
use super::text::Texts;
use crate::error::{Error, Kind as ErrorKind, Result};

/// Keys and states of groups. Groups are numbered in the order in which they were added.
#[derive(Debug)]
pub struct Groups {
    pub(super) plan: Arc<Plan>,
    /// The key, and the words that stand beside it.
    pub(super) rows: Rows,
    pub(super) key_words: usize,
    /// The other words.
    pub(super) more: Rows,
    pub(super) texts: Vec<Texts>,
    count: usize,
}

impl Groups {
    /// No groups, with room for keys of so many words.
    pub fn new(plan: Arc<Plan>, key_words: usize) -> Self {
        let texts = (0..plan.texts).map(|_| Texts::default()).collect();
        let (rows, more) = (Rows::new(key_words + plan.beside), Rows::new(plan.words() - plan.beside));
        Self { plan, rows, key_words, more, texts, count: 0 }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Words of a key.
    pub fn key_words(&self) -> usize {
        self.key_words
    }

    /// Aggregates of a group.
    pub fn calls(&self) -> usize {
        self.plan.calls.len()
    }

    /// Adds a group without rows.
    #[inline]
    pub fn add(&mut self, key: &[u64]) -> u32 {
        let group = u32::try_from(self.count).expect("a table is drained long before 2^32 groups");
        let (beside, more) = self.plan.identity.split_at(self.plan.beside);
        self.rows.add(group, &key[..self.key_words], beside);
        self.more.add(group, more, &[]);
        self.count += 1;
        group
    }

    /// The key words of a group.
    #[inline]
    pub fn key_of(&self, group: u32) -> &[u64] {
        &self.rows.get(group)[..self.key_words]
    }

    /// The key words of a group, which are so many.
    #[inline(always)]
    pub fn key<const WORDS: usize>(&self, group: u32) -> &[u64; WORDS] {
        self.rows.get(group).first_chunk().expect("a group's row holds its key")
    }

    /// Forgets all groups and keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.more.clear();
        self.texts.iter_mut().for_each(Texts::clear);
        self.count = 0;
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.more.bytes() + self.texts.iter().map(Texts::bytes).sum::<usize>()
    }

    /// Folds a batch: row `i` belongs to `groups[i]`. `values` and `masks` are by the places that the calls
    /// name; NULLs never count.
    pub fn update(&mut self, groups: &[u32], values: &[ArrayRef], masks: &[BooleanBuffer]) -> Result<()> {
        self.grow_texts();
        let plan = self.plan.clone();
        for input in &plan.inputs {
            let values = input.value.map(|v| &values[v]);
            let counted = counted(groups.len(), values, input.filter.map(|f| &masks[f]));
            let words = self.words(input);
            match (input.kind, values) {
                (Kind::Integer, Some(values)) => {
                    let values = cast(values, &DataType::Int64)?;
                    fold(input, words, groups, values.as_primitive::<Int64Type>().values(), &counted);
                }
                (Kind::Float, Some(values)) => {
                    let values = cast(values, &DataType::Float64)?;
                    fold(input, words, groups, values.as_primitive::<Float64Type>().values(), &counted);
                }
                (Kind::Decimal, Some(values)) => {
                    let values = values.as_primitive::<Decimal128Type>().values();
                    if !fold_decimals(input, words, groups, values, &counted) {
                        return Err(overflow("decimals"));
                    }
                }
                (Kind::Text, Some(values)) => {
                    count(words, groups, &counted);
                    self.offer(input, groups, values, [input.mins, input.maxes], &counted)?;
                }
                (Kind::Count, _) | (_, None) => count(words, groups, &counted),
            }
        }
        Ok(())
    }

    fn offer(
        &mut self,
        input: &Input,
        groups: &[u32],
        values: &ArrayRef,
        wanted: [bool; 2],
        counted: &Counted,
    ) -> Result<()> {
        let values = cast(values, &DataType::Utf8)?;
        let values = values.as_string::<i32>();
        for (max, wanted) in [false, true].into_iter().zip(wanted) {
            if wanted {
                let texts = &mut self.texts[input.text[usize::from(max)]];
                counted.for_each(|i| texts.offer(groups[i], values.value(i), max));
            }
        }
        Ok(())
    }

    fn words(&mut self, input: &Input) -> Words<'_> {
        match input.at.checked_sub(self.plan.beside) {
            Some(start) => Words { rows: &mut self.more, start },
            None => Words { rows: &mut self.rows, start: self.key_words + input.at },
        }
    }

    /// The words of an input in a group's row.
    fn words_of(&self, input: &Input, group: u32) -> &[u64] {
        match input.at.checked_sub(self.plan.beside) {
            Some(start) => &self.more.get(group)[start..],
            None => &self.rows.get(group)[self.key_words + input.at..],
        }
    }

    fn grow_texts(&mut self) {
        let count = self.count;
        self.texts.iter_mut().for_each(|t| t.grow(count));
    }

    /// Merges groups of the same plan: group `i` of `other` belongs to `groups[i]`.
    pub fn absorb(&mut self, groups: &[u32], other: &Self) -> Result<()> {
        self.grow_texts();
        let plan = self.plan.clone();
        let mut fits = true;
        for (from, &to) in (0..other.count as u32).zip(groups) {
            for input in &plan.inputs {
                let from = other.words_of(input, from);
                let Words { rows, start } = self.words(input);
                let to = &mut rows.get_mut(to)[start..];
                to[0] += from[0];
                if input.sums {
                    fits &= add_sum(input, &mut to[input.sum()..], &from[input.sum()..]);
                }
                if input.mins {
                    best(input.kind, &mut to[input.min()..], &from[input.min()..], false);
                }
                if input.maxes {
                    best(input.kind, &mut to[input.max()..], &from[input.max()..], true);
                }
            }
        }
        for input in plan.inputs.iter().filter(|i| i.kind == Kind::Text) {
            for (max, wanted) in [(false, input.mins), (true, input.maxes)] {
                if wanted {
                    let at = input.text[usize::from(max)];
                    for (from, &to) in (0..other.count).zip(groups) {
                        if let Some(value) = other.texts[at].get(from as u32) {
                            self.texts[at].offer(to, value, max);
                        }
                    }
                }
            }
        }
        if fits { Ok(()) } else { Err(overflow("decimals")) }
    }

    /// Merges entries made by [`super::Gathered::export`]: `columns` gives those of each call.
    pub fn merge<'a>(&mut self, groups: &[u32], columns: impl Fn(usize) -> &'a [ArrayRef]) -> Result<()> {
        self.grow_texts();
        let plan = self.plan.clone();
        let mut merged = vec![[false; 4]; plan.inputs.len()];
        // A count that is stored comes first: the count behind the other states is at least known to be one.
        for exact in [true, false] {
            for (i, call) in plan.calls.iter().enumerate() {
                let (input, done) = (&plan.inputs[call.input], &mut merged[call.input]);
                self.merge_call(input, call.function, columns(i), groups, exact, done)?;
            }
        }
        Ok(())
    }

    /// Merges what of the call's columns no other call of its input has brought: count, sum, min, max.
    fn merge_call(
        &mut self,
        input: &Input,
        function: super::Function,
        columns: &[ArrayRef],
        groups: &[u32],
        exact: bool,
        done: &mut [bool; 4],
    ) -> Result<()> {
        use super::Function::{Avg, Count, Max, Min, Sum};
        let first = &columns[0];
        let counts = matches!(function, Count | Avg);
        if exact != counts {
            return Ok(());
        }
        if counts && !std::mem::replace(&mut done[0], true) {
            let counts = columns[columns.len() - 1].as_primitive::<Int64Type>().values();
            let Words { rows, start } = self.words(input);
            for (&group, &n) in groups.iter().zip(counts) {
                rows.get_mut(group)[start] += n as u64;
            }
        }
        let counted = counted(groups.len(), Some(first), None);
        if !counts && !std::mem::replace(&mut done[0], true) {
            count(self.words(input), groups, &counted);
        }
        let (what, states) = match function {
            Count => return Ok(()),
            Sum | Avg => (1, input.sum()),
            Min => (2, input.min()),
            Max => (3, input.max()),
        };
        if std::mem::replace(&mut done[what], true) {
            return Ok(());
        }
        if input.kind == Kind::Text {
            return self.offer(input, groups, first, [what == 2, what == 3], &counted);
        }
        let Words { rows, start } = self.words(input);
        let start = start + states;
        match (what, input.kind) {
            (1, Kind::Float) => {
                let sums = first.as_primitive::<Float64Type>().values();
                let errors = columns[1].as_primitive::<Float64Type>().values();
                counted.for_each(|i| {
                    let words = &mut rows.get_mut(groups[i])[start..][..2];
                    sums[i].add(words);
                    words[1] = (f64::from_bits(words[1]) + errors[i]).to_bits();
                });
            }
            (1, Kind::Decimal) => {
                let sums = first.as_primitive::<arrow::datatypes::Decimal256Type>().values();
                let mut fits = true;
                counted.for_each(|i| {
                    let words = &mut rows.get_mut(groups[i])[start..][..4];
                    fits &= set_decimal_sum(words, decimal_sum(words).checked_add(sums[i]));
                });
                return if fits { Ok(()) } else { Err(overflow("decimals")) };
            }
            (1, _) => {
                let sums = first.as_primitive::<Decimal128Type>().values();
                let mut fits = true;
                counted.for_each(|i| {
                    let words = &mut rows.get_mut(groups[i])[start..][..2];
                    match integer_sum(words).checked_add(sums[i]) {
                        Some(sum) => words.copy_from_slice(&[sum as u64, (sum >> 64) as u64]),
                        None => fits = false,
                    }
                });
                return if fits { Ok(()) } else { Err(overflow("integers")) };
            }
            (_, Kind::Integer | Kind::Float) => {
                let ordered = ordered(first, input.kind)?;
                counted.for_each(|i| {
                    best(
                        input.kind,
                        &mut rows.get_mut(groups[i])[start..][..1],
                        &[ordered[i] as u64],
                        what == 3,
                    );
                });
            }
            (_, Kind::Decimal) => {
                let values = first.as_primitive::<Decimal128Type>().values();
                let better = if what == 3 { i128::max } else { i128::min };
                counted.for_each(|i| keep(&mut rows.get_mut(groups[i])[start..][..2], values[i], better));
            }
            (_, Kind::Text | Kind::Count) => {}
        }
        Ok(())
    }
}

/// Values as integers of the same order.
fn ordered(values: &ArrayRef, kind: Kind) -> Result<Vec<i64>> {
    Ok(if kind == Kind::Float {
        let values = cast(values, &DataType::Float64)?;
        values.as_primitive::<Float64Type>().values().iter().map(|v| v.ordered()).collect()
    } else {
        cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().values().to_vec()
    })
}

fn add_sum(input: &Input, to: &mut [u64], from: &[u64]) -> bool {
    match input.kind {
        Kind::Float => {
            f64::from_bits(from[0]).add(to);
            to[1] = (f64::from_bits(to[1]) + f64::from_bits(from[1])).to_bits();
            true
        }
        Kind::Decimal => set_decimal_sum(to, decimal_sum(to).checked_add(decimal_sum(from))),
        _ => {
            let sum = integer_sum(to).wrapping_add(integer_sum(from));
            to[..2].copy_from_slice(&[sum as u64, (sum >> 64) as u64]);
            true
        }
    }
}

fn best(kind: Kind, to: &mut [u64], from: &[u64], max: bool) {
    match kind {
        Kind::Integer | Kind::Float => {
            let (a, b) = (to[0] as i64, from[0] as i64);
            to[0] = if max { a.max(b) } else { a.min(b) } as u64;
        }
        Kind::Decimal => keep(to, integer_sum(from), if max { i128::max } else { i128::min }),
        Kind::Count | Kind::Text => {}
    }
}

fn counted(rows: usize, values: Option<&ArrayRef>, mask: Option<&BooleanBuffer>) -> Counted {
    let nulls = values.and_then(|v| v.logical_nulls()).filter(|n| n.null_count() > 0);
    match (nulls, mask) {
        (None, None) => Counted::All(rows),
        (Some(nulls), None) => Counted::Set(nulls.into_inner()),
        (None, Some(mask)) => Counted::Set(mask.clone()),
        (Some(nulls), Some(mask)) => Counted::Set(nulls.inner() & mask),
    }
}

fn overflow(what: &str) -> Error {
    Error::new(ErrorKind::OutOfRange, format!("sum of {what} is out of range"))
}
