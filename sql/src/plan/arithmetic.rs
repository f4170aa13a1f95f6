//! Integer arithmetic that fails instead of wrapping.
//!
//! The planner's `+ - *` over integers wrap silently. A rewrite before type coercion replaces them by
//! functions that compute the same and report an overflow, in queries and in compiled expressions alike.

use std::sync::Arc;

use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// Replaces integer `+`, `-` and `*`.
#[derive(Debug)]
pub struct CheckArithmetic {
    functions: [(Operator, Arc<ScalarUDF>); 3],
}

impl CheckArithmetic {
    pub fn new() -> Self {
        let function = |operator, name| (operator, Arc::new(ScalarUDF::from(Checked::new(operator, name))));
        Self {
            functions: [
                function(Operator::Plus, "checked_add"),
                function(Operator::Minus, "checked_subtract"),
                function(Operator::Multiply, "checked_multiply"),
            ],
        }
    }
}

impl FunctionRewrite for CheckArithmetic {
    fn name(&self) -> &'static str {
        "check_arithmetic"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return Ok(Transformed::no(expr)) };
        let integer = |side: &Expr| side.get_type(schema).is_ok_and(|t| t.is_signed_integer());
        match self.functions.iter().find(|(operator, _)| *operator == op) {
            Some((_, function)) if integer(&left) && integer(&right) => {
                let call = ScalarFunction::new_udf(Arc::clone(function), vec![*left, *right]);
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
        }
    }
}

/// One checked operator.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator, name: &'static str) -> Self {
        Self { operator, name, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Shown, and named, as the operator it stands for.
    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.schema_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [left, right] => Ok(format!("{} {} {}", left.schema_name(), self.operator, right.schema_name())),
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [left, right] => BinaryTypeCoercer::new(left, &self.operator, right).get_result_type(),
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        match args {
            [left, right] => {
                let (left, right) = BinaryTypeCoercer::new(left, &self.operator, right).get_input_types()?;
                Ok(vec![left, right])
            }
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{} takes two arguments", self.name);
        };
        let kernel = match self.operator {
            Operator::Plus => numeric::add,
            Operator::Minus => numeric::sub,
            _ => numeric::mul,
        };
        let value = match (left, right) {
            (ColumnarValue::Array(left), ColumnarValue::Array(right)) => kernel(left, right)?,
            (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => kernel(left, &right.to_scalar()?)?,
            (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => kernel(&left.to_scalar()?, right)?,
            (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
                kernel(&left.to_scalar()?, &right.to_scalar()?)?
            }
        };
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?));
        }
        Ok(ColumnarValue::Array(value))
    }
}
