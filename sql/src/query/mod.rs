//! Sessions, and how their statements run: each query over one snapshot of everything.

mod describe;
mod explain;
mod function;
mod insert;
mod pace;
mod parameter;
mod select;
mod session;
mod show;
mod statement;

pub use session::Session;
