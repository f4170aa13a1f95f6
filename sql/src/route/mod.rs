//! The router: aggregations over the rows of a source or table are answered from the smallest view that can.
//!
//! Matching is algebraic and pure: each group expression, condition and aggregate of a query is computed from a
//! view's keys and merged from its aggregates (`cover`, `answer`), or the view is left out for a reason. Among those
//! that match, the one with the least to read is read, unless that is more than what the table would have to.

mod advice;
mod answer;
mod cover;
mod fold;
mod question;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan};
use siltstone_engine::runtime::Snapshot;

use self::answer::{Groups, Match, matched};
use self::cover::Reason;
use self::question::Question;
use crate::catalog::{Catalog, Relation, SourceRelation, ViewRelation};
use crate::error::{Error, Result, sqlstate};
use crate::failure::from_datafusion;
use crate::routes::Route;
use crate::table::{Folds, RelationTable};

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
    /// It may be gone with the next epoch.
    is_passing: bool,
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

/// How much there is to read.
struct Size {
    rows: u64,
    bytes: u64,
    files: u64,
}

/// What a candidate answers with.
struct Answer {
    matched: Match,
    table: RelationTable,
    /// Of what the table has groups of.
    name: String,
    /// How long it keeps them, if not as long as there are any.
    kept: Option<Duration>,
}

impl Candidate {
    fn new(id: u32, name: String, size: Size, answered: Result<(), Reason>) -> Self {
        let Size { rows, bytes, files } = size;
        Self {
            id,
            name,
            is_chosen: false,
            answers: answered.is_ok(),
            is_passing: false,
            rows,
            bytes,
            cost: bytes + files * FILE_BYTES,
            reason: answered.err(),
            advice: None,
        }
    }
}

/// How large what may answer was when a plan was made.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    views: Vec<(u32, u64)>,
    tables: Vec<(u32, u64)>,
    /// A view that would answer cannot yet, or what answers may be gone with the next epoch.
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

/// A plan whose aggregations are answered by what answers them best.
pub struct Routed {
    pub plan: LogicalPlan,
    pub sizes: Sizes,
    /// One for each aggregation.
    pub routes: Vec<Route>,
}

/// Routes the aggregations of plans at one snapshot.
pub struct Router<'r> {
    pub state: &'r SessionState,
    pub catalog: &'r Catalog,
    pub snapshot: &'r Snapshot,
    pub folds: &'r Arc<Folds>,
}

impl Router<'_> {
    /// The plan with every aggregation that some view answers best answered by it.
    ///
    /// # Errors
    /// If a source keeps no rows and no view answers.
    pub fn route(&self, plan: LogicalPlan) -> Result<Routed> {
        let (plan, found) = self.candidates(plan)?;
        if let Some(candidates) = found.iter().find(|candidates| candidates.iter().all(|c| !c.answers)) {
            return Err(unanswered(candidates));
        }
        let (mut sizes, mut routes) = (Sizes::default(), Vec::new());
        for candidates in &found {
            let Some((table, views)) = candidates.split_last() else { continue };
            sizes.tables.push((table.id, self.snapshot.row_count(table.id)));
            let answering = views.iter().filter(|c| c.answers).map(|c| c.id);
            sizes.views.extend(answering.map(|view| (view, self.snapshot.group_count_max(view))));
            sizes.is_passing |= views.iter().any(|c| self.snapshot.is_backfilling(c.id));
            sizes.is_passing |= table.is_passing;
            let chosen = candidates.iter().find(|c| c.is_chosen).unwrap_or(table);
            let is_rollup = chosen.id != table.id;
            let (source, candidate, advice) = (table.name.clone(), chosen.name.clone(), table.advice.clone());
            routes.push(Route { source, candidate, is_rollup, advice });
        }
        Ok(Routed { plan, sizes, routes })
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

    /// Whether the plan has an aggregation, and reads a source or table.
    pub fn concerns(&self, plan: &LogicalPlan) -> bool {
        let (mut aggregates, mut reads) = (false, false);
        let walked = plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => aggregates = true,
                LogicalPlan::TableScan(scan) => {
                    let table = source_as_provider(&scan.source)?;
                    reads |= table.downcast_ref::<RelationTable>().is_some_and(|own| own.source().is_some());
                }
                _ => {}
            }
            Ok(if aggregates && reads { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        debug_assert!(walked.is_ok(), "the walk itself does not fail");
        aggregates && reads
    }

    fn views(&self, source: u32) -> impl Iterator<Item = &ViewRelation> {
        let views = self.catalog.relations().filter_map(|relation| relation.view());
        views.filter(move |view| view.compiled.definition.source == source)
    }

    /// The plan of what answers best, if that is not the rows as they are, and all candidates.
    fn answer(&self, question: &Question) -> PlanResult<(Option<LogicalPlan>, Vec<Candidate>)> {
        let source = self.catalog.by_id(question.source).map(Arc::as_ref);
        let Some(Relation::Source(source)) = source else { return Ok((None, Vec::new())) };
        let keeps_rows = source.create.keeps_rows;
        let mut own = self.own(question, keeps_rows);
        let views = self.views(question.source).map(|view| self.of_view(question, source, view));
        let (mut candidates, answers): (Vec<Candidate>, Vec<Option<Answer>>) = views.unzip();

        // Where the rows are forgotten or were never kept, a view that keeps its groups longer knows more.
        let forgets = !keeps_rows || source.definition.retain.is_some();
        let kept = |answer: &Answer| answer.kept.filter(|_| forgets).unwrap_or(Duration::MAX);
        let places = answers.into_iter().enumerate().filter_map(|(place, answer)| Some((place, answer?)));
        let best = places.min_by_key(|(place, answer)| (Reverse(kept(answer)), candidates[*place].cost));
        let best = best.filter(|(place, _)| !keeps_rows || candidates[*place].cost <= own.cost.max(1));

        for candidate in candidates.iter_mut().filter(|candidate| candidate.answers) {
            candidate.reason = Some("another one has less to read".to_owned());
        }
        own.reason = match &best {
            _ if !keeps_rows => Some("it keeps no rows".to_owned()),
            Some(_) => Some("it has more to read".to_owned()),
            None => None,
        };
        let plan = match best {
            Some((place, Answer { matched, table, name, .. })) => {
                (candidates[place].is_chosen, candidates[place].reason) = (true, None);
                Some(matched.plan(question, (&name, table), &self.sum()?)?)
            }
            None => {
                own.is_chosen = keeps_rows;
                own.advice = advice::advice(question).filter(|_| candidates.iter().all(|c| !c.answers));
                if !keeps_rows {
                    None
                } else if let Some((answer, groups)) = self.folded_before(question) {
                    (own.rows, own.is_passing) = (groups, true);
                    own.reason = Some("its rows were folded before, and the groups are kept".to_owned());
                    Some(answer.matched.plan(question, (&answer.name, answer.table), &self.sum()?)?)
                } else {
                    self.folded(question)?
                }
            }
        };
        candidates.push(own);
        Ok((plan, candidates))
    }

    /// The rows themselves.
    fn own(&self, question: &Question, keeps_rows: bool) -> Candidate {
        let (rows, files) = self.rows_within(question, None);
        let size = Size { rows, bytes: rows * question.width() * VALUE_BYTES, files };
        let answered = if keeps_rows { Ok(()) } else { Err("it keeps no rows".to_owned()) };
        Candidate::new(question.source, question.name.clone(), size, answered)
    }

    fn rows_within(&self, question: &Question, more: Option<&Expr>) -> (u64, u64) {
        let conditions: Vec<Expr> = question.conditions.iter().chain(more).cloned().collect();
        let table = question.rows.downcast_ref::<RelationTable>();
        table.map_or((0, 0), |table| table.rows_within(&conditions, self.snapshot))
    }

    /// A view, with the rows at the ends of the times that its buckets leave.
    fn of_view(
        &self,
        question: &Question,
        source: &SourceRelation,
        view: &ViewRelation,
    ) -> (Candidate, Option<Answer>) {
        let definition = &view.compiled.definition;
        let name = definition.name.clone();
        let table = RelationTable::groups(view);
        let offer = &view.compiled.offer;
        let groups = Groups { name: &name, schema: definition.schema(), offer, are_whole: true };
        let usable = self.usable(view, source);
        let matched = usable.and_then(|()| matched(question, &groups, source.create.keeps_rows));
        let filters = matched.as_ref().map_or(&[][..], |matched| &matched.filters);
        let (rows, files) = table.rows_within(filters, self.snapshot);
        let bytes = rows * groups.schema.fields().len() as u64 * VALUE_BYTES;
        let mut size = Size { rows, bytes, files };
        let mut shown = view.create.name.clone();
        for edge in matched.iter().flat_map(|matched| &matched.edges) {
            let (rows, files) = self.rows_within(question, Some(edge));
            size.rows += rows;
            size.bytes += rows * question.width() * VALUE_BYTES;
            size.files += files;
            shown = format!("{} + {}", view.create.name, question.name);
        }
        let (answered, matched) = split(matched);
        let kept = definition.retain;
        let answer = matched.map(|matched| Answer { matched, table, name, kept });
        (Candidate::new(view.id, shown, size, answered), answer)
    }

    /// The fewest groups that answer of those that were folded of the same rows lately, and their number.
    fn folded_before(&self, question: &Question) -> Option<(Answer, u64)> {
        let name = &question.name;
        let recent = self.folds.of(question.source, self.snapshot).into_iter();
        let answers = recent.filter_map(|(fold, count)| {
            let schema = fold.ad_hoc.definition().schema();
            let groups = Groups { name, schema, offer: &fold.offer, are_whole: false };
            Some((matched(question, &groups, false).ok()?, fold, count))
        });
        let (matched, fold, count) = answers.min_by_key(|(.., count)| *count)?;
        let table = RelationTable::folded(fold, Arc::clone(self.folds));
        Some((Answer { matched, table, name: name.clone(), kept: None }, count))
    }

    /// The plan by which the engine folds the rows themselves, if it can.
    fn folded(&self, question: &Question) -> PlanResult<Option<LogicalPlan>> {
        let Some(fold) = fold::fold(self.state, question) else { return Ok(None) };
        let (name, schema) = (question.name.as_str(), fold.ad_hoc.definition().schema());
        let groups = Groups { name, schema, offer: &fold.offer, are_whole: false };
        let Ok(matched) = matched(question, &groups, false) else { return Ok(None) };
        let table = RelationTable::folded(Arc::new(fold), Arc::clone(self.folds));
        Ok(Some(matched.plan(question, (name, table), &self.sum()?)?))
    }

    fn sum(&self) -> PlanResult<Arc<AggregateUDF>> {
        let sum = self.state.aggregate_functions().get("sum").cloned();
        sum.ok_or_else(|| DataFusionError::Internal("there is no sum".to_owned()))
    }

    /// Whether the view has all that its source has.
    fn usable(&self, view: &ViewRelation, source: &SourceRelation) -> Result<(), Reason> {
        let rows = source.definition.retain;
        match view.compiled.definition.retain {
            _ if self.snapshot.is_backfilling(view.id) => Err("it is backfilling".to_owned()),
            _ if self.snapshot.is_lacking(view.id) => {
                Err("rows had come before it, which its source cannot give again".to_owned())
            }
            Some(own) if source.create.keeps_rows && rows.is_none_or(|rows| rows > own) => {
                Err("it forgets groups before the rows are forgotten".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Whether there is a match, and the match.
fn split(matched: Result<Match, Reason>) -> (Result<(), Reason>, Option<Match>) {
    match matched {
        Ok(matched) => (Ok(()), Some(matched)),
        Err(reason) => (Err(reason), None),
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
