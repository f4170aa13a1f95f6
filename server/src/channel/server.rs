//! The owner's end of the directory's socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::ipc::writer::StreamWriter;
use siltstone_sql::{Answer, Database, Session, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::frame;
use super::path::{NAME, SocketPath, user};
use crate::batches::Batches;
use crate::remark::Remark;
use crate::task;

/// Clients at one time; more wait to be accepted.
const CLIENTS_MAX: usize = 64;

/// A socket that answers for a directory; removed with this value.
pub(crate) struct Server {
    listener: UnixListener,
    file: PathBuf,
}

impl Server {
    /// Takes the directory's socket. The caller owns the directory, so one that is there is left over.
    pub(crate) fn bind(dir: &Path) -> io::Result<Self> {
        let short = SocketPath::new(dir)?;
        let path = short.get();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, file: dir.join(NAME) })
    }

    /// Answers until `stopping` says so.
    pub(crate) async fn serve(self, database: Arc<Database>, mut stopping: watch::Receiver<bool>) {
        let seats = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            let Ok((socket, _)) = accepted else { continue };
            let allowed = socket.peer_cred().is_ok_and(|peer| peer.uid() == user() || peer.uid() == 0);
            if !allowed {
                tracing::warn!("a process of another user tried the directory's socket");
                continue;
            }
            let session = Arc::new(database.session());
            let mut stopping = stopping.clone();
            task::detach(async move {
                // Errors here are a client that left.
                tokio::select! {
                    _ = answer(socket, &session) => {}
                    _ = stopping.wait_for(|stopping| *stopping) => {}
                }
                drop(seat);
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

async fn answer(socket: UnixStream, session: &Arc<Session>) -> io::Result<()> {
    let (mut requests, answers) = socket.into_split();
    let mut answers = BufWriter::new(answers);
    while let Some((kind, bytes)) = frame::read(&mut requests).await? {
        let work = async {
            if kind != frame::QUERY {
                return Err(Trouble::Sql(Remark::error("08P01", "unexpected frame")));
            }
            let sql = String::from_utf8(bytes)
                .map_err(|_| Remark::error("22021", "invalid byte sequence for encoding \"UTF8\""))?;
            for statement in session.parse(&sql).map_err(Remark::from)? {
                run(session, &statement, &mut answers).await?;
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = work => ended,
            () = gone(&mut requests) => return Ok(()),
        };
        match ended {
            Ok(()) => frame::write(&mut answers, frame::DONE, &[]).await?,
            Err(Trouble::Sql(remark)) => {
                frame::write(&mut answers, frame::ERROR, &serde_json::to_vec(&remark)?).await?;
            }
            Err(Trouble::Io(error)) => return Err(error),
        }
        answers.flush().await?;
    }
    Ok(())
}

/// Resolves when the client closes, or sends what it should not while its request runs.
async fn gone(requests: &mut OwnedReadHalf) {
    let mut byte = [0];
    let _ = requests.read(&mut byte).await;
}

enum Trouble {
    Sql(Remark),
    Io(io::Error),
}

impl From<Remark> for Trouble {
    fn from(remark: Remark) -> Self {
        Self::Sql(remark)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

async fn run(
    session: &Arc<Session>,
    statement: &Statement,
    answers: &mut BufWriter<OwnedWriteHalf>,
) -> Result<(), Trouble> {
    let (session, statement) = (Arc::clone(session), statement.clone());
    let outcome = task::start_statement(async move { session.execute(&statement, &[]).await }).await;
    let outcome = outcome.map_err(Remark::from)?;
    for notice in outcome.notices {
        let bytes = serde_json::to_vec(&Remark::from(notice)).map_err(io::Error::from)?;
        frame::write(answers, frame::NOTICE, &bytes).await?;
    }
    let tag = match outcome.result {
        Answer::Done { tag } => tag,
        Answer::Rows { schema, rows, tag } => {
            let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(encoding)?;
            let count = send_rows(&mut writer, Batches::new(rows), answers).await?;
            writer.finish().map_err(encoding)?;
            send_parts(writer.get_mut(), answers).await?;
            if tag == "SELECT" { format!("SELECT {count}") } else { tag.to_owned() }
        }
    };
    frame::write(answers, frame::TAG, tag.as_bytes()).await?;
    Ok(())
}

async fn send_rows(
    writer: &mut StreamWriter<Vec<u8>>,
    mut rows: Batches,
    answers: &mut BufWriter<OwnedWriteHalf>,
) -> Result<usize, Trouble> {
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(Remark::from)?;
        count += batch.num_rows();
        writer.write(&batch).map_err(encoding)?;
        send_parts(writer.get_mut(), answers).await?;
    }
    Ok(count)
}

async fn send_parts(bytes: &mut Vec<u8>, answers: &mut BufWriter<OwnedWriteHalf>) -> io::Result<()> {
    for part in bytes.chunks(frame::PART_BYTES) {
        frame::write(answers, frame::ROWS, part).await?;
    }
    bytes.clear();
    Ok(())
}

fn encoding(error: arrow::error::ArrowError) -> Trouble {
    Trouble::Sql(Remark::error("XX000", format!("encoding rows: {error}")))
}
