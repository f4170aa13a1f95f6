//! Siltstone inside your own process: open a directory, run SQL, push rows, query the rollups.
//!
//! ```no_run
//! # fn main() -> siltstone::Result<()> {
//! let db = siltstone::Siltstone::open("data")?;
//! db.execute("CREATE TABLE IF NOT EXISTS hits (page VARCHAR, ms BIGINT) WITH (connector = 'push')")?;
//! db.execute("INSERT INTO hits VALUES ('/home', 12)")?;
//! for batch in db.query("SELECT page, count(*) FROM hits GROUP BY page")? {
//!     println!("{} rows", batch.num_rows());
//! }
//! db.close();
//! # Ok(())
//! # }
//! ```
//!
//! Every call has a blocking form, which works inside and outside of a tokio runtime, and those that may
//! take long have an `_async` form. The work runs on a small runtime of the instance's own.
//!
//! The memory allocator is the program's choice. With jemalloc or tcmalloc under the whole process, C code
//! included, reading from Kafka takes about half the CPU time that it takes with glibc's.
//!
//! The feature `server` (default) adds what the program `siltstone` needs; `kafka` adds that connector.

mod instance;
mod opened;
mod source;
mod task;

#[cfg(feature = "server")]
mod batches;
#[cfg(feature = "server")]
mod channel;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "server")]
mod keyword;
#[cfg(feature = "server")]
mod pg;
#[cfg(feature = "server")]
mod print;
#[cfg(feature = "server")]
mod remark;
#[cfg(feature = "server")]
mod value;

pub use instance::{Builder, Executed, Prepared, Siltstone};
pub use siltstone_engine::runtime::Status;
pub use siltstone_sql::{Error, Notice, Result, Value};
pub use source::{SourceHandle, Ticket};
