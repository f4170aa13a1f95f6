//! Times without seconds, as in `'2024-06-01 10:07'`: PostgreSQL takes them wherever a text is read as a time.
//!
//! The planner's reading of times wants seconds; a rewrite before type coercion adds them.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable, Operator};

/// Adds seconds to the texts of times.
#[derive(Debug)]
pub struct ShortTimes;

impl FunctionRewrite for ShortTimes {
    fn name(&self) -> &'static str {
        "short_times"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let is_time = |e: &Expr| matches!(e.get_type(schema), Ok(DataType::Timestamp(..)));
        Ok(match expr {
            Expr::Cast(Cast { mut expr, field }) if matches!(field.data_type(), DataType::Timestamp(..)) => {
                let changed = lengthen(&mut expr);
                Transformed::new_transformed(Expr::Cast(Cast { expr, field }), changed)
            }
            Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if compares(op) => {
                let changed =
                    (is_time(&left) && lengthen(&mut right)) || (is_time(&right) && lengthen(&mut left));
                Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), changed)
            }
            Expr::Between(Between { expr, negated, mut low, mut high }) if is_time(&expr) => {
                let changed = lengthen(&mut low) | lengthen(&mut high);
                Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), changed)
            }
            Expr::InList(InList { expr, mut list, negated }) if is_time(&expr) => {
                let changed = list.iter_mut().filter_map(|item| lengthen(item).then_some(())).count() > 0;
                Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), changed)
            }
            other => Transformed::no(other),
        })
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether the expression was the text of a time without seconds, which it has now.
fn lengthen(expr: &mut Expr) -> bool {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr else { return false };
    match with_seconds(text) {
        Some(longer) => {
            *text = longer;
            true
        }
        None => false,
    }
}

fn with_seconds(text: &str) -> Option<String> {
    let (date, time) = text.trim().split_once(['T', ' '])?;
    let (hour, minute) = time.trim_start().split_once(':')?;
    let is_part = |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit());
    (is_part(hour) && is_part(minute)).then(|| format!("{date} {hour:0>2}:{minute:0>2}:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_without_seconds_are_longer() {
        assert_eq!(with_seconds("2024-06-01 10:07").as_deref(), Some("2024-06-01 10:07:00"));
        assert_eq!(with_seconds(" 2024-06-01T9:7").as_deref(), Some("2024-06-01 09:07:00"));
        for text in ["2024-06-01", "2024-06-01 10:07:12", "10:07", "2024-06-01 10:07+02", "a b:c"] {
            assert_eq!(with_seconds(text), None, "{text}");
        }
    }
}
