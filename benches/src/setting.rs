//! The command line: what to measure, how often, on how much, and with which programs.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// What every scenario takes.
pub const COMMON: [&str; 6] = ["--siltstone", "--python", "--rows", "--runs", "--seed", "--out"];

/// The flags, each for the scenarios that it belongs to.
pub const FLAGS: &str = "every scenario:
  --siltstone PATH     the program under test (make bench gives it)
  --python PATH        a Python with DuckDB, psycopg, confluent-kafka (make bench gives it)
  --rows N             events, or rows
  --runs N             how often; the figure is the median [default: 3]
  --seed N             of the data [default: 1]
  --out FILE           add the result line to this file
some:
  --spread             replay: every file spans the whole year, instead of its slice of it
  --keep               replay: the raw events are kept, too
  --peer NAME          live: flink or flink-rocksdb, Flink SQL over the same topic with its state on the heap or
                       in RocksDB, or none [default: none]
  --seconds N          live: how long events are produced for freshness [default: 10]
  --rate N             live: events a second for freshness, instead of 10 % and 80 % of what was sustained
  --keys N             keys: distinct keys [default: three quarters of the rows]
  --memory SIZE        keys: memory of both sides, such as 1GiB [default: 1GiB]
compare:
  --tolerance X        how much worse a ratio may be [default: 0.15]

To compare with a baseline: bench … --out new.jsonl, then bench compare benches/baseline.jsonl new.jsonl.
To make one: the same with --out benches/baseline.jsonl, on a machine that does nothing else, and commit it.";

/// See the module.
#[derive(Clone, Debug)]
pub struct Setting {
    pub siltstone: PathBuf,
    pub python: PathBuf,
    pub rows: u64,
    pub runs: usize,
    pub seed: u64,
    pub out: Option<PathBuf>,
    pub spread: bool,
    pub keep: bool,
    /// Where the state of Flink is, if it is to be the peer.
    pub flink: Option<&'static str>,
    pub seconds: u64,
    pub rate: Option<u64>,
    pub keys: Option<u64>,
    pub memory: String,
    pub tolerance: f64,
    /// The flags that were given.
    pub given: BTreeSet<String>,
}

impl Setting {
    /// From the command line; the other answer is what is no flag: the scenario, files to compare. `rows` is
    /// 0 where none were asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_arguments(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<(Self, Vec<String>), String> {
        let mut setting = Self {
            siltstone: PathBuf::new(),
            python: PathBuf::new(),
            rows: 0,
            runs: 3,
            seed: 1,
            out: None,
            spread: false,
            keep: false,
            flink: None,
            seconds: 10,
            rate: None,
            keys: None,
            memory: "1GiB".to_owned(),
            tolerance: 0.15,
            given: BTreeSet::new(),
        };
        let mut words = Vec::new();
        while let Some(argument) = arguments.next() {
            if !argument.starts_with("--") {
                words.push(argument);
                continue;
            }
            setting.take(&argument, || arguments.next())?;
            setting.given.insert(argument);
        }
        Ok((setting, words))
    }

    fn take(&mut self, flag: &str, next: impl FnOnce() -> Option<String>) -> Result<(), String> {
        match flag {
            "--spread" => self.spread = true,
            "--keep" => self.keep = true,
            _ => {
                let value = next().ok_or_else(|| format!("{flag} needs a value"))?;
                self.take_value(flag, value)?;
            }
        }
        Ok(())
    }

    fn take_value(&mut self, flag: &str, value: String) -> Result<(), String> {
        let number = || value.replace('_', "").parse::<u64>().map_err(|e| format!("{flag} {value}: {e}"));
        match flag {
            "--siltstone" => self.siltstone = value.into(),
            "--python" => self.python = value.into(),
            "--rows" => self.rows = number()?,
            "--runs" => self.runs = number()?.max(1) as usize,
            "--seed" => self.seed = number()?,
            "--out" => self.out = Some(value.into()),
            "--seconds" => self.seconds = number()?.max(1),
            "--rate" => self.rate = Some(number()?.max(1)),
            "--keys" => self.keys = Some(number()?.max(1)),
            "--memory" => self.memory = value,
            "--tolerance" => self.tolerance = value.parse().map_err(|e| format!("{flag} {value}: {e}"))?,
            "--peer" => match value.as_str() {
                "flink" => self.flink = Some("hashmap"),
                "flink-rocksdb" => self.flink = Some("rocksdb"),
                "none" => self.flink = None,
                _ => return Err(format!("--peer {value}: flink, flink-rocksdb or none")),
            },
            _ => return Err(format!("unknown flag {flag}")),
        }
        Ok(())
    }

    /// A flag that was given and belongs neither to all scenarios nor to these of this one.
    pub fn stray(&self, own: &[&str]) -> Option<&str> {
        let known = |flag: &&String| COMMON.contains(&flag.as_str()) || own.contains(&flag.as_str());
        self.given.iter().find(|flag| !known(flag)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Setting, Vec<String>), String> {
        Setting::from_arguments(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_and_words_in_any_order() {
        let (setting, words) = parse("--runs 5 replay --spread --rows 1_000").expect("it is right");
        assert_eq!((setting.runs, setting.rows, setting.spread), (5, 1000, true));
        assert_eq!(words, ["replay"]);
        assert_eq!(setting.stray(&["--spread"]), None);
        assert_eq!(setting.stray(&[]), Some("--spread"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in
            [("--rows", "needs a value"), ("--rows x", "--rows x"), ("--fast 1", "unknown flag --fast")]
        {
            let error = parse(text).expect_err("it is wrong");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
