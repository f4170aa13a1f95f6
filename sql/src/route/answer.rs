//! The plan that answers a question from the groups of one view.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{Column, DFSchema, Result as PlanResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, max, min};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, Case, Cast, Expr, ExprSchemable, GroupingSet, LogicalPlan, LogicalPlanBuilder,
    Operator, cast, ident, lit, when,
};
use datafusion::prelude::coalesce;
use siltstone_engine::aggregate::Function;

use super::cover::{Cover, Reason, Split};
use super::question::{Call, Question};
use crate::plan::Offer;
use crate::table::RelationTable;

/// How a view answers a question.
pub struct Match {
    /// Of the view's groups, those that count.
    pub filters: Vec<Expr>,
    groups: Vec<Expr>,
    /// Over the rows that are merged: the value of each aggregate, with a name for each merge.
    merges: Vec<Merge>,
    values: Vec<Expr>,
    /// Each group of the question is one group of the view.
    is_same: bool,
    /// Conditions on rows that the view's whole buckets leave, which are read themselves: none of them, or one at
    /// each end of the times.
    pub edges: Vec<Expr>,
}

/// A column of the view's groups, and the aggregate that merges it.
struct Merge {
    column: Expr,
    by: By,
    /// The same of rows, if they have it.
    of_rows: Option<Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Of counts: a bigint again.
    Count,
    Sum,
    Min,
    Max,
    CountDistinct,
}

/// Groups that may answer a question.
pub struct Groups<'g> {
    pub name: &'g str,
    /// Keys first, then aggregates.
    pub schema: SchemaRef,
    pub offer: &'g Offer,
    /// Each stands there once.
    pub are_whole: bool,
}

/// Whether and how groups answer; else why not. `keeps_rows`: those at the edges of times can be read.
pub fn matched(question: &Question, of: &Groups<'_>, keeps_rows: bool) -> Result<Match, Reason> {
    let table = reserved(of.name);
    let fields = of.schema.fields().iter();
    let cover = Cover {
        offer: of.offer,
        columns: fields.clone().map(|f| Expr::Column(Column::new(Some(table.clone()), f.name()))).collect(),
        types: fields.map(|field| field.data_type().clone()).collect(),
        schema: &question.schema,
    };
    for condition in &cover.offer.conditions {
        if !question.conditions.iter().any(|own| implies(own, condition)) {
            return Err(format!("it has only rows with {}", condition.human_display()));
        }
    }
    let open = question.conditions.iter().filter(|own| !cover.offer.conditions.contains(own));
    let (mut filters, mut splits) = (Vec::new(), Vec::new());
    for own in open {
        match cover.value(own) {
            Ok(filter) => filters.push(filter),
            Err(reason) => match cover.split(own).filter(|_| keeps_rows) {
                Some(split) => splits.push(split),
                None => return Err(reason),
            },
        }
    }
    if !splits.is_empty() && question.conditions.iter().any(Expr::contains_outer) {
        return Err(
            "the times begin or end within one of its buckets, for each row of another query".to_owned()
        );
    }
    let edges = edges(splits, &mut filters)?;
    let groups = question.groups.iter().map(|group| cover.value(group)).collect::<Result<Vec<_>, _>>()?;
    let is_set = matches!(question.aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    let keys = &cover.columns[..cover.offer.keys.len()];
    let is_same = of.are_whole && !is_set && keys.iter().all(|key| groups.contains(key)) && !keys.is_empty();
    let mut merger = Merger { cover: &cover, merges: Vec::new() };
    let values = question.calls.iter().map(|call| merger.value(call)).collect::<Result<Vec<_>, _>>()?;
    let merges = merger.merges;
    let is_same = is_same && edges.is_empty() && merges.iter().all(|merge| merge.by != By::CountDistinct);
    if !edges.is_empty() && merges.iter().any(|merge| merge.of_rows.is_none()) {
        return Err("a count of distinct values of the rows at the edges cannot be added".to_owned());
    }
    Ok(Match { filters, groups, merges, values, is_same, edges })
}

/// The rows at the ends of the times; the conditions of whole buckets between them go to `filters`.
fn edges(splits: Vec<Split>, filters: &mut Vec<Expr>) -> Result<Vec<Expr>, Reason> {
    if splits.windows(2).any(|pair| pair[0].column != pair[1].column) {
        return Err("two times begin or end within its buckets".to_owned());
    }
    let cut = |is_lower: bool| {
        splits.iter().filter(move |s| s.is_lower == is_lower).map(|s| s.cut).collect::<Vec<_>>()
    };
    match (cut(true).as_slice(), cut(false).as_slice()) {
        ([] | [_], [] | [_]) if cut(true) <= cut(false) || cut(false).is_empty() => {}
        ([_], [_]) => return Err("the times are within one of its buckets".to_owned()),
        _ => return Err("the times have more than two ends".to_owned()),
    }
    let (whole, rest): (Vec<Expr>, Vec<Expr>) = splits.into_iter().map(|s| (s.whole, s.rest)).unzip();
    filters.extend(whole);
    Ok(rest)
}

/// The name that a relation is read by: none that a query around it may have for another reading of it.
fn reserved(name: &str) -> TableReference {
    TableReference::bare(format!("{name} (routed)"))
}

/// Whether each row that satisfies `own` satisfies `other`.
fn implies(own: &Expr, other: &Expr) -> bool {
    if own == other {
        return true;
    }
    let literal = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if !value.is_null());
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = own else { return false };
    if !literal(right) {
        return false;
    }
    match other {
        Expr::InList(list) => !list.negated && list.expr == *left && list.list.contains(right),
        Expr::IsNotNull(expr) => expr == left,
        Expr::BinaryExpr(BinaryExpr { left: l, op: Operator::NotEq, right: r }) => {
            l == left && literal(r) && r != right
        }
        Expr::BinaryExpr(BinaryExpr { left: a, op: Operator::Or, right: b }) => {
            implies(own, a) || implies(own, b)
        }
        _ => false,
    }
}

struct Merger<'c> {
    cover: &'c Cover<'c>,
    merges: Vec<Merge>,
}

/// The name of a merged column.
fn name(nth: usize) -> String {
    format!("merged_{nth}")
}

impl Merger<'_> {
    /// A merged column.
    fn merged(&mut self, by: By, column: Expr, call: &Call) -> Expr {
        let found = self.merges.iter().position(|merge| merge.by == by && merge.column == column);
        let nth = found.unwrap_or_else(|| {
            let argument = call.arguments.first().cloned();
            let of_rows = argument.filter(|_| by != By::CountDistinct).map(|argument| match &call.filter {
                None => argument,
                Some(filter) => {
                    Expr::Case(Case::new(None, vec![(Box::new(filter.clone()), Box::new(argument))], None))
                }
            });
            self.merges.push(Merge { column, by, of_rows });
            self.merges.len() - 1
        });
        ident(name(nth))
    }

    /// The finished value of an aggregate over merged columns.
    fn value(&mut self, call: &Call) -> Result<Expr, Reason> {
        let params = &call.function.params;
        let function = call.function.func.name();
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Err(format!("{function} looks at single rows"));
        }
        let filter = call.filter.as_ref();
        match (function, call.arguments.as_slice()) {
            ("count", [argument]) if params.distinct => {
                let values = self.masked(self.cover.value(argument)?, filter)?;
                Ok(self.merged(By::CountDistinct, values, call))
            }
            ("min", [argument]) => {
                let least = self.least(Function::Min, argument, filter)?;
                Ok(self.merged(By::Min, least, call))
            }
            ("max", [argument]) => {
                let greatest = self.least(Function::Max, argument, filter)?;
                Ok(self.merged(By::Max, greatest, call))
            }
            (_, [_]) if params.distinct => Err(format!("{function}(DISTINCT …) looks at single rows")),
            ("count", [argument]) => {
                let counts = self.counted(argument, filter)?;
                Ok(coalesce(vec![self.merged(By::Count, counts, call), lit(0_i64)]))
            }
            ("sum", [argument]) => {
                let sums = self.summed(argument, filter)?;
                Ok(self.merged(By::Sum, sums, call))
            }
            ("avg", [argument]) => {
                let data_type = argument.get_type(self.cover.schema).map_err(|e| e.to_string())?;
                if data_type.is_decimal() {
                    return Err("avg of numeric is exact from rows only".to_owned());
                }
                let sums = self.summed(argument, filter)?;
                let counts = self.counted(argument, filter)?;
                let (sum, rows) = (self.merged(By::Sum, sums, call), self.merged(By::Count, counts, call));
                let mean = cast(sum, DataType::Float64) / cast(rows.clone(), DataType::Float64);
                when(rows.gt(lit(0_i64)), mean).end().map_err(|e| e.to_string())
            }
            _ => Err(format!("{function} is not made of count, sum, min and max")),
        }
    }

    /// The view's own column for an aggregate.
    fn offered(&self, function: Function, argument: Option<&Expr>, filter: Option<&Expr>) -> Option<Expr> {
        let calls = self.cover.offer.calls.iter();
        let place = calls.enumerate().find(|(_, call)| {
            call.function == function && call.argument.as_ref() == argument && call.filter.as_ref() == filter
        });
        Some(self.cover.columns[self.cover.offer.keys.len() + place?.0].clone())
    }

    /// The column where the rows of a group count.
    fn masked(&self, column: Expr, filter: Option<&Expr>) -> Result<Expr, Reason> {
        match filter {
            None => Ok(column),
            Some(filter) => when(self.cover.value(filter)?, column).end().map_err(|e| e.to_string()),
        }
    }

    /// Rows of each group, those for which the filter holds.
    fn rows(&self) -> Result<Expr, Reason> {
        self.offered(Function::Count, None, None).ok_or_else(|| "it has no count(*)".to_owned())
    }

    fn counted(&self, argument: &Expr, filter: Option<&Expr>) -> Result<Expr, Reason> {
        let is_null = |expr: &Expr| expr.nullable(self.cover.schema).unwrap_or(true);
        let argument = Some(argument).filter(|argument| is_null(argument));
        if let Some(own) = self.offered(Function::Count, argument, filter) {
            return Ok(own);
        }
        let Some(argument) = argument else { return self.masked(self.rows()?, filter) };
        let counts = self.through_case(argument, &|part| {
            if let Some(own) = self.offered(Function::Count, Some(part), None) {
                return Ok(own);
            }
            let value = self.cover.value(part).map_err(|reason| missing("count", part, &reason))?;
            when(value.is_not_null(), self.rows()?).end().map_err(|e| e.to_string())
        })?;
        self.masked(counts, filter)
    }

    fn summed(&self, argument: &Expr, filter: Option<&Expr>) -> Result<Expr, Reason> {
        if let Some(own) = self.offered(Function::Sum, Some(argument), filter) {
            return Ok(own);
        }
        let sums = self.through_case(argument, &|part| {
            if let Some(own) = self.offered(Function::Sum, Some(part), None) {
                return Ok(own);
            }
            let value = self.cover.value(part).map_err(|reason| missing("sum", part, &reason))?;
            let data_type = part.get_type(self.cover.schema).map_err(|e| e.to_string())?;
            let number = match data_type {
                float if float.is_floating() => DataType::Float64,
                whole if whole.is_integer() => DataType::Decimal128(38, 0),
                DataType::Decimal128(_, 0) => DataType::Decimal128(38, 0),
                _ => return Err(missing("sum", part, "")),
            };
            Ok(cast(value, number.clone()) * cast(self.rows()?, number))
        })?;
        self.masked(sums, filter)
    }

    fn least(&self, function: Function, argument: &Expr, filter: Option<&Expr>) -> Result<Expr, Reason> {
        if let Some(own) = self.offered(function, Some(argument), filter) {
            return Ok(own);
        }
        let name = if function == Function::Min { "min" } else { "max" };
        let least = self.through_case(argument, &|part| {
            if let Some(own) = self.offered(function, Some(part), None) {
                return Ok(own);
            }
            self.cover.value(part).map_err(|reason| missing(name, part, &reason))
        })?;
        self.masked(least, filter)
    }

    /// The aggregate of an argument that is a different one for different groups.
    fn through_case(
        &self,
        argument: &Expr,
        of: &dyn Fn(&Expr) -> Result<Expr, Reason>,
    ) -> Result<Expr, Reason> {
        match argument {
            Expr::Case(Case { expr: None, when_then_expr, else_expr }) => {
                let branches = when_then_expr.iter().map(|(condition, value)| {
                    let value = self.through_case(value, of)?;
                    Ok((Box::new(self.cover.value(condition)?), Box::new(value)))
                });
                let branches = branches.collect::<Result<Vec<_>, Reason>>()?;
                let null = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
                let rest = else_expr.as_deref().filter(|rest| !null(rest));
                let rest = rest.map(|rest| self.through_case(rest, of)).transpose()?;
                Ok(Expr::Case(Case::new(None, branches, rest.map(Box::new))))
            }
            // A number of another width: its sum is that of the narrower ones.
            Expr::Cast(Cast { expr, field }) if is_widened(expr, field.data_type(), self.cover.schema) => {
                match of(argument) {
                    Ok(own) => Ok(own),
                    Err(_) => Ok(cast(self.through_case(expr, of)?, field.data_type().clone())),
                }
            }
            other => of(other),
        }
    }
}

/// Whether a cast gives whole numbers more room, or makes them floats: what a sum of them fits in.
fn is_widened(expr: &Expr, to: &DataType, schema: &DFSchema) -> bool {
    let Ok(from) = expr.get_type(schema) else { return false };
    match to {
        DataType::Float64 => from.is_numeric(),
        DataType::Decimal128(38, 0) => from.is_integer(),
        DataType::Int64 => matches!(from, DataType::Int8 | DataType::Int16 | DataType::Int32),
        _ => false,
    }
}

fn missing(function: &str, argument: &Expr, reason: &str) -> Reason {
    match argument {
        Expr::Column(column) => format!("it has no {function}({})", column.name),
        _ if reason.is_empty() => format!("it has no {function} of that"),
        _ => reason.to_owned(),
    }
}

impl Match {
    /// The plan, with the columns that the question's node has, over the groups of that name.
    pub fn plan(
        self,
        question: &Question,
        (name_of, groups): (&str, RelationTable),
        sum: &Arc<AggregateUDF>,
    ) -> PlanResult<LogicalPlan> {
        let (table, groups) = (reserved(name_of), Arc::new(groups));
        let mut plan = LogicalPlanBuilder::scan(table, provider_as_source(groups), None)?;
        for filter in self.filters {
            plan = plan.filter(filter)?;
        }
        let group_name = |nth: usize| format!("group_{nth}");
        let keys = self.groups.into_iter().enumerate().map(|(nth, group)| group.alias(group_name(nth)));
        let columns = self.merges.iter().enumerate();
        let columns = columns.map(|(nth, merge)| merge.column.clone().alias(name(nth)));
        plan = plan.project(keys.chain(columns).collect::<Vec<_>>())?;
        let whole = Arc::clone(plan.schema());
        for edge in self.edges {
            plan = plan.union(of_rows(question, &self.merges, edge, &whole, sum)?)?;
        }
        let own = &question.aggregate;
        let groups = question.groups.len();
        if !self.is_same {
            let merges = self.merges.iter().enumerate().map(|(nth, merge)| {
                let column = ident(name(nth));
                let merged = match merge.by {
                    By::Count => call(&sum_udaf(), column),
                    other => other.of(column, sum),
                };
                merged.alias(name(nth))
            });
            let by: Vec<Expr> = match own.group_expr.as_slice() {
                [Expr::GroupingSet(set)] => vec![Expr::GroupingSet(renamed(set, &group_name))],
                _ => (0..groups).map(|nth| ident(group_name(nth))).collect(),
            };
            plan = plan.aggregate(by, merges.collect::<Vec<_>>())?;
        }
        let merged = plan.schema().columns();
        let fields: Vec<_> = own.schema.iter().collect();
        // Sets of groups have a number beside their keys.
        let keys = fields.len() - self.values.len();
        let keys = merged.into_iter().take(keys).map(Expr::Column);
        let schema = Arc::clone(plan.schema());
        let shown = keys.chain(self.values).zip(fields).map(|(value, (qualifier, field))| {
            let found = value.get_type(schema.as_ref())?;
            let value =
                if found == *field.data_type() { value } else { cast(value, field.data_type().clone()) };
            Ok(value.alias_qualified(qualifier.cloned(), field.name()))
        });
        plan.project(shown.collect::<PlanResult<Vec<_>>>()?)?.build()
    }
}

impl By {
    /// The aggregate of values of rows.
    fn of(self, argument: Expr, sum: &Arc<AggregateUDF>) -> Expr {
        match self {
            Self::Count => count(argument),
            Self::Sum => call(sum, argument),
            Self::Min => min(argument),
            Self::Max => max(argument),
            Self::CountDistinct => count_distinct(argument),
        }
    }
}

/// The groups of rows at an edge, with the columns that the view's groups have.
fn of_rows(
    question: &Question,
    merges: &[Merge],
    edge: Expr,
    like: &DFSchema,
    sum: &Arc<AggregateUDF>,
) -> PlanResult<LogicalPlan> {
    let table = reserved(&question.name);
    let mut plan = LogicalPlanBuilder::scan(table, provider_as_source(Arc::clone(&question.rows)), None)?;
    for condition in question.conditions.iter().chain([&edge]) {
        plan = plan.filter(condition.clone())?;
    }
    let fields = like.fields().iter();
    let names: Vec<&String> = fields.map(|field| field.name()).collect();
    let groups = question.groups.iter().zip(&names).map(|(group, name)| group.clone().alias(name.as_str()));
    let arguments =
        merges.iter().filter_map(|merge| merge.of_rows.clone()).zip(&names[question.groups.len()..]);
    let arguments = arguments.map(|(argument, name)| argument.alias(name.as_str()));
    plan = plan.project(groups.chain(arguments).collect::<Vec<_>>())?;
    let (groups, columns) = names.split_at(question.groups.len());
    let merged = merges.iter().zip(columns).map(|(merge, name)| merge.by.of(ident(name.as_str()), sum));
    let merged = merged.zip(columns).map(|(call, name)| call.alias(name.as_str())).collect::<Vec<_>>();
    let by: Vec<Expr> = groups.iter().map(|name| ident(name.as_str())).collect();
    plan = plan.aggregate(by, merged)?;
    let columns = names
        .iter()
        .zip(like.fields())
        .map(|(name, field)| cast(ident(name.as_str()), field.data_type().clone()).alias(name.as_str()));
    plan.project(columns.collect::<Vec<_>>())?.build()
}

fn call(function: &Arc<AggregateUDF>, argument: Expr) -> Expr {
    let function = Arc::clone(function);
    Expr::AggregateFunction(AggregateFunction::new_udf(function, vec![argument], false, None, vec![], None))
}

/// The sets with the names of their expressions.
fn renamed(set: &GroupingSet, name: &dyn Fn(usize) -> String) -> GroupingSet {
    let distinct = set.distinct_expr();
    let renamed = |exprs: &Vec<Expr>| -> Vec<Expr> {
        let place = |expr: &Expr| distinct.iter().position(|own| *own == expr);
        exprs.iter().map(|expr| ident(name(place(expr).unwrap_or(usize::MAX)))).collect()
    };
    match set {
        GroupingSet::Rollup(exprs) => GroupingSet::Rollup(renamed(exprs)),
        GroupingSet::Cube(exprs) => GroupingSet::Cube(renamed(exprs)),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.iter().map(renamed).collect()),
    }
}
