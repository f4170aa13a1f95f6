//! Fold: filter, keys, arguments, and one probe of the view's group table for each row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;

use super::evaluate::evaluate;
use super::operator::{Operator, Output, Packet, Rows};
use super::{Emission, ViewError};
use crate::connector::Expression;
use crate::error::Result;
use crate::rollup::{GroupTable, Layout, ViewDefinition};

/// A view to fold into.
#[derive(Clone, Debug)]
pub struct FoldSpec {
    pub id: u32,
    pub definition: Arc<ViewDefinition>,
    pub layout: Arc<Layout>,
}

pub struct Fold {
    spec: FoldSpec,
    /// Keys, then for each aggregate its argument and its filter as far as it has them.
    expressions: Vec<Arc<dyn Expression>>,
    table: GroupTable,
}

impl Fold {
    pub fn new(spec: FoldSpec) -> Result<Self> {
        let view = &spec.definition;
        let mut expressions: Vec<Arc<dyn Expression>> =
            view.keys.iter().map(|k| k.expression.clone()).collect();
        for call in &view.aggregates {
            expressions.extend(call.argument.clone());
            expressions.extend(call.filter.clone());
        }
        let table = GroupTable::new(spec.layout.clone())?;
        Ok(Self { spec, expressions, table })
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
        let mask = values[0].as_boolean();
        if rows.origins.rows.is_empty() && rows.origins.kept.is_none() {
            // Row numbers are counted from the payload's first, so they must be kept.
            let keep = true_indices(mask).map(|i| i as u32).collect();
            return rows.take(keep);
        }
        let kept = true_indices(mask)
            .map(|i| rows.origins.kept.as_ref().map_or(i as u32, |k| k[i]))
            .collect::<Vec<u32>>();
        let batch = filter_record_batch(&rows.batch, mask)?;
        Ok(Rows { batch, origins: super::operator::Origins { kept: Some(Arc::new(kept)), ..rows.origins } })
    }

    fn fold(&mut self, rows: &Rows, out: &mut Output) -> Result<()> {
        let expressions: Vec<&dyn Expression> = self.expressions.iter().map(AsRef::as_ref).collect();
        let (values, bad, good) = evaluate(&expressions, &rows.batch)?;
        self.emit_bad(rows, bad, out);
        let count = good.map_or(rows.batch.num_rows(), |g| g.len());
        let mut values = values.into_iter();
        let keys: Vec<ArrayRef> = values.by_ref().take(self.spec.definition.keys.len()).collect();
        let arguments: Vec<(Option<ArrayRef>, Option<BooleanBuffer>)> =
            (self.spec.definition.aggregates.iter())
                .map(|call| {
                    let argument = call.argument.as_ref().and_then(|_| values.next());
                    let mask = call.filter.as_ref().and_then(|_| values.next());
                    (argument, mask.map(|m| truth(m.as_boolean())))
                })
                .collect();
        self.table.fold(count, keys, &arguments)
    }
}

/// Set where the value is true: NULL is not.
fn truth(mask: &arrow::array::BooleanArray) -> BooleanBuffer {
    match mask.nulls() {
        Some(valid) if valid.null_count() > 0 => mask.values() & valid.inner(),
        _ => mask.values().clone(),
    }
}

fn true_indices(mask: &arrow::array::BooleanArray) -> impl Iterator<Item = usize> {
    truth(mask).set_indices().collect::<Vec<_>>().into_iter()
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
            let table = std::mem::replace(&mut self.table, GroupTable::new(self.spec.layout.clone())?);
            out.emissions.push(Emission::Groups { view: self.spec.id, table });
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
