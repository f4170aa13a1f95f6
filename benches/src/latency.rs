//! Times in HDR histograms.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// What takes longer counts as ten minutes.
const NANOS_MAX: u64 = 600_000_000_000;

/// How long something took, each time that it was done.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // With bounds given: a histogram that grows by itself does not grow for `saturating_record`.
        Self(Histogram::new_with_bounds(1, NANOS_MAX, 3).expect("the bounds are in order"))
    }
}

impl Latency {
    /// From a list of nanoseconds, as the peers' scripts print it.
    pub fn told(nanos: &Value) -> Self {
        let mut latency = Self::default();
        let times = nanos.as_array().into_iter().flatten().filter_map(Value::as_u64);
        times.for_each(|nanos| latency.record(Duration::from_nanos(nanos)));
        latency
    }

    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// Those of another one, too.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// In milliseconds; 0 if nothing was recorded.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }

    fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1e6
    }

    pub fn line(&self) -> Value {
        json!({
            "count": self.count(),
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
            "max_ms": self.max_ms(),
        })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.quantile_ms(0.5), self.quantile_ms(0.99));
        write!(f, "p50 {p50:.3} ms, p99 {p99:.3} ms, max {:.3} ms", self.max_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_what_takes_too_long() {
        let mut latency = Latency::told(&json!([1_000_000, 2_000_000, 3_000_000]));
        assert!((latency.quantile_ms(0.5) - 2.0).abs() < 0.01);
        latency.record(Duration::MAX);
        assert_eq!(latency.count(), 4);
        assert!((latency.quantile_ms(1.0) - 600_000.0).abs() < 1_000.0);
        let mut other = Latency::default();
        other.add(&latency);
        assert_eq!(other.line(), latency.line());
    }
}
