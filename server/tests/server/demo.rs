//! The demo ends by itself, and has counted every event.

use crate::process::{Place, ended, program};

#[test]
fn every_event_is_counted_in_every_rollup() {
    let place = Place::new();
    let mut demo = program();
    demo.args(["demo", "--for", "5s", "--rate", "5000"]).env("TMPDIR", place.path(""));
    let (code, said) = ended(&mut demo);
    assert_eq!(code, 0, "{said}");
    let last = said.lines().find(|line| line.starts_with("produced ")).expect("a last line");
    assert!(last.ends_with("exact") && !last.starts_with("produced 0 "), "{last}");
    assert!(last.contains("each of 10 rollups"), "{last}");
    let left = std::fs::read_dir(place.path("")).expect("a directory").count();
    assert_eq!(left, 0, "the demo cleans up");
}
