//! The router: aggregations over the rows of a source or table are answered from the smallest view that can.
//!
//! Matching is algebraic and pure: each group expression, condition and aggregate of a query is computed from a
//! view's keys and merged from its aggregates (`cover`, `answer`), or the view is left out for a reason. Among those
//! that match, the one with the least to read is read, unless that is more than what the table would have to.

mod advice;
mod answer;
mod cover;
mod question;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use siltstone_engine::runtime::Snapshot;

use self::answer::{Match, matched as matched_by};
use self::cover::Reason;
use self::question::Question;
use crate::catalog::{Catalog, Relation, SourceRelation, ViewRelation};
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;
use crate::table::RelationTable;

/// A plan is made anew when something that may answer has so many times the rows that it had, and some more.
const GROWTH_MAX: u64 = 4;
const GROWN_ROWS: u64 = 10_000;

/// Bytes of a value, about.
const VALUE_BYTES: u64 = 8;

/// Bytes that are read in the time that it takes to open a file.
const FILE_BYTES: u64 = 1 << 20;

/// What may answer a question.
#[derive(Clone, Debug)]
pub struct Candidate {
    id: u32,
    /// The view, or the table or source itself.
    pub name: String,
    pub is_chosen: bool,
    /// Whether it has the answer.
    pub answers: bool,
    /// Groups or rows that it has at most, and their bytes, about.
    pub rows: u64,
    pub bytes: u64,
    /// What reading that takes, in bytes.
    cost: u64,
    /// Why it was not chosen.
    pub reason: Option<Reason>,
    /// The statement that creates a view which would have answered, where none did.
    pub advice: Option<String>,
}

/// How large what may answer was when a plan was made.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    views: Vec<(u32, u64)>,
    tables: Vec<(u32, u64)>,
    /// A view that would answer cannot yet.
    is_passing: bool,
}

impl Sizes {
    /// Whether the same would be chosen now, about.
    pub fn hold(&self, snapshot: &Snapshot) -> bool {
        let is_like = |now: u64, then: u64| now <= then.saturating_mul(GROWTH_MAX).saturating_add(GROWN_ROWS);
        let views = self.views.iter().all(|&(view, then)| is_like(snapshot.group_count_max(view), then));
        let tables = self.tables.iter().all(|&(table, then)| is_like(snapshot.row_count(table), then));
        !self.is_passing && views && tables
    }
}

/// Routes the aggregations of plans at one snapshot.
pub struct Router<'r> {
    pub state: &'r SessionState,
    pub catalog: &'r Catalog,
    pub snapshot: &'r Snapshot,
}

impl Router<'_> {
    /// The plan with every aggregation that some view answers best answered by it.
    ///
    /// # Errors
    /// If a source keeps no rows and no view answers.
    pub fn route(&self, plan: LogicalPlan) -> Result<(LogicalPlan, Sizes)> {
        let (plan, found) = self.candidates(plan)?;
        if let Some(candidates) = found.iter().find(|candidates| candidates.iter().all(|c| !c.answers)) {
            return Err(unanswered(candidates));
        }
        let mut sizes = Sizes::default();
        for candidates in &found {
            let Some((table, views)) = candidates.split_last() else { continue };
            sizes.tables.push((table.id, self.snapshot.row_count(table.id)));
            let answering = views.iter().filter(|c| c.answers).map(|c| c.id);
            sizes.views.extend(answering.map(|view| (view, self.snapshot.group_count_max(view))));
            sizes.is_passing |= views.iter().any(|c| self.snapshot.is_backfilling(c.id));
        }
        Ok((plan, sizes))
    }

    /// The same, with the candidates for each aggregation, the table or source last; what nobody answers is left.
    pub fn candidates(&self, plan: LogicalPlan) -> Result<(LogicalPlan, Vec<Vec<Candidate>>)> {
        if !self.concerns(&plan) {
            return Ok((plan, Vec::new()));
        }
        let options = self.state.config_options();
        let analyzed = self.state.analyzer().execute_and_check(plan, options, |_, _| {});
        let analyzed = analyzed.map_err(|e| from_datafusion(&e))?;
        let mut found = Vec::new();
        let routed = analyzed.transform_up_with_subqueries(|node| {
            let Some(question) = Question::of(self.state, &node)? else { return Ok(Transformed::no(node)) };
            let (answer, candidates) = self.answer(&question)?;
            found.push(candidates);
            Ok(answer.map_or_else(|| Transformed::no(node), Transformed::yes))
        });
        let routed = routed.map_err(|e| from_datafusion(&e))?;
        if !routed.transformed {
            return Ok((routed.data, found));
        }
        let whole =
            routed.data.transform_up_with_subqueries(|node| node.recompute_schema().map(Transformed::yes));
        Ok((whole.map_err(|e| from_datafusion(&e))?.data, found))
    }

    /// Whether the plan reads a source or table that views read, too.
    pub fn concerns(&self, plan: &LogicalPlan) -> bool {
        let mut found = false;
        let walked = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
                && let Some(source) = provider.downcast_ref::<RelationTable>().and_then(RelationTable::source)
            {
                found |= self.views(source).next().is_some();
            }
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        debug_assert!(walked.is_ok(), "the walk itself does not fail");
        found
    }

    fn views(&self, source: u32) -> impl Iterator<Item = &ViewRelation> {
        let views = self.catalog.relations().filter_map(|relation| relation.view());
        views.filter(move |view| view.compiled.definition.source == source)
    }

    /// The plan of the best view, if there is one that is better than the rows themselves.
    fn answer(&self, question: &Question) -> PlanResult<(Option<LogicalPlan>, Vec<Candidate>)> {
        let source = self.catalog.by_id(question.source).map(Arc::as_ref);
        let Some(Relation::Source(source)) = source else { return Ok((None, Vec::new())) };
        let keeps_rows = source.create.keeps_rows;
        let table = question.rows.downcast_ref::<RelationTable>();
        let rows_within = |more: Option<&Expr>| {
            let conditions: Vec<Expr> = question.conditions.iter().chain(more).cloned().collect();
            table.map_or((0, 0), |table| table.rows_within(&conditions, self.snapshot))
        };
        let (rows, files) = rows_within(None);
        let width = source.schema.fields().len() as u64;
        let mut own = Candidate {
            id: question.source,
            name: question.name.clone(),
            is_chosen: false,
            answers: keeps_rows,
            rows,
            bytes: rows * width * VALUE_BYTES,
            cost: rows * width * VALUE_BYTES + files * FILE_BYTES,
            reason: None,
            advice: None,
        };
        let mut matches: Vec<(usize, &ViewRelation, Match)> = Vec::new();
        let mut candidates = Vec::new();
        for view in self.views(question.source) {
            let matched = self.usable(view, source);
            let matched = matched.and_then(|()| matched_by(question, view, keeps_rows));
            let filters = matched.as_ref().map_or(&[][..], |matched| &matched.filters);
            let (mut rows, mut files) = RelationTable::groups(view).rows_within(filters, self.snapshot);
            let mut bytes = rows * view.compiled.definition.schema().fields().len() as u64 * VALUE_BYTES;
            let mut name = view.create.name.clone();
            let reason = match matched {
                Ok(matched) => {
                    if !matched.edges.is_empty() {
                        for (more, parts) in matched.edges.iter().map(|edge| rows_within(Some(edge))) {
                            rows += more;
                            bytes += more * width * VALUE_BYTES;
                            files += parts;
                        }
                        name = format!("{name} + {}", question.name);
                    }
                    matches.push((candidates.len(), view, matched));
                    None
                }
                Err(reason) => Some(reason),
            };
            let answers = reason.is_none();
            let (id, cost) = (view.id, bytes + files * FILE_BYTES);
            let (is_chosen, advice) = (false, None);
            candidates.push(Candidate { id, name, is_chosen, answers, rows, bytes, cost, reason, advice });
        }
        // Where the rows are forgotten or were never kept, a view that keeps its groups longer knows more.
        let forgets = !keeps_rows || source.definition.retain.is_some();
        matches.sort_by_key(|(place, view, _)| {
            let kept = view.compiled.definition.retain.filter(|_| forgets).unwrap_or(Duration::MAX);
            (Reverse(kept), candidates[*place].cost)
        });
        let best = matches.into_iter().next();
        let best = best.filter(|(place, ..)| !keeps_rows || candidates[*place].cost <= own.cost.max(1));
        for candidate in &mut candidates {
            if candidate.reason.is_none() {
                candidate.reason = Some("another one has less to read".to_owned());
            }
        }
        let Some((place, view, matched)) = best else {
            own.advice = advice::advice(question).filter(|_| candidates.iter().all(|c| !c.answers));
            if !keeps_rows {
                own.reason = Some("it keeps no rows".to_owned());
            }
            own.is_chosen = keeps_rows;
            candidates.push(own);
            return Ok((None, candidates));
        };
        candidates[place].is_chosen = true;
        candidates[place].reason = None;
        own.reason = Some(if keeps_rows { "it has more to read" } else { "it keeps no rows" }.to_owned());
        candidates.push(own);
        let sum = self.state.aggregate_functions().get("sum").cloned();
        let sum = sum.ok_or_else(|| DataFusionError::Internal("there is no sum".to_owned()))?;
        Ok((Some(matched.plan(question, view, &sum)?), candidates))
    }

    /// Whether the view has all that its source has.
    fn usable(&self, view: &ViewRelation, source: &SourceRelation) -> Result<(), Reason> {
        let kept = source.definition.retain.filter(|_| source.create.keeps_rows);
        match view.compiled.definition.retain {
            _ if self.snapshot.is_backfilling(view.id) => Err("it is backfilling".to_owned()),
            _ if self.snapshot.is_lacking(view.id) => {
                Err("rows had come before it, which its source cannot give again".to_owned())
            }
            Some(own) if source.create.keeps_rows && kept.is_none_or(|rows| rows > own) => {
                Err("it forgets groups before the rows are forgotten".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn unanswered(candidates: &[Candidate]) -> Error {
    let Some((own, views)) = candidates.split_last() else {
        return Error::new(sqlstate::INTERNAL, "a question without candidates");
    };
    let message = format!("source \"{}\" keeps no rows, and no view over it answers this", own.name);
    let reasons = views.iter().filter_map(|c| Some(format!("{}: {}", c.name, c.reason.as_ref()?)));
    let hint = match &own.advice {
        Some(statement) => format!("one that does: {statement}"),
        None => "CREATE TABLE instead of CREATE SOURCE keeps the rows for questions like this".to_owned(),
    };
    Error::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
        .with_detail(reasons.collect::<Vec<_>>().join("; "))
        .with_hint(hint)
}
