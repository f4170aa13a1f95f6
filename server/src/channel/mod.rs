//! How `siltstone sql` asks the process that owns a directory: a Unix socket in the directory.
//!
//! The socket is `siltstone.sock`, mode 0600, and only processes of the owner's user (or root) are
//! answered, whatever the modes say. A connection is a session.
//!
//! Every frame is a kind (1 byte), a length (4 bytes, big-endian) and that many bytes:
//!
//! | from   | kind | bytes |
//! |--------|------|-------|
//! | client | `Q`  | SQL, one or more statements |
//! | server | `N`  | a notice, JSON ([`crate::remark::Remark`]) |
//! | server | `A`  | a part of an Arrow IPC stream: the rows of a statement |
//! | server | `T`  | the tag that ends a statement (`SELECT 3`) |
//! | server | `E`  | the error that ends the request, JSON |
//! | server | `Z`  | the request is done |
//!
//! Closing the connection ends what runs for it.

mod client;
mod frame;
mod path;
mod server;

pub(crate) use client::{Client, Part};
pub(crate) use server::Server;
