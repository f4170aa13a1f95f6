"""psql, psycopg and JDBC against `siltstone serve`."""
import datetime
import decimal
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import psycopg
import pytest

from conftest import REPO
from process import Siltstone, wait_until

# A query that computes for minutes: the product of large series, with nothing kept.
ENDLESS = (
    "SELECT sum(a.value % 7 + b.value % 3) FROM generate_series(1, 3000000) AS a(value), "
    "generate_series(1, 3000000) AS b(value)"
)
# CPU seconds that an idle server may use in the next second.
IDLE_CPU_SECONDS = 0.25
CLIENT_SECONDS_MAX = 60

needs_psql = pytest.mark.skipif(not shutil.which("psql"), reason="psql is not installed: apt-get install postgresql-client")


class Server:
    def __init__(self, process, port):
        self.process = process
        self.port = port

    def connect(self, **options):
        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=siltstone dbname=siltstone", autocommit=True, connect_timeout=10,
            **options)

    def psql(self, *arguments, check=True, env=None):
        done = subprocess.run(
            ["psql", "-X", "-h", "127.0.0.1", "-p", str(self.port), "-U", "siltstone", "-d", "siltstone", *arguments],
            capture_output=True, text=True, timeout=CLIENT_SECONDS_MAX, stdin=subprocess.DEVNULL,
            env={**os.environ, "PGCONNECT_TIMEOUT": "10", **(env or {})})
        if check:
            assert done.returncode == 0, f"psql {arguments}: {done.stderr}"
        return done

    def assert_idle(self):
        """Within a few seconds there is a whole second in which the server does next to nothing."""
        def idle():
            before = self.process.cpu_seconds()
            time.sleep(1)
            return self.process.cpu_seconds() - before < IDLE_CPU_SECONDS

        wait_until(idle, 8, "the server is idle")

    def assert_busy(self):
        def busy():
            before = self.process.cpu_seconds()
            time.sleep(0.5)
            return self.process.cpu_seconds() - before > 0.25

        wait_until(busy, 20, "the server works on the query")


@pytest.fixture(scope="module")
def server(binary, tmp_path_factory):
    process, port = Siltstone(binary, tmp_path_factory.mktemp("serve")).serve()
    with process:
        server = Server(process, port)
        with server.connect() as connection:
            connection.execute("CREATE TABLE pairs (k BIGINT NOT NULL, v DOUBLE PRECISION, seen TIMESTAMP, name VARCHAR) "
                               "WITH (connector = 'push')")
            connection.execute("CREATE MATERIALIZED VIEW by_name AS "
                               "SELECT name, count(*) AS n, sum(k) AS total, avg(v) AS mean FROM pairs GROUP BY name")
            connection.execute("INSERT INTO pairs VALUES (1, 1.5, TIMESTAMP '2024-01-01 10:00:00', 'a'), "
                               "(2, 2.5, TIMESTAMP '2024-01-02 10:00:00', 'b'), (3, NULL, NULL, 'a')")
        yield server
        code, seconds = process.stop()
        assert code == 0 and seconds < 10, f"ended with {code} after {seconds} s: {process.text()[-4000:]}"


@needs_psql
def test_psql_defines_and_queries(server):
    done = server.psql("-c", "CREATE TABLE t1 (x BIGINT) WITH (connector = 'push')", "-c", "INSERT INTO t1 VALUES (41), (1)",
                       "-c", "CREATE MATERIALIZED VIEW v1 AS SELECT count(*) AS n, sum(x) AS s FROM t1")
    assert done.stdout.split("\n")[:3] == ["CREATE TABLE", "INSERT 0 2", "CREATE MATERIALIZED VIEW"]
    wait_until(lambda: server.psql("-At", "-c", "SELECT n, s FROM v1").stdout == "2|42\n", 30, "the view has the rows")
    assert server.psql("-At", "-c", "SELECT name, n, total FROM by_name ORDER BY name").stdout == "a|2|4\nb|1|2\n"
    assert server.psql("-At", "-c", "SELECT v FROM pairs ORDER BY k").stdout == "1.5\n2.5\n\n"
    dropped = server.psql("-c", "DROP MATERIALIZED VIEW v1", "-c", "DROP TABLE t1").stdout
    assert dropped == "DROP MATERIALIZED VIEW\nDROP TABLE\n"


@needs_psql
def test_psql_lists_and_describes(server):
    listed = server.psql("-At", "-c", "\\d").stdout
    assert "pairs" in listed and "by_name" in listed
    described = server.psql("-At", "-c", "\\d pairs").stdout
    for word in ("k|bigint", "v|double precision", "seen|timestamp", "name|"):
        assert word in described, described
    assert "n|bigint" in server.psql("-At", "-c", "\\d by_name").stdout
    assert "pairs" in server.psql("-At", "-c", "\\dt").stdout
    # Whatever kind it is listed under, it is listed.
    views = "".join(server.psql("-At", "-c", command, check=False).stdout for command in ("\\dv", "\\dm", "\\dt"))
    assert "by_name" in views
    assert server.psql("-At", "-c", "\\l").stdout
    assert "public" in server.psql("-At", "-c", "\\dn").stdout


@needs_psql
@pytest.mark.parametrize(
    "statement, sqlstate, words",
    [
        ("SELECT * FROM nowhere", "42P01", ["nowhere"]),
        ("SELEC 1", "42601", []),
        ("SELECT nothing FROM pairs", "42703", ["nothing"]),
        ("SELECT nofunction(k) FROM pairs", "42883", ["nofunction"]),
        ("SELECT 1 / 0", "22012", []),
        ("SELECT 'abc'::int", "22P02", ["abc"]),
        ("CREATE TABLE pairs (x INT) WITH (connector = 'push')", "42P07", ["pairs"]),
        ("CREATE SOURCE s (x INT) WITH (connector = 'fil', path = 'x')", None, ["fil", "HINT"]),
        ("CREATE SOURCE s (x INT) WITH (connector = 'file', path = 'x', format = 'csv', heder = true)", None,
         ["heder", "HINT", "header"]),
        ("CREATE MATERIALIZED VIEW m AS SELECT name, count(DISTINCT k) FROM pairs GROUP BY name", "0A000", ["DISTINCT"]),
        ("CREATE SINK s FROM pairs WITH (connector = 'kafka')", "0A000", ["SINK"]),
        ("DROP TABLE pairs", "2BP01", ["by_name"]),
    ],
)
def test_psql_shows_sqlstate_and_hint(server, statement, sqlstate, words):
    done = server.psql("-v", "VERBOSITY=verbose", "-c", statement, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("ERROR:"), done.stderr
    if sqlstate:
        assert f"ERROR:  {sqlstate}:" in done.stderr, done.stderr
    for word in words:
        assert word.lower() in done.stderr.lower(), done.stderr


@needs_psql
def test_psql_variables_and_scripts(server, tmp_path):
    file = tmp_path / "script.sql"
    file.write_text("SELECT :'name' AS n;\n\\set limit 1\nSELECT k FROM pairs ORDER BY k LIMIT :limit;\n")
    assert server.psql("-At", "-v", "name=it's", "-f", str(file)).stdout == "it's\n1\n"


@needs_psql
def test_interrupt_in_psql_ends_the_work(server):
    client = subprocess.Popen(
        ["psql", "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", "siltstone", "-d", "siltstone", "-c", ENDLESS],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        server.assert_busy()
        client.send_signal(signal.SIGINT)
        _, stderr = client.communicate(timeout=10)
        assert "cancel" in stderr.lower(), stderr
        server.assert_idle()
    finally:
        client.kill()


def test_statement_timeout_ends_the_work(server):
    with server.connect() as connection:
        connection.execute("SET statement_timeout = '500ms'")
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(ENDLESS)
        assert time.monotonic() - started < 5
        server.assert_idle()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_goes_away_ends_the_work(server):
    client = subprocess.Popen(
        ["psql", "-X", "-h", "127.0.0.1", "-p", str(server.port), "-U", "siltstone", "-d", "siltstone", "-c", ENDLESS],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        server.assert_busy()
    finally:
        client.kill()
        client.wait()
    server.assert_idle()


def test_settings_stay_with_their_session(server):
    with server.connect() as one, server.connect() as other:
        one.execute("SET application_name = 'one'")
        assert one.execute("SHOW application_name").fetchone() == ("one",)
        assert other.execute("SHOW application_name").fetchone() != ("one",)
        with pytest.raises(psycopg.Error):
            one.execute("SET no_such_setting = 1")


@pytest.mark.parametrize("binary_results", [False, True])
def test_psycopg_parameters(server, binary_results):
    with server.connect() as connection, connection.cursor(binary=binary_results) as cursor:
        ask = lambda sql, *values: cursor.execute(sql, values).fetchall()  # noqa: E731
        assert ask("SELECT k FROM pairs WHERE name = %s AND k >= %s ORDER BY k", "a", 2) == [(3,)]
        assert ask("SELECT k FROM pairs WHERE v > %s", 1.75) == [(2,)]
        assert ask("SELECT k FROM pairs WHERE seen = %s", datetime.datetime(2024, 1, 2, 10)) == [(2,)]
        assert ask("SELECT k FROM pairs WHERE k = any(%s) ORDER BY k", [1, 3]) == [(1,), (3,)]
        assert ask("SELECT k, v, seen, name FROM pairs WHERE k = %b", 1) == [
            (1, 1.5, datetime.datetime(2024, 1, 1, 10), "a")]
        assert ask("SELECT k FROM pairs WHERE k = %t", 1) == [(1,)]
        assert ask("SELECT count(*) FROM pairs WHERE name = %s", None) == [(0,)]
        assert ask("SELECT v FROM pairs WHERE k = 3") == [(None,)]
        (total, mean), = ask("SELECT total, mean FROM by_name WHERE name = 'a'")
        assert total == decimal.Decimal(4) and mean == 1.5
        assert ask("SELECT true, 1::smallint, 2::int, DATE '2024-02-29', 1.50::numeric(10, 2), 'x'") == [
            (True, 1, 2, datetime.date(2024, 2, 29), decimal.Decimal("1.50"), "x")]
        assert ask("SELECT %s::int + %s::int", 40, 2) == [(42,)]


def test_psycopg_prepares_and_pipelines(server):
    with server.connect() as connection:
        for _ in range(8):
            assert connection.execute("SELECT n FROM by_name WHERE name = %s", ("a",), prepare=True).fetchone() == (2,)
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::bigint", (i,)) for i in range(5)]
        assert [cursor.fetchone() for cursor in cursors] == [(i,) for i in range(5)]
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere WHERE k = %s", (1,))
        assert connection.execute("SELECT 1").fetchone() == (1,)
        rows = connection.execute("SELECT value FROM generate_series(1, 100000) AS s(value)").fetchall()
        assert len(rows) == 100_000 and sum(row[0] for row in rows) == 100_000 * 100_001 // 2


def test_psycopg_inserts_are_seen_once_acknowledged(server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE acknowledged (x BIGINT) WITH (connector = 'push')")
        connection.execute("CREATE MATERIALIZED VIEW acknowledged_n AS SELECT count(*) AS n, sum(x) AS s FROM acknowledged")
        for i in range(1, 6):
            connection.execute("INSERT INTO acknowledged VALUES (%s), (%s)", (i, 100 * i))
            assert connection.execute("SELECT n, s FROM acknowledged_n").fetchone() == (2 * i, 101 * i * (i + 1) // 2)


def test_jdbc(server):
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "siltstone" / "jdbc"
    sources = REPO / "server" / "tests" / "e2e" / "jdbc"
    stamp = cache / "pom.xml"
    if not stamp.exists() or stamp.read_bytes() != (sources / "pom.xml").read_bytes():
        shutil.rmtree(cache, ignore_errors=True)
        subprocess.run(
            ["mvn", "-q", "-B", "-Dstyle.color=never", "-f", str(sources / "pom.xml"), "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={cache}"], check=True, timeout=600)
        shutil.copy(sources / "pom.xml", stamp)
    done = subprocess.run(
        ["java", "-cp", f"{cache}/*", str(sources / "Client.java"), f"jdbc:postgresql://127.0.0.1:{server.port}/siltstone"],
        capture_output=True, text=True, timeout=CLIENT_SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("ok the connection goes on after an error")


def test_other_addresses_need_users_and_tls(siltstone):
    with siltstone.start("serve", "--data", siltstone.data, "--pg", "0.0.0.0:0") as process:
        assert process.wait(30) != 0
        assert "tls" in process.text().lower(), process.text()


def test_a_broken_start_leaves_the_server_up(server):
    for bytes_sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x08\x00\x00\x00\x00", b"\xff" * 64):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(bytes_sent)
    with server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
