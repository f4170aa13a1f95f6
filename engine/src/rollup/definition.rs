//! A rollup's definition: group keys and aggregates over the rows of one source.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::aggregate::Function;
use crate::connector::Expression;

/// A materialized view as the engine keeps it: `SELECT keys, aggregates FROM source WHERE filter GROUP BY
/// keys`. What a query computes above that (other names, an order, a quotient of two aggregates) is not
/// the engine's.
#[derive(Clone, Debug)]
pub struct ViewDefinition {
    pub name: String,
    /// The id of the source whose rows it folds.
    pub source: u32,
    /// Rows for which this is not true are left out. Over the source's full schema, as all expressions here.
    pub filter: Option<Arc<dyn Expression>>,
    /// Empty for one group of everything.
    pub keys: Vec<Key>,
    pub aggregates: Vec<AggregateCall>,
}

/// A group key.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    pub expression: Arc<dyn Expression>,
}

/// An aggregate over the rows of a group.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    pub name: String,
    pub function: Function,
    /// `None` only for `count(*)`.
    pub argument: Option<Arc<dyn Expression>>,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Arc<dyn Expression>>,
    /// The type of the finished value.
    pub output: DataType,
}

impl ViewDefinition {
    /// The columns a scan of the view returns: the keys, then the finished aggregates.
    pub fn schema(&self) -> SchemaRef {
        let keys = self.keys.iter().map(|k| Field::new(&k.name, k.expression.data_type().clone(), true));
        let aggregates = self.aggregates.iter().map(|a| Field::new(&a.name, a.output.clone(), true));
        Arc::new(Schema::new(keys.chain(aggregates).collect::<Vec<_>>()))
    }
}
