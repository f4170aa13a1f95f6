//! `siltstone` as a process over a directory of its own. Nothing waits without a limit.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use siltstone_engine::clock;
use tempfile::TempDir;

/// When something is called hung.
pub const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A place for data, scripts and input.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file; the answer is its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    /// The command with this place's data directory.
    pub fn command(&self, name: &str) -> Command {
        let mut command = program();
        command.arg(name).arg("--data").arg(self.data());
        command
    }

    /// What `siltstone sql -c` prints as CSV.
    pub fn ask(&self, sql: &str) -> String {
        let output = self.command("sql").args(["--format", "csv", "-c", sql]).output().expect("it runs");
        assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

/// The program, without anything of the caller's configuration.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siltstone"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SILTSTONE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

/// Its exit code and all that it said.
pub fn ended(command: &mut Command) -> (i32, String) {
    let output = finish(command);
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that runs until it is told to end; killed when this is dropped.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, heard) = (child.stderr.take().expect("a pipe"), Arc::clone(&said));
        let listen = move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                heard.lock().expect("no panic").push_str(&(line + "\n"));
            }
        };
        clock::spawn("listener", listen).expect("a thread");
        Self { child, said }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn said(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    /// Waits until it has said that.
    pub fn says(&self, word: &str) -> String {
        until(|| self.said().contains(word).then(|| self.said())).unwrap_or_else(|| panic!("{}", self.said()))
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end; the answer is its exit code.
    pub fn end(&mut self) -> i32 {
        let code = until(|| self.child.try_wait().expect("a child").map(|s| s.code().unwrap_or(-1)));
        code.unwrap_or_else(|| panic!("it does not end: {}", self.said()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until there is an answer; `None` when the limit is reached.
pub fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = clock::now() + LIMIT;
    loop {
        if let Some(answer) = attempt() {
            return Some(answer);
        }
        if clock::now() > end {
            return None;
        }
        clock::sleep(PAUSE);
    }
}

/// A process that serves PostgreSQL clients on a port of its own.
pub fn serve(place: &Place, arguments: &[&Path]) -> (Running, u16) {
    let running = Running::start(place.command("serve").args(["--pg", "127.0.0.1:0"]).args(arguments));
    let said = running.says("ready for PostgreSQL clients on 127.0.0.1:");
    let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split_whitespace().next());
    let port = port.and_then(|p| p.parse().ok()).expect("a port");
    (running, port)
}

/// Reads to the end of a stream that closes.
pub fn rest(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
