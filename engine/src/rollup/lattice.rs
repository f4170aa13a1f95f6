//! Which view of a source is a merge of which finer one. Pure.
//!
//! A view can be derived from another if the other has the same filter, has all of its aggregates, and its
//! keys tell all of its own: the same expression, a finer time bucket of the same column, or the column
//! itself. Only the roots, which no other view feeds, see events.
//!
//! One caution: a row for which an expression of the feeding view has no value is missing in it, though the
//! fed one could have taken it. So a feeder's expressions must not be able to fail, or be the fed one's too.

use std::sync::Arc;

use super::definition::{AggregateCall, Key, ViewDefinition, same, same_if_any};
use crate::connector::Expression;

/// Groups that a key without a known number of values is taken to have, for choosing among feeders.
const VALUES: f64 = 1_000.0;
/// Years of events that are assumed for the same end.
const YEARS: f64 = 1.0;

/// Where a view's groups come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// From events.
    Events,
    /// From the groups of another view.
    View(Derivation),
}

/// How a view's groups are made of a finer one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The feeding view's place in the list.
    pub from: usize,
    /// For each key, which key of the feeding view it is computed from.
    pub keys: Vec<usize>,
    /// For each aggregate, which of the feeding view's it is.
    pub aggregates: Vec<usize>,
}

/// For each view, what feeds it. Following the feeds from any view ends at one that sees events.
pub fn lattice(views: &[Arc<ViewDefinition>]) -> Vec<Feed> {
    (0..views.len()).map(|i| feed(views, i)).collect()
}

fn feed(views: &[Arc<ViewDefinition>], to: usize) -> Feed {
    let finer = (0..views.len()).filter(|&from| from != to).filter_map(|from| {
        let derivation = derive(views, from, to)?;
        // Of views that could feed each other only the first sees events.
        let twins = derive(views, to, from).is_some();
        (!twins || from < to).then_some(derivation)
    });
    let cost = |d: &Derivation| (groups(&views[d.from]), d.from);
    let cheapest = finer.min_by(|a, b| cost(a).partial_cmp(&cost(b)).unwrap_or(std::cmp::Ordering::Equal));
    cheapest.map_or(Feed::Events, Feed::View)
}

/// About how many groups a view has, to compare views by.
fn groups(view: &ViewDefinition) -> f64 {
    let values = |key: &Key| key.bucket.map_or(VALUES, |b| b.granularity.per_year() * YEARS);
    view.keys.iter().map(values).product()
}

fn derive(views: &[Arc<ViewDefinition>], from: usize, to: usize) -> Option<Derivation> {
    let (fine, coarse) = (&views[from], &views[to]);
    if fine.source != coarse.source || !same_if_any(fine.filter.as_ref(), coarse.filter.as_ref()) {
        return None;
    }
    let key = |wanted: &Key| fine.keys.iter().position(|have| tells(have, wanted));
    let keys = coarse.keys.iter().map(key).collect::<Option<Vec<_>>>()?;
    let call = |wanted: &AggregateCall| fine.aggregates.iter().position(|have| equals(have, wanted));
    let aggregates = coarse.aggregates.iter().map(call).collect::<Option<Vec<_>>>()?;
    let safe = |e: &Arc<dyn Expression>| e.column().is_some() || coarse.expressions().any(|own| same(own, e));
    let bucket = |e: &Arc<dyn Expression>| {
        fine.keys.iter().any(|k| k.bucket.is_some() && Arc::ptr_eq(&k.expression, e))
    };
    fine.expressions().all(|e| safe(e) || bucket(e)).then_some(Derivation { from, keys, aggregates })
}

/// Whoever knows the key `have` knows the key `wanted`.
fn tells(have: &Key, wanted: &Key) -> bool {
    if same(&have.expression, &wanted.expression) {
        return true;
    }
    match (have.bucket, wanted.bucket) {
        (Some(have), Some(wanted)) => {
            have.column == wanted.column && have.granularity.nests_in(wanted.granularity)
        }
        (None, Some(wanted)) => have.expression.column() == Some(wanted.column),
        _ => false,
    }
}

fn equals(have: &AggregateCall, wanted: &AggregateCall) -> bool {
    have.function == wanted.function
        && same_if_any(have.argument.as_ref(), wanted.argument.as_ref())
        && same_if_any(have.filter.as_ref(), wanted.filter.as_ref())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, RecordBatch};
    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;
    use crate::aggregate::Function;
    use crate::error::Result;
    use crate::rollup::{Bucket, Granularity};

    /// A column, or with a text something computed from it.
    #[derive(Debug)]
    struct Value(usize, Option<&'static str>, DataType);

    impl Expression for Value {
        fn data_type(&self) -> &DataType {
            &self.2
        }
        fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
            Ok(batch.column(self.0).clone())
        }
        fn column(&self) -> Option<usize> {
            self.1.is_none().then_some(self.0)
        }
        fn identity(&self) -> Option<&str> {
            self.1
        }
    }

    fn column(i: usize) -> Key {
        let expression = Arc::new(Value(i, None, DataType::Int64));
        Key { name: format!("c{i}"), expression, bucket: None }
    }

    fn bucket(granularity: Granularity) -> Key {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let expression = Arc::new(Value(0, Some(granularity.name()), time));
        Key { name: "t".into(), expression, bucket: Some(Bucket { column: 0, granularity }) }
    }

    fn sum(argument: Value) -> AggregateCall {
        let (function, output) = (Function::Sum, DataType::Int64);
        AggregateCall { name: "s".into(), function, argument: Some(Arc::new(argument)), filter: None, output }
    }

    fn view(keys: Vec<Key>) -> ViewDefinition {
        let aggregates = vec![sum(Value(9, None, DataType::Int64))];
        ViewDefinition { name: "v".into(), source: 1, filter: None, keys, aggregates, retain: None }
    }

    fn feeders(views: Vec<ViewDefinition>) -> Vec<Option<usize>> {
        let views: Vec<_> = views.into_iter().map(Arc::new).collect();
        let from = |feed: Feed| match feed {
            Feed::Events => None,
            Feed::View(derivation) => Some(derivation.from),
        };
        lattice(&views).into_iter().map(from).collect()
    }

    #[test]
    fn the_ad_workload_has_four_roots() {
        use Granularity::{Day, Hour, Minute, Week};
        let names = ["day", "hour", "minute", "week", "country", "advertiser", "publisher", "dc", "da", "hc"];
        let (kind, advertiser, publisher, country) = (1, 2, 3, 4);
        let views = vec![
            view(vec![bucket(Day), column(kind)]),
            view(vec![bucket(Hour), column(kind)]),
            view(vec![bucket(Minute), column(kind)]),
            view(vec![bucket(Week), column(kind)]),
            view(vec![column(country), column(kind)]),
            view(vec![column(advertiser), column(kind)]),
            view(vec![column(publisher), column(kind)]),
            view(vec![bucket(Day), column(country), column(kind)]),
            view(vec![bucket(Day), column(advertiser), column(kind)]),
            view(vec![bucket(Hour), column(country), column(kind)]),
        ];
        let feeds: Vec<_> = feeders(views).into_iter().map(|f| f.map(|f| names[f])).collect();
        let (hour, minute, day) = (Some("hour"), Some("minute"), Some("day"));
        assert_eq!(
            feeds,
            [hour, minute, None, day, Some("dc"), Some("da"), None, Some("hc"), None, None],
            "the roots are minute, publisher, da and hc"
        );
    }

    #[test]
    fn equal_views_feed_each_other_only_one_way() {
        assert_eq!(feeders(vec![view(vec![column(1)]), view(vec![column(1)])]), [None, Some(0)]);
    }

    #[test]
    fn a_view_that_could_refuse_a_row_feeds_only_those_that_refuse_it_too() {
        let fails = || {
            let expression = Arc::new(Value(5, Some("1 / c5"), DataType::Int64));
            Key { name: "f".into(), expression, bucket: None }
        };
        let fine = || view(vec![column(1), fails()]);
        assert_eq!(feeders(vec![fine(), view(vec![column(1)])]), [None, None]);
        assert_eq!(feeders(vec![fine(), view(vec![fails()])]), [None, Some(0)]);
    }

    #[test]
    fn another_filter_or_aggregate_is_another_root() {
        let mut filtered = view(vec![column(1)]);
        filtered.filter = Some(Arc::new(Value(5, Some("c5 > 0"), DataType::Boolean)));
        let mut other = view(vec![column(1)]);
        other.aggregates = vec![sum(Value(8, None, DataType::Int64))];
        assert_eq!(feeders(vec![view(vec![column(1), column(2)]), filtered, other]), [None, None, None]);
    }

    #[test]
    fn months_are_not_made_of_weeks() {
        use Granularity::{Day, Month, Week};
        let views = [Week, Month, Day].map(|g| view(vec![bucket(g)]));
        assert_eq!(feeders(views.to_vec()), [Some(2), Some(2), None]);
    }
}
