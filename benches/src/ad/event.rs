//! Seeded ad events. The same seed, file and count give the same events on every machine: all draws are
//! integers, and prices are whole micro-dollars and cents, so that totals can be checked exactly.

/// 2024-01-01T00:00:00Z, in milliseconds since 1970.
pub const YEAR_START_MS: u64 = 1_704_067_200_000;
/// The length of 2024.
pub const YEAR_MS: u64 = 366 * 24 * 3_600_000;

/// Event types, and of a hundred events how many have an index of at most that one.
const TYPES: [(&str, u64); 4] = [("serve", 60), ("impression", 90), ("click", 99), ("purchase", 100)];
const IMPRESSION: usize = 1;
const PURCHASE: usize = 3;

/// Countries, and of a thousand events how many are from that one or those before it.
const COUNTRIES: [(&str, u64); 12] = [
    ("US", 300),
    ("JP", 440),
    ("DE", 540),
    ("GB", 620),
    ("IN", 700),
    ("BR", 770),
    ("FR", 830),
    ("CA", 880),
    ("KR", 920),
    ("AU", 955),
    ("MX", 980),
    ("ID", 1000),
];

/// Ids are sparse: `count` of them spread over `1..=range` by a multiplier that shares no factor with it.
struct Ids {
    count: u64,
    range: u64,
    multiplier: u64,
}

const ADVERTISERS: Ids = Ids { count: 1650, range: 3000, multiplier: 1987 };
const PUBLISHERS: Ids = Ids { count: 1114, range: 2500, multiplier: 1663 };
const USERS: u64 = 10_000_000;

/// One impression in so many has no bid.
const BID_ABSENT_ONE_IN: u64 = 256;
/// One event in so many is late.
const LATE_ONE_IN: u64 = 20;
/// Most late events are late by less than this; one in a hundred of them by up to 256 times as much.
const LATE_MS: u64 = 4_000;

/// An event; the text of its columns stands in [`super::file`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub ts_ms: u64,
    /// Index into the event types; see [`Event::type_name`].
    pub kind: usize,
    pub auction: u128,
    pub advertiser: u64,
    pub publisher: u64,
    /// Impressions only.
    pub bid_micros: Option<u64>,
    pub user: u64,
    /// Purchases only.
    pub total_cents: Option<u64>,
    country: usize,
}

impl Event {
    pub fn type_name(&self) -> &'static str {
        TYPES[self.kind].0
    }

    pub fn country(&self) -> &'static str {
        COUNTRIES[self.country].0
    }
}

/// How many event types there are.
pub const KINDS: usize = TYPES.len();

/// Draws events, one at a time.
#[derive(Debug)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// A stream of its own for each file of each seed.
    pub fn new(seed: u64, file: u64) -> Self {
        let mut generator = Self { state: seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ file };
        generator.state = generator.next();
        generator
    }

    /// The next event, at `ts_ms` unless it is late.
    pub fn event(&mut self, ts_ms: u64) -> Event {
        let ts_ms = if self.below(LATE_ONE_IN) == 0 { self.late(ts_ms) } else { ts_ms };
        let share = self.below(100);
        let kind = TYPES.iter().position(|t| share < t.1).expect("shares reach 100");
        let from = self.below(1000);
        Event {
            ts_ms,
            kind,
            auction: u128::from(self.next()) << 64 | u128::from(self.next()),
            advertiser: self.id(&ADVERTISERS),
            publisher: self.id(&PUBLISHERS),
            bid_micros: (kind == IMPRESSION && self.below(BID_ABSENT_ONE_IN) != 0)
                .then(|| 100 + self.below(10_000) * self.below(10_000) / 20),
            user: 1 + self.below(USERS),
            total_cents: (kind == PURCHASE).then(|| 99 + self.below(5_000) * self.below(5_000) / 500),
            country: COUNTRIES.iter().position(|c| from < c.1).expect("shares reach 1000"),
        }
    }

    fn late(&mut self, ts_ms: u64) -> u64 {
        let most = if self.below(100) == 0 { LATE_MS * 256 } else { LATE_MS };
        ts_ms.saturating_sub(self.below(most)).max(YEAR_START_MS)
    }

    /// An id, the first ones drawn far more often than the last.
    fn id(&mut self, ids: &Ids) -> u64 {
        let (a, b) = (self.below(ids.count), self.below(ids.count));
        let rank = a * b / ids.count;
        1 + rank * ids.multiplier % ids.range
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_file_give_the_same_events() {
        let draw = |seed, file| {
            let mut generator = Generator::new(seed, file);
            (0..100).map(|i| generator.event(YEAR_START_MS + i)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 3), draw(7, 3));
        assert_ne!(draw(7, 3), draw(7, 4));
        assert_ne!(draw(7, 3), draw(8, 3));
    }

    #[test]
    fn ids_are_distinct_for_each_rank() {
        for ids in [ADVERTISERS, PUBLISHERS] {
            let distinct: std::collections::BTreeSet<_> =
                (0..ids.count).map(|rank| rank * ids.multiplier % ids.range).collect();
            assert_eq!(distinct.len() as u64, ids.count);
        }
    }
}
