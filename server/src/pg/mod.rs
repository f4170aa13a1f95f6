//! PostgreSQL's protocol. The messages are pgwire's; the loop, the login and the statements are ours.
//!
//! Invariants: no statement runs before the login is done; whatever ends a statement ends its work;
//! an address that other machines reach is never served without passwords and encryption.

mod access;
mod cancel;
mod connection;
mod login;
mod portal;
mod report;
mod rows;
mod scram;
mod statement;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pgwire::tokio::server::negotiate_tls;
use siltstone_sql::Database;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) use access::{Access, Credentials};
use cancel::Connections;
use connection::Connection;
use login::{Login, login};
use wire::Wire;

use crate::task;

/// Time that a client has from its first byte to the end of its login.
const LOGIN_LIMIT: Duration = Duration::from_secs(30);
/// Pause after a failed accept, which is a lack of descriptors more often than not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that clients connect to.
pub(crate) struct Listener {
    database: Arc<Database>,
    access: Arc<Access>,
    connections: Arc<Connections>,
    socket: TcpListener,
}

impl Listener {
    /// Takes an address that `access` has allowed.
    pub(crate) async fn bind(
        address: SocketAddr,
        database: Arc<Database>,
        access: Access,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let connections = Arc::new(Connections::default());
        Ok(Self { database, access: Arc::new(access), connections, socket })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves clients until `stopping` says so; then tells those that are there.
    pub(crate) async fn serve(self, mut stopping: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            match accepted {
                Ok((socket, address)) => {
                    let (database, access) = (Arc::clone(&self.database), Arc::clone(&self.access));
                    let (connections, stopping) = (Arc::clone(&self.connections), stopping.clone());
                    task::detach(async move {
                        serve(socket, address, &database, &access, &connections, stopping).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    task::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve(
    socket: TcpStream,
    address: SocketAddr,
    database: &Arc<Database>,
    access: &Access,
    connections: &Arc<Connections>,
    stopping: watch::Receiver<bool>,
) {
    let enter = async {
        let framed = negotiate_tls::<()>(socket, access.tls()).await.ok()??;
        let parts = framed.into_parts();
        let mut read = BytesMut::new();
        read.extend_from_slice(&parts.read_buf);
        let mut wire = Wire::new(parts.io, read);
        let login = login(&mut wire, address, database, access, connections).await;
        Some((wire, login))
    };
    let Some(Some((mut wire, login))) = task::within(LOGIN_LIMIT, enter).await else { return };
    match login {
        Login::Done { session, seat } => {
            tracing::debug!(%address, pid = seat.pid, "client connected");
            Connection::new(wire, session, seat, stopping).serve().await;
        }
        Login::Refused(report) => {
            tracing::info!(%address, message = report.message, "client refused");
            wire.put(&report.message("FATAL"));
            // The client may be gone already.
            let _ = wire.close().await;
        }
        Login::Cancel | Login::Gone => {
            let _ = wire.close().await;
        }
    }
}
