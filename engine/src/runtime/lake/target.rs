//! A relation that has a table in the lake: what its files look like.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};

use crate::calendar;
use crate::connector::SourceDefinition;
use crate::lake::{Partition, TableSpec, Transform};
use crate::rollup::{Columnar, Granularity, Layout};
use crate::runtime::state::{AttachedView, State};

/// A view or table, and its table in the lake.
#[derive(Clone)]
pub struct Target {
    pub spec: TableSpec,
    pub rows: Rows,
    pub retain: Option<Duration>,
    /// The cursor that feeds it.
    pub cursor: u32,
}

/// What its rows are.
#[derive(Clone)]
pub enum Rows {
    /// Groups of a view.
    States(Arc<Layout>),
    /// Kept rows of a table.
    Kept,
}

impl Target {
    /// All that can be pressed now: views that hold all that their source has read, and tables whose kept rows
    /// are not being read for a view.
    pub fn all(state: &State) -> Vec<Self> {
        let tables = state.sources.values().filter_map(|source| {
            let definition = &source.attached.as_ref()?.definition;
            let id = source.record.id;
            let is_read = source.backfill.is_some() || !state.waiting(id).is_empty();
            (definition.keeps_rows && !is_read).then(|| Self::table(id, definition))
        });
        let views = state.views.values().filter_map(|view| {
            let is_current = view.record.cursor.is_some() && view.record.cursor == view.record.source;
            let attached = view.attached.as_ref().filter(|_| is_current)?;
            Some(Self::view(view.record.id, view.record.cursor?, attached))
        });
        tables.chain(views).collect()
    }

    pub fn table(id: u32, definition: &SourceDefinition) -> Self {
        // Rows without a value were refused before; a column that is added later has none in older files.
        let field = |field: &Field| field.clone().with_nullable(true);
        let fields: Vec<Field> = definition.columns.iter().map(|column| field(&column.field)).collect();
        let partition = definition.partition;
        let spec = TableSpec {
            relation: id,
            name: definition.name.clone(),
            schema: Arc::new(Schema::new(fields)),
            partition,
            sort: partition.iter().map(|partition| partition.column).collect(),
            bloom: Vec::new(),
        };
        Self { spec, rows: Rows::Kept, retain: definition.retain, cursor: id }
    }

    pub fn view(id: u32, cursor: u32, view: &AttachedView) -> Self {
        let layout = &view.layout;
        let types = layout.keys.types();
        let is_looked_up =
            |t: &DataType| matches!(t, DataType::Utf8 | DataType::Binary | DataType::Int32 | DataType::Int64);
        let spec = TableSpec {
            relation: id,
            name: view.definition.name.clone(),
            schema: Columnar::new(layout.clone()).schema().clone(),
            partition: transform(layout).map(|transform| Partition { column: 0, transform }),
            sort: (0..types.len()).collect(),
            bloom: (0..types.len()).filter(|&i| is_looked_up(&types[i])).collect(),
        };
        let rows = Rows::States(layout.clone());
        Self { spec, rows, retain: view.definition.retain, cursor }
    }

    pub fn relation(&self) -> u32 {
        self.spec.relation
    }

    pub fn fields(&self) -> Vec<Field> {
        self.spec.schema.fields().iter().map(|field| field.as_ref().clone()).collect()
    }
}

/// How the files of a view are cut: by its first key, if that is a time. The finer the times, the smaller the
/// partitions, so that each has a good many groups and few of them change late.
fn transform(layout: &Layout) -> Option<Transform> {
    match (layout.keys.types().first()?, layout.bucket(0)) {
        (DataType::Timestamp(..), Some(Granularity::Second | Granularity::Minute)) => Some(Transform::Day),
        (DataType::Timestamp(..), Some(Granularity::Hour)) => Some(Transform::Month),
        (DataType::Timestamp(..), Some(Granularity::Day | Granularity::Week)) => Some(Transform::Year),
        (DataType::Timestamp(..), Some(_)) => None,
        (DataType::Timestamp(..), None) => Some(Transform::Day),
        (DataType::Date32, _) => Some(Transform::Month),
        _ => None,
    }
}

/// The value of a transform as people write it: a day, a month, a year.
pub fn partition_text(transform: Transform, value: i32) -> String {
    match transform {
        Transform::Day => {
            let (year, month, day) = calendar::civil(i64::from(value));
            format!("{year:04}-{month:02}-{day:02}")
        }
        Transform::Month => {
            format!("{:04}-{:02}", 1970 + value.div_euclid(12), value.rem_euclid(12) + 1)
        }
        Transform::Year => format!("{:04}", i64::from(value) + 1970),
    }
}

/// The first day behind a partition, in days since 1970.
pub fn partition_end(transform: Transform, value: i32) -> i64 {
    match transform {
        Transform::Day => i64::from(value) + 1,
        Transform::Month => {
            let next = i64::from(value) + 1;
            calendar::days(1970 + next.div_euclid(12), 1 + next.rem_euclid(12) as u32, 1)
        }
        Transform::Year => calendar::days(i64::from(value) + 1971, 1, 1),
    }
}

/// The first day of a partition, in days since 1970.
pub fn partition_start(transform: Transform, value: i32) -> i64 {
    partition_end(transform, value.saturating_sub(1))
}
