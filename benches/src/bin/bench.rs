//! `bench`: measures Siltstone beside its peers. Without a scenario it runs all of them at small sizes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::process::{Command, ExitCode};

use siltstone_benches::compare::compare;
use siltstone_benches::report::say;
use siltstone_benches::scenario::{SCENARIOS, find};
use siltstone_benches::setting::{FLAGS, Setting};

/// As in the program `siltstone`, so that what runs in process here allocates as it does there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Setting::from_arguments(std::env::args().skip(1));
    let (setting, words) = match arguments {
        Ok(parsed) => parsed,
        Err(message) => return usage(&message),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["help"] => usage(""),
        [] | ["all"] => all(&setting),
        ["compare", baseline, new] => match compare(baseline.as_ref(), new.as_ref(), setting.tolerance) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(e) => failure("compare", &e),
        },
        ["compare", ..] => usage("compare needs two files"),
        [name] => one(name, &setting),
        _ => usage("one scenario at a time"),
    }
}

fn one(name: &str, setting: &Setting) -> ExitCode {
    let Some(scenario) = find(name) else { return usage(&format!("there is no scenario {name}")) };
    if let Some(flag) = setting.stray(scenario.flags) {
        return usage(&format!("{flag} does not belong to {name}"));
    }
    for (program, flag) in [(&setting.siltstone, "--siltstone"), (&setting.python, "--python")] {
        if program.as_os_str().is_empty() {
            return usage(&format!("{flag} is needed"));
        }
    }
    match scenario.run(setting) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => failure(name, &e),
    }
}

/// Each scenario in a process of its own: the memory of one is not in the figures of the next.
fn all(setting: &Setting) -> ExitCode {
    if let Some(flag) = setting.stray(&[]) {
        return usage(&format!("{flag} does not belong to all scenarios"));
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(e) => return failure("bench", &e),
    };
    for scenario in &SCENARIOS {
        say(&format!("\n{}: {}", scenario.name, scenario.about));
        let status = Command::new(&program)
            .arg(scenario.name)
            .args(std::env::args().skip(1).filter(|a| a != "all"))
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(_) => return ExitCode::FAILURE,
            Err(e) => return failure(scenario.name, &e),
        }
    }
    match &setting.out {
        None => say("\nTo compare with a baseline, keep the lines: --out FILE; see bench help"),
        Some(out) => say(&format!("\nTo compare: bench compare benches/baseline.jsonl {}", out.display())),
    }
    ExitCode::SUCCESS
}

fn failure(what: &str, error: &std::io::Error) -> ExitCode {
    eprintln!("bench: {what}: {error}");
    ExitCode::FAILURE
}

fn usage(message: &str) -> ExitCode {
    let scenarios: String = SCENARIOS.iter().map(|s| format!("  {:9}{}\n", s.name, s.about)).collect();
    let text = format!(
        "usage: bench [SCENARIO] [FLAGS]\n       bench compare BASELINE NEW [--tolerance X]\n\nscenarios:\n{scenarios}\n{FLAGS}"
    );
    if message.is_empty() {
        println!("{text}");
        return ExitCode::SUCCESS;
    }
    eprintln!("bench: {message}\n\n{text}");
    ExitCode::from(USAGE)
}
