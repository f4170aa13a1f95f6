//! The key columns of a pipeline's views as codes: each computed once a batch, for all views that have it.

use std::sync::{Arc, Mutex, PoisonError};

use super::operator::Rows;
use crate::connector::Expression;
use crate::error::Result;
use crate::rollup::{Codes, Dictionaries, Dictionary, Key, Part, TextCoder, ViewDefinition, plain};

/// The distinct key columns of some views, with the dictionaries that all workers of a pipeline share.
#[derive(Debug, Default)]
pub struct KeyColumns {
    columns: Vec<KeyColumn>,
}

#[derive(Debug)]
struct KeyColumn {
    part: Part,
    of: Of,
    dictionary: Option<Arc<Dictionary>>,
}

/// What is coded.
#[derive(Debug)]
enum Of {
    Column(usize),
    Expression(Arc<dyn Expression>),
}

impl Of {
    fn new(key: &Key) -> Self {
        let column = key.bucket.map(|b| b.column).or_else(|| key.expression.column());
        column.map_or_else(|| Self::Expression(key.expression.clone()), Self::Column)
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Column(a), Self::Column(b)) => a == b,
            (Self::Expression(a), Self::Expression(b)) => {
                Arc::ptr_eq(a, b) || (a.identity().is_some() && a.identity() == b.identity())
            }
            _ => false,
        }
    }
}

impl KeyColumns {
    /// Adds a view's keys; the answer is their places, `None` if one has no codes.
    pub fn add(&mut self, view: &ViewDefinition) -> Option<Vec<usize>> {
        let parts = view.keys.iter().map(|key| Some((Part::of(key)?, Of::new(key))));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let place = |(part, of): (Part, Of)| {
            let found = self.columns.iter().position(|c| c.part == part && c.of.is(&of));
            found.unwrap_or_else(|| {
                let dictionary = (part == Part::Text).then(Arc::default);
                self.columns.push(KeyColumn { part, of, dictionary });
                self.columns.len() - 1
            })
        };
        Some(parts.into_iter().map(place).collect())
    }

    /// The dictionaries of a view whose keys are at these places.
    pub fn dictionaries(&self, places: &[usize]) -> Dictionaries {
        places.iter().map(|&i| self.columns[i].dictionary.clone()).collect()
    }
}

/// One worker's way from batches to codes.
#[derive(Debug)]
pub struct KeyCoder {
    columns: Arc<KeyColumns>,
    texts: Vec<Mutex<Option<TextCoder>>>,
}

impl KeyCoder {
    pub fn new(columns: Arc<KeyColumns>) -> Self {
        let coder = |c: &KeyColumn| Mutex::new(c.dictionary.clone().map(TextCoder::new));
        let texts = columns.columns.iter().map(coder).collect();
        Self { columns, texts }
    }

    /// The codes of the columns at `places`. `None` if a dictionary is full, or a value cannot be computed
    /// for every row.
    pub fn codes(&self, rows: &Rows, places: &[usize]) -> Result<Option<Vec<Arc<Codes>>>> {
        let mut all = Vec::with_capacity(places.len());
        for &place in places {
            let codes = rows.codes.get(place, || self.encode(rows, place))?;
            let Some(codes) = codes else {
                return Ok(None);
            };
            all.push(codes);
        }
        Ok(Some(all))
    }

    fn encode(&self, rows: &Rows, place: usize) -> Result<Option<Arc<Codes>>> {
        let column = &self.columns.columns[place];
        let values = match &column.of {
            Of::Column(i) => rows.batch.column(*i).clone(),
            Of::Expression(expression) => match super::evaluate::value(expression.as_ref(), &rows.batch) {
                Ok(values) => values,
                Err(_) => return Ok(None),
            },
        };
        let values = if column.part == Part::Text { values } else { plain(&values)? };
        let mut texts = self.texts[place].lock().unwrap_or_else(PoisonError::into_inner);
        Ok(column.part.encode(&values, texts.as_mut())?.map(Arc::new))
    }
}
