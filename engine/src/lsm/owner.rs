//! One owner for each data directory: a lock held by the kernel, so that it goes with the process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Name of the lock file; its content says who holds it.
const FILE: &str = "OWNER";

/// Bytes of the lock file that are read to tell who holds it.
const TEXT_BYTES_MAX: u64 = 1024;

/// The right to use a data directory, until dropped.
#[derive(Debug)]
pub struct Ownership {
    _file: File,
}

impl Ownership {
    /// Takes the directory for this process; `who` is told to others that ask for it.
    ///
    /// # Errors
    /// [`Kind::Busy`] at once if another process has it, naming that process.
    pub fn take(dir: &Path, who: &str) -> Result<Self> {
        let path = dir.join(FILE);
        let failed = |e| Error::io(format!("locking {}", path.display()), e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(TEXT_BYTES_MAX).read_to_string(&mut holder);
                let message = format!("data directory {} is in use by {}", dir.display(), holder.trim());
                return Err(Error::new(Kind::Busy, message).with_hint(
                    "stop that process, or query it with `siltstone sql --data` on the same directory",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let text = format!("process {} ({who})\n", std::process::id());
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
