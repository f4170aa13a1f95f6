//! Mergeable aggregate states: for each group one row of 64-bit words, beside its key.
//!
//! Laws, for every function, tested as properties in `aggregate/law.rs`:
//! - merging is associative and commutative, and a group without rows is its identity;
//! - folding rows in any division into parts, and merging the parts, equals folding them all at once
//!   (bit for bit, but for float sums, which are compensated and stay within `ε·n·Σ|x|`).
//!
//! Aggregates over the same argument under the same filter share one count: the states of `count(x)`,
//! `sum(x)`, `min(x)` and `max(x)` are four words, folded in one pass. A group's words lie together, so
//! that a row of input touches one or two cache lines however many aggregates there are.
//!
//! Nothing here does I/O, reads a clock or takes a lock.

mod column;
mod finish;
mod function;
mod group;
#[cfg(test)]
mod law;
mod number;
mod plan;
mod row;
mod text;

pub use column::Gathered;
pub use finish::finish;
pub use function::Function;
pub use group::Groups;
pub use number::{Number, float};
pub use plan::{Argument, Call, Plan};
