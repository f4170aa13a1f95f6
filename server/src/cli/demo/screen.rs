//! What the demo shows: how many events, how fresh, how many groups in each rollup, the first countries.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use futures::TryStreamExt;
use siltstone_sql::{Answer, Database, Session};

use crate::cli::failure::Failure;
use crate::cli::progress::grouped;
use crate::value::Column;

const COUNTRIES: &str = "SELECT country, sum(n), sum(CASE WHEN type = 'purchase' THEN n ELSE 0 END), sum(total_sum) \
    FROM country_type GROUP BY country ORDER BY 2 DESC LIMIT 6";

/// What there is to see at one moment.
#[derive(Default)]
pub(super) struct View {
    elapsed: Duration,
    produced: u64,
    counted: u64,
    rate: f64,
    epoch: u64,
    freshness: Duration,
    rollups: Vec<(String, u64, u64)>,
    countries: Vec<[String; 4]>,
}

impl View {
    pub(super) async fn look(
        database: &Arc<Database>,
        session: &Session,
        produced: u64,
        elapsed: Duration,
        before: &Self,
    ) -> Result<Self, Failure> {
        let status = database.engine().status();
        let counted = status.sources.iter().map(|s| s.rows).sum();
        let seconds = elapsed.saturating_sub(before.elapsed).as_secs_f64();
        let now = counted as f64 - before.counted as f64;
        // Epochs come in steps; a running mean is easier to read.
        let rate = if seconds > 0.0 { before.rate * 0.6 + 0.4 * now / seconds } else { 0.0 };
        let freshness = status.views.iter().map(|v| v.freshness_us).max().unwrap_or(0);
        Ok(Self {
            elapsed,
            produced,
            counted,
            rate,
            epoch: status.epoch,
            freshness: Duration::from_micros(u64::try_from(freshness).unwrap_or(0)),
            rollups: status.views.iter().map(|v| (v.name.clone(), v.rows, v.bytes)).collect(),
            countries: countries(session).await?,
        })
    }

    /// It all in one line.
    pub(super) fn line(&self) -> String {
        let groups: u64 = self.rollups.iter().map(|(_, rows, _)| rows).sum();
        format!(
            "{:>4.0} s  {} produced  {} counted  {} events/s  {} rollups with {} rows  fresh {:.1} s  epoch {}",
            self.elapsed.as_secs_f64(),
            grouped(self.produced),
            grouped(self.counted),
            grouped(self.rate as u64),
            self.rollups.len(),
            grouped(groups),
            self.freshness.as_secs_f64(),
            self.epoch
        )
    }

    fn page(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::from("\x1b[1mSiltstone\x1b[0m  ad events from Kafka, kept as ten rollups\n\n");
        writeln!(
            page,
            "  events counted {:>14}    events/s {:>10}",
            grouped(self.counted),
            grouped(self.rate as u64)
        )?;
        writeln!(
            page,
            "  produced       {:>14}    fresh    {:>8.1} s    epoch {}\n",
            grouped(self.produced),
            self.freshness.as_secs_f64(),
            self.epoch
        )?;
        writeln!(page, "\x1b[4m  rollup                stored rows         bytes\x1b[0m")?;
        for (name, rows, bytes) in &self.rollups {
            writeln!(page, "  {name:<20} {:>12} {:>13}", grouped(*rows), grouped(*bytes))?;
        }
        writeln!(page, "\n\x1b[4m  country         events   purchases         revenue\x1b[0m")?;
        for [country, events, purchases, revenue] in &self.countries {
            writeln!(page, "  {country:<8} {events:>13} {purchases:>11} {revenue:>15}")?;
        }
        writeln!(page, "\n  Enter: SQL prompt    q: quit")?;
        Ok(page)
    }
}

/// The terminal's second screen; the first comes back when this is dropped.
pub(super) struct Screen;

impl Screen {
    pub(super) fn enter() -> Self {
        print!("\x1b[?1049h\x1b[?25l");
        Self
    }

    pub(super) fn draw(&mut self, view: &View) {
        let Ok(page) = view.page() else { return };
        let mut out = io::stdout().lock();
        // From the top, each line to its end, then what is left below: nothing flickers.
        let _ = write!(out, "\x1b[H{}\x1b[J", page.replace('\n', "\x1b[K\n")).and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        print!("\x1b[?25h\x1b[?1049l");
        let _ = io::stdout().flush();
    }
}

async fn countries(session: &Session) -> Result<Vec<[String; 4]>, Failure> {
    let mut found = Vec::new();
    for batch in rows(session, COUNTRIES).await? {
        let columns = batch.columns().iter().map(Column::new).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|e| Failure::new(e.to_string()))?;
        for row in 0..batch.num_rows() {
            let text = |i: usize| {
                let mut text = String::new();
                if !columns[i].is_null(row) {
                    // Writing to a string cannot fail.
                    let _ = columns[i].write_text(row, &mut text);
                }
                text
            };
            let whole = |text: String| text.parse().map_or(text, grouped);
            let revenue = text(3).parse::<f64>().map_or_else(|_| String::new(), |r| grouped(r as u64));
            found.push([text(0), whole(text(1)), whole(text(2)), revenue]);
        }
    }
    Ok(found)
}

/// The one number that a query returns; 0 for none.
pub(super) async fn number(session: &Session, sql: &str) -> Result<u64, Failure> {
    let mut number = 0;
    for batch in rows(session, sql).await? {
        let column = cast(batch.column(0), &DataType::Int64).map_err(|e| Failure::new(e.to_string()))?;
        let values = column.as_primitive::<Int64Type>();
        number += values.iter().flatten().filter_map(|n| u64::try_from(n).ok()).sum::<u64>();
    }
    Ok(number)
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<arrow::array::RecordBatch>, Failure> {
    let mut batches = Vec::new();
    for statement in session.parse(sql)? {
        if let Answer::Rows { rows, .. } = session.execute(&statement, &[]).await?.result {
            batches.extend(rows.try_collect::<Vec<_>>().await?);
        }
    }
    Ok(batches)
}
