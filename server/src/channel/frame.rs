//! Frames: see the table in the parent module.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest frame; rows are cut into several.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;
/// Rows are sent in frames of about this size.
pub(super) const PART_BYTES: usize = 1 << 20;

pub(super) const QUERY: u8 = b'Q';
pub(super) const NOTICE: u8 = b'N';
pub(super) const ROWS: u8 = b'A';
pub(super) const TAG: u8 = b'T';
pub(super) const ERROR: u8 = b'E';
pub(super) const DONE: u8 = b'Z';

pub(super) async fn write(io: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::new(ErrorKind::InvalidInput, format!("frame of {} bytes", bytes.len()));
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(too_long());
    }
    let length = u32::try_from(bytes.len()).map_err(|_| too_long())?;
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_be_bytes());
    io.write_all(&head).await?;
    io.write_all(bytes).await
}

/// The next frame; `None` at the end of the stream.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    if io.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    io.read_exact(&mut head[1..]).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("frame of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    Ok(Some((head[0], bytes)))
}
