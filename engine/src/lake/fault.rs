//! Named points of the protocol at which a test has the process killed or a step fail.
//!
//! `SILTSTONE_FAULT=point=action[@n]` in the environment: at the `n`th time (from 1, the default) that the point
//! is passed. Actions: `kill` (as kill -9 does), `eio` and `enospc` (the step fails with that error, once),
//! `enospc*` (it fails until the file that `SILTSTONE_FAULT_WHILE` names is gone), `lost` (the step is done, and
//! reported as failed). Each step has two points, `step.before` and `step.after`.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};

/// Every step that has points.
pub const STEPS: [&str; 18] = [
    "seal",
    "create",
    "file",
    "file-write",
    "file-sync",
    "folder-sync",
    "written",
    "manifest",
    "manifest-list",
    "metadata",
    "metadata-sync",
    "swap",
    "drop",
    "expire",
    "expire-swap",
    "delete",
    "discard",
    "epoch-file",
];

struct Plan {
    point: String,
    action: String,
    at: u32,
    passed: AtomicU32,
}

fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    let read = || {
        let text = std::env::var("SILTSTONE_FAULT").ok()?;
        let (point, action) = text.split_once('=')?;
        let (action, at) = action.split_once('@').unwrap_or((action, "1"));
        Some(Plan {
            point: point.to_owned(),
            action: action.to_owned(),
            at: at.parse().ok()?,
            passed: AtomicU32::new(0),
        })
    };
    PLAN.get_or_init(read).as_ref()
}

/// Does a step between its two points.
pub fn step<T>(step: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    debug_assert!(STEPS.contains(&step), "{step} is not among the steps");
    let Some(plan) =
        plan().filter(|plan| plan.point.strip_prefix(step).is_some_and(|rest| rest.starts_with('.')))
    else {
        return work();
    };
    if plan.point.ends_with(".before") {
        meet(plan)?;
        return work();
    }
    let done = work()?;
    meet(plan)?;
    Ok(done)
}

fn meet(plan: &Plan) -> Result<()> {
    let passed = plan.passed.fetch_add(1, Ordering::Relaxed) + 1;
    let fails =
        |errno| Err(Error::io(format!("fault at {}", plan.point), io::Error::from_raw_os_error(errno)));
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    match plan.action.as_str() {
        "enospc*" if passed >= plan.at => {
            let goes_on =
                std::env::var("SILTSTONE_FAULT_WHILE").is_ok_and(|path| std::path::Path::new(&path).exists());
            if goes_on { fails(ENOSPC) } else { Ok(()) }
        }
        _ if passed != plan.at => Ok(()),
        "kill" => kill(),
        "eio" => fails(EIO),
        "enospc" => fails(ENOSPC),
        "lost" => Err(Error::io(
            format!("the reply was lost at {}", plan.point),
            io::Error::from(io::ErrorKind::TimedOut),
        )),
        _ => Ok(()),
    }
}

/// Ends the process as kill -9 does.
fn kill() -> ! {
    let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    std::process::abort()
}
