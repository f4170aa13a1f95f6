//! Room on the disk: what is written to it stops before it is full, and goes on when there is room again.

use std::path::Path;

use crate::error::{Error, Result};

/// Bytes that are left free, for the journal and tables that the store writes by itself.
pub const RESERVE_BYTES: u64 = 64 << 20;

/// Bytes that can still be written to the file system of a folder.
pub fn free_bytes(dir: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(dir);
    let found =
        found.map_err(|e| Error::io(format!("asking for the room on the disk of {}", dir.display()), e))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
