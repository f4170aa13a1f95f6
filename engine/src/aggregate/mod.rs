//! Mergeable aggregate states, kept as columns: one entry for each group.
//!
//! Laws, for every [`States`], tested as properties in `aggregate/law.rs`:
//! - merging is associative and commutative, and an entry without rows is its identity;
//! - folding rows in any division into parts, and merging the parts, equals folding them all at once
//!   (bit for bit, but for float sums, which are compensated and stay within `ε·n·Σ|x|`).
//!
//! Nothing here does I/O, reads a clock or takes a lock.

mod count;
mod extreme;
mod finish;
mod function;
#[cfg(test)]
mod law;
mod mask;
mod sum;

pub use finish::finish;
pub use function::Function;

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;

use crate::error::Result;

/// The states of one aggregate for all groups of a table.
///
/// `groups` gives each row's group; `count` is the number of groups, all of `groups` below it. States
/// grow to `count` entries by themselves.
pub trait States: Send {
    /// Folds a batch. `values` is the argument (`None` for `count(*)`), `mask` the rows that count
    /// (`None`: all); NULLs never count.
    fn update(
        &mut self,
        groups: &[u32],
        count: usize,
        values: Option<&ArrayRef>,
        mask: Option<&BooleanBuffer>,
    ) -> Result<()>;

    /// Merges entries made by [`States::export`].
    fn merge(&mut self, groups: &[u32], count: usize, states: &[ArrayRef]) -> Result<()>;

    /// The entries of the groups in `order`, as the columns that [`state_types`] names.
    fn export(&self, order: &[u32]) -> Result<Vec<ArrayRef>>;

    /// Forgets all groups and keeps the memory.
    fn clear(&mut self);

    /// Bytes held.
    fn bytes(&self) -> usize;
}

/// Empty states of `function` over arguments of that type.
pub fn states(function: Function, argument: Option<&DataType>) -> Result<Box<dyn States>> {
    Ok(match (function, argument) {
        (Function::Count, _) => Box::<count::Counts>::default(),
        (Function::Sum, Some(t)) => sum::sums(t)?,
        (Function::Avg, Some(t)) => Box::new(sum::Averages::new(t)?),
        (Function::Min, Some(t)) => extreme::extremes(t, false)?,
        (Function::Max, Some(t)) => extreme::extremes(t, true)?,
        (_, None) => return Err(function.unsupported(None)),
    })
}

/// The types of the columns that hold the states of `function`; part of the on-disk format.
///
/// | function | columns |
/// |---|---|
/// | `count` | `Int64` |
/// | `sum` of integers | `Decimal128(38, 0)` |
/// | `sum` of decimals | `Decimal256(76, scale)` |
/// | `sum` of floats | `Float64` sum, `Float64` compensation |
/// | `avg` | as `sum`, then `Int64` count |
/// | `min`, `max` | the argument's type |
///
/// NULL in a first column, where it is not a count, means that no row counted.
pub fn state_types(function: Function, argument: Option<&DataType>) -> Result<Vec<DataType>> {
    Ok(match (function, argument) {
        (Function::Count, _) => vec![DataType::Int64],
        (Function::Sum, Some(t)) => sum::sum_types(t)?,
        (Function::Avg, Some(t)) => {
            let mut types = sum::sum_types(t)?;
            types.push(DataType::Int64);
            types
        }
        (Function::Min | Function::Max, Some(t)) => vec![extreme::check(t)?],
        (_, None) => return Err(function.unsupported(None)),
    })
}
