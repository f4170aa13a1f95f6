//! What the engine knows of a source, whoever wrote it down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::{Expression, SourceSpec};
use crate::lake::Partition;

/// A source of rows: what to read, and what of it to keep.
#[derive(Clone, Debug)]
pub struct SourceDefinition {
    pub name: String,
    /// In the order of the definition; generated columns may stand anywhere.
    pub columns: Vec<Column>,
    /// The connector's name.
    pub connector: String,
    /// The options of `WITH`, without `connector`.
    pub options: BTreeMap<String, String>,
    /// `CREATE TABLE`: the rows are kept and can be queried.
    pub keeps_rows: bool,
    /// How the files of a table are cut into partitions, which they are sorted by, too.
    pub partition: Option<Partition>,
    /// How long rows are kept, counted back from the newest.
    pub retain: Option<Duration>,
}

/// A column of a source.
#[derive(Clone, Debug)]
pub struct Column {
    pub field: Field,
    /// Computed from the physical columns (those without an expression, in order) instead of decoded.
    pub generated: Option<Arc<dyn Expression>>,
}

impl SourceDefinition {
    /// All columns, generated ones included: what views and queries see.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>()))
    }

    /// The columns that are decoded.
    pub fn physical_schema(&self) -> SchemaRef {
        let physical = self.columns.iter().filter(|c| c.generated.is_none());
        Arc::new(Schema::new(physical.map(|c| c.field.clone()).collect::<Vec<_>>()))
    }

    /// What the connector makes its source from.
    pub fn spec(&self) -> SourceSpec {
        SourceSpec { name: self.name.clone(), schema: self.physical_schema(), options: self.options.clone() }
    }
}
