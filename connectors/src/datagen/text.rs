//! Ad events as CSV lines and JSON objects.

use super::ad::Event;

impl Event {
    /// One line of CSV, with its end.
    pub fn put_csv(&self, out: &mut Vec<u8>) {
        put_number(out, self.ts as u64);
        out.push(b',');
        out.extend_from_slice(self.kind.as_bytes());
        out.push(b',');
        self.put_auction(out);
        for id in [self.advertiser, self.publisher] {
            out.push(b',');
            put_number(out, id.into());
        }
        out.push(b',');
        self.put_bid(out);
        out.push(b',');
        put_number(out, self.user);
        out.push(b',');
        self.put_total(out);
        out.push(b',');
        out.extend_from_slice(self.country.as_bytes());
        out.push(b'\n');
    }

    /// One JSON object, without a line end.
    pub fn put_json(&self, out: &mut Vec<u8>) {
        let or_null = |out: &mut Vec<u8>, there: bool, put: fn(&Self, &mut Vec<u8>)| match there {
            true => put(self, out),
            false => out.extend_from_slice(b"null"),
        };
        out.extend_from_slice(b"{\"ts\":");
        put_number(out, self.ts as u64);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"auction_id\":\"");
        self.put_auction(out);
        out.extend_from_slice(b"\",\"advertiser_id\":");
        put_number(out, self.advertiser.into());
        out.extend_from_slice(b",\"publisher_id\":");
        put_number(out, self.publisher.into());
        out.extend_from_slice(b",\"bid_price\":");
        or_null(out, self.bid_micros.is_some(), Self::put_bid);
        out.extend_from_slice(b",\"user_id\":");
        put_number(out, self.user);
        out.extend_from_slice(b",\"total_price\":");
        or_null(out, self.total_cents.is_some(), Self::put_total);
        out.extend_from_slice(b",\"country\":\"");
        out.extend_from_slice(self.country.as_bytes());
        out.extend_from_slice(b"\"}");
    }

    /// The auction's UUID.
    pub(super) fn put_auction(&self, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let nibble = |at: usize| HEX[(self.auction[at / 16] >> (60 - 4 * (at % 16))) as usize & 15];
        for at in 0..32 {
            if matches!(at, 8 | 12 | 16 | 20) {
                out.push(b'-');
            }
            out.push(nibble(at));
        }
    }

    /// Dollars; nothing if there is no bid.
    pub(super) fn put_bid(&self, out: &mut Vec<u8>) {
        self.bid_micros.into_iter().for_each(|micros| put_fraction(out, micros, 6));
    }

    /// Dollars; nothing if there is no price.
    pub(super) fn put_total(&self, out: &mut Vec<u8>) {
        self.total_cents.into_iter().for_each(|cents| put_fraction(out, cents, 2));
    }
}

/// A number in decimal.
pub(super) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `value / 10^places`, with at least one fractional digit and no needless ones.
fn put_fraction(out: &mut Vec<u8>, value: u64, places: u32) {
    let unit = 10u64.pow(places);
    put_number(out, value / unit);
    out.push(b'.');
    let first = out.len();
    let mut rest = value % unit;
    for place in (0..places).rev() {
        out.push(b'0' + (rest / 10u64.pow(place)) as u8);
        rest %= 10u64.pow(place);
    }
    while out.len() > first + 1 && out.last() == Some(&b'0') {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagen::ad::YEAR_START_MS;

    #[test]
    fn texts_hold_the_same_event() {
        let event = Event {
            ts: YEAR_START_MS,
            kind: "impression",
            auction: [0x0123_4567_89ab_4def, 0x8123_4567_89ab_cdef],
            advertiser: 7,
            publisher: 8,
            bid_micros: Some(1_250_000),
            user: 9,
            total_cents: None,
            country: "US",
        };
        let (mut csv, mut json) = (Vec::new(), Vec::new());
        event.put_csv(&mut csv);
        event.put_json(&mut json);
        let line = "1704067200000,impression,01234567-89ab-4def-8123-456789abcdef,7,8,1.25,9,,US\n";
        assert_eq!(String::from_utf8(csv).unwrap(), line);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["bid_price"], 1.25);
        assert_eq!(json["total_price"], serde_json::Value::Null);
        assert_eq!(json["auction_id"], "01234567-89ab-4def-8123-456789abcdef");
    }
}
