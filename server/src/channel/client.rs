//! The asking end of the directory's socket.

use std::io;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use tokio::net::UnixStream;

use super::frame;
use super::path::{SocketPath, user};
use crate::remark::Remark;

/// A session in the process that owns the directory.
pub(crate) struct Client {
    socket: UnixStream,
}

/// What comes for a statement.
pub(crate) enum Part {
    Notice(Remark),
    /// Comes once, before the rows.
    Columns(SchemaRef),
    Rows(RecordBatch),
    /// The statement is done.
    Tag(String),
}

impl Client {
    /// Reaches the owner; `None` if there is none (or it does not listen).
    pub(crate) async fn connect(dir: &Path) -> io::Result<Option<Self>> {
        let short = match SocketPath::new(dir) {
            Ok(short) => short,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match UnixStream::connect(short.get()).await {
            Ok(socket) => {
                let peer = socket.peer_cred()?.uid();
                if peer != user() && peer != 0 && user() != 0 {
                    let message = format!("the directory's socket belongs to user {peer}");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
                }
                Ok(Some(Self { socket }))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Runs statements; `take` gets what comes, in order.
    ///
    /// # Errors
    /// The statement's. After dropping the future, the connection is of no more use.
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        take: &mut (dyn FnMut(Part) -> Result<(), Remark> + Send),
    ) -> Result<(), Remark> {
        frame::write(&mut self.socket, frame::QUERY, sql.as_bytes()).await.map_err(lost)?;
        let mut decoder = StreamDecoder::new();
        let mut announced = false;
        loop {
            let Some((kind, bytes)) = frame::read(&mut self.socket).await.map_err(lost)? else {
                return Err(Remark::error("08006", "the process that owns the directory has ended"));
            };
            match kind {
                frame::NOTICE => take(Part::Notice(serde_json::from_slice(&bytes).map_err(garbled)?))?,
                frame::ROWS => {
                    let mut buffer = Buffer::from(bytes);
                    while !buffer.is_empty() {
                        let batch = decoder.decode(&mut buffer).map_err(garbled)?;
                        if let (false, Some(schema)) = (announced, decoder.schema()) {
                            announced = true;
                            take(Part::Columns(schema))?;
                        }
                        if let Some(batch) = batch {
                            take(Part::Rows(batch))?;
                        }
                    }
                }
                frame::TAG => {
                    decoder = StreamDecoder::new();
                    announced = false;
                    take(Part::Tag(String::from_utf8_lossy(&bytes).into_owned()))?;
                }
                frame::ERROR => return Err(serde_json::from_slice(&bytes).map_err(garbled)?),
                frame::DONE => return Ok(()),
                _ => {
                    return Err(Remark::error(
                        "08P01",
                        "the process that owns the directory is of another version",
                    ));
                }
            }
        }
    }
}

fn lost(error: io::Error) -> Remark {
    Remark::error("08006", format!("asking the process that owns the directory: {error}"))
}

fn garbled(error: impl std::fmt::Display) -> Remark {
    Remark::error("08P01", format!("reading the answer of the process that owns the directory: {error}"))
}
