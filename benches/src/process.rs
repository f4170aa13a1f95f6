//! Processes as what they cost: wall time, CPU time, and the most memory that was resident.
//!
//! A child's peak is at least its parent's at the moment of the start (the kernel counts the image that
//! `exec` replaces), so a process that measures others stays small: `bench all` gives each scenario one of
//! its own.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::stopwatch::Stopwatch;

/// How much of a failed process's output its error quotes.
const QUOTED_BYTES: usize = 4_000;

/// What a piece of work took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub seconds: f64,
    pub cpu_s: f64,
    /// Resident at most, in 10⁶ bytes.
    pub peak_mb: f64,
}

impl Cost {
    /// From a peer's line that has the fields `seconds`, `cpu_s` and `peak_mb`.
    pub fn told(line: &Value) -> Self {
        let number = |key: &str| line[key].as_f64().unwrap_or(f64::NAN);
        Self { seconds: number("seconds"), cpu_s: number("cpu_s"), peak_mb: number("peak_mb") }
    }

    /// The same fields.
    pub fn line(&self) -> Value {
        json!({ "seconds": self.seconds, "cpu_s": self.cpu_s, "peak_mb": self.peak_mb })
    }
}

/// Runs a command to its end; the answer is what it printed, and its cost. What it says on standard error is
/// quoted if it fails.
///
/// # Errors
/// If it cannot be started, or does not end with success.
pub fn run(command: &mut Command) -> io::Result<(String, Cost)> {
    let what = command.get_program().to_string_lossy().into_owned();
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?);
    let watch = Stopwatch::start();
    let child = command.spawn().map_err(|e| io::Error::other(format!("starting {what}: {e}")))?;
    let (status, usage) = wait(&child)?;
    let cost = Cost {
        seconds: watch.elapsed().as_secs_f64(),
        cpu_s: cpu_seconds(&usage),
        peak_mb: usage.ru_maxrss as f64 * 1024.0 / 1e6,
    };
    let text = whole(&mut out)?;
    if status == 0 {
        return Ok((text, cost));
    }
    let said = text + &whole(&mut err)?;
    Err(io::Error::other(format!("{what} ended with status {status}: {}", tail(&said))))
}

/// Does the work in this process. The peak is what came on top of what was resident at the start.
///
/// # Errors
/// Those of `work`, or if the kernel does not tell.
pub fn own<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Cost)> {
    // Sets the peak back to what is resident now: proc(5), clear_refs.
    fs::write("/proc/self/clear_refs", "5")?;
    let (before, cpu_before) = (resident_mb("VmRSS:")?, own_cpu_seconds()?);
    let watch = Stopwatch::start();
    let answer = work()?;
    let seconds = watch.elapsed().as_secs_f64();
    let cpu_s = own_cpu_seconds()? - cpu_before;
    Ok((answer, Cost { seconds, cpu_s, peak_mb: resident_mb("VmHWM:")? - before }))
}

/// A process that goes on until it is dropped, which kills it.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it; its words go to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let log = File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self(child))
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The end of a text, for an error's message.
pub fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(QUOTED_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

fn whole(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits for a child; the answer is its wait status and what it used.
#[allow(unsafe_code, reason = "the standard library waits without telling what the child used")]
fn wait(child: &Child) -> io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    loop {
        // SAFETY: both pointers are valid for writes; a child of ours has a number that fits.
        let pid = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, usage.as_mut_ptr()) };
        if pid >= 0 {
            // SAFETY: wait4 succeeded and has filled it.
            return Ok((status, unsafe { usage.assume_init() }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[allow(unsafe_code, reason = "the standard library does not tell what this process used")]
fn own_cpu_seconds() -> io::Result<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is valid for writes.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: getrusage succeeded and has filled it.
    Ok(cpu_seconds(&unsafe { usage.assume_init() }))
}

fn cpu_seconds(usage: &libc::rusage) -> f64 {
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// A line of this process's status, in 10⁶ bytes.
fn resident_mb(field: &str) -> io::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    let kib = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0 / 1e6).ok_or_else(|| io::Error::other(format!("the kernel tells no {field}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_charged_for_what_it_did() {
        let (text, cost) =
            run(Command::new("sh").args(["-c", "echo said; head -c 8000000 /dev/zero | wc -c"]))
                .expect("a shell is there");
        assert!(text.starts_with("said"), "{text}");
        assert!(cost.seconds > 0.0 && cost.peak_mb > 0.1, "{cost:?}");
        let failed = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).expect_err("it fails");
        assert!(failed.to_string().contains("why"), "{failed}");
    }

    #[test]
    fn this_process_is_charged_for_what_came_on_top() {
        let (kept, cost) = own(|| Ok(vec![1_u8; 64 << 20])).expect("the kernel tells");
        assert!(cost.peak_mb > 60.0 && kept.len() == 64 << 20, "{cost:?}");
    }
}
