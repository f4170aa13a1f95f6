//! The flags of both scenarios.

use std::path::PathBuf;

/// What to measure, how often, and with which programs.
#[derive(Clone, Debug)]
pub struct Setting {
    pub siltstone: PathBuf,
    pub python: PathBuf,
    pub rows: u64,
    pub runs: usize,
    pub seed: u64,
}

/// The flags, as a usage text says them.
pub const USAGE: &str = "--siltstone PATH --python PATH [--rows 2450000] [--runs 3] [--seed 1]";

impl Setting {
    /// From the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut siltstone, mut python) = (None, None);
        let (mut rows, mut runs, mut seed) = (2_450_000, 3, 1);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let number = || value.replace('_', "").parse::<u64>().map_err(|e| format!("{flag} {value}: {e}"));
            match flag.as_str() {
                "--siltstone" => siltstone = Some(value.into()),
                "--python" => python = Some(value.into()),
                "--rows" => rows = number()?,
                "--runs" => runs = number()?.max(1) as usize,
                "--seed" => seed = number()?,
                _ => return Err(format!("unknown argument {flag}")),
            }
        }
        Ok(Self {
            siltstone: siltstone.ok_or("--siltstone is needed")?,
            python: python.ok_or("--python is needed")?,
            rows,
            runs,
            seed,
        })
    }
}
