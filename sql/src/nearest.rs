//! "Did you mean": the known name that a wrong one is closest to.

/// Names further away than this (Jaro-Winkler, 1 is equal) are not suggested.
const SIMILARITY_MIN: f64 = 0.75;

/// The name most like `wrong`, if any is like it at all.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name() {
        assert_eq!(nearest("topci", ["path", "topic", "format"]), Some("topic"));
        assert_eq!(nearest("Bootstrap.server", ["bootstrap.servers", "topic"]), Some("bootstrap.servers"));
        assert_eq!(nearest("zzz", ["path", "topic"]), None);
    }
}
