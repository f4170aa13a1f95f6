//! Ad hoc aggregation: what a query asks of kept rows, folded by the tables that views are folded by. Nothing of it
//! is kept.
//!
//! A row for which a value cannot be computed is an error of the query; a view would have an error row instead.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, NullArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;

use super::evaluate::{truth, value, with_columns};
use crate::connector::Expression;
use crate::error::Result;
use crate::rollup::{Dictionaries, GroupTable, Keys, Layout, ViewDefinition};

/// An aggregation, over batches of the columns that it reads.
#[derive(Debug)]
pub struct AdHoc {
    definition: ViewDefinition,
    layout: Arc<Layout>,
    conditions: Vec<Condition>,
    /// Of the table's columns, those that a batch has.
    columns: Vec<usize>,
    /// Of a batch's columns, those that are read when the conditions are known.
    folded: Vec<bool>,
    /// Those that are read where all times are within those that are asked for.
    within: Vec<bool>,
    identity: String,
}

/// What must be true for a row to count.
#[derive(Clone, Debug)]
pub struct Condition {
    pub expression: Arc<dyn Expression>,
    /// It holds where all of a part's times are within those that are asked for.
    pub is_of_times: bool,
}

impl AdHoc {
    /// The expressions of `definition`, which has no filter, and the conditions are over those of a table's columns
    /// that `columns` names.
    ///
    /// # Errors
    /// If a key or argument has a type that cannot be one.
    pub fn new(definition: ViewDefinition, conditions: Vec<Condition>, columns: Vec<usize>) -> Result<Self> {
        let layout = Arc::new(Layout::new(&definition)?);
        let read = |columns: &mut Vec<bool>, expression: &Arc<dyn Expression>| match expression.columns() {
            Some(read) => read.iter().for_each(|&column| columns[column] = true),
            None => columns.fill(true),
        };
        let mut folded = vec![false; columns.len()];
        definition.expressions().for_each(|expression| read(&mut folded, expression));
        definition.keys.iter().filter_map(|key| key.bucket).for_each(|bucket| folded[bucket.column] = true);
        let mut within = folded.clone();
        let other = conditions.iter().filter(|condition| !condition.is_of_times);
        other.for_each(|condition| read(&mut within, &condition.expression));
        if !within.contains(&true) {
            // Rows are counted by a column.
            within[0] = true;
        }
        let identity = identity(&definition, &conditions, &columns);
        Ok(Self { definition, layout, conditions, columns, folded, within, identity })
    }

    /// The same for two that fold the same of the same rows.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    pub fn definition(&self) -> &ViewDefinition {
        &self.definition
    }

    /// Dictionaries for those that fold it.
    pub fn dictionaries(&self) -> Dictionaries {
        GroupTable::dictionaries(&self.layout)
    }

    /// Of the table's columns, those that batches must have; the others are of type Null where all times are within
    /// those that are asked for.
    pub fn columns(&self, is_within: bool) -> impl Iterator<Item = (usize, bool)> {
        let within = self.within.iter().map(move |within| *within || !is_within);
        self.columns.iter().copied().zip(within)
    }
}

fn identity(definition: &ViewDefinition, conditions: &[Condition], columns: &[usize]) -> String {
    let of = |expression: &Arc<dyn Expression>| match expression.identity() {
        Some(own) => own.to_owned(),
        // Like no other.
        None => format!("{:p}", Arc::as_ptr(expression)),
    };
    let keys = definition.keys.iter().map(|key| of(&key.expression));
    let calls = definition.aggregates.iter().map(|call| {
        format!("{:?} {:?} {:?}", call.function, call.argument.as_ref().map(of), call.filter.as_ref().map(of))
    });
    let conditions = conditions.iter().map(|own| of(&own.expression));
    // A column that was widened since has the same name.
    let schema = definition.schema();
    let types = schema.fields().iter().map(|field| field.data_type().to_string());
    let parts = [keys.collect::<Vec<_>>(), calls.collect(), conditions.collect(), types.collect()];
    format!("{} {columns:?} {parts:?}", definition.source)
}

/// The groups of the rows so far.
pub struct AdHocFold {
    ad_hoc: Arc<AdHoc>,
    dictionaries: Dictionaries,
    table: GroupTable,
}

impl AdHocFold {
    /// One of several that are to absorb each other: they have their dictionaries in common.
    pub fn new(ad_hoc: Arc<AdHoc>, dictionaries: Dictionaries) -> Self {
        let table = GroupTable::with(ad_hoc.layout.clone(), &dictionaries);
        Self { ad_hoc, dictionaries, table }
    }

    /// Folds rows; `is_within`: all their times are among those that are asked for.
    pub fn add(&mut self, batch: &RecordBatch, is_within: bool) -> Result<()> {
        let Some(batch) = self.filter(batch, is_within)? else { return Ok(()) };
        let AdHoc { definition, layout, .. } = &*self.ad_hoc;
        let of = |expressions: &[Arc<dyn Expression>]| {
            expressions
                .iter()
                .map(|expression| value(expression.as_ref(), &batch))
                .collect::<Result<Vec<_>>>()
        };
        let (values, masks) = (of(&layout.values)?, of(&layout.masks)?);
        let masks = masks.iter().map(truth).collect::<Result<Vec<_>>>()?;
        let keys = definition.keys.iter().map(|key| match key.bucket {
            Some(bucket) => Ok(batch.column(bucket.column).clone()),
            None => value(key.expression.as_ref(), &batch),
        });
        let keys = keys.collect::<Result<Vec<ArrayRef>>>()?;
        self.table.fold(batch.num_rows(), Keys::Columns(&keys), &values, &masks)
    }

    /// The rows that count, `None` if none do.
    fn filter(&self, batch: &RecordBatch, is_within: bool) -> Result<Option<RecordBatch>> {
        let mut all: Option<BooleanBuffer> = None;
        for condition in self.ad_hoc.conditions.iter().filter(|own| !(own.is_of_times && is_within)) {
            let expression = condition.expression.as_ref();
            let mask = match (value(expression, batch), all) {
                (Ok(own), None) => truth(&own)?,
                (Ok(own), Some(all)) => &all & &truth(&own)?,
                (Err(error), None) => return Err(error),
                // Perhaps of a row that another condition leaves out.
                (Err(_), Some(all)) => only_of(&all, expression, batch)?,
            };
            if mask.count_set_bits() == 0 {
                return Ok(None);
            }
            all = Some(mask);
        }
        let Some(mask) = all.filter(|mask| mask.count_set_bits() < mask.len()) else {
            return Ok(Some(batch.clone()));
        };
        let nothing: ArrayRef = Arc::new(NullArray::new(batch.num_rows()));
        let columns = batch.columns().iter().zip(&self.ad_hoc.folded);
        let columns = columns.map(|(column, folded)| if *folded { column } else { &nothing }.clone());
        let batch = with_columns(batch, columns.collect())?;
        Ok(Some(filter_record_batch(&batch, &BooleanArray::new(mask, None))?))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Adds the groups of another.
    pub fn absorb(&mut self, other: Self) -> Result<()> {
        self.table.absorb(other.table)
    }

    /// The groups so far in no order, with the columns of [`ViewDefinition::schema`]; there are none afterwards.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let table = GroupTable::with(self.ad_hoc.layout.clone(), &self.dictionaries);
        let states = std::mem::replace(&mut self.table, table).take_unsorted()?;
        self.ad_hoc.layout.finish(&states, None)
    }
}

/// Of some rows, those for which a condition is true; it is computed for no others.
fn only_of(rows: &BooleanBuffer, condition: &dyn Expression, batch: &RecordBatch) -> Result<BooleanBuffer> {
    let some = filter_record_batch(batch, &BooleanArray::new(rows.clone(), None))?;
    let own = truth(&value(condition, &some)?)?;
    let mut mask = BooleanBufferBuilder::new(rows.len());
    mask.append_n(rows.len(), false);
    rows.set_indices().zip(&own).filter(|(_, is_true)| *is_true).for_each(|(row, _)| mask.set_bit(row, true));
    Ok(mask.finish())
}
