//! What a view can answer, as the router compares it with queries: keys, condition and aggregates, written over
//! the plain columns of the view's source.

use datafusion::logical_expr::Expr;
use siltstone_engine::aggregate::Function;
use siltstone_engine::rollup::Bucket;

/// What one view keeps.
#[derive(Clone, Debug)]
pub struct Offer {
    /// In the order of the rollup's first columns.
    pub keys: Vec<OfferedKey>,
    /// All of them hold for each row that the view has seen.
    pub conditions: Vec<Expr>,
    /// In the order of the rollup's other columns.
    pub calls: Vec<OfferedCall>,
}

#[derive(Clone, Debug)]
pub struct OfferedKey {
    pub expr: Expr,
    pub bucket: Option<Bucket>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OfferedCall {
    pub function: Function,
    /// `None` for `count(*)`.
    pub argument: Option<Expr>,
    pub filter: Option<Expr>,
}
