//! The tables of schema `siltstone` that tell of the lake: `snapshots`, `files`, `compactions`. The lake is asked
//! when one of them is read, and for that one only.

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use siltstone_engine::error::Result as EngineResult;
use siltstone_engine::lake::{ColumnTotal, Totals};
use siltstone_engine::runtime::{CompactionRow, Engine, FileRow, Scan, SnapshotRow};

use super::column::{boolean, float, number, plain_table, signed, text, time};
use super::scan::{Part, ScanExec};

/// One of the tables.
pub struct LakeTable {
    name: &'static str,
    schema: SchemaRef,
    read: Read,
    engine: Arc<Engine>,
}

/// All rows of a table; of no engine, none.
type Read = fn(Option<&Engine>) -> EngineResult<RecordBatch>;

const TABLES: [(&str, Read); 3] = [
    ("compactions", |engine| compactions(&engine.map_or(Ok(Vec::new()), Engine::lake_compactions)?)),
    ("files", |engine| files(&engine.map_or(Ok(Vec::new()), Engine::lake_files)?)),
    ("snapshots", |engine| snapshots(&engine.map_or(Ok(Vec::new()), Engine::lake_snapshots)?)),
];

fn find(name: &str) -> Result<Option<(&'static str, Read, SchemaRef)>> {
    let Some((name, read)) = TABLES.into_iter().find(|(own, _)| *own == name) else { return Ok(None) };
    let empty = read(None).map_err(|e| DataFusionError::External(Box::new(e)))?;
    Ok(Some((name, read, empty.schema())))
}

impl LakeTable {
    /// The table of that name, if it is one of the lake's.
    pub fn of(name: &str, engine: &Arc<Engine>) -> Result<Option<Self>> {
        let engine = Arc::clone(engine);
        Ok(find(name)?.map(|(name, read, schema)| Self { name, schema, read, engine }))
    }

    /// Its columns.
    #[cfg(feature = "pg-catalog")]
    pub fn schema_of(name: &str) -> Result<Option<SchemaRef>> {
        Ok(find(name)?.map(|(_, _, schema)| schema))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let (engine, read, wanted) = (Arc::clone(&self.engine), self.read, projection.cloned());
        let part: Part = Arc::new(move |_| {
            let (engine, wanted) = (Arc::clone(&engine), wanted.clone());
            Ok(Scan::Blocking(Box::new(std::iter::once_with(move || {
                let rows = read(Some(&engine))?;
                Ok(match &wanted {
                    Some(columns) => rows.project(columns)?,
                    None => rows,
                })
            }))))
        });
        let statistics = Statistics::new_unknown(&schema);
        Ok(Arc::new(ScanExec::new(format!("siltstone.{}", self.name), schema, vec![part], statistics)))
    }
}

fn snapshots(rows: &[SnapshotRow]) -> EngineResult<RecordBatch> {
    let tags = |row: &SnapshotRow| (!row.tags.is_empty()).then(|| row.tags.join(", "));
    Ok(plain_table(vec![
        text("table", rows.iter().map(|r| Some(r.table.clone()))),
        signed("snapshot", rows.iter().map(|r| Some(r.snapshot))),
        signed("parent", rows.iter().map(|r| r.parent)),
        number("epoch", rows.iter().map(|r| r.epoch)),
        time("committed_at", rows.iter().map(|r| r.committed_at_us)),
        text("operation", rows.iter().map(|r| Some(r.operation.name().to_owned()))),
        boolean("is_current", rows.iter().map(|r| r.is_current)),
        text("tags", rows.iter().map(tags)),
        text("metadata_file", rows.iter().map(|r| Some(r.metadata.clone()))),
        number("rows", rows.iter().map(|r| r.rows)),
        number("files", rows.iter().map(|r| r.files)),
        number("bytes", rows.iter().map(|r| r.bytes)),
        text("totals", rows.iter().map(|r| Some(json(&r.totals)))),
    ])?)
}

fn files(rows: &[FileRow]) -> EngineResult<RecordBatch> {
    Ok(plain_table(vec![
        text("table", rows.iter().map(|r| Some(r.table.clone()))),
        text("path", rows.iter().map(|r| Some(r.path.clone()))),
        text("partition", rows.iter().map(|r| r.partition.clone())),
        number("rows", rows.iter().map(|r| r.rows)),
        number("bytes", rows.iter().map(|r| r.bytes)),
        boolean("committed", rows.iter().map(|r| r.committed)),
    ])?)
}

fn compactions(rows: &[CompactionRow]) -> EngineResult<RecordBatch> {
    let amplification = |row: &CompactionRow| {
        (row.pressed_bytes > 0).then(|| row.written_bytes as f64 / row.pressed_bytes as f64)
    };
    Ok(plain_table(vec![
        text("table", rows.iter().map(|r| Some(r.table.clone()))),
        number("hot_bytes", rows.iter().map(|r| r.hot_bytes)),
        number("pressed_bytes", rows.iter().map(|r| r.pressed_bytes)),
        number("written_bytes", rows.iter().map(|r| r.written_bytes)),
        float("write_amplification", rows.iter().map(amplification)),
        number("files", rows.iter().map(|r| r.files)),
        number("snapshots", rows.iter().map(|r| r.snapshots)),
        text("error", rows.iter().map(|r| r.error.clone())),
    ])?)
}

/// `{"column": [count, sum, min, max], …}`; what has no values is null.
fn json(totals: &Totals) -> String {
    let mut text = String::from("{");
    for (nth, (name, total)) in totals.0.iter().enumerate() {
        let comma = if nth > 0 { ", " } else { "" };
        let ColumnTotal { count, min, max, .. } = total;
        let sum = (*count > 0).then(|| total.total());
        let (name, sum, min, max) = (quoted(name), figure(sum), figure(*min), figure(*max));
        let _ = write!(text, "{comma}{name}: [{count}, {sum}, {min}, {max}]");
    }
    text.push('}');
    text
}

/// The shortest digits that are read back as the same float; JSON has no others, which are texts.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "null".to_owned(),
        Some(value) if value.is_finite() => format!("{value:?}"),
        Some(value) => format!("\"{value:?}\""),
    }
}

fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for letter in name.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

impl std::fmt::Debug for LakeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeTable").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
    use siltstone_engine::lake::Totals;

    use super::json;

    #[test]
    fn totals_are_an_object_of_lists() {
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(-1)]));
        let x: ArrayRef = Arc::new(Float64Array::from(vec![0.1, 0.2, f64::INFINITY]));
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None, None, None]));
        let batch = RecordBatch::try_from_iter([("n", n), ("a \"b\"", x), ("z", none)]);
        let mut totals = Totals::default();
        totals.add(&batch.expect("columns of one length")).expect("adds");
        let expected =
            r#"{"a \"b\"": [3, "inf", 0.1, "inf"], "n": [2, 2.0, -1.0, 3.0], "z": [0, null, null, null]}"#;
        assert_eq!(json(&totals), expected);
        assert_eq!(json(&Totals::default()), "{}");
    }
}
