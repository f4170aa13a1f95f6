//! Ad events: serves, impressions, clicks and purchases of 2024, made up from a seed.
//!
//! Event `i` depends on the seed, `i` and the number of rows that fill the year, and on nothing else, so
//! that every split, test and bench makes the same ones. Prices are whole micro-dollars and cents.

use super::random::Draws;

/// The first line of a CSV file of events.
pub const HEADER: &str =
    "ts,type,auction_id,advertiser_id,publisher_id,bid_price,user_id,total_price,country\n";

/// 2024-01-01T00:00:00Z in milliseconds.
pub const YEAR_START_MS: i64 = 1_704_067_200_000;
const YEAR_MS: i64 = 366 * 86_400_000;

/// Rows that fill the year if it is not said how many there are.
pub const YEAR_ROWS: u64 = 24_500_000;

const TYPES: [&str; 4] = ["serve", "impression", "click", "purchase"];
/// Cumulative shares of the types, per cent.
const TYPE_SHARES: [u64; 4] = [60, 90, 99, 100];
const COUNTRIES: [(&str, u32); 12] = [
    ("US", 300),
    ("JP", 140),
    ("DE", 100),
    ("GB", 80),
    ("IN", 80),
    ("BR", 70),
    ("FR", 60),
    ("CA", 50),
    ("KR", 40),
    ("AU", 35),
    ("MX", 25),
    ("ID", 20),
];
const ADVERTISERS: u32 = 1650;
const PUBLISHERS: u32 = 1114;
/// Identifiers are spread over primes larger than their number.
const ADVERTISER_PRIME: u32 = 3001;
const PUBLISHER_PRIME: u32 = 2503;
const USERS: u64 = 10_000_000;
/// Events before one among which its auction is.
const OPEN_AUCTIONS: u64 = 4096;
/// How far back the serve that opened an auction is looked for.
const SERVE_STEPS_MAX: u64 = 64;
/// One event in so many is late, by less than so many milliseconds.
const LATE_IN: u64 = 20;
const LATE_MS: u64 = 4000;

/// Draws for the event itself, and for the auction it opens.
const EVENT: u64 = 1;
const AUCTION: u64 = 2;

/// Makes events.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    rows: u64,
    advertisers: Ranks,
    publishers: Ranks,
    countries: Ranks,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970, UTC.
    pub ts: i64,
    pub kind: &'static str,
    pub auction: [u64; 2],
    pub advertiser: u32,
    pub publisher: u32,
    /// Micro-dollars; of impressions only, and not of all.
    pub bid_micros: Option<u64>,
    pub user: u64,
    /// Cents; of purchases only.
    pub total_cents: Option<u64>,
    pub country: &'static str,
}

impl Generator {
    /// `rows`: how many fill the year.
    pub fn new(seed: u64, rows: u64) -> Self {
        let falling = |n: u32| Ranks::new((0..n).map(|rank| 1_000_000 / (rank + 10)));
        Self {
            seed,
            rows: rows.max(1),
            advertisers: falling(ADVERTISERS),
            publishers: falling(PUBLISHERS),
            countries: Ranks::new(COUNTRIES.iter().map(|c| c.1)),
        }
    }

    /// Event number `index`.
    pub fn event(&self, index: u64) -> Event {
        let mut draws = Draws::at(self.seed, EVENT, index);
        let kind = kind(draws.below(100));
        // A place of its own within the row's slot keeps time ascending.
        let slot = |i: u64| (i128::from(YEAR_MS) * i128::from(i) / i128::from(self.rows)) as i64;
        let (from, to) = (slot(index), slot(index + 1));
        let mut ts = YEAR_START_MS + from + draws.below((to - from).max(1) as u64) as i64;
        if draws.below(LATE_IN) == 0 {
            ts = (ts - draws.below(LATE_MS) as i64).max(YEAR_START_MS);
        }
        let opened_by = if kind == 0 { index } else { self.serve_before(index, draws.below(OPEN_AUCTIONS)) };
        let bid_micros = (kind == 1).then(|| 100 + draws.below(10_000) * draws.below(10_000) / 20);
        let bid_micros = bid_micros.filter(|_| draws.below(256) != 0);
        let total_cents = (kind == 3).then(|| 99 + draws.below(5_000) * draws.below(5_000) / 500);

        let mut auction = Draws::at(self.seed, AUCTION, opened_by);
        // RFC 9562: version 4, variant 1.
        let id = [auction.bits() & !0xF000 | 0x4000, auction.bits() & !(3 << 62) | 2 << 62];
        Event {
            ts,
            kind: TYPES[kind],
            auction: id,
            advertiser: 1 + self.advertisers.draw(&mut auction) * 1847 % ADVERTISER_PRIME,
            publisher: 1 + self.publishers.draw(&mut auction) * 1409 % PUBLISHER_PRIME,
            bid_micros,
            user: 1 + auction.below(USERS),
            total_cents,
            country: COUNTRIES[self.countries.draw(&mut auction) as usize].0,
        }
    }

    /// The serve that opened the auction of an event: the last one up to `back` events before it.
    fn serve_before(&self, index: u64, back: u64) -> u64 {
        let Some(from) = index.checked_sub(1 + back) else { return index };
        let mut steps = (0..SERVE_STEPS_MAX).map_while(|step| from.checked_sub(step));
        let is_serve = |place: &u64| kind(Draws::at(self.seed, EVENT, *place).below(100)) == 0;
        steps.find(is_serve).unwrap_or(index)
    }
}

fn kind(share: u64) -> usize {
    TYPE_SHARES.iter().position(|end| share < *end).unwrap_or(0)
}

/// Slots that are shared out by weight: a draw is one look-up.
#[derive(Debug)]
struct Ranks {
    slots: Vec<u16>,
}

/// Slots of a table, about.
const SLOTS: u64 = 1 << 16;

impl Ranks {
    fn new(weights: impl Iterator<Item = u32> + Clone) -> Self {
        let total: u64 = weights.clone().map(u64::from).sum();
        let mut slots = Vec::new();
        let mut sum = 0;
        for (rank, weight) in weights.enumerate() {
            sum += u64::from(weight);
            slots.resize((sum * SLOTS / total) as usize, rank as u16);
        }
        Self { slots }
    }

    fn draw(&self, draws: &mut Draws) -> u32 {
        u32::from(self.slots[draws.below(self.slots.len() as u64) as usize])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_mix_is_as_told() {
        let rows = 200_000;
        let generator = Generator::new(1, rows);
        let events: Vec<Event> = (0..rows).map(|i| generator.event(i)).collect();
        let share = |kind| events.iter().filter(|e| e.kind == kind).count() as f64 / rows as f64;
        for (kind, wanted) in [("serve", 0.6), ("impression", 0.3), ("click", 0.09), ("purchase", 0.01)] {
            assert!((share(kind) - wanted).abs() < 0.005, "{kind}: {}", share(kind));
        }
        assert!(events.iter().all(|e| e.bid_micros.is_none() || e.kind == "impression"));
        assert!(events.iter().all(|e| e.total_cents.is_some() == (e.kind == "purchase")));
        let without_bid = events.iter().filter(|e| e.kind == "impression" && e.bid_micros.is_none()).count();
        assert!((150..350).contains(&without_bid), "{without_bid}");
        let count = |id: fn(&Event) -> u32| events.iter().map(id).collect::<BTreeSet<_>>().len() as u32;
        assert_eq!((count(|e| e.advertiser), count(|e| e.publisher)), (ADVERTISERS, PUBLISHERS));
        let dense = Generator::new(1, YEAR_ROWS);
        let times: Vec<i64> = (0..rows).map(|i| dense.event(i).ts).collect();
        let late = times.windows(2).filter(|t| t[1] < t[0]).count() as f64 / rows as f64;
        assert!((0.02..0.05).contains(&late), "{late}");
        assert!(times.windows(2).all(|t| t[1] > t[0] - LATE_MS as i64));
        assert!(events.iter().all(|e| (0..YEAR_MS).contains(&(e.ts - YEAR_START_MS))));
        let auctions: BTreeSet<_> = events.iter().filter(|e| e.kind == "serve").map(|e| e.auction).collect();
        let joined =
            events.iter().skip(10_000).filter(|e| e.kind != "serve").all(|e| auctions.contains(&e.auction));
        assert!(joined, "impressions, clicks and purchases belong to an auction that was served");
    }
}
