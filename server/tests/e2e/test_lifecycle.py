"""Starting, stopping, starting again: what goes on, what is refused, and how it says so."""
import re
import subprocess

import pytest

from oracle import rows_of_json
from process import wait_until


# Exit codes, as `siltstone --help` lists them.
FAILED, USAGE, BUSY, SQL_ERROR = 1, 2, 3, 4


def write(path, text):
    path.write_text(text)
    return path


def pairs(folder, view="SELECT count(*) AS n, sum(v) AS s FROM pairs", extra=""):
    (folder / "in").mkdir(exist_ok=True)
    return write(
        folder / "pairs.sql",
        f"CREATE SOURCE pairs (k BIGINT, v BIGINT{extra}) "
        f"WITH (connector = 'file', path = '{folder}/in/*.csv', format = 'csv', header = true);\n"
        f"CREATE MATERIALIZED VIEW totals AS {view};\n")


def endless(folder):
    return write(
        folder / "endless.sql",
        "CREATE TABLE pushed (x BIGINT) WITH (connector = 'push');\n"
        "CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM pushed;\n")


def test_run_goes_on_where_it_was(siltstone, tmp_path):
    file = pairs(tmp_path)
    (tmp_path / "in" / "a.csv").write_text("k,v\n1,10\n2,20\n")
    siltstone.replay(file)
    (tmp_path / "in" / "b.csv").write_text("k,v\n3,30\n")
    siltstone.replay(file)
    row, = rows_of_json(siltstone.sql("SELECT n, s FROM totals"))
    assert (int(row["n"]), int(row["s"])) == (3, 60)


def test_another_definition_is_refused_and_the_difference_named(siltstone, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("k,v\n1,10\n")
    siltstone.replay(pairs(tmp_path))
    for changed in (
        pairs(tmp_path, view="SELECT count(*) AS n, max(v) AS s FROM pairs"),
        pairs(tmp_path, extra=", w BIGINT"),
    ):
        with siltstone.run(changed, None, "--bounded") as process:
            assert process.wait(60) == SQL_ERROR
            text = process.text()
        assert re.search(r"totals|pairs", text) and re.search(r"differ|max|\bw\b", text), text
    # Nothing was harmed: the old definition still runs.
    siltstone.replay(pairs(tmp_path))


def test_a_second_process_is_told_who_holds_the_directory(siltstone, tmp_path):
    file = endless(tmp_path)
    with siltstone.run(file) as first:
        siltstone.wait_for_owner(first)
        with siltstone.run(file) as second:
            assert second.wait(30) == BUSY
            assert str(first.pid) in second.text(), second.text()
        assert first.running()
        code, seconds = first.stop()
        assert code == 0, first.text()
        assert seconds < 5
    # And the directory is free again.
    siltstone.replay(file)


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_signals_stop_cleanly(siltstone, tmp_path, signal_name):
    import signal

    with siltstone.run(endless(tmp_path)) as process:
        siltstone.wait_for_owner(process)
        process.popen.send_signal(getattr(signal, signal_name))
        assert process.wait(10) == 0, process.text()


def test_sql_asks_the_process_that_owns_the_directory(siltstone, tmp_path):
    process, _ = siltstone.serve(file=endless(tmp_path))
    with process:
        siltstone.sql("INSERT INTO pushed VALUES (1), (2), (3)")
        row, = rows_of_json(siltstone.sql("SELECT n FROM n"))
        assert int(row["n"]) == 3
        # The channel is the owner's alone.
        for path in siltstone.data.rglob("*"):
            if path.is_socket():
                assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, path
        process.kill()
    # Killed, the rows that were acknowledged are there, and no stale channel is in the way.
    row, = rows_of_json(siltstone.sql("SELECT n FROM n"))
    assert int(row["n"]) == 3


def test_formats(siltstone):
    siltstone.data.mkdir()
    statement = "SELECT 1 AS a, 'x,\"y' AS b, NULL AS c"
    csv = siltstone.sql(statement, form="csv").replace("\r\n", "\n")
    assert csv == 'a,b,c\n1,"x,""y",\n', csv
    row, = rows_of_json(siltstone.sql(statement))
    assert row == {"a": 1, "b": 'x,"y', "c": None}
    table = siltstone.sql(statement, form="table")
    assert 'x,"y' in table and "a" in table


def test_errors_say_what_and_end_with_a_code(siltstone, tmp_path):
    siltstone.data.mkdir()
    for statement, words in (("SELECT * FROM nowhere", ["nowhere"]), ("SELEC", ["SELEC"])):
        done = siltstone.sql(statement, check=False)
        assert done.returncode == SQL_ERROR
        assert done.stdout == ""
        for word in words:
            assert word in done.stderr, done.stderr
    missing = write(tmp_path / "v.sql", "CREATE SOURCE s (x INT) WITH (connector = 'file', path = :'where', format = 'csv');")
    with siltstone.run(missing) as process:
        assert process.wait(30) == SQL_ERROR
        assert "where" in process.text(), process.text()
    with siltstone.run(tmp_path / "no-such-file.sql") as process:
        assert process.wait(30) in (FAILED, SQL_ERROR)
        assert "no-such-file.sql" in process.text()


def test_wrong_usage_is_refused_by_name(siltstone):
    for arguments, word in (
        (["run", "x.sql"], "--data"),
        (["run", "--data", siltstone.data, "--memory", "lots", "x.sql"], "lots"),
        (["walk"], "walk"),
    ):
        with siltstone.start(*arguments) as process:
            assert process.wait(30) == USAGE
            assert word in process.text(), process.text()
    assert not siltstone.data.exists()


@pytest.mark.parametrize("command", [[], ["demo"], ["run"], ["serve"], ["sql"]])
def test_help_has_examples(binary, command):
    done = subprocess.run([binary, *command, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "siltstone " in done.stdout
    if command:
        assert "xample" in done.stdout, done.stdout


def test_settings_from_environment_and_file(siltstone, tmp_path):
    file = pairs(tmp_path)
    (tmp_path / "in" / "a.csv").write_text("k,v\n1,10\n")
    with siltstone.start("run", "--bounded", file, env={"SILTSTONE_DATA": str(siltstone.data)}) as process:
        process.succeed(60)
    row, = rows_of_json(siltstone.sql("SELECT n FROM totals"))
    assert int(row["n"]) == 1


def test_demo_moves(siltstone, tmp_path):
    """Without a terminal the demo shows its rollups as lines until it is stopped."""
    with siltstone.start("demo", env={"TMPDIR": str(tmp_path)}) as process:
        wait_until(lambda: len(set(re.findall(r"\d[\d,_]{3,}", process.text()))) >= 3 or not process.running(), 60, process.text)
        assert process.running() or process.popen.returncode == 0, process.text()
        if process.running():
            code, _ = process.stop()
            assert code == 0, process.text()
