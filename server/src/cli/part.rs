//! A part of a result, as the command line shows it.

use std::io;

use crate::channel::Part;
use crate::print::Printer;
use crate::remark::Remark;

/// Shows a part of a result; notices go to standard error.
pub(super) fn show<W: io::Write>(printer: &mut Printer<W>, part: Part) -> Result<(), Remark> {
    let shown = match part {
        Part::Notice(remark) => {
            eprintln!("{remark}");
            Ok(())
        }
        Part::Columns(schema) => printer.columns(&schema),
        Part::Rows(batch) => printer.rows(&batch),
        Part::Tag(tag) => printer.done(&tag),
    };
    shown.map_err(|e| Remark::error("58030", format!("writing to standard output: {e}")))
}
