//! From statements to what the engine keeps: expressions, sources, rollups.

mod arithmetic;
mod environment;
mod expression;
mod graph;
mod heading;
mod moment;
mod offer;
mod shape;
mod short_time;
mod source;
mod view;
mod wide_sum;
mod zero;

pub use environment::{environment, over};
pub use expression::{bucket, check_deterministic, compile, normal};
pub use graph::operators;
pub use heading::{headings, told_apart};
pub use moment::{constants, moment, moment_of};
pub use offer::{Offer, OfferedCall, OfferedKey};
pub use shape::Input;
pub use source::compile_source;
pub use view::{CompiledView, Reads, compile_view, guarded};
