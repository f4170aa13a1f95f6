//! Sizes and times as people write them.

use std::time::Duration;

/// `512MiB`, `2GB`, `65536`; IEC units count by 1024, SI units by 1000.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("B", 1),
        ("KIB", 1 << 10),
        ("MIB", 1 << 20),
        ("GIB", 1 << 30),
        ("TIB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let (number, unit) = split(text);
    let unit = unit.to_ascii_uppercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let whole = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
    whole.ok_or_else(|| {
        format!("\"{text}\" is not a size; write it as 512MiB, 2GiB, 500MB or a number of bytes")
    })
}

/// `500ms`, `1s`, `2m`; a bare number is seconds.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let (number, unit) = split(text);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let millis = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| format!("\"{text}\" is not a time; write it as 500ms, 1s or 2m"))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..at], text[at..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2 gb"), Ok(2_000_000_000));
        assert_eq!(bytes("4096"), Ok(4096));
        assert!(bytes("lots").is_err() && bytes("1XB").is_err() && bytes("99999999999TiB").is_err());
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time("10"), Ok(Duration::from_secs(10)));
        assert!(time("soon").is_err());
    }
}
