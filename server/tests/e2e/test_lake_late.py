"""Events that come up to 400 days late get into their old buckets, and only the files of those are written anew."""
import datetime

import duckdb

from conftest import NIGHTLY
from lake.outside import Outside
from oracle import canonical, difference, rows_of_json
from questions import Question

DAYS = 400
END = datetime.datetime(2025, 2, 1)
# Days that have events before the late ones come.
DAYS_FIRST, ROWS = (DAYS, 200_000) if NIGHTLY else (50, 8_000)
ROUNDS = 10 if NIGHTLY else 3
# Bytes written for late events, over those of the partitions that they touch.
AMPLIFICATION_MAX = 3
VIEWS = {
    "by_minute": "SELECT date_trunc('minute', seen)::TIMESTAMP AS minute, sensor, count(*) AS n, sum(v) AS s, "
                 "min(v) AS least, max(v) AS most FROM readings GROUP BY ALL",
    "by_hour": "SELECT date_trunc('hour', seen)::TIMESTAMP AS hour, count(*) AS n, sum(v) AS s, "
               "min(v) AS least, max(v) AS most FROM readings GROUP BY ALL",
}


def write(folder, name, times, rng):
    with open(folder / f"{name}.csv", "w") as file:
        file.write("seen,sensor,v\n")
        file.writelines(f"{at},{rng.randrange(5)},{rng.randrange(1000) / 8}\n" for at in times)


def first_times(rng):
    days = rng.sample(range(1, DAYS + 1), DAYS_FIRST)
    for _ in range(ROWS):
        yield END - datetime.timedelta(days=rng.choice(days), seconds=-rng.randrange(86_400))


def late_times(rng):
    """A few days of the last 400, or hours of them, with some events each."""
    for _ in range(rng.randrange(1, 5)):
        day = END - datetime.timedelta(days=rng.randrange(1, DAYS + 1))
        first, last = rng.choice([(0, 86_400), (36_000, 39_600)])
        for _ in range(rng.randrange(1, 60)):
            yield day + datetime.timedelta(seconds=rng.randrange(first, last))


def lake(siltstone):
    """By table: partitions and bytes by path, and what was written so far."""
    tables = {}
    for row in rows_of_json(siltstone.sql('SELECT "table", path, "partition", bytes FROM siltstone.files')):
        tables.setdefault(row["table"], {})[row["path"]] = (row["partition"], int(row["bytes"]))
    written = {row["table"]: int(row["written_bytes"])
               for row in rows_of_json(siltstone.sql('SELECT "table", written_bytes FROM siltstone.compactions'))}
    return tables, written


def compare(siltstone, folder):
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(
        f"CREATE TABLE readings AS SELECT * FROM read_csv('{folder}/*.csv', header = true, auto_detect = false, "
        "columns = {'seen': 'TIMESTAMP', 'sensor': 'INTEGER', 'v': 'DOUBLE'})")
    for view, sql in VIEWS.items():
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        expected = [tuple(map(canonical, row)) for row in cursor.fetchall()]
        wrong = difference(Question(view, sql), names, expected, rows_of_json(siltstone.sql(f"SELECT * FROM {view}")))
        assert wrong is None, wrong


def test_late_events_rewrite_what_they_touch(siltstone, sql_files, names, tmp_path, rng, figure):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder, "first", first_times(rng), rng)
    values = {"csv": folder / "*.csv"}
    siltstone.replay(sql_files / "late.sql", values)
    siltstone.sql("OPTIMIZE")
    compare(siltstone, folder)
    worst = 0
    for late in range(ROUNDS):
        before, written_before = lake(siltstone)
        times = list(late_times(rng))
        write(folder, f"late-{late}", times, rng)
        siltstone.replay(sql_files / "late.sql", values)
        compare(siltstone, folder)
        siltstone.sql("OPTIMIZE")
        compare(siltstone, folder)
        after, written = lake(siltstone)
        for table in ("readings", *VIEWS):
            changed = before[table].items() ^ after[table].items()
            partitions = {partition for _, (partition, _) in changed}
            assert None not in partitions, f"{table} has no partitions: {changed}"
            untouched = {p for p in partitions if not any(str(at).startswith(p) for at in times)}
            assert not untouched, f"round {late}: of {table} {untouched} were written anew for {sorted(times)}"
            missed = [at for at in times if not any(str(at).startswith(p) for p in partitions)]
            assert not missed, f"round {late}: no partition of {table} was written for {missed}"
            touched = sum(size for partition, size in after[table].values() if partition in partitions)
            ratio = (written[table] - written_before[table]) / touched
            worst = max(worst, ratio)
            assert ratio <= AMPLIFICATION_MAX, f"round {late}: {table} wrote {ratio} of the {touched} bytes touched"
    figure(f"{ROUNDS} rounds of events up to {DAYS} days late: at most {worst:.2f} of the touched bytes were written")
    assert Outside(siltstone.data).faults(names) == []
