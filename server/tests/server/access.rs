//! Who gets in: nothing runs before a login is done, and none is done with a wrong password.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Place, Running, ended, rest, serve, text};

/// A startup message for user `ann`.
fn startup() -> Vec<u8> {
    let body = b"\x00\x03\x00\x00user\x00ann\x00database\x00siltstone\x00\x00";
    let mut message = u32::try_from(body.len() + 4).expect("short").to_be_bytes().to_vec();
    message.extend(body);
    message
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(u32::try_from(body.len() + 4).expect("short").to_be_bytes());
    message.extend(body);
    message
}

/// Everything that comes back for those bytes.
fn answer(port: u16, parts: &[Vec<u8>]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    for part in parts {
        // The other side may have closed already.
        let _ = stream.write_all(part);
    }
    text(&rest(&stream))
}

fn create() -> Vec<u8> {
    message(b'Q', b"CREATE TABLE intruder (x BIGINT) WITH (connector = 'push')\0")
}

#[test]
fn a_query_before_the_login_ends_the_connection() {
    let place = Place::new();
    let (_server, port) = serve(&place, &[]);
    for first in [create(), b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xFF; 64]] {
        let said = answer(port, &[first, create(), message(b'X', b"")]);
        assert!(!said.contains("CREATE TABLE"), "{said}");
    }
    assert_eq!(
        place.ask("SELECT count(*) AS n FROM information_schema.tables WHERE table_name = 'intruder'"),
        "n\n0\n"
    );
    // And a proper client is served.
    let said = answer(port, &[startup(), message(b'Q', b"SELECT 40 + 2\0"), message(b'X', b"")]);
    assert!(said.contains("42"), "{said}");
}

#[test]
fn a_wrong_password_ends_the_connection() {
    let place = Place::new();
    let passwords = place.write("passwords", "ann:right\n");
    std::fs::set_permissions(&passwords, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    let config = place.write("siltstone.toml", &format!("[pg]\npassword_file = '{}'\n", passwords.display()));
    let mut command = place.command("serve");
    let server = Running::start(command.args(["--pg", "127.0.0.1:0", "--config"]).arg(config));
    let said = server.says("clients on 127.0.0.1:");
    let port: u16 = said.split("127.0.0.1:").nth(1).and_then(|p| p.trim().parse().ok()).expect("a port");

    let nonsense = message(b'p', b"SCRAM-SHA-256\0\x00\x00\x00\x0cn,,n=,r=abcd");
    let proof = message(b'p', b"c=biws,r=abcd,p=AAAA");
    let said = answer(port, &[startup(), nonsense, proof, create(), message(b'X', b"")]);
    assert!(said.contains("28P01") && said.contains("FATAL") && !said.contains("CREATE TABLE"), "{said}");
    let said = answer(port, &[startup(), create(), message(b'X', b"")]);
    assert!(said.contains("FATAL") && !said.contains("CREATE TABLE"), "{said}");

    if Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        let with = |user: &str, password: &str| {
            let mut psql = Command::new("psql");
            psql.args(["-XAt", "-h", "127.0.0.1", "-d", "x", "-w", "-c", "SELECT 42", "-U", user]);
            ended(psql.args(["-p", &port.to_string()]).env("PGPASSWORD", password).stdin(Stdio::null()))
        };
        assert_eq!(with("ann", "right"), (0, "42\n".to_owned()));
        for (user, password) in [("ann", "wrong"), ("bob", "right")] {
            let (code, said) = with(user, password);
            assert_eq!(code, 2, "{said}");
            assert!(said.contains(&format!("password authentication failed for user \"{user}\"")), "{said}");
        }
    }
}
