//! Times in HDR histograms.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// What takes longer counts as ten minutes.
const MICROS_MAX: u64 = 600_000_000;

/// How long something took, each time that it was done.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // With bounds given: a histogram that grows by itself does not grow for `saturating_record`.
        Self(Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("the bounds are in order"))
    }
}

impl Latency {
    /// From a list of microseconds, as the peers' scripts print it.
    pub fn told(micros: &Value) -> Self {
        let mut latency = Self::default();
        micros.as_array().into_iter().flatten().filter_map(Value::as_u64).for_each(|t| latency.record(t));
        latency
    }

    pub fn record(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// In milliseconds; 0 if nothing was recorded.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    pub fn line(&self) -> Value {
        json!({
            "count": self.count(),
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
            "max_ms": self.0.max() as f64 / 1e3,
        })
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let max_ms = self.0.max() as f64 / 1e3;
        write!(
            f,
            "p50 {:.3} ms, p99 {:.3} ms, max {max_ms:.3} ms",
            self.quantile_ms(0.5),
            self.quantile_ms(0.99)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_what_takes_too_long() {
        let mut latency = Latency::told(&json!([1000, 2000, 3000]));
        assert!((latency.quantile_ms(0.5) - 2.0).abs() < 0.01);
        latency.record(u64::MAX);
        assert_eq!(latency.count(), 4);
        assert!((latency.quantile_ms(1.0) - 600_000.0).abs() < 1_000.0);
    }
}
