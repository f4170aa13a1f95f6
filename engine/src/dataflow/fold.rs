//! Fold: filter, keys, arguments, and one probe of the view's group table for each row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;

use super::evaluate::{evaluate, plain};
use super::key::KeyCoder;
use super::memo::Memo;
use super::operator::{Operator, Origins, Output, Packet, Rows};
use super::{Emission, ViewError};
use crate::connector::Expression;
use crate::error::Result;
use crate::rollup::{Dictionaries, GroupTable, Keys, Layout, TEXTS_MAX, ViewDefinition};

/// Texts of a dictionary from which on a new table keeps its keys as bytes.
const TEXTS_MANY: usize = TEXTS_MAX / 2;

/// A view to fold into.
#[derive(Clone, Debug)]
pub struct FoldSpec {
    pub id: u32,
    pub definition: Arc<ViewDefinition>,
    pub layout: Arc<Layout>,
}

pub struct Fold {
    spec: FoldSpec,
    coder: Arc<KeyCoder>,
    /// Where the coder has the view's keys, and their dictionaries.
    places: Option<Vec<usize>>,
    dictionaries: Dictionaries,
    table: GroupTable,
}

impl Fold {
    /// `places` is where `coder` has the view's keys, if they have codes.
    pub fn new(
        spec: FoldSpec,
        coder: Arc<KeyCoder>,
        places: Option<Vec<usize>>,
        dictionaries: Dictionaries,
    ) -> Self {
        let table = GroupTable::with(spec.layout.clone(), &dictionaries);
        Self { spec, coder, places, dictionaries, table }
    }

    fn new_table(&self) -> GroupTable {
        let many = self.dictionaries.iter().flatten().any(|d| d.texts_count() > TEXTS_MANY);
        if many {
            GroupTable::with_bytes(self.spec.layout.clone())
        } else {
            GroupTable::with(self.spec.layout.clone(), &self.dictionaries)
        }
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
        let codes = match &self.places {
            Some(places) if self.table.is_packed() => self.coder.codes(rows, places)?,
            _ => None,
        };
        let layout = self.spec.layout.clone();
        let (arguments, masks) = (layout.values.iter(), layout.masks.iter());
        let keys = if codes.is_some() { &[][..] } else { &self.spec.definition.keys[..] };
        let keys = keys.iter().map(|k| &k.expression);
        let expressions: Vec<&dyn Expression> =
            arguments.chain(masks).chain(keys).map(AsRef::as_ref).collect();
        let (values, bad, good) = evaluate(&expressions, &rows.batch)?;
        self.emit_bad(rows, bad, out);
        let codes = match (codes, &good) {
            (Some(codes), Some(good)) => Some(codes.iter().map(|c| Arc::new(c.take(good))).collect()),
            (codes, _) => codes,
        };
        let count = good.map_or(rows.batch.num_rows(), |g| g.len());
        let (arguments, rest) = values.split_at(layout.values.len());
        let (masks, keys) = rest.split_at(layout.masks.len());
        let masks = masks.iter().map(truth).collect::<Result<Vec<_>>>()?;
        match codes {
            Some(codes) => self.table.fold(count, Keys::Codes(&codes), arguments, &masks),
            None => {
                let keys = keys.iter().map(plain).collect::<Result<Vec<ArrayRef>>>()?;
                self.table.fold(count, Keys::Columns(&keys), arguments, &masks)
            }
        }
    }
}

/// Set where the value is true: NULL is not.
fn truth(mask: &ArrayRef) -> Result<BooleanBuffer> {
    let mask = plain(mask)?;
    let mask = mask.as_boolean();
    Ok(match mask.nulls() {
        Some(valid) if valid.null_count() > 0 => mask.values() & valid.inner(),
        _ => mask.values().clone(),
    })
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
        if !self.table.is_empty() {
            let next = self.new_table();
            let table = Box::new(std::mem::replace(&mut self.table, next));
            out.emissions.push(Emission::Groups { view: self.spec.id, table });
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
