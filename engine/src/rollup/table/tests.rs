//! The table as a whole: how it groups, and in what order it gives its groups back.

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;

use super::*;
use crate::aggregate::Function;
use crate::connector::Expression;
use crate::rollup::{AggregateCall, Key, ViewDefinition};

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

fn table() -> GroupTable {
    let key = |i, t| Key { name: format!("k{i}"), expression: Arc::new(Field(i, t)), bucket: None };
    let view = ViewDefinition {
        name: "v".into(),
        source: 1,
        filter: None,
        keys: vec![key(0, DataType::Utf8), key(1, DataType::Float64)],
        aggregates: vec![AggregateCall {
            name: "n".into(),
            function: Function::Sum,
            argument: Some(Arc::new(Field(2, DataType::Int64))),
            filter: None,
            output: DataType::Decimal128(38, 0),
        }],
    };
    GroupTable::new(Arc::new(Layout::new(&view).expect("valid")))
}

#[test]
fn keys_group_as_postgresql_groups_them_and_drain_in_order() {
    let mut table = table();
    let strings: ArrayRef =
        Arc::new(StringArray::from(vec![Some("b"), None, Some("b"), None, Some("a"), Some("a")]));
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let floats: ArrayRef =
        Arc::new(Float64Array::from(vec![0.0, f64::NAN, -0.0, other_nan, f64::INFINITY, f64::NEG_INFINITY]));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]));
    table.fold(6, Keys::Columns(&[strings, floats]), &[values], &[]).expect("folds");
    assert_eq!(table.len(), 4);
    let batches: Vec<_> = table.drain().collect::<Result<_>>().expect("drains");
    let text = arrow::util::pretty::pretty_format_batches(&batches).expect("prints").to_string();
    let rows: Vec<&str> = text.lines().skip(3).take(4).collect();
    assert_eq!(
        rows,
        ["|    | NaN  | 6    |", "| a  | -inf | 6    |", "| a  | inf  | 5    |", "| b  | 0.0  | 4    |"],
        "{text}"
    );
}
