//! Plans of queries that are kept for the next time: they do not depend on an epoch, since tables take the
//! snapshot of whoever executes.
//!
//! A plan is found by all that it was made of: the text, the types of parameters, the settings that planning
//! looks at, and the catalog. A new catalog, which every definition makes, leaves all older plans unused.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::DataType as SqlType;
use siltstone_engine::runtime::Snapshot;

use crate::catalog::Catalog;
use crate::outcome::Notice;
use crate::route::Sizes;
use crate::routes::Route;
use crate::table::RelationTable;

/// Plans that are kept.
const PLANS_MAX: usize = 256;

/// Bytes of a text whose plan is kept.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Physical plans that are kept of one plan, each for the values of its parameters.
const BOUND_MAX: usize = 16;

/// Operators that give the same rows again when their state is reset.
const REPEATABLE: [&str; 15] = [
    "AggregateExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "EmptyExec",
    "FilterExec",
    "GlobalLimitExec",
    "LocalLimitExec",
    "PaceExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "SiltstoneScan",
    "SortExec",
    "SortPreservingMergeExec",
];

/// What a plan is made of, but for the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub text: String,
    pub given: Given,
    pub zone: String,
    pub schema: String,
    /// Whether the plan may use what was folded before.
    pub result_cache: bool,
}

/// Types of the first parameters, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Given {
    /// Of values, or as a protocol says.
    Types(Vec<Option<DataType>>),
    /// As `PREPARE` names them.
    Named(Vec<SqlType>),
}

/// A planned query.
#[derive(Debug)]
pub struct Planned {
    pub catalog: Arc<Catalog>,
    /// Optimized if the plan is kept, else as it was planned.
    pub plan: LogicalPlan,
    pub is_kept: bool,
    /// Of the parameters.
    pub types: Vec<DataType>,
    /// The columns as a client sees them.
    pub schema: SchemaRef,
    pub config: SessionConfig,
    pub scans: Scans,
    /// Of what its routes were chosen by.
    pub sizes: Sizes,
    /// What answers its aggregations, if that does not depend on parameters.
    pub routes: Vec<Route>,
    bound: Mutex<VecDeque<Bound>>,
}

/// A physical plan, for parameters of these values and relations of this scale.
#[derive(Clone, Debug)]
struct Bound {
    values: Vec<ScalarValue>,
    scale: u32,
    plan: Arc<dyn ExecutionPlan>,
}

/// What a plan reads.
#[derive(Debug, Default)]
pub struct Scans {
    relations: Vec<Arc<dyn datafusion::catalog::TableProvider>>,
    /// Something beside relations: a system table, a function.
    others: bool,
}

impl Scans {
    pub fn of(plan: &LogicalPlan) -> Self {
        let mut scans = Self::default();
        let walked = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                match source_as_provider(&scan.source) {
                    Ok(table) if table.is::<RelationTable>() => scans.relations.push(table),
                    _ => scans.others = true,
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(walked.is_ok(), "the walk itself does not fail");
        scans
    }

    fn tables(&self) -> impl Iterator<Item = &RelationTable> {
        self.relations.iter().filter_map(|table| table.downcast_ref::<RelationTable>())
    }

    /// Rows that all of them read at most; `None` if one does not say.
    pub fn rows_max(&self, snapshot: &Snapshot) -> Option<u64> {
        let rows = self.tables().map(|table| table.rows_max(snapshot));
        (!self.others).then(|| rows.fold(0, u64::saturating_add))
    }

    /// A notice for each view that does not hold everything yet.
    pub fn partial(&self, snapshot: &Snapshot) -> Vec<Notice> {
        let mut names: Vec<&str> =
            self.tables().filter(|t| t.is_backfilling(snapshot)).map(RelationTable::name).collect();
        names.sort_unstable();
        names.dedup();
        let notice = |name: &str| {
            Notice::told(format!("\"{name}\" is backfilling: it shows only a part of its source yet"))
                .with_hint("siltstone.views has its state")
        };
        names.into_iter().map(notice).collect()
    }

    /// A plan over them says nothing of one epoch.
    pub fn are_timeless(&self) -> bool {
        !self.others
    }

    /// Physical plans do not either: kept rows as such are counted and divided while one is made.
    fn are_found_late(&self) -> bool {
        !self.others && self.tables().all(RelationTable::is_timeless)
    }
}

impl Planned {
    pub fn new(
        catalog: Arc<Catalog>,
        (plan, scans): (LogicalPlan, Scans),
        (sizes, routes): (Sizes, Vec<Route>),
        is_kept: bool,
        (types, schema): (Vec<DataType>, SchemaRef),
        config: SessionConfig,
    ) -> Self {
        Self { catalog, plan, is_kept, types, schema, config, scans, sizes, routes, bound: Mutex::default() }
    }

    /// The physical plan that was kept for these values; its state must be reset before it runs.
    pub fn bound(&self, values: &[ScalarValue], scale: u32) -> Option<Arc<dyn ExecutionPlan>> {
        let bound = self.lock();
        let found = bound.iter().find(|b| b.values == values && b.scale == scale);
        found.map(|b| Arc::clone(&b.plan))
    }

    /// Keeps a physical plan, if it may run again.
    pub fn keep(&self, values: Vec<ScalarValue>, scale: u32, plan: &Arc<dyn ExecutionPlan>) -> bool {
        let repeatable = self.is_kept && self.scans.are_found_late() && is_repeatable(plan.as_ref());
        if repeatable {
            let mut bound = self.lock();
            bound.push_back(Bound { values, scale, plan: Arc::clone(plan) });
            if bound.len() > BOUND_MAX {
                bound.pop_front();
            }
        }
        repeatable
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_repeatable(plan: &dyn ExecutionPlan) -> bool {
    REPEATABLE.contains(&plan.name())
        && plan.children().into_iter().all(|child| is_repeatable(child.as_ref()))
}

/// Whether a plan has the same meaning at any time: it calls no function whose value the optimizer would
/// compute for one statement (`now`), or that differs from row to row.
pub fn is_immutable(plan: &LogicalPlan) -> PlanResult<bool> {
    let mut immutable = true;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(call) = part {
                    immutable &= call.func.signature().volatility == Volatility::Immutable;
                }
                Ok(if immutable { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    })?;
    Ok(immutable)
}

/// The plans that are kept, the least recently used dropped first.
#[derive(Debug, Default)]
pub struct Plans {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// With their last uses.
    plans: HashMap<Key, (u64, Arc<Planned>)>,
    clock: u64,
}

impl Plans {
    /// The plan over this catalog.
    pub fn get(&self, key: &Key, catalog: &Arc<Catalog>) -> Option<Arc<Planned>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let (used, planned) = kept.plans.get_mut(key)?;
        *used = now;
        Arc::ptr_eq(&planned.catalog, catalog).then(|| Arc::clone(planned))
    }

    pub fn insert(&self, key: Key, planned: &Arc<Planned>) {
        if !planned.is_kept || key.text.len() > TEXT_BYTES_MAX {
            return;
        }
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        kept.plans.insert(key, (now, Arc::clone(planned)));
        if kept.plans.len() > PLANS_MAX {
            let oldest = kept.plans.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| kept.plans.remove(&key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
