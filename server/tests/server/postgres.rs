//! `serve` and psql, where it is installed.

use std::process::{Command, Stdio};

use crate::process::{Place, ended, finish, serve, text, until};

/// It computes for hours.
const ENDLESS: &str = "SELECT sum(a.value % 7 + b.value % 3) FROM generate_series(1, 3000000) AS a(value), \
    generate_series(1, 3000000) AS b(value)";

fn psql(port: u16) -> Option<Command> {
    let there =
        Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let mut command = Command::new("psql");
    command.args(["-X", "-h", "127.0.0.1", "-U", "ann", "-d", "siltstone", "-p", &port.to_string()]);
    command.env("PGCONNECT_TIMEOUT", "10").stdin(Stdio::null());
    there.then_some(command)
}

#[test]
fn statements_queries_and_errors() {
    let place = Place::new();
    let (mut server, port) = serve(&place, &[]);
    let ask = |statements: &[&str]| {
        let mut command = psql(port)?;
        command.args(["-At", "-v", "VERBOSITY=verbose"]);
        statements.iter().for_each(|s| {
            command.args(["-c", s]);
        });
        Some(ended(&mut command))
    };
    let defined = ask(&[
        "CREATE TABLE pairs (k BIGINT NOT NULL, v DOUBLE PRECISION, name VARCHAR) WITH (connector = 'push')",
        "CREATE MATERIALIZED VIEW by_name AS SELECT name, count(*) AS n, avg(v) AS mean FROM pairs GROUP BY name",
        "INSERT INTO pairs VALUES (1, 1.5, 'a'), (2, 2.5, 'b'), (3, NULL, 'a')",
        "SELECT name, n, mean FROM by_name ORDER BY name; SELECT k FROM pairs WHERE v IS NULL",
    ]);
    let Some((code, said)) = defined else { return };
    assert_eq!(
        (code, said.as_str()),
        (0, "CREATE TABLE\nCREATE MATERIALIZED VIEW\nINSERT 0 3\na|2|1.5\nb|1|2.5\n3\n")
    );

    let (_, listed) = ask(&["\\d"]).expect("psql");
    assert!(listed.contains("pairs") && listed.contains("by_name"), "{listed}");
    let (_, described) = ask(&["\\d pairs"]).expect("psql");
    assert!(described.contains("k|bigint") && described.contains("v|double precision"), "{described}");

    for (statement, sqlstate, hint) in [
        ("SELECT * FROM nowhere", "42P01", false),
        ("SELEC 1", "42601", false),
        ("CREATE SOURCE s (x INT) WITH (connector = 'fil', path = 'x')", "", true),
        ("COPY pairs FROM STDIN", "0A000", false),
    ] {
        let (code, said) = ask(&[statement]).expect("psql");
        assert_eq!(code, 1, "{statement}: {said}");
        assert!(said.contains(&format!("ERROR:  {sqlstate}")), "{statement}: {said}");
        assert_eq!(said.contains("HINT:"), hint, "{statement}: {said}");
    }
    server.signal("TERM");
    assert_eq!(server.end(), 0, "{}", server.said());
}

#[test]
fn what_ends_a_statement_ends_its_work() {
    let place = Place::new();
    let (server, port) = serve(&place, &[]);
    let Some(mut command) = psql(port) else { return };
    // By time.
    let (_, said) = ended(command.args(["-c", "SET statement_timeout = '300ms'", "-c", ENDLESS]));
    assert!(said.contains("canceling statement due to statement timeout"), "{said}");
    idle(server.id());
    // By the user, then by the client's death.
    for signal in ["INT", "KILL"] {
        let mut client = psql(port).expect("psql");
        client.args(["-c", ENDLESS]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = client.spawn().expect("psql");
        let before = ticks(server.id());
        until(|| (ticks(server.id()) > before + 20).then_some(())).expect("it works on the query");
        let id = client.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill").success());
        client.wait().expect("psql");
        idle(server.id());
    }
    let mut command = psql(port).expect("psql");
    assert_eq!(text(&finish(command.args(["-At", "-c", "SELECT 42"])).stdout), "42\n");
}

/// CPU time of a process in ticks of 10 ms.
fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
}

/// Waits for half a second in which the process does next to nothing.
fn idle(process: u32) {
    let quiet = until(|| {
        let before = ticks(process);
        siltstone_engine::clock::sleep(std::time::Duration::from_millis(500));
        (ticks(process) < before + 15).then_some(())
    });
    quiet.expect("the work has ended");
}
