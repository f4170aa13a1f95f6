"""More groups than memory: states go to disk early, the answers stay right."""
import threading
import time

import duckdb
import pytest

from conftest import NIGHTLY
from oracle import rows_of_json
from process import POLL_SECONDS

MIB = 1 << 20
# Times this, twenty million keys span all of 64 bits.
SPREAD = 461_168_601_842


def write_keys(folder, keys):
    """Every key once, a quarter of them twice, in no order; the keys spread over 64 bits."""
    folder.mkdir()
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(
        f"COPY (SELECT (i * 2654435761 % {keys}) * {SPREAD} AS k, (i % 1000)::BIGINT AS v "
        f"FROM range({keys * 5 // 4}) AS r(i)) TO '{folder}/pairs.csv' (HEADER)")
    return connection.execute(
        f"SELECT count(*), sum(n), sum(s::HUGEINT), max(s) FROM (SELECT k, count(*) AS n, "
        f"sum(v) AS s FROM read_csv('{folder}/pairs.csv', columns = {{'k': 'BIGINT', 'v': 'BIGINT'}}, header = true) GROUP BY k)"
    ).fetchone()


def peak_bytes(process, peaks):
    """Watches a process until it ends; its greatest resident size goes into `peaks`."""
    while process.running():
        try:
            peaks.append(process.resident_bytes_max())
        except (FileNotFoundError, StopIteration):
            return
        time.sleep(POLL_SECONDS)


@pytest.mark.parametrize(
    "keys, budget, resident_max",
    [
        (4_000_000, "128MiB", 512 * MIB),
        pytest.param(20_000_000, "512MiB", 1024 * MIB, marks=pytest.mark.nightly),
    ],
)
def test_more_groups_than_memory(siltstone, sql_files, tmp_path, figure, keys, budget, resident_max):
    groups, rows, total, most = write_keys(tmp_path / "keys", keys)
    assert groups == keys
    peaks = []
    started = time.monotonic()
    with siltstone.run(sql_files / "keys.sql", {"csv": tmp_path / "keys" / "*.csv"}, "--memory", budget) as process:
        watch = threading.Thread(target=peak_bytes, args=(process, peaks))
        watch.start()
        process.succeed(1800 if NIGHTLY else 300)
        watch.join()
    figure(f"{keys} keys in {rows} rows with --memory {budget}: {time.monotonic() - started:.1f} s, "
           f"resident at most {max(peaks) // MIB} MiB")
    assert max(peaks) < resident_max
    answer, = rows_of_json(siltstone.sql(
        "SELECT count(*) AS groups, sum(n) AS rows, sum(s) AS total, max(s) AS most FROM by_key", seconds=600))
    assert [int(answer[name]) for name in ("groups", "rows", "total", "most")] == [groups, rows, total, most]
    one = 7 * SPREAD
    answer, = rows_of_json(siltstone.sql(f"SELECT n FROM by_key WHERE k = {one}"))
    assert int(answer["n"]) in (1, 2)
