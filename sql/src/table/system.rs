//! Schema `siltstone`: what the engine knows of itself, as tables.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::BinaryArray;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{MemTable, SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use siltstone_engine::runtime::{Engine, ErrorRow, GapRow, Scan, Snapshot, SplitStatus, Status};

use super::column::{boolean, integer, number, plain_table, signed, table, text, time};
use super::lake::LakeTable;
use super::scan::{Part, ScanExec};
use crate::routes::{RouteLog, RouteRow};

/// Bad rows of one batch of `siltstone.errors`; each may have some kilobytes.
const ERRORS_BATCH_ROWS: usize = 512;

/// The connector whose splits are partitions of topics.
const KAFKA: &str = "kafka";

/// The tables of the schema.
pub const TABLES: [&str; 11] = [
    "compactions",
    "epochs",
    "errors",
    "files",
    "gaps",
    "operators",
    "routes",
    "snapshots",
    "sources",
    "splits",
    "views",
];

/// The schema at a snapshot.
pub struct System {
    engine: Arc<Engine>,
    snapshot: Snapshot,
    routes: Arc<RouteLog>,
}

impl System {
    pub fn new(engine: &Arc<Engine>, snapshot: &Snapshot, routes: &Arc<RouteLog>) -> Self {
        Self { engine: Arc::clone(engine), snapshot: snapshot.clone(), routes: Arc::clone(routes) }
    }

    fn gaps(&self, name: &str) -> Result<Vec<GapRow>> {
        if name != "gaps" {
            return Ok(Vec::new());
        }
        self.snapshot.gaps().map_err(|e| DataFusionError::External(Box::new(e)))
    }
}

/// The columns of a table.
#[cfg(feature = "pg-catalog")]
pub fn schema_of(name: &str) -> Result<Option<SchemaRef>> {
    if name == "errors" {
        return Ok(Some(errors_schema()));
    }
    if let Some(lake) = LakeTable::schema_of(name)? {
        return Ok(Some(lake));
    }
    Ok(build(name, &Status::default(), &[], &[])?.map(|batch| batch.schema()))
}

fn build(name: &str, status: &Status, gaps: &[GapRow], routes: &[RouteRow]) -> Result<Option<RecordBatch>> {
    let batch = match name {
        "sources" => {
            let rows = &status.sources;
            table(vec![
                text("name", rows.iter().map(|r| Some(r.name.clone()))),
                text("connector", rows.iter().map(|r| Some(r.connector.clone()))),
                boolean("keeps_rows", rows.iter().map(|r| r.keeps_rows)),
                text("state", rows.iter().map(|r| Some(r.state.as_str().to_owned()))),
                text("error", rows.iter().map(|r| r.error.clone())),
                number("rows", rows.iter().map(|r| r.rows)),
                number("bad_rows", rows.iter().map(|r| r.bad_rows)),
                number("kept_rows", rows.iter().map(|r| r.kept_rows)),
                number("kept_bytes", rows.iter().map(|r| r.kept_bytes)),
            ])?
        }
        "splits" => splits(&status.splits)?,
        "views" => {
            let rows = &status.views;
            table(vec![
                text("name", rows.iter().map(|r| Some(r.name.clone()))),
                text("source", rows.iter().map(|r| Some(r.source_name.clone()))),
                text("state", rows.iter().map(|r| Some(r.state.as_str().to_owned()))),
                text("fed_by", rows.iter().map(|r| r.fed_by.clone())),
                text("error", rows.iter().map(|r| r.error.clone())),
                number("group_rows", rows.iter().map(|r| r.rows)),
                number("bytes", rows.iter().map(|r| r.bytes)),
                number("runs", rows.iter().map(|r| r.runs)),
                number("epoch", rows.iter().map(|r| r.epoch)),
                number(
                    "freshness_ms",
                    rows.iter().map(|r| u64::try_from(r.freshness_us / 1000).unwrap_or(0)),
                ),
            ])?
        }
        "operators" => {
            let rows = &status.operators;
            table(vec![
                text("source", rows.iter().map(|r| Some(r.source_name.clone()))),
                text("cursor", rows.iter().map(|r| Some(r.cursor.to_owned()))),
                number("worker", rows.iter().map(|r| r.worker as u64)),
                text("operator", rows.iter().map(|r| Some(r.operator.clone()))),
                number("rows", rows.iter().map(|r| r.rows)),
                number("busy_us", rows.iter().map(|r| r.busy_us)),
                number("blocked_us", rows.iter().map(|r| r.blocked_us)),
            ])?
        }
        "epochs" => {
            let rows = &status.epochs;
            table(vec![
                number("epoch", rows.iter().map(|r| r.epoch)),
                time("committed_at", rows.iter().map(|r| r.committed_at_us)),
                text("source", rows.iter().map(|r| Some(r.source_name.clone()))),
                number("rows", rows.iter().map(|r| r.rows)),
                number("bad_rows", rows.iter().map(|r| r.bad_rows)),
                number("bytes", rows.iter().map(|r| r.bytes)),
                number("commit_us", rows.iter().map(|r| r.commit_us)),
            ])?
        }
        "gaps" => gap_rows(gaps)?,
        "routes" => route_rows(routes)?,
        _ => return Ok(None),
    };
    Ok(Some(batch))
}

fn gap_rows(rows: &[GapRow]) -> Result<RecordBatch> {
    table(vec![
        number("epoch", rows.iter().map(|r| r.epoch)),
        time("found_at", rows.iter().map(|r| r.at_us)),
        text("source", rows.iter().map(|r| Some(r.source_name.clone()))),
        text("split", rows.iter().map(|r| Some(r.gap.split.to_string()))),
        signed("from_offset", rows.iter().map(|r| Some(r.gap.from))),
        signed("to_offset", rows.iter().map(|r| Some(r.gap.to))),
        text("reason", rows.iter().map(|r| Some(r.gap.reason.clone()))),
    ])
}

fn route_rows(rows: &[RouteRow]) -> Result<RecordBatch> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    table(vec![
        text("source", rows.iter().map(|r| Some(r.route.source.clone()))),
        text("candidate", rows.iter().map(|r| Some(r.route.candidate.clone()))),
        boolean("is_rollup", rows.iter().map(|r| r.route.is_rollup)),
        text("query", rows.iter().map(|r| r.query.clone())),
        number("asked", rows.iter().map(|r| r.asked)),
        number("total_ms", rows.iter().map(|r| milliseconds(r.total))),
        number("max_ms", rows.iter().map(|r| milliseconds(r.max))),
        text("advice", rows.iter().map(|r| r.route.advice.clone())),
    ])
}

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        TABLES.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == "errors" {
            return Ok(Some(Arc::new(Errors { snapshot: self.snapshot.clone(), schema: errors_schema() })));
        }
        if let Some(table) = LakeTable::of(name, &self.engine)? {
            return Ok(Some(Arc::new(table)));
        }
        let routes = if name == "routes" { self.routes.rows() } else { Vec::new() };
        let batch = build(name, &self.engine.status(), &self.gaps(name)?, &routes)?;
        let Some(batch) = batch else { return Ok(None) };
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::View))
    }

    fn table_exist(&self, name: &str) -> bool {
        TABLES.contains(&name)
    }
}

fn splits(rows: &[SplitStatus]) -> Result<RecordBatch> {
    let place = |r: &SplitStatus| partition(&r.connector, &r.split);
    table(vec![
        text("source", rows.iter().map(|r| Some(r.source_name.clone()))),
        text("split", rows.iter().map(|r| Some(r.split.to_string()))),
        text("cursor", rows.iter().map(|r| Some(r.cursor.to_owned()))),
        text("topic", rows.iter().map(|r| place(r).map(|(topic, _)| topic))),
        integer("partition", rows.iter().map(|r| place(r).map(|(_, number)| number))),
        signed("start", rows.iter().map(|r| Some(r.start))),
        signed("offset", rows.iter().map(|r| Some(r.offset))),
        signed("end", rows.iter().map(|r| r.end)),
        signed("lag", rows.iter().map(SplitStatus::lag)),
        boolean("finished", rows.iter().map(|r| r.finished)),
    ])
}

/// Topic and partition of a Kafka split, which is named `topic/partition`, with `@` and the topic's id behind
/// it if the topic was created anew. Splits of other connectors may look the same and are none.
fn partition(connector: &str, split: &str) -> Option<(String, i32)> {
    let place = split.split_once('@').map_or(split, |(place, _)| place);
    let (topic, number) = place.rsplit_once('/')?;
    let number = number.parse().ok()?;
    (connector == KAFKA).then(|| (topic.to_owned(), number))
}

/// `siltstone.errors`, read as it is asked for: there may be many.
struct Errors {
    snapshot: Snapshot,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Errors {
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
        let (snapshot, wanted) = (self.snapshot.clone(), projection.cloned());
        let part: Part = Arc::new(move |_| {
            let (snapshot, wanted) = (snapshot.clone(), wanted.clone());
            let mut rows = None;
            Ok(Scan::Blocking(Box::new(std::iter::from_fn(move || {
                let rows = match &mut rows {
                    Some(rows) => rows,
                    none => match snapshot.errors() {
                        Ok(found) => none.insert(found),
                        Err(error) => return Some(Err(error)),
                    },
                };
                let some: Vec<_> = rows.by_ref().take(ERRORS_BATCH_ROWS).collect();
                (!some.is_empty()).then(|| {
                    let some = some.into_iter().collect::<siltstone_engine::error::Result<Vec<_>>>()?;
                    let batch = errors(&some)?;
                    Ok(match &wanted {
                        Some(columns) => batch.project(columns)?,
                        None => batch,
                    })
                })
            }))))
        });
        let statistics = Statistics::new_unknown(&schema);
        Ok(Arc::new(ScanExec::new("siltstone.errors".to_owned(), schema, vec![part], statistics)))
    }
}

fn errors_schema() -> SchemaRef {
    errors(&[]).map_or_else(|_| Arc::new(Schema::empty()), |batch| batch.schema())
}

fn errors(rows: &[ErrorRow]) -> std::result::Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let raw = BinaryArray::from_iter(rows.iter().map(|r| r.row.raw.as_deref()));
    let place = |r: &ErrorRow| partition(&r.connector, &r.row.split);
    plain_table(vec![
        number("epoch", rows.iter().map(|r| r.epoch)),
        text("source", rows.iter().map(|r| Some(r.source_name.clone()))),
        text("view", rows.iter().map(|r| r.view.clone())),
        text("split", rows.iter().map(|r| Some(r.row.split.to_string()))),
        text("topic", rows.iter().map(|r| place(r).map(|(topic, _)| topic))),
        integer("partition", rows.iter().map(|r| place(r).map(|(_, number)| number))),
        signed("offset", rows.iter().map(|r| Some(r.row.offset))),
        text("reason", rows.iter().map(|r| Some(r.row.reason.clone()))),
        ("raw", Arc::new(raw)),
        number("raw_bytes", rows.iter().map(|r| r.row.raw_bytes)),
    ])
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("System")
    }
}

impl std::fmt::Debug for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Errors")
    }
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn a_kafka_split_has_a_topic_and_a_partition_and_no_other_has() {
        let place = |connector, split| partition(connector, split);
        assert_eq!(place("kafka", "clicks/3"), Some(("clicks".to_owned(), 3)));
        assert_eq!(place("kafka", "clicks/3@Zm9v/+aA"), Some(("clicks".to_owned(), 3)), "created anew");
        assert_eq!(place("datagen", "datagen/0"), None);
        assert_eq!(place("", "run/5"), None);
    }
}
