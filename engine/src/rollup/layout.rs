//! How a view's groups stand in columns: keys, then the state columns of each aggregate.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{KeyCodec, ViewDefinition};
use crate::aggregate::{self, Function, States};
use crate::error::Result;

/// The columns of a view's states, the same in memory, in blocks and on disk.
#[derive(Debug)]
pub struct Layout {
    pub keys: KeyCodec,
    aggregates: Vec<AggregateLayout>,
    schema: SchemaRef,
    output: SchemaRef,
}

#[derive(Debug)]
struct AggregateLayout {
    function: Function,
    argument: Option<DataType>,
    output: DataType,
    /// Where its states stand in a state batch.
    columns: Range<usize>,
}

impl Layout {
    /// # Errors
    /// If a key or argument has a type that cannot be one.
    pub fn new(view: &ViewDefinition) -> Result<Self> {
        let types: Vec<DataType> = view.keys.iter().map(|k| k.expression.data_type().clone()).collect();
        let mut fields: Vec<Field> =
            types.iter().enumerate().map(|(i, t)| Field::new(format!("k{i}"), t.clone(), true)).collect();
        let mut aggregates = Vec::with_capacity(view.aggregates.len());
        for (i, call) in view.aggregates.iter().enumerate() {
            let argument = call.argument.as_ref().map(|a| a.data_type().clone());
            let states = aggregate::state_types(call.function, argument.as_ref())?;
            let start = fields.len();
            for (j, t) in states.into_iter().enumerate() {
                fields.push(Field::new(format!("a{i}_{j}"), t, true));
            }
            let columns = start..fields.len();
            aggregates.push(AggregateLayout {
                function: call.function,
                argument,
                output: call.output.clone(),
                columns,
            });
        }
        let keys = KeyCodec::new(types)?;
        Ok(Self { keys, aggregates, schema: Arc::new(Schema::new(fields)), output: view.schema() })
    }

    /// The schema of a state batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The schema of a finished batch: [`ViewDefinition::schema`].
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Empty states, one for each aggregate.
    pub fn states(&self) -> Result<Vec<Box<dyn States>>> {
        self.aggregates.iter().map(|a| aggregate::states(a.function, a.argument.as_ref())).collect()
    }

    /// The key columns of a state batch.
    pub fn key_columns<'a>(&self, batch: &'a RecordBatch) -> &'a [ArrayRef] {
        &batch.columns()[..self.keys.types().len()]
    }

    /// The columns of aggregate `i` in a state batch.
    pub fn state_columns<'a>(&self, batch: &'a RecordBatch, i: usize) -> &'a [ArrayRef] {
        &batch.columns()[self.aggregates[i].columns.clone()]
    }

    /// Finished columns, those of `projection` (indices into [`Layout::output`]; `None`: all).
    pub fn finish(&self, batch: &RecordBatch, projection: Option<&[usize]>) -> Result<RecordBatch> {
        let all: Vec<usize>;
        let wanted = match projection {
            Some(wanted) => wanted,
            None => {
                all = (0..self.output.fields().len()).collect();
                &all
            }
        };
        let keys = self.keys.types().len();
        let mut columns = Vec::with_capacity(wanted.len());
        for &i in wanted {
            columns.push(match i.checked_sub(keys) {
                None => batch.column(i).clone(),
                Some(a) => {
                    let call = &self.aggregates[a];
                    aggregate::finish(call.function, self.state_columns(batch, a), &call.output)?
                }
            });
        }
        let schema = Arc::new(self.output.project(wanted)?);
        let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &rows)?)
    }
}
