//! One client's byte stream: messages in, messages out.
//!
//! Framing is ours, so that a message's size is checked before memory is spent on it, rows are written
//! without an object for each, and a client that vanishes is noticed while its statement runs.

use std::fmt;
use std::io;

use bytes::{Buf, BytesMut};
use pgwire::error::PgWireError;
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use pgwire::tokio::server::MaybeTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest message that is taken from a client: a statement with its parameters.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Longest message before the login is done.
const LOGIN_MESSAGE_BYTES_MAX: usize = 10_000;
/// Answers are collected up to this size before they are sent.
const ANSWER_BYTES: usize = 64 << 10;
/// While a statement runs, at most this much of what the client sends meanwhile is read.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// Why no message came.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The client has gone.
    Gone,
    /// It does not speak the protocol, or went over a limit.
    Protocol(String),
}

pub(crate) struct Wire {
    io: MaybeTls,
    read: BytesMut,
    write: Vec<u8>,
    sent: usize,
    context: DecodeContext,
    login: bool,
    eof: bool,
}

impl Wire {
    /// Goes on where the encryption was agreed on; `read` holds what came after it.
    pub(crate) fn new(io: MaybeTls, read: BytesMut) -> Self {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = true;
        Self { io, read, write: Vec::new(), sent: 0, context, login: true, eof: false }
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.io, MaybeTls::Tls(_))
    }

    /// The first message has come: from here on messages have a type byte.
    pub(crate) fn started(&mut self) {
        self.context.awaiting_frontend_startup = false;
    }

    /// The login is done: longer messages are taken.
    pub(crate) fn logged_in(&mut self) {
        self.login = false;
    }

    /// The next message.
    pub(crate) async fn receive(&mut self) -> Result<PgWireFrontendMessage, Broken> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(message);
            }
            if self.eof {
                return Err(Broken::Gone);
            }
            self.fill().await?;
        }
    }

    /// Resolves when the client is gone, and only then; keeps what it sends meanwhile.
    pub(crate) async fn gone(&mut self) {
        while !self.eof && self.read.len() < AHEAD_BYTES_MAX {
            if self.fill().await.is_err() {
                return;
            }
        }
        if !self.eof {
            std::future::pending::<()>().await;
        }
    }

    /// Adds a message to the answer.
    pub(crate) fn put(&mut self, message: &PgWireBackendMessage) {
        let mut bytes = BytesMut::new();
        // Encoding fails only for messages that are too long; then the client gets none of it.
        if let Err(error) = message.encode(&mut bytes) {
            tracing::warn!(%error, "a message to a client was too long");
            return;
        }
        self.write.extend_from_slice(&bytes);
    }

    /// The answer, to append encoded messages to.
    pub(crate) fn answer(&mut self) -> &mut Vec<u8> {
        &mut self.write
    }

    pub(crate) fn answer_is_full(&self) -> bool {
        self.write.len() - self.sent >= ANSWER_BYTES
    }

    /// Sends the answer. May be dropped and called again: what was sent is not sent twice.
    pub(crate) async fn flush(&mut self) -> Result<(), Broken> {
        while self.sent < self.write.len() {
            match self.io.write(&self.write[self.sent..]).await {
                Ok(0) | Err(_) => return Err(Broken::Gone),
                Ok(n) => self.sent += n,
            }
        }
        self.write.clear();
        self.sent = 0;
        self.io.flush().await.map_err(|_| Broken::Gone)
    }

    /// Sends what is left and ends the stream in both directions.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        // The client may be gone already.
        let _ = self.flush().await;
        self.io.shutdown().await
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        match self.io.read_buf(&mut self.read).await {
            Ok(0) | Err(_) => {
                self.eof = true;
                Err(Broken::Gone)
            }
            Ok(_) => Ok(()),
        }
    }

    /// Cuts one message from what was read.
    fn decode(&mut self) -> Result<Option<PgWireFrontendMessage>, Broken> {
        let start = usize::from(!self.context.awaiting_frontend_startup);
        let Some(length) = self.read.get(start..start + 4) else { return Ok(None) };
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let limit = if self.login { LOGIN_MESSAGE_BYTES_MAX } else { MESSAGE_BYTES_MAX };
        let length = usize::try_from(length).ok().filter(|n| *n >= 4);
        let length = length.ok_or_else(|| Broken::Protocol("invalid message length".to_owned()))?;
        if length > limit {
            return Err(Broken::Protocol(format!("message of {length} bytes is longer than {limit}")));
        }
        if self.read.len() < start + length {
            self.read.reserve(start + length - self.read.len());
            return Ok(None);
        }
        let mut message = self.read.split_to(start + length);
        match PgWireFrontendMessage::decode(&mut message, &self.context) {
            Ok(Some(decoded)) if !message.has_remaining() => Ok(Some(decoded)),
            Ok(_) => Err(Broken::Protocol("invalid message format".to_owned())),
            Err(PgWireError::IoError(_)) => Err(Broken::Gone),
            Err(error) => Err(Broken::Protocol(error.to_string())),
        }
    }
}

/// Text that is written to bytes.
pub(crate) struct TextInto<'a>(pub(crate) &'a mut Vec<u8>);

impl fmt::Write for TextInto<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
