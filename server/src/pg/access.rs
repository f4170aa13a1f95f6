//! Who may connect, from where.
//!
//! Loopback needs no password unless there are users: whoever is on this machine and reaches the port is
//! trusted. Any other address needs users and TLS, and is refused at the start without them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring::default_provider;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::report::Report;
use super::scram::{self, Verifier};
use super::wire::{Broken, Wire};

/// Modes that let others than the owner at a file.
const OTHERS: u32 = 0o077;

/// The rules of a listener.
pub(crate) struct Access {
    tls: Option<TlsAcceptor>,
    tls_required: bool,
    users: BTreeMap<String, Verifier>,
}

/// What the rules are made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// SCRAM verifiers by user name.
    pub(crate) users: BTreeMap<String, String>,
    /// Lines of `name:password`.
    pub(crate) password_file: Option<PathBuf>,
    /// PEM files.
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
}

/// Why an address is not served.
#[derive(Debug)]
pub(crate) struct AccessError {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl AccessError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl Access {
    /// # Errors
    /// If the address needs what is not given, or what is given cannot be used.
    pub(crate) fn new(address: SocketAddr, credentials: &Credentials) -> Result<Self, AccessError> {
        let users = read_users(credentials)?;
        let tls = match (&credentials.tls_cert, &credentials.tls_key) {
            (Some(cert), Some(key)) => Some(read_tls(cert, key)?),
            (None, None) => None,
            _ => {
                let message = "tls_cert and tls_key go together, and one of them is missing";
                return Err(AccessError::new(message, "give both in [pg] of the configuration file"));
            }
        };
        let public = !address.ip().is_loopback();
        let missing = match (users.is_empty(), tls.is_none()) {
            (true, true) => "users and TLS",
            (true, false) => "users",
            (false, true) => "TLS",
            (false, false) => "",
        };
        if public && !missing.is_empty() {
            return Err(AccessError::new(
                format!(
                    "{address} can be reached from other machines, and there are no {missing} to protect it"
                ),
                "use 127.0.0.1, or configure tls_cert, tls_key in [pg] and password_file there or [users]",
            ));
        }
        Ok(Self { tls, tls_required: public, users })
    }

    pub(crate) fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.clone()
    }

    /// Makes sure that the client is who it says.
    pub(crate) async fn authenticate(
        &self,
        wire: &mut Wire,
        user: &str,
    ) -> Result<Result<(), Report>, Broken> {
        if self.tls_required && !wire.is_encrypted() {
            let report = Report::new("28000", "connections to this address must be encrypted");
            return Ok(Err(report.with_hint("connect with sslmode=require or stronger")));
        }
        if self.users.is_empty() {
            return Ok(Ok(()));
        }
        scram::login(wire, user, self.users.get(user)).await
    }
}

fn read_users(credentials: &Credentials) -> Result<BTreeMap<String, Verifier>, AccessError> {
    let mut users = BTreeMap::new();
    for (name, text) in &credentials.users {
        let verifier = Verifier::parse(text).ok_or_else(|| {
            let hint = "write it as SCRAM-SHA-256$4096:salt$stored:server, or use password_file in [pg]";
            AccessError::new(format!("the entry of user \"{name}\" in [users] is no SCRAM verifier"), hint)
        })?;
        users.insert(name.clone(), verifier);
    }
    let Some(path) = &credentials.password_file else { return Ok(users) };
    let text = String::from_utf8(read_private(path)?).map_err(|_| {
        AccessError::new(
            format!("{} is not UTF-8", path.display()),
            "write a line name:password for each user",
        )
    })?;
    for (number, line) in
        text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'))
    {
        let place = format!("{}:{}", path.display(), number + 1);
        let hint = "write a line name:password for each user";
        let (name, password) = line
            .split_once(':')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| AccessError::new(format!("{place} is not name:password"), hint))?;
        // Others would have to be normalised as SASLprep says, on both sides alike.
        if password.is_empty() || !password.is_ascii() {
            let message = format!("{place}: a password here is ASCII, and not empty");
            return Err(AccessError::new(message, "give a SCRAM verifier in [users] instead"));
        }
        let verifier = Verifier::new(password);
        let verifier =
            verifier.ok_or_else(|| AccessError::new("no random numbers can be had", "try again"))?;
        users.insert(name.to_owned(), verifier);
    }
    Ok(users)
}

fn read_tls(cert: &Path, key: &Path) -> Result<TlsAcceptor, AccessError> {
    let hint = "give a PEM certificate chain and its PEM private key";
    let wrong = |path: &Path, what: String| AccessError::new(format!("{}: {what}", path.display()), hint);
    let chain = fs::read(cert).map_err(|e| wrong(cert, e.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| wrong(cert, e.to_string()))?;
    let secret = PrivateKeyDer::from_pem_slice(&read_private(key)?).map_err(|e| wrong(key, e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|e| wrong(cert, e.to_string()))?;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A file that only its owner may read.
fn read_private(path: &Path) -> Result<Vec<u8>, AccessError> {
    let hint = format!("chmod 600 {}", path.display());
    let reading =
        |e: std::io::Error| AccessError::new(format!("reading {}: {e}", path.display()), hint.clone());
    let mode = fs::metadata(path).map_err(reading)?.mode();
    if mode & OTHERS != 0 {
        let message = format!("{} can be read by others (mode {:o})", path.display(), mode & 0o777);
        return Err(AccessError::new(message, hint));
    }
    fs::read(path).map_err(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_addresses_need_users_and_tls() {
        let nobody = Credentials::default();
        let address = |text: &str| text.parse().expect("an address");
        assert!(Access::new(address("127.0.0.1:5432"), &nobody).is_ok());
        assert!(Access::new(address("[::1]:5432"), &nobody).is_ok());
        for public in ["0.0.0.0:5432", "[::]:5432", "192.0.2.1:5432"] {
            let error = Access::new(address(public), &nobody).err().expect("refused");
            assert!(error.message.contains("no users and TLS"), "{}", error.message);
        }
    }

    #[test]
    fn secrets_that_others_can_read_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("passwords");
        fs::write(&path, "ann:secret\n").expect("a file");
        let credentials = Credentials { password_file: Some(path.clone()), ..Credentials::default() };
        let set = |mode| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions");
        };
        set(0o644);
        let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        assert!(Access::new(loopback, &credentials).err().expect("refused").message.contains("by others"));
        set(0o600);
        assert!(Access::new(loopback, &credentials).is_ok());
    }
}
