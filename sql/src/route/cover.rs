//! Expressions over a source's rows computed from a view's groups: a key itself, a function of keys, a coarser
//! time out of a finer one.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};
use siltstone_engine::rollup::Granularity;

use crate::data_type::UTC;
use crate::plan::Offer;

/// Why a view cannot answer.
pub type Reason = String;

/// The groups of a view, as what they tell of the rows that they were made of.
pub struct Cover<'v> {
    pub offer: &'v Offer,
    /// The view's columns, keys first.
    pub columns: Vec<Expr>,
    pub types: Vec<DataType>,
    /// The source's columns.
    pub schema: &'v DFSchema,
}

impl Cover<'_> {
    /// The value that `expr` has for every row of a group.
    pub fn value(&self, expr: &Expr) -> Result<Expr, Reason> {
        if let Some(place) = self.offer.keys.iter().position(|key| key.expr == *expr) {
            return self.key(place, expr);
        }
        if let Some(found) = self.of_time(expr).or_else(|| self.compared(expr)) {
            return found;
        }
        match expr {
            Expr::Literal(..) | Expr::Placeholder(_) | Expr::OuterReferenceColumn(..) => Ok(expr.clone()),
            Expr::Column(column) => Err(self.lacks(column)),
            Expr::Between(between) => {
                let [low, high] = ends(between);
                let within = self.value(&low.and(high))?;
                Ok(if between.negated { Expr::Not(Box::new(within)) } else { within })
            }
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Exists(_) => {
                Err("it asks for more than groups tell".to_owned())
            }
            Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
                Err("a subquery depends on single rows".to_owned())
            }
            Expr::InSubquery(subquery) if !subquery.subquery.outer_ref_columns.is_empty() => {
                Err("a subquery depends on single rows".to_owned())
            }
            other if other.is_volatile_node() => Err("a function differs from row to row".to_owned()),
            other => {
                let whole = other.clone().map_children(|child| {
                    let value = self.value(&child).map_err(DataFusionError::Plan)?;
                    PlanResult::Ok(Transformed::yes(value))
                });
                whole.map(|value| value.data).map_err(|error| match error {
                    DataFusionError::Plan(reason) => reason,
                    other => other.to_string(),
                })
            }
        }
    }

    /// The key as the type that the expression has.
    fn key(&self, place: usize, expr: &Expr) -> Result<Expr, Reason> {
        let data_type = expr.get_type(self.schema).map_err(|e| e.to_string())?;
        let column = self.columns[place].clone();
        Ok(if self.types[place] == data_type { column } else { cast(column, data_type) })
    }

    fn lacks(&self, column: &Column) -> Reason {
        let mut granularities = self.buckets(column).map(|(_, granularity)| granularity.name());
        match granularities.next() {
            Some(name) => format!("it has {} by {name} only", column.name),
            None => format!("it has no key {}", column.name),
        }
    }

    /// The keys that are buckets of a column.
    fn buckets(&self, column: &Column) -> impl Iterator<Item = (usize, Granularity)> {
        let place = self.schema.index_of_column(column).ok();
        let keys = self.offer.keys.iter().enumerate();
        keys.filter_map(move |(nth, key)| {
            let bucket = key.bucket.filter(|bucket| Some(bucket.column) == place)?;
            Some((nth, bucket.granularity))
        })
    }

    /// A function of a time that is the same for all times of a bucket, of the bucket's start.
    fn of_time(&self, expr: &Expr) -> Option<Result<Expr, Reason>> {
        let Look { column, unit, in_zone } = looks_at(expr)?;
        let fits = |granularity: Granularity| match in_zone {
            // All zones are whole quarters of an hour from UTC, as far as rows of events go back.
            true => granularity.nests_in(Granularity::Minute) && granularity.nests_in(unit),
            false => granularity.nests_in(unit),
        };
        // The coarsest that will do has the fewest values.
        let found = self.buckets(column).filter(|(_, granularity)| fits(*granularity));
        let found = found.min_by(|(_, a), (_, b)| a.per_year().total_cmp(&b.per_year()));
        let Some((place, _)) = found else {
            let has = self.buckets(column).map(|(_, granularity)| granularity.name()).next()?;
            let wanted = unit.name();
            return Some(Err(format!("it has {} by {has}, and {wanted} is asked for", column.name)));
        };
        Some(
            self.key(place, &Expr::Column(column.clone()))
                .and_then(|key| replaced(expr.clone(), column, &key).map_err(|e| e.to_string())),
        )
    }

    /// A comparison of a time with a moment within a bucket, in two.
    pub fn split(&self, expr: &Expr) -> Option<Split> {
        let (column, op, moment, zone) = bound(expr)?;
        let is_lower = op == Operator::GtEq;
        let finest = self.buckets(column).max_by(|(_, a), (_, b)| a.per_year().total_cmp(&b.per_year()));
        let (place, granularity) = finest?;
        let bucket = granularity.range(granularity.bucket(moment));
        let (cut, op, other) = match is_lower {
            true => (bucket.end, Operator::GtEq, Operator::Lt),
            false => (bucket.start, Operator::Lt, Operator::GtEq),
        };
        let moment = lit(ScalarValue::TimestampMicrosecond(Some(cut), zone));
        let time = Expr::Column(column.clone());
        let key = self.key(place, &time).ok()?;
        let compare =
            |left, op| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(moment.clone())));
        let name = column.name.clone();
        Some(Split { whole: compare(key, op), rest: compare(time, other), is_lower, cut, column: name })
    }

    /// A comparison of a time with a moment at which a bucket begins, of the bucket's start.
    fn compared(&self, expr: &Expr) -> Option<Result<Expr, Reason>> {
        let (column, op, moment, zone) = bound(expr)?;
        let begins = |granularity: Granularity| granularity.start(granularity.bucket(moment)) == moment;
        let mut buckets = self.buckets(column).peekable();
        let (_, first) = buckets.peek().copied()?;
        let Some((place, _)) = buckets.find(|(_, granularity)| begins(*granularity)) else {
            let moment = ScalarValue::TimestampMicrosecond(Some(moment), None).cast_to(&DataType::Utf8);
            let moment = moment.map_or_else(|e| e.to_string(), |text| text.to_string());
            return Some(Err(format!("{} {op} '{moment}' is within a {}", column.name, first.name())));
        };
        let moment = lit(ScalarValue::TimestampMicrosecond(Some(moment), zone));
        let key = self.key(place, &Expr::Column(column.clone()));
        Some(key.map(|key| Expr::BinaryExpr(BinaryExpr::new(Box::new(key), op, Box::new(moment)))))
    }
}

/// A comparison of a time with a moment within a bucket.
pub struct Split {
    /// The same of whole buckets only, over the view's keys.
    pub whole: Expr,
    /// The rows that are left, over the source's columns.
    pub rest: Expr,
    /// At which end of the times they are.
    pub is_lower: bool,
    /// The first moment behind them, or of them.
    pub cut: i64,
    /// Of which time.
    pub column: String,
}

/// What a function of a time column looks at.
pub struct Look<'e> {
    pub column: &'e Column,
    /// It is the same for all times of one of these.
    pub unit: Granularity,
    /// Of the wall clock of a zone.
    pub in_zone: bool,
}

/// What a function of a time looks at; `None` if the expression is none.
pub fn looks_at(expr: &Expr) -> Option<Look<'_>> {
    let (unit, time) = match expr {
        Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
            ("date_trunc", [Expr::Literal(unit, _), time]) => {
                (Granularity::by_name(unit.try_as_str()??)?, time)
            }
            ("date_part", [Expr::Literal(part, _), time]) => (unit_of(part.try_as_str()??)?, time),
            _ => return None,
        },
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Date32 => {
            (Granularity::Day, cast.expr.as_ref())
        }
        _ => return None,
    };
    let (column, in_zone) = match time {
        Expr::Column(column) => (column, false),
        Expr::Cast(cast) => match (cast.expr.as_ref(), cast.field.data_type()) {
            (Expr::Column(column), DataType::Timestamp(_, zone)) => {
                (column, zone.as_ref().is_some_and(|zone| zone.as_ref() != UTC))
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Look { column, unit, in_zone })
}

/// The longest unit of which all times have the same part.
fn unit_of(part: &str) -> Option<Granularity> {
    Some(match part.to_ascii_lowercase().as_str() {
        "dow" | "isodow" | "doy" => Granularity::Day,
        "isoyear" => Granularity::Week,
        other => Granularity::by_name(other)?,
    })
}

/// Column, `>=` or `<`, microseconds since 1970, and the zone of the type.
type Bound<'e> = (&'e Column, Operator, i64, Option<Arc<str>>);

/// A comparison of a time with a moment; `>` and `<=` are those with the next microsecond.
pub fn bound(expr: &Expr) -> Option<Bound<'_>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let (column, op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
        _ => return None,
    };
    let ScalarValue::TimestampMicrosecond(Some(moment), zone) = value else { return None };
    let (op, moment) = match op {
        Operator::GtEq | Operator::Lt => (op, *moment),
        Operator::Gt => (Operator::GtEq, moment.checked_add(1)?),
        Operator::LtEq => (Operator::Lt, moment.checked_add(1)?),
        _ => return None,
    };
    Some((column, op, moment, zone.clone()))
}

/// The two comparisons that `BETWEEN` is.
pub fn ends(between: &Between) -> [Expr; 2] {
    let Between { expr, low, high, .. } = between;
    let compare = |op, end: &Expr| Expr::BinaryExpr(BinaryExpr::new(expr.clone(), op, Box::new(end.clone())));
    [compare(Operator::GtEq, low), compare(Operator::LtEq, high)]
}

fn replaced(expr: Expr, column: &Column, by: &Expr) -> PlanResult<Expr> {
    let whole = expr.transform_up(|part| {
        Ok(match &part {
            Expr::Column(found) if found == column => Transformed::yes(by.clone()),
            _ => Transformed::no(part),
        })
    });
    Ok(whole?.data)
}
