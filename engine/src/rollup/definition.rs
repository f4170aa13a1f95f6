//! A rollup's definition: group keys and aggregates over the rows of one source.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Granularity;
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
    /// How long groups are kept, counted back from the newest.
    pub retain: Option<Duration>,
}

/// A group key.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: String,
    pub expression: Arc<dyn Expression>,
    /// The expression is the start of a time bucket.
    pub bucket: Option<Bucket>,
}

/// `date_trunc(granularity, column)`, of a column of microseconds in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub column: usize,
    pub granularity: Granularity,
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

    /// All expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Arc<dyn Expression>> {
        let keys = self.keys.iter().map(|k| &k.expression);
        let calls = self.aggregates.iter().flat_map(|a| a.argument.iter().chain(&a.filter));
        self.filter.iter().chain(keys).chain(calls)
    }
}

/// Do both compute the same, as far as one can tell?
pub(super) fn same(a: &Arc<dyn Expression>, b: &Arc<dyn Expression>) -> bool {
    let columns = a.column().is_some() && a.column() == b.column();
    let texts = a.identity().is_some() && a.identity() == b.identity();
    a.data_type() == b.data_type() && (Arc::ptr_eq(a, b) || columns || texts)
}

/// As [`same`], of what may be absent.
pub(super) fn same_if_any(a: Option<&Arc<dyn Expression>>, b: Option<&Arc<dyn Expression>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}
