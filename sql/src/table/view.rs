//! The rows of a view: its plan over a table of its groups.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::ViewRelation;

/// The view's plan with `groups` in the place of its one scan; `text` is the statement that made it.
pub fn view_over(
    view: &ViewRelation,
    groups: Arc<dyn TableProvider>,
    text: String,
) -> Result<Arc<dyn TableProvider>> {
    let source = provider_as_source(groups);
    let plan = view.compiled.plan.clone().transform_up(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            scan.source = Arc::clone(&source);
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(Arc::new(ViewTable::new(plan.data, Some(text))))
}
