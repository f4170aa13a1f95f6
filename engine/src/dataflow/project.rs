//! Project: adds the generated columns. A row for which one has no value is a bad row.

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use std::sync::Arc;

use super::evaluate::{evaluate, named};
use super::memo::Memo;
use super::operator::{Operator, Output, Packet, Rows};
use super::{Emission, ViewError};
use crate::connector::{Expression, SourceDefinition};
use crate::error::Result;

pub struct Project {
    names: Vec<String>,
    generated: Vec<Arc<dyn Expression>>,
    /// The names of those that are NOT NULL.
    required: Vec<Option<String>>,
    /// For each column: which generated, or else which physical one it is.
    columns: Vec<Column>,
}

/// Rows that are whole, and the others with the column that they lack.
type Divided<'n> = (Vec<u32>, Vec<(usize, &'n str)>);

enum Column {
    Physical(usize),
    Generated(usize),
}

impl Project {
    /// `None` if there is nothing to add.
    pub fn new(definition: &SourceDefinition) -> Option<Self> {
        let (mut generated, mut required) = (Vec::new(), Vec::new());
        let mut physical = 0;
        let mut columns = Vec::new();
        let names = definition.columns.iter().map(|c| c.field.name().clone()).collect();
        for column in &definition.columns {
            columns.push(match &column.generated {
                Some(expression) => {
                    generated.push(expression.clone());
                    let field = &column.field;
                    required.push((!field.is_nullable()).then(|| field.name().clone()));
                    Column::Generated(generated.len() - 1)
                }
                None => {
                    physical += 1;
                    Column::Physical(physical - 1)
                }
            });
        }
        (!generated.is_empty()).then(|| Self { names, generated, required, columns })
    }

    /// The rows that have all values they must have, and those that have not; `None` if there are no such.
    fn without_nulls(&self, values: &[ArrayRef]) -> Option<Divided<'_>> {
        let nulls = values.iter().zip(&self.required).filter_map(|(values, name)| {
            Some((values.logical_nulls().filter(|n| n.null_count() > 0)?, name.as_deref()?))
        });
        let nulls: Vec<_> = nulls.collect();
        if nulls.is_empty() {
            return None;
        }
        let (mut good, mut missing) = (Vec::new(), Vec::new());
        for row in 0..values[0].len() {
            match nulls.iter().find(|(nulls, _)| nulls.is_null(row)) {
                Some((_, name)) => missing.push((row, *name)),
                None => good.push(row as u32),
            }
        }
        Some((good, missing))
    }

    fn assemble(&self, batch: &RecordBatch, generated: &[ArrayRef]) -> Result<RecordBatch> {
        let column = |c: &Column| match *c {
            Column::Physical(i) => batch.column(i).clone(),
            Column::Generated(i) => generated[i].clone(),
        };
        named(self.names.iter().map(String::as_str), self.columns.iter().map(column).collect())
    }
}

impl Operator for Project {
    fn process(&mut self, packet: Packet, out: &mut Output) -> Result<()> {
        let Packet::Rows(mut rows) = packet else {
            return Ok(());
        };
        let expressions: Vec<&dyn Expression> = self.generated.iter().map(AsRef::as_ref).collect();
        let (values, mut bad, good) = evaluate(&expressions, &rows.batch)?;
        let mut errors = Vec::new();
        for (row, reason) in bad.drain(..) {
            errors.push(ViewError { view: None, row: rows.origins.bad_row(row, reason) });
        }
        if let Some(good) = good {
            rows = rows.take(good)?;
        }
        let mut values = values;
        if let Some((good, missing)) = self.without_nulls(&values) {
            for (row, column) in missing {
                let reason = format!("column {column}: NULL in a NOT NULL column");
                errors.push(ViewError { view: None, row: rows.origins.bad_row(row, reason) });
            }
            let keep = UInt32Array::from(good.clone());
            values = values.iter().map(|v| Ok(take(v, &keep, None)?)).collect::<Result<_>>()?;
            rows = rows.take(good)?;
        }
        if !errors.is_empty() {
            out.emissions.push(Emission::Bad(errors));
        }
        if rows.batch.num_rows() > 0 {
            let batch = self.assemble(&rows.batch, &values)?;
            out.packets.push(Packet::Rows(Rows { batch, origins: rows.origins, codes: Memo::default() }));
        }
        Ok(())
    }
}
