//! One owner for each directory: others are refused, or ask it; it ends when it is told to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::process::{Place, Running, ended, until};

fn pushed(place: &Place) -> PathBuf {
    place.write(
        "pushed.sql",
        "CREATE TABLE pushed (x BIGINT) WITH (connector = 'push');\n\
         CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(x) AS s FROM pushed;\n",
    )
}

fn start(place: &Place) -> Running {
    let running = Running::start(place.command("run").arg(pushed(place)));
    until(|| place.data().join("siltstone.sock").exists().then_some(())).expect("it answers");
    running
}

#[test]
fn the_owner_answers_and_a_signal_ends_it() {
    for signal in ["TERM", "INT"] {
        let place = Place::new();
        let mut owner = start(&place);
        assert_eq!(place.ask("INSERT INTO pushed VALUES (1), (2), (39)"), "");
        assert_eq!(place.ask("SELECT n, s FROM total"), "n,s\n3,42\n");
        let (code, said) = ended(place.command("sql").args(["-c", "SELECT * FROM nowhere"]));
        assert_eq!(code, 4, "{said}");
        assert!(said.contains("42P01"), "{said}");
        owner.signal(signal);
        assert_eq!(owner.end(), 0, "{}", owner.said());
        assert!(!place.data().join("siltstone.sock").exists());
        assert_eq!(place.ask("SELECT n, s FROM total"), "n,s\n3,42\n");
    }
}

#[test]
fn a_second_owner_is_told_who_is_there() {
    let place = Place::new();
    let owner = start(&place);
    let (code, said) = ended(place.command("run").arg(pushed(&place)));
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(&owner.id().to_string()), "{said}");
}

#[test]
fn the_socket_is_its_owners_alone() {
    let place = Place::new();
    let _owner = start(&place);
    let mode = |path: PathBuf| fs::metadata(path).expect("it is there").mode() & 0o777;
    let socket = place.data().join("siltstone.sock");
    until(|| (mode(socket.clone()) == 0o600).then_some(())).expect("for its owner only");
    assert_eq!(mode(place.data()), 0o700);
}

#[test]
fn a_killed_owner_leaves_nothing_in_the_way() {
    let place = Place::new();
    let mut owner = start(&place);
    place.ask("INSERT INTO pushed VALUES (7)");
    owner.signal("KILL");
    owner.end();
    assert_eq!(place.ask("SELECT n, s FROM total"), "n,s\n1,7\n");
}

#[test]
fn a_directory_with_a_long_name_has_a_socket_too() {
    let place = Place::new();
    let data = place.path(&"long".repeat(50)).join("data");
    let mut command = crate::process::program();
    let _owner = Running::start(command.arg("run").arg("--data").arg(&data).arg(pushed(&place)));
    until(|| data.join("siltstone.sock").exists().then_some(())).expect("it answers");
    let mut question = crate::process::program();
    let (code, said) =
        ended(question.arg("sql").arg("--data").arg(&data).args(["-c", "SELECT n FROM total"]));
    assert_eq!(code, 0, "{said}");
}
