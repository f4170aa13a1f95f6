//! Writing files: a view's groups merged with those of the partitions they belong to, a table's rows sorted, and
//! small files made one.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::cut::{cut, partitions};
use super::sorted::Sorted;
use super::target::{Rows, Target, partition_text};
use crate::error::Result;
use crate::lake::{FileRecord, FileWriter, Lake, Totals};
use crate::lsm::{
    Batches, BlockReader, BoundsBuilder, KeyRange, Merge, Run, RunFile, RunRecord, StateFile, Store,
    read_all, read_rows,
};
use crate::rollup::Layout;

/// A file of states is closed when it has so many bytes.
const FILE_BYTES: u64 = 64 << 20;

/// Writes the files of one snapshot.
pub struct Press<'p> {
    pub store: &'p Arc<Store>,
    pub lake: &'p Arc<dyn Lake>,
    pub target: &'p Target,
    pub location: &'p str,
    pub snapshot: i64,
    /// Bytes of rows that are sorted at once.
    pub sort_bytes: usize,
    /// Says whether to give up.
    pub cancelled: &'p dyn Fn() -> Result<()>,
    written: Vec<RunRecord>,
}

impl<'p> Press<'p> {
    pub fn new(
        store: &'p Arc<Store>,
        lake: &'p Arc<dyn Lake>,
        target: &'p Target,
        (location, snapshot): (&'p str, i64),
        sort_bytes: usize,
        cancelled: &'p dyn Fn() -> Result<()>,
    ) -> Self {
        Self { store, lake, target, location, snapshot, sort_bytes, cancelled, written: Vec::new() }
    }

    /// The runs that were written; their files are durable, the folders not yet.
    pub fn finish(self) -> Result<Vec<RunRecord>> {
        let path = |run: &RunRecord| run.file.as_ref().map(|own| own.file.path.clone());
        let paths: Vec<String> = self.written.iter().filter_map(path).collect();
        if !paths.is_empty() {
            self.lake.sync(self.location, &paths)?;
        }
        Ok(self.written)
    }

    /// Merges the groups of these runs, hot ones and files, into files. Those of the partitions that are touched
    /// must be among the files, and no others.
    pub fn groups(&mut self, layout: &Arc<Layout>, runs: &[Arc<Run>]) -> Result<()> {
        let inputs = read_all(self.store, layout, runs, &KeyRange::ALL);
        let mut open: Option<(Option<i32>, String, StateFile)> = None;
        for batch in Merge::new(layout.clone(), inputs) {
            (self.cancelled)()?;
            for (partition, states) in cut(&batch?, self.target.spec.partition)? {
                if let Some((own, path, file)) =
                    open.take_if(|(own, _, file)| *own != partition || file.bytes() >= FILE_BYTES)
                {
                    self.written.push(file.finish(self.location, path, own)?);
                }
                if open.is_none() {
                    let (path, file) = self.begin(partition)?;
                    let file = StateFile::begin(self.store, self.target.relation(), layout, file);
                    open = Some((partition, path, file));
                }
                if let Some((_, _, file)) = &mut open {
                    file.write(&states)?;
                }
            }
        }
        if let Some((partition, path, file)) = open {
            self.written.push(file.finish(self.location, path, partition)?);
        }
        Ok(())
    }

    /// Sorts the rows of these runs into files.
    pub fn rows(&mut self, runs: &[Arc<Run>]) -> Result<()> {
        let (mut held, mut bytes) = (Vec::new(), 0);
        for run in runs {
            for batch in self.read(run) {
                (self.cancelled)()?;
                let batch = batch?;
                bytes += batch.get_array_memory_size();
                held.push(batch);
                if bytes >= self.sort_bytes {
                    self.sorted(&std::mem::take(&mut held))?;
                    bytes = 0;
                }
            }
        }
        self.sorted(&held)
    }

    /// Sorts the rows of these runs, which are of one partition, into one file.
    pub fn together(&mut self, runs: &[Arc<Run>]) -> Result<()> {
        let mut held = Vec::new();
        for batch in runs.iter().flat_map(|run| self.read(run)) {
            (self.cancelled)()?;
            held.push(batch?);
        }
        self.sorted(&held)
    }

    fn read(&self, run: &Arc<Run>) -> Batches {
        let fields = self.target.fields();
        match run.record.is_hot() {
            true => self.store.read(run, BlockReader::new(fields)),
            false => read_rows(self.store, run, &fields, 0..run.record.rows, &[]),
        }
    }

    /// Writes rows, in any order, as one file for each partition.
    fn sorted(&mut self, held: &[RecordBatch]) -> Result<()> {
        let sorted = Sorted::new(held, self.target)?;
        for (partition, range) in &sorted.parts {
            (self.cancelled)()?;
            if range.is_empty() {
                continue;
            }
            let (path, file) = self.begin(*partition)?;
            let record = write_rows(self.store, self.target.relation(), file, sorted.rows(range.clone()))?;
            self.written.push(filed(record, self.location, path, *partition));
        }
        Ok(())
    }

    fn begin(&self, partition: Option<i32>) -> Result<(String, Box<dyn FileWriter>)> {
        let name = format!("{}-{}.parquet", self.snapshot, self.written.len());
        let path = path(self.target, partition, &name);
        let file = self.lake.write(&self.target.spec, self.location, &path)?;
        Ok((path, file))
    }
}

/// Where a file stands below the table's location.
pub fn path(target: &Target, partition: Option<i32>, name: &str) -> String {
    let Some(by) = target.spec.partition else { return format!("data/{name}") };
    let value = partition.map_or_else(|| "null".to_owned(), |value| partition_text(by.transform, value));
    let column = target.spec.schema.field(by.column).name();
    let column: String = column.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("data/{column}_{}={value}/{name}", by.transform.name())
}

/// Writes rows as a file; the answer are its rows, bytes and totals.
pub fn write_rows(
    store: &Store,
    relation: u32,
    mut file: Box<dyn FileWriter>,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<(RunRecord, Totals)> {
    let (mut totals, mut rows) = (Totals::default(), 0);
    for batch in batches {
        let batch = batch?;
        totals.add(&batch)?;
        file.write(&batch)?;
        rows += batch.num_rows() as u64;
    }
    let bytes = file.finish()?;
    let run = store.allocate_run();
    Ok((RunRecord { relation, run, rows, bytes, blocks: 1, ..RunRecord::default() }, totals))
}

/// The run of a file of rows.
pub fn filed(
    (record, totals): (RunRecord, Totals),
    location: &str,
    path: String,
    partition: Option<i32>,
) -> RunRecord {
    let file = FileRecord { path, partition, rows: record.rows, bytes: record.bytes, totals };
    let own = RunFile { location: location.to_owned(), file, committed: false };
    RunRecord { file: Some(own), ..record }
}

/// The partitions that hot runs of a view have groups of.
pub fn touched(store: &Arc<Store>, target: &Target, runs: &[Arc<Run>]) -> Result<BTreeSet<Option<i32>>> {
    let (Some(by), Rows::States(layout)) = (target.spec.partition, &target.rows) else {
        return Ok(BTreeSet::from([None]));
    };
    let key = layout.schema().field(by.column).clone();
    let mut all = BTreeSet::new();
    for run in runs {
        for batch in store.read(run, BlockReader::new(vec![key.clone()])) {
            all.extend(partitions(batch?.column(0), by.transform)?);
        }
    }
    Ok(all)
}

/// The run of a file that was taken out of use before: its bounds and totals are read from it again.
pub fn rebuilt(
    store: &Arc<Store>,
    lake: &Arc<dyn Lake>,
    target: &Target,
    location: &str,
    mut file: FileRecord,
) -> Result<RunRecord> {
    file.totals = Totals::default();
    let mut bounds = BoundsBuilder::new(match &target.rows {
        Rows::States(layout) => Some(layout.clone()),
        Rows::Kept => None,
    });
    for batch in lake.read(location, &file, &target.fields(), 0..file.rows, &[])? {
        let batch = batch?;
        file.totals.add(&batch)?;
        bounds.add(&batch)?;
    }
    let (blocks, bounds) = bounds.finish()?;
    let (relation, run) = (target.relation(), store.allocate_run());
    let (rows, bytes) = (file.rows, file.bytes);
    let file = Some(RunFile { location: location.to_owned(), file, committed: true });
    Ok(RunRecord { relation, run, epoch: store.version().epoch, blocks, rows, bytes, bounds, file })
}
