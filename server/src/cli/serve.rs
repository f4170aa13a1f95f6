//! `siltstone serve`: what `run` does, for PostgreSQL clients too.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use siltstone_sql::script;
use tokio::sync::watch;

use super::config::Settings;
use super::failure::Failure;
use super::pipeline::Until;
use super::signal::Signals;
use super::{engine, opening, pipeline};
use crate::pg::{Access, Credentials, Listener};
use crate::{channel, task};

const HELP: &str = "\
On a loopback address, clients need no password: whoever reaches the port is trusted. Any other address needs
users and TLS in the configuration file, else the start is refused:

  [pg]
  tls_cert = 'server.crt'
  tls_key = 'server.key'
  password_file = 'passwords'      # lines of name:password, mode 0600

  [users]
  ann = 'SCRAM-SHA-256$4096:...'   # or verifiers, as PostgreSQL has them in pg_authid

Examples:
  siltstone serve --data ./data --pg 127.0.0.1:5432
  siltstone serve --data ./data --pg 127.0.0.1:5432 -v csv='events/*.csv' csv.sql
  psql -h 127.0.0.1 -p 5432 -c 'SELECT * FROM siltstone.views'

Exit codes: 0 stopped by a signal; 1 failure; 2 usage; 3 directory busy; 4 SQL error in the script";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Address for PostgreSQL clients, host:port
    #[arg(long, value_name = "ADDR", env = "SILTSTONE_PG")]
    pg: Option<String>,
    /// Value of :name, :'name' and :"name" in the script
    #[arg(short, long = "variable", value_name = "NAME=VALUE", value_parser = super::variable)]
    variables: Vec<(String, String)>,
    /// A script to run first
    #[arg(value_name = "FILE.sql")]
    file: Option<PathBuf>,
}

pub(super) async fn serve(settings: Settings, arguments: Arguments) -> Result<(), Failure> {
    let dir = settings.data()?;
    let address = address(arguments.pg.as_deref().or(settings.pg.address.as_deref()))?;
    let credentials = Credentials {
        users: settings.users.clone(),
        password_file: settings.pg.password_file.clone(),
        tls_cert: settings.pg.tls_cert.clone(),
        tls_key: settings.pg.tls_key.clone(),
    };
    let access =
        Access::new(address, &credentials).map_err(|e| Failure::usage(e.message).with_hint(e.hint))?;
    let mut signals = Signals::new()?;
    let statements = match &arguments.file {
        Some(file) => script::load(file, &super::variables(arguments.variables)).map_err(Failure::script)?,
        None => Vec::new(),
    };
    let database = opening::open(&settings, &dir, "siltstone serve").await?;
    let listener = Listener::bind(address, Arc::clone(&database), access)
        .await
        .map_err(|e| Failure::io(format!("listening on {address}"), &e))?;
    let socket = channel::Server::bind(&dir)
        .map_err(|e| Failure::io(format!("taking the socket in {}", dir.display()), &e))?;
    let (stopping, stopped) = watch::channel(false);
    let session = database.session();
    let begin = async {
        let rest = opening::define(&session, &statements).await?;
        engine::start(&database, false).await?;
        opening::apply(&database, &session, rest, false).await
    };
    let begun = tokio::select! {
        begun = begin => begun,
        signal = signals.next() => {
            eprintln!("siltstone: {signal}, stopping");
            engine::stop(&database).await;
            return Ok(());
        }
    };
    if let Err(failure) = begun {
        engine::stop(&database).await;
        return Err(failure);
    }
    let answering = task::start(socket.serve(Arc::clone(&database), stopped.clone()));
    let taken = listener.address().map_err(|e| Failure::io("asking for the address", &e))?;
    eprintln!("siltstone: ready for PostgreSQL clients on {taken}");
    let serving = task::start(listener.serve(stopped));
    let ended = pipeline::keep(&database, &mut signals, &stopping, Until::Signal).await;
    answering.await;
    serving.await;
    ended
}

fn address(text: Option<&str>) -> Result<SocketAddr, Failure> {
    let Some(text) = text else {
        return Err(Failure::usage("no address is given for PostgreSQL clients").with_hint(
            "add --pg 127.0.0.1:5432, set SILTSTONE_PG, or address in [pg] of the configuration file",
        ));
    };
    let mut found = text.to_socket_addrs().map_err(|e| {
        Failure::usage(format!("--pg {text}: {e}")).with_hint("write it as host:port, such as 127.0.0.1:5432")
    })?;
    found.next().ok_or_else(|| Failure::usage(format!("--pg {text} is no address")))
}
