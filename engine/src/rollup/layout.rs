//! How a view's groups stand in columns: keys, then the state columns of each aggregate.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::definition::same;
use super::packing::Packing;
use super::{Granularity, KeyCodec, Part, ViewDefinition};
use crate::aggregate::{self, Argument, Call, Function, Plan};
use crate::connector::Expression;
use crate::error::Result;

/// The columns of a view's states, the same in memory, in blocks and on disk.
#[derive(Debug)]
pub struct Layout {
    pub keys: KeyCodec,
    /// How keys are packed into words; `None` if they do not fit and stay bytes.
    pub(super) packing: Option<Packing>,
    /// For each key, the time bucket that it is the start of.
    pub(super) buckets: Vec<Option<Granularity>>,
    pub(super) plan: Arc<Plan>,
    /// What the aggregates need of a row, each once.
    pub values: Vec<Arc<dyn Expression>>,
    /// The conditions of `FILTER`, each once.
    pub masks: Vec<Arc<dyn Expression>>,
    aggregates: Vec<AggregateLayout>,
    schema: SchemaRef,
    output: SchemaRef,
}

#[derive(Debug)]
struct AggregateLayout {
    function: Function,
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
        let (mut values, mut masks) = (Vec::new(), Vec::new());
        let calls: Vec<Call> = (view.aggregates.iter())
            .map(|call| Call {
                function: call.function,
                argument: call.argument.as_ref().map(|argument| Argument {
                    value: place(&mut values, argument),
                    data_type: argument.data_type().clone(),
                }),
                filter: call.filter.as_ref().map(|filter| place(&mut masks, filter)),
            })
            .collect();
        let plan = Plan::new(&calls)?;
        let mut aggregates = Vec::with_capacity(calls.len());
        for (i, call) in view.aggregates.iter().enumerate() {
            let start = fields.len();
            for (j, t) in plan.state_types(i).into_iter().enumerate() {
                fields.push(Field::new(format!("a{i}_{j}"), t, true));
            }
            let columns = start..fields.len();
            aggregates.push(AggregateLayout {
                function: call.function,
                output: call.output.clone(),
                columns,
            });
        }
        let parts = view.keys.iter().map(Part::of).collect::<Option<Vec<_>>>();
        Ok(Self {
            keys: KeyCodec::new(types)?,
            packing: parts.and_then(|parts| Packing::new(&parts)),
            buckets: view.keys.iter().map(|k| k.bucket.map(|b| b.granularity)).collect(),
            plan: Arc::new(plan),
            values,
            masks,
            aggregates,
            schema: Arc::new(Schema::new(fields)),
            output: view.schema(),
        })
    }

    /// The schema of a state batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The schema of a finished batch: [`ViewDefinition::schema`].
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The key columns of a state batch.
    pub fn key_columns<'a>(&self, batch: &'a RecordBatch) -> &'a [ArrayRef] {
        &batch.columns()[..self.keys.types().len()]
    }

    /// The columns of aggregate `i` in a state batch.
    pub fn state_columns<'a>(&self, batch: &'a RecordBatch, i: usize) -> &'a [ArrayRef] {
        &batch.columns()[self.aggregates[i].columns.clone()]
    }

    /// The function of aggregate `i`.
    pub fn function(&self, i: usize) -> Function {
        self.aggregates[i].function
    }

    /// The fields of aggregate `i` in a state batch.
    pub fn state_fields(&self, i: usize) -> &[Arc<Field>] {
        &self.schema.fields()[self.aggregates[i].columns.clone()]
    }

    /// The granularity of key `i`, if it is the start of a time bucket.
    pub fn bucket(&self, i: usize) -> Option<Granularity> {
        self.buckets.get(i).copied().flatten()
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

/// The place of an expression among others; it is added if it is not there.
fn place(all: &mut Vec<Arc<dyn Expression>>, wanted: &Arc<dyn Expression>) -> usize {
    all.iter().position(|e| same(e, wanted)).unwrap_or_else(|| {
        all.push(wanted.clone());
        all.len() - 1
    })
}
