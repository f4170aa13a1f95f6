//! The SQL of a scenario, cut from `examples/ad`, so that what is measured is what users are shown.

use std::fs;
use std::io;
use std::path::PathBuf;

/// The views that events are folded into; the other six of the ten derive from these.
pub const ROOTS: [&str; 4] = ["minute_type", "hour_country_type", "day_advertiser_type", "publisher_type"];

/// The folder of the repository.
pub fn repository() -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().expect("the crate stands in the repository").to_owned()
}

/// A file of the ad workload.
pub fn ad(name: &str) -> PathBuf {
    repository().join("examples/ad").join(name)
}

/// The source of ad events, with other options in its `WITH (…)`.
///
/// # Errors
/// If the example cannot be read, or is no longer what this was written for.
pub fn source(options: &str) -> io::Result<String> {
    let text = fs::read_to_string(ad("csv.sql"))?;
    let columns = text.find("CREATE SOURCE").zip(text.find(") WITH (")).map(|(from, to)| &text[from..to]);
    let columns =
        columns.ok_or_else(|| io::Error::other("examples/ad/csv.sql has no source with options"))?;
    Ok(format!("{columns}) WITH ({options});\n"))
}

/// The definitions of these views.
///
/// # Errors
/// If one is not there.
pub fn views(names: &[&str]) -> io::Result<String> {
    let text = fs::read_to_string(ad("rollups.sql"))?;
    let mut cut = String::new();
    for name in names {
        let start = format!("CREATE MATERIALIZED VIEW {name} AS");
        let found = text.split_inclusive(';').find(|statement| statement.contains(&start));
        cut +=
            found.ok_or_else(|| io::Error::other(format!("examples/ad/rollups.sql has no view {name}")))?;
        cut += "\n";
    }
    Ok(cut)
}

/// All ten.
///
/// # Errors
/// If the example cannot be read.
pub fn all_views() -> io::Result<String> {
    fs::read_to_string(ad("rollups.sql"))
}

/// Text between quotes of SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_what_they_are_cut_for() {
        let source = source("connector = 'push'").expect("it is there");
        assert!(source.starts_with("CREATE SOURCE events (") && source.contains("event_time"), "{source}");
        let views = views(&ROOTS).expect("they are there");
        assert_eq!(views.matches("GROUP BY").count(), ROOTS.len());
        assert_eq!(all_views().expect("it is there").matches("CREATE MATERIALIZED VIEW").count(), 10);
    }
}
