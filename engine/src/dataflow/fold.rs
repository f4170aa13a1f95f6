//! Fold: filter, keys, arguments, and one probe of the view's group table for each row.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;

use super::evaluate::{evaluate, truth};
use super::key::KeyCoder;
use super::memo::Memo;
use super::operator::{Operator, Origins, Output, Packet, Rows};
use super::paired::{Pairs, Table};
use super::{Emission, ViewError};
use crate::connector::Expression;
use crate::error::Result;
use crate::rollup::{Dictionaries, GroupTable, Keys, Layout, TEXTS_MAX, ViewDefinition, plain};

/// Texts of a dictionary from which on a new table keeps its keys as bytes.
const TEXTS_MANY: usize = TEXTS_MAX / 2;

/// A view to fold into.
#[derive(Clone, Debug)]
pub struct FoldSpec {
    pub id: u32,
    pub definition: Arc<ViewDefinition>,
    pub layout: Arc<Layout>,
    /// For [`GroupTable::limit_cells`].
    pub cells_bytes: usize,
}

pub struct Fold {
    spec: FoldSpec,
    coder: Arc<KeyCoder>,
    /// Where the coder has the view's keys, and their dictionaries.
    places: Option<Vec<usize>>,
    dictionaries: Dictionaries,
    pairs: Arc<Pairs>,
    worker: usize,
    /// Barriers that came by.
    epoch: u64,
    /// `None` while there is nothing in it.
    table: Option<Table>,
    /// Keys are folded by their codes, as far as is known: a pair's table changes behind one's back.
    packed: bool,
}

impl Fold {
    /// `places` is where `coder` has the view's keys, if they have codes.
    pub fn new(
        spec: FoldSpec,
        coder: Arc<KeyCoder>,
        places: Option<Vec<usize>>,
        dictionaries: Dictionaries,
        pairs: Arc<Pairs>,
        worker: usize,
    ) -> Self {
        Self { spec, coder, places, dictionaries, pairs, worker, epoch: 0, table: None, packed: true }
    }

    fn new_table(&self) -> GroupTable {
        let many = self.dictionaries.iter().flatten().any(|d| d.texts_count() > TEXTS_MANY);
        if many {
            return GroupTable::with_bytes(self.spec.layout.clone());
        }
        let mut table = GroupTable::with(self.spec.layout.clone(), &self.dictionaries);
        table.limit_cells(self.spec.cells_bytes);
        table
    }

    fn emit_bad(&self, rows: &Rows, bad: Vec<(usize, String)>, out: &mut Output) {
        if bad.is_empty() {
            return;
        }
        let view = Some(self.spec.definition.name.clone());
        let error = |(row, reason)| ViewError { view: view.clone(), row: rows.origins.bad_row(row, reason) };
        out.emissions.push(Emission::Bad(bad.into_iter().map(error).collect()));
    }

    /// The rows for which the view's filter is true.
    fn filter(&self, rows: Rows, out: &mut Output) -> Result<Rows> {
        let Some(filter) = &self.spec.definition.filter else {
            return Ok(rows);
        };
        let (values, bad, good) = evaluate(&[filter.as_ref()], &rows.batch)?;
        self.emit_bad(&rows, bad, out);
        let rows = match good {
            Some(good) => rows.take(good)?,
            None => rows,
        };
        let mask = BooleanArray::new(truth(&values[0])?, None);
        let kept = mask.values().set_indices();
        let kept = kept.map(|i| rows.origins.kept.as_ref().map_or(i as u32, |k| k[i])).collect::<Vec<u32>>();
        let batch = filter_record_batch(&rows.batch, &mask)?;
        let origins = Origins { kept: Some(Arc::new(kept)), ..rows.origins };
        Ok(Rows { batch, origins, codes: Memo::default() })
    }

    fn fold(&mut self, rows: &Rows, out: &mut Output) -> Result<()> {
        let mut table = self.table.take().unwrap_or_else(|| {
            let table = self.new_table();
            self.packed = table.is_packed();
            Table::Own(Box::new(table))
        });
        while !self.fold_into(&mut table, rows, out)? {
            self.packed = false;
        }
        self.table = Some(table.grown(&self.pairs, self.worker, self.epoch)?);
        Ok(())
    }

    /// False, and nothing done, if the table no longer takes codes.
    fn fold_into(&self, table: &mut Table, rows: &Rows, out: &mut Output) -> Result<bool> {
        let codes = match &self.places {
            Some(places) if self.packed => self.coder.codes(rows, places)?,
            _ => None,
        };
        let layout = self.spec.layout.clone();
        let (arguments, masks) = (layout.values.iter(), layout.masks.iter());
        let keys = if codes.is_some() { &[][..] } else { &self.spec.definition.keys[..] };
        let keys = keys.iter().map(|k| &k.expression);
        let expressions: Vec<&dyn Expression> =
            arguments.chain(masks).chain(keys).map(AsRef::as_ref).collect();
        let (values, bad, good) = evaluate(&expressions, &rows.batch)?;
        let codes = match (codes, &good) {
            (Some(codes), Some(good)) => Some(codes.iter().map(|c| Arc::new(c.take(good))).collect()),
            (codes, _) => codes,
        };
        let count = good.map_or(rows.batch.num_rows(), |g| g.len());
        let (arguments, rest) = values.split_at(layout.values.len());
        let (masks, keys) = rest.split_at(layout.masks.len());
        let masks = masks.iter().map(truth).collect::<Result<Vec<_>>>()?;
        let keys = keys.iter().map(plain).collect::<Result<Vec<ArrayRef>>>()?;
        let folded = table.with(|table| match &codes {
            Some(_) if !table.is_packed() => Ok(false),
            Some(codes) => table.fold(count, Keys::Codes(codes), arguments, &masks).map(|()| true),
            None => table.fold(count, Keys::Columns(&keys), arguments, &masks).map(|()| true),
        })?;
        if folded {
            self.emit_bad(rows, bad, out);
        }
        Ok(folded)
    }
}

impl Operator for Fold {
    fn process(&mut self, packet: Packet, out: &mut Output) -> Result<()> {
        let Packet::Rows(rows) = packet else {
            return Ok(());
        };
        let rows = self.filter(rows, out)?;
        if rows.batch.num_rows() > 0 { self.fold(&rows, out) } else { Ok(()) }
    }

    fn barrier(&mut self, out: &mut Output) -> Result<()> {
        self.epoch += 1;
        if let Some(table) = self.table.take().and_then(|table| table.leave(&self.pairs)) {
            out.emissions.push(Emission::Groups { view: self.spec.id, table });
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, Table::bytes)
    }
}
