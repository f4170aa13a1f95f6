//! Ad events as Arrow batches with plain strings, as a service has them that decodes them itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder};

use super::event::{Event, Generator, YEAR_MS, YEAR_START_MS};

/// Rows of a batch; the last one may have fewer.
pub const BATCH_ROWS: u64 = 65_536;

/// Columns that are being filled, in the order of the files.
#[derive(Default)]
struct Columns {
    ts: Int64Builder,
    kind: StringBuilder,
    auction: StringBuilder,
    advertiser: Int32Builder,
    publisher: Int32Builder,
    bid: Float64Builder,
    user: Int64Builder,
    total: Float64Builder,
    country: StringBuilder,
}

impl Columns {
    fn push(&mut self, e: &Event) {
        self.ts.append_value(e.ts_ms as i64);
        self.kind.append_value(e.type_name());
        self.auction.append_value(format!("{:032x}", e.auction));
        self.advertiser.append_value(e.advertiser as i32);
        self.publisher.append_value(e.publisher as i32);
        self.bid.append_option(e.bid_micros.map(|m| m as f64 / 1e6));
        self.user.append_value(e.user as i64);
        self.total.append_option(e.total_cents.map(|c| c as f64 / 1e2));
        self.country.append_value(e.country());
    }

    fn finish(&mut self) -> RecordBatch {
        let columns: [(&str, ArrayRef); 9] = [
            ("ts", Arc::new(self.ts.finish())),
            ("type", Arc::new(self.kind.finish())),
            ("auction_id", Arc::new(self.auction.finish())),
            ("advertiser_id", Arc::new(self.advertiser.finish())),
            ("publisher_id", Arc::new(self.publisher.finish())),
            ("bid_price", Arc::new(self.bid.finish())),
            ("user_id", Arc::new(self.user.finish())),
            ("total_price", Arc::new(self.total.finish())),
            ("country", Arc::new(self.country.finish())),
        ];
        // Nullable, whatever this batch happens to hold: batches of one stream have one schema.
        let columns = columns.map(|(name, array)| (name, array, true));
        RecordBatch::try_from_iter_with_nullable(columns).expect("columns have one length")
    }
}

/// That many events of the year, in its order but for those that are late.
pub fn batches(rows: u64, seed: u64) -> Vec<RecordBatch> {
    let mut generator = Generator::new(seed, 0);
    let mut columns = Columns::default();
    let mut batches = Vec::new();
    for row in 0..rows {
        let at = (u128::from(YEAR_MS) * u128::from(row) / u128::from(rows)) as u64;
        columns.push(&generator.event(YEAR_START_MS + at));
        if (row + 1) % BATCH_ROWS == 0 || row + 1 == rows {
            batches.push(columns.finish());
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_in_batches_of_one_schema() {
        let batches = batches(BATCH_ROWS + 5, 3);
        assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS as usize, 5]);
        assert_eq!(batches[0].schema(), batches[1].schema());
    }
}
