//! Which connections there are, and asking one to stop what it does.
//!
//! A request names a connection by number and secret. It ends the statement that runs at that moment and
//! nothing else: one that comes between two statements is forgotten, as in PostgreSQL.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use pgwire::api::{DefaultClient, PidSecretKeyGenerator, RandomPidSecretKeyGenerator};
use pgwire::messages::ProtocolVersion;
use pgwire::messages::startup::SecretKey;
use tokio::sync::watch;

/// Connections at one time; more are refused with SQLSTATE 53300.
pub(crate) const CONNECTIONS_MAX: usize = 256;

/// The connections of a listener.
#[derive(Default)]
pub(crate) struct Connections {
    keys: RandomPidSecretKeyGenerator,
    open: Mutex<HashMap<i32, (SecretKey, watch::Sender<u64>)>>,
}

/// A connection's entry; it leaves with this value.
pub(crate) struct Seat {
    connections: Arc<Connections>,
    pub(crate) pid: i32,
    pub(crate) secret: SecretKey,
    requests: watch::Receiver<u64>,
}

impl Connections {
    /// Enters a connection; `None` if there are too many.
    pub(crate) fn enter(self: &Arc<Self>, address: SocketAddr, version: ProtocolVersion) -> Option<Seat> {
        let mut client = DefaultClient::<()>::new(address, false);
        client.protocol_version = version;
        let (pid, secret) = self.keys.generate(&client);
        let (sender, requests) = watch::channel(0);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= CONNECTIONS_MAX {
            return None;
        }
        open.insert(pid, (secret.clone(), sender));
        Some(Seat { connections: Arc::clone(self), pid, secret, requests })
    }

    /// Asks the connection with that number to stop its statement, if the secret is right.
    pub(crate) fn cancel(&self, pid: i32, secret: &SecretKey) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, sender)) = open.get(&pid)
            && known.eq_value(secret)
        {
            sender.send_modify(|n| *n += 1);
        }
    }
}

impl Seat {
    /// Forgets requests that came before now.
    pub(crate) fn forget(&mut self) {
        self.requests.mark_unchanged();
    }

    /// Resolves when a request has come since [`Seat::forget`].
    pub(crate) async fn cancelled(&mut self) {
        if self.requests.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.pid);
    }
}
