//! Where the socket is. A socket's path may have 107 bytes at most; a data directory's may have more. So
//! the directory is opened and named by its descriptor.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The socket's name in the directory.
pub(super) const NAME: &str = "siltstone.sock";

/// A short path to the socket, good while this value lives.
pub(super) struct SocketPath {
    dir: File,
}

impl SocketPath {
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        Ok(Self { dir: File::open(dir)? })
    }

    pub(super) fn get(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{NAME}", self.dir.as_raw_fd()))
    }
}

/// The user this process acts for.
#[allow(unsafe_code, reason = "the standard library has no geteuid")]
pub(super) fn user() -> u32 {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}
