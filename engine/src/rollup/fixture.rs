//! Views for tests.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::{AggregateCall, Key, Layout, ViewDefinition};
use crate::aggregate::Function;
use crate::connector::Expression;
use crate::error::Result;

#[derive(Debug)]
struct Field(usize, DataType);

impl Expression for Field {
    fn data_type(&self) -> &DataType {
        &self.1
    }
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(batch.column(self.0).clone())
    }
}

/// A view of one aggregate, grouped by the first columns. A sum is over the BIGINT behind them.
pub fn layout<const KEYS: usize>(keys: [DataType; KEYS], function: Function) -> Arc<Layout> {
    let (argument, output): (Option<Arc<dyn Expression>>, _) = match function {
        Function::Sum => (Some(Arc::new(Field(KEYS, DataType::Int64))), DataType::Decimal128(38, 0)),
        _ => (None, DataType::Int64),
    };
    let key = |(i, t)| Key { name: format!("k{i}"), expression: Arc::new(Field(i, t)), bucket: None };
    let view = ViewDefinition {
        name: "v".into(),
        source: 1,
        filter: None,
        keys: keys.into_iter().enumerate().map(key).collect(),
        aggregates: vec![AggregateCall { name: "n".into(), function, argument, filter: None, output }],
        retain: None,
    };
    Arc::new(Layout::new(&view).expect("valid"))
}

/// A view of one aggregate over a column, grouped by a text before it.
pub fn over(function: Function, argument: DataType, output: DataType) -> Arc<Layout> {
    let key = Key { name: "k".into(), expression: Arc::new(Field(0, DataType::Utf8)), bucket: None };
    let argument: Arc<dyn Expression> = Arc::new(Field(1, argument));
    let call = AggregateCall { name: "v".into(), function, argument: Some(argument), filter: None, output };
    let view = ViewDefinition {
        name: "v".into(),
        source: 1,
        filter: None,
        keys: vec![key],
        aggregates: vec![call],
        retain: None,
    };
    Arc::new(Layout::new(&view).expect("valid"))
}
