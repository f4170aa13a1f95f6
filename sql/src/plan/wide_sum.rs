//! `sum` with PostgreSQL's types: of `bigint` it is `numeric(38,0)`, so that it does not wrap.
//!
//! All else is the planner's own `sum`, behind one more coercion.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    Volatility,
};

/// The `sum` of this dialect.
pub fn wide_sum() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(WideSum {
        inner: Sum::new(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WideSum {
    inner: Sum,
    signature: Signature,
}

impl AggregateUDFImpl for WideSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = args else { return plan_err!("No function matches: sum takes one argument") };
        Ok(vec![match argument {
            DataType::Int64 | DataType::UInt64 => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
            narrow if narrow.is_integer() => DataType::Int64,
            DataType::Null => DataType::Int64,
            float if float.is_floating() => DataType::Float64,
            decimal if decimal.is_decimal() => decimal.clone(),
            DataType::Duration(unit) => DataType::Duration(*unit),
            DataType::Dictionary(_, value) => return self.coerce_types(&[value.as_ref().clone()]),
            other => return plan_err!("No function matches: sum({other}) does not exist"),
        }])
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match self.coerce_types(args)?.as_slice() {
            [DataType::Decimal128(_, scale)] => Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale)),
            coerced => self.inner.return_type(coerced),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }
}
