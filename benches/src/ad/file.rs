//! The ad events as CSV and JSON lines, and exact totals of what was written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::event::{Event, Generator, KINDS, YEAR_MS, YEAR_START_MS};

const HEADER: &str = "ts,type,auction_id,advertiser_id,publisher_id,bid_price,user_id,total_price,country\n";
/// Bytes gathered before they go to the file.
const BUFFER_BYTES: usize = 1 << 20;

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rows: u64,
    pub files: u64,
    pub seed: u64,
    pub out: PathBuf,
    pub csv: bool,
    pub jsonl: bool,
    /// Every file spans the whole year, instead of its slice of it.
    pub spread: bool,
}

/// What was written, in integers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub rows: u64,
    pub serves: u64,
    pub impressions: u64,
    pub clicks: u64,
    pub purchases: u64,
    pub bids: u64,
    pub bid_micros: u64,
    pub total_cents: u64,
    pub user_id_sum: u64,
}

impl Totals {
    fn count(&mut self, event: &Event) {
        // In the order of the generator's types.
        let by_kind: [&mut u64; KINDS] =
            [&mut self.serves, &mut self.impressions, &mut self.clicks, &mut self.purchases];
        *by_kind[event.kind] += 1;
        self.rows += 1;
        self.bids += u64::from(event.bid_micros.is_some());
        self.bid_micros += event.bid_micros.unwrap_or(0);
        self.total_cents += event.total_cents.unwrap_or(0);
        self.user_id_sum += event.user;
    }

    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.serves += other.serves;
        self.impressions += other.impressions;
        self.clicks += other.clicks;
        self.purchases += other.purchases;
        self.bids += other.bids;
        self.bid_micros += other.bid_micros;
        self.total_cents += other.total_cents;
        self.user_id_sum += other.user_id_sum;
    }
}

/// Writes all files, and `manifest.json` with the totals beside them.
pub fn write(plan: &Plan) -> io::Result<Totals> {
    for (wanted, folder) in [(plan.csv, "csv"), (plan.jsonl, "jsonl")] {
        if wanted {
            fs::create_dir_all(plan.out.join(folder))?;
        }
    }
    let half = plan.files.div_ceil(2);
    let write_all = |files: std::ops::Range<u64>| -> io::Result<Totals> {
        let mut totals = Totals::default();
        for file in files {
            totals.add(&write_file(plan, file)?);
        }
        Ok(totals)
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| write_all(0..half));
        let second = write_all(half..plan.files);
        (first.join().expect("the writer does not panic"), second)
    });
    let mut totals = first?;
    totals.add(&second?);
    fs::write(plan.out.join("manifest.json"), serde_json::to_vec(&totals)?)?;
    Ok(totals)
}

fn write_file(plan: &Plan, file: u64) -> io::Result<Totals> {
    let rows = plan.rows * (file + 1) / plan.files - plan.rows * file / plan.files;
    let slice = YEAR_MS / plan.files;
    let (from, span) =
        if plan.spread { (YEAR_START_MS, YEAR_MS) } else { (YEAR_START_MS + slice * file, slice) };
    let mut csv = plan.csv.then(|| create(&plan.out, "csv", file)).transpose()?;
    let mut jsonl = plan.jsonl.then(|| create(&plan.out, "jsonl", file)).transpose()?;
    if let Some(csv) = &mut csv {
        csv.write_all(HEADER.as_bytes())?;
    }
    let mut generator = Generator::new(plan.seed, file);
    let mut totals = Totals::default();
    let step = (span / rows.max(1)).max(1);
    for row in 0..rows {
        let ts_ms =
            from + (u128::from(span) * u128::from(row) / u128::from(rows)) as u64 + generator.below(step);
        let event = generator.event(ts_ms);
        totals.count(&event);
        if let Some(csv) = &mut csv {
            csv_line(csv, &event)?;
        }
        if let Some(jsonl) = &mut jsonl {
            json_line(jsonl, &event)?;
        }
    }
    for mut out in [csv, jsonl].into_iter().flatten() {
        out.flush()?;
    }
    Ok(totals)
}

fn create(out: &Path, format: &str, file: u64) -> io::Result<BufWriter<File>> {
    let path = out.join(format).join(format!("events_{file:04}.{format}"));
    Ok(BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?))
}

fn csv_line(out: &mut impl Write, e: &Event) -> io::Result<()> {
    write!(out, "{},{},{:032x},{},{},", e.ts_ms, e.type_name(), e.auction, e.advertiser, e.publisher)?;
    if let Some(bid) = e.bid_micros {
        write!(out, "{}.{:06}", bid / 1_000_000, bid % 1_000_000)?;
    }
    write!(out, ",{},", e.user)?;
    if let Some(total) = e.total_cents {
        write!(out, "{}.{:02}", total / 100, total % 100)?;
    }
    writeln!(out, ",{}", e.country())
}

fn json_line(out: &mut impl Write, e: &Event) -> io::Result<()> {
    write!(out, r#"{{"ts":{},"type":"{}","auction_id":"{:032x}","#, e.ts_ms, e.type_name(), e.auction)?;
    write!(out, r#""advertiser_id":{},"publisher_id":{},"bid_price":"#, e.advertiser, e.publisher)?;
    match e.bid_micros {
        Some(bid) => write!(out, "{}.{:06}", bid / 1_000_000, bid % 1_000_000)?,
        None => write!(out, "null")?,
    }
    write!(out, r#","user_id":{},"total_price":"#, e.user)?;
    match e.total_cents {
        Some(total) => write!(out, "{}.{:02}", total / 100, total % 100)?,
        None => write!(out, "null")?,
    }
    writeln!(out, r#","country":"{}"}}"#, e.country())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_hold_the_rows_that_the_manifest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_path_buf();
        let plan =
            Plan { rows: 1_003, files: 7, seed: 5, out: out.clone(), csv: true, jsonl: true, spread: false };
        let totals = write(&plan).unwrap();
        assert_eq!(totals.rows, 1_003);
        let lines = |format: &str| -> usize {
            let files = fs::read_dir(out.join(format)).unwrap();
            files.map(|f| fs::read_to_string(f.unwrap().path()).unwrap().lines().count()).sum()
        };
        assert_eq!((lines("csv"), lines("jsonl")), (1_003 + 7, 1_003));
    }
}
