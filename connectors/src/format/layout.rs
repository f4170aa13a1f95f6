//! Which field of a CSV record stands for which column.
//!
//! Without a header it is by position. With one it is by name: whoever reads the header (the file reader,
//! when a split is assigned) puts the split's layout into the [`Layouts`] that it shares with the decoders
//! of its source, before the split's first records can reach one of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::Schema;
use siltstone_engine::connector::SplitId;
use siltstone_engine::error::{Error, Result};

/// For each field of a record, the column that it is decoded into; `None`: left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    targets: Vec<Option<usize>>,
    /// For each column, its field.
    fields: Vec<usize>,
}

impl Layout {
    /// Field `n` is column `n`.
    pub fn positional(columns: usize) -> Self {
        Self { targets: (0..columns).map(Some).collect(), fields: (0..columns).collect() }
    }

    /// Fields by the names in a header: exactly, or else without regard to case where that is unambiguous.
    ///
    /// # Errors
    /// If a column is not in the header, or twice.
    pub fn named<S: AsRef<str>>(schema: &Schema, header: &[S]) -> Result<Self> {
        let mut targets = vec![None; header.len()];
        let mut fields = Vec::with_capacity(schema.fields().len());
        for (column, field) in schema.fields().iter().enumerate() {
            let exact = positions(header, |name| name == field.name());
            let found = if exact.is_empty() {
                positions(header, |name| name.eq_ignore_ascii_case(field.name()))
            } else {
                exact
            };
            let &[position] = found.as_slice() else {
                let what = if found.is_empty() { "is not in" } else { "is more than once in" };
                let names: Vec<&str> = header.iter().map(AsRef::as_ref).collect();
                let message = format!("column {} {what} the header ({})", field.name(), names.join(", "));
                return Err(Error::invalid(message).with_hint(
                    "name the columns as the header does, or set header = false to go by position",
                ));
            };
            targets[position] = Some(column);
            fields.push(position);
        }
        Ok(Self { targets, fields })
    }

    pub(crate) fn targets(&self) -> &[Option<usize>] {
        &self.targets
    }

    /// The field that is decoded into a column.
    pub(crate) fn field(&self, column: usize) -> usize {
        self.fields[column]
    }
}

fn positions<S: AsRef<str>>(header: &[S], same: impl Fn(&str) -> bool) -> Vec<usize> {
    header.iter().enumerate().filter(|(_, name)| same(name.as_ref())).map(|(at, _)| at).collect()
}

/// The layouts of a source's splits.
#[derive(Debug)]
pub struct Layouts {
    /// For splits that have none of their own.
    otherwise: Arc<Layout>,
    /// One for each split with a header that this process reads; as many as there are such splits.
    by_split: RwLock<HashMap<SplitId, Arc<Layout>>>,
}

impl Layouts {
    /// By position, unless a split is given another.
    pub fn positional(columns: usize) -> Self {
        Self { otherwise: Arc::new(Layout::positional(columns)), by_split: RwLock::default() }
    }

    /// Sets a split's layout.
    pub fn set(&self, split: &SplitId, layout: Layout) {
        let mut by_split = self.by_split.write().unwrap_or_else(PoisonError::into_inner);
        by_split.insert(split.clone(), Arc::new(layout));
    }

    /// A split's layout.
    pub fn get(&self, split: &SplitId) -> Arc<Layout> {
        let by_split = self.by_split.read().unwrap_or_else(PoisonError::into_inner);
        by_split.get(split).unwrap_or(&self.otherwise).clone()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)])
    }

    #[test]
    fn names_may_stand_in_any_order_with_others_between() {
        let layout = Layout::named(&schema(), &["x", "B", "a"]).unwrap();
        assert_eq!(layout.targets(), [None, Some(1), Some(0)]);
        let exact_first = Layout::named(&schema(), &["A", "b", "a"]).unwrap();
        assert_eq!(exact_first.targets(), [None, Some(1), Some(0)]);
    }

    #[test]
    fn a_missing_or_doubled_name_is_an_error_that_shows_the_header() {
        let missing = Layout::named(&schema(), &["a", "c"]).unwrap_err();
        assert!(missing.message().contains("column b is not in the header (a, c)"), "{missing}");
        let doubled = Layout::named(&schema(), &["a", "b", "b"]).unwrap_err();
        assert!(doubled.message().contains("more than once"), "{doubled}");
    }
}
