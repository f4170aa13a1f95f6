//! The program `siltstone`. All of it is in the library, so that its parts can be tested there.

use std::process::ExitCode;

/// Serves librdkafka and every other C library too: taking messages costs about half as much with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    siltstone::cli::main(std::env::args_os())
}
