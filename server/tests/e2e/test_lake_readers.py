"""Other engines read every snapshot of every table, while a topic goes on and after it has ended, and see what
was recorded when it was written; the last is what DuckDB makes of the topic's lines."""
from collections import Counter

from conftest import NIGHTLY, SEED
from lake.audit import Audit
from lake.inside import Inside
from lake.outside import Outside
from lake.stream import Stream
from oracle import Oracle
from process import wait_until
from questions import VIEWS

TABLES = {*VIEWS, "events"}
# Slices of the year that come while snapshots are read, and those that come while they expire.
SLICES, SLICES_EXPIRING = (40, 9) if NIGHTLY else (4, 2)
STREAM_SECONDS = 120 if NIGHTLY else 12
# Of each table, while the topic goes on.
SNAPSHOTS_MIN = 3
# Snapshots that an engine reads at most while they appear.
READS_MAX = 2000 if NIGHTLY else 200
# Snapshots of a table: so many are kept, and there are a quarter more at most before some go.
KEPT, KEPT_MAX = 5, 6
AUDIT_SECONDS_MAX = 900
CATCH_UP_SECONDS_MAX = 120


def readings(readers, catalog, inside):
    """By engine how it reads what was recorded; Siltstone is one of them."""
    other = {
        engine: lambda recorded, reader=reader: reader.totals(catalog, recorded.table, recorded.snapshot)
        for engine, reader in readers.items()
    }
    return {**other, "siltstone": inside.totals}


def of_oracle(oracle, recorded):
    """A whole relation as DuckDB has it."""
    parts = [f'count("{c}"), sum("{c}"), min("{c}"), max("{c}")' for c in recorded.totals]
    rows, *values = oracle.connection.cursor().execute(
        f"SELECT {', '.join(['count(*)', *parts])} FROM {recorded.table}").fetchone()
    return rows, {name: values[4 * i:4 * i + 4] for i, name in enumerate(recorded.totals)}


def agree_with_oracle(inside, oracle):
    current = inside.current()
    assert current.keys() == TABLES
    wrong = {table: recorded.differences(*of_oracle(oracle, recorded)) for table, recorded in current.items()}
    wrong = {table: differences for table, differences in wrong.items() if differences}
    assert not wrong, wrong


def test_snapshots_of_a_stream(siltstone, broker, few_ads, readers, names, workload, tmp_path, rng, figure):
    broker.create_topic("lake", 6)
    pattern_before, before = few_ads.first(SLICES, tmp_path / "before")
    pattern, both = few_ads.first(SLICES + SLICES_EXPIRING, tmp_path / "both")
    rows = {len(lines): sum(path.read_bytes().count(b"\n") for path in lines) for lines in (before, both)}
    values = {"brokers": broker.address, "topic": "lake"}
    outside = Outside(siltstone.data)

    def caught_up(inside, n):
        counts = [int(inside.value(f"SELECT sum(n) FROM {view}") or 0) for view in VIEWS]
        return counts == [n] * len(VIEWS)

    process, port = siltstone.serve("--lake-interval", "1s", file=workload / "kafka_table.sql", values=values)
    with process, Inside(port) as inside, Inside(port) as reading:
        audit = Audit(readings(readers, outside.catalog, reading), READS_MAX, SEED)

        def few_snapshots(part):
            # Each table has as many as are asked for below before the topic ends, however slow the machine is.
            of_table = Counter(table for table, _ in list(audit.offered))
            return min(of_table[table] for table in TABLES) < int(SNAPSHOTS_MIN * part)

        n = rows[SLICES]
        stream = Stream(broker, "lake", before, n, STREAM_SECONDS, rng, few_snapshots)
        stream.start()

        def ended():
            audit.offer(inside.snapshots())
            return not stream.going() and caught_up(inside, n)

        wait_until(ended, STREAM_SECONDS + 2 * CATCH_UP_SECONDS_MAX, process.text)
        while_going = {engine: len(read) for engine, read in audit.read.items()}
        inside.optimize()
        audit.offer(inside.snapshots())
        wrong = audit.finish(AUDIT_SECONDS_MAX)
        assert not wrong, "\n".join(wrong[:20])
        offered = list(audit.offered.values())
        figure(f"{len(offered)} snapshots of {len(TABLES)} tables, read by each engine while the topic went on: "
               f"{while_going}, and in all: { {engine: len(read) for engine, read in audit.read.items()} }")
        assert {recorded.table for recorded in offered} == TABLES
        of_table = Counter(recorded.table for recorded in offered)
        assert min(of_table.values()) >= SNAPSHOTS_MIN, of_table
        # What the merging of small files commits, in the table that only grows.
        assert any(recorded.table == "events" and recorded.operation == "replace" for recorded in offered)
        agree_with_oracle(inside, Oracle(pattern_before))
        code, _ = process.stop()
        assert code == 0, process.text()

    expiring = ("--lake-interval", "200ms", "--lake-snapshots", str(KEPT))
    process, port = siltstone.serve(*expiring, file=workload / "kafka_table.sql", values=values)
    with process, Inside(port) as inside, Inside(port) as reading:
        old = {(recorded.table, recorded.snapshot) for recorded in inside.snapshots()}
        rest = both[SLICES:]
        n = rows[SLICES + SLICES_EXPIRING]
        stream = Stream(broker, "lake", rest, n - rows[SLICES], STREAM_SECONDS / 2, rng)
        stream.start()
        wait_until(lambda: not stream.going() and caught_up(inside, n), CATCH_UP_SECONDS_MAX, process.text)
        inside.optimize()
        inside.wait_until_pressed()

        left = [(recorded.table, recorded.snapshot) for recorded in inside.snapshots()]
        most = max(sum(table == of for of, _ in left) for table in TABLES)
        figure(f"{len(old - set(left))} of {len(old)} older snapshots expired, {len(left)} are left, {most} of a table at most")
        assert most <= KEPT_MAX, left
        assert len(old & set(left)) < len(old) / 2, f"hardly any expired: {old & set(left)}"
        audit = Audit(readings(readers, outside.catalog, reading), READS_MAX, SEED)
        audit.offer(inside.snapshots())
        wrong = audit.finish(AUDIT_SECONDS_MAX)
        assert not wrong, "\n".join(wrong[:20])
        agree_with_oracle(inside, Oracle(pattern))
        code, _ = process.stop()
        assert code == 0, process.text()
    assert outside.faults(names) == []


def test_a_table_that_was_loaded_once(siltstone, few_ads, readers, names, workload, tmp_path):
    """A bounded run leaves everything in the lake once it is asked to; read without any process of ours."""
    pattern, _ = few_ads.first(SLICES, tmp_path / "csv")
    siltstone.replay(workload / "csv_table.sql", {"csv": pattern})
    siltstone.sql("OPTIMIZE")
    process, port = siltstone.serve()
    with process, Inside(port) as inside:
        agree_with_oracle(inside, Oracle(pattern))
        current = inside.current()
        code, _ = process.stop()
        assert code == 0, process.text()
    outside = Outside(siltstone.data)
    for engine, reader in readers.items():
        for table, recorded in current.items():
            differences = recorded.differences(*reader.totals(outside.catalog, table))
            assert not differences, f"{engine} reads {table}: {differences}"
    assert outside.faults(names) == []
