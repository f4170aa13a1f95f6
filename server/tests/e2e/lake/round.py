"""A script with a table, views and a file, played to its end over processes that are killed or whose steps fail,
and what must be there afterwards: what was acknowledged, once, in every form in which it can be read."""
import datetime
import shutil
import threading
from collections import Counter

import psycopg
from psycopg.rows import tuple_row

from lake.inside import Inside
from lake.outside import Outside, rows_of
from process import START_SECONDS_MAX, Siltstone, answers, free_port, variables, wait_until

# Small and often, so that every step is passed within a second; few snapshots, so that some expire.
FLAGS = ("--lake-interval", "100ms", "--lake-snapshots", "3", "--workers", "1", "--memory", "64MiB")
DYING_SECONDS_MAX = 10
SETTLE_SECONDS_MAX = 20
BATCHES = 10
START = datetime.datetime(2024, 3, 1)
HOURS = 50 * 24
# Rows of the file: enough of them for a table's files to be written while they are read.
LINES = 70_000
# What is compared of each relation.
SHOWN = {
    "facts": "SELECT id, batch, k, v, seen FROM {}",
    "lines": "SELECT id % 7, count(*), sum(v), count(DISTINCT id) FROM {} GROUP BY id % 7",
    "by_k": "SELECT k, n, ids, s, least, most FROM {}",
    "by_hour": "SELECT hour, n, s FROM {}",
    "by_rest": "SELECT rest, n, s FROM {}",
}


# Rounds go on beside each other: no two of them ever have the same port.
ports, ports_lock = set(), threading.Lock()


class Died(Exception):
    """The process ended while it was asked."""


def port_of_its_own():
    with ports_lock:
        while (port := free_port()) in ports:
            pass
        ports.add(port)
        return port


def line(i):
    return i, float(i * 7919 % 1000)


def write_lines(path):
    """The file that all rounds read."""
    path.write_text("id,v\n" + "".join(f"{i},{v}\n" for i, v in map(line, range(LINES))))
    return path


class Round:
    """One data directory. `play` lives once; what is left of the script stays for the next life."""

    def __init__(self, binary, folder, script, lines, rng):
        folder.mkdir(parents=True)
        self.siltstone = Siltstone(binary, folder)
        self.folder = folder
        self.script = script
        self.rng = rng
        self.outside = Outside(self.siltstone.data)
        # Rows by batch: those whose insert was acknowledged, and those of which nothing is known.
        self.acknowledged = {}
        self.unknown = {}
        self.errors = []
        # What the processes wrote of themselves.
        self.said = ""
        self.lines = lines
        self.left = self.statements()

    def statements(self):
        statements = []
        for batch in range(BATCHES):
            statements.append(("insert", batch))
            if self.rng.random() < 0.5:
                statements.append(("optimize", self.rng.choice(["", "facts", "by_k"])))
            if batch == BATCHES // 2:
                statements.append(("drop", "by_hour"))
        return [*statements, ("optimize", "")]

    def rows(self, batch):
        """The rows of a batch, most of them near each other, some anywhere."""
        near = self.rng.randrange(HOURS)
        for i in range(self.rng.randrange(1, 30)):
            hour = near if self.rng.random() < 0.8 else self.rng.randrange(HOURS)
            k = self.rng.choice([None, *range(8)])
            yield (batch * 100 + i, batch, k, float(self.rng.randrange(1000)), START + datetime.timedelta(hours=hour, minutes=i))

    def start(self, fault, held):
        """The process and its port; [`Died`] if it is killed before it answers."""
        env = {"SILTSTONE_FAULT": fault, "SILTSTONE_FAULT_WHILE": str(held or "")} if fault else None
        while True:
            port = port_of_its_own()
            process = self.siltstone.start(
                "serve", "--data", self.siltstone.data, "--pg", f"127.0.0.1:{port}", *FLAGS,
                *variables({"csv": self.lines}), self.script, env=env)
            wait_until(lambda: not process.running() or answers(port), START_SECONDS_MAX, process.text)
            if process.running():
                return process, port
            if "in use" not in process.text():
                killed(process)
                raise Died

    def play(self, fault=None, held=None):
        """Goes on with the script until it ends or the process is killed, which is what the answer says."""
        try:
            process, port = self.start(fault, held)
        except Died:
            return False
        with process:
            try:
                with Inside(port) as inside:
                    while self.left:
                        self.step(inside, *self.left.pop(0))
                    if fault and "=kill" not in fault:
                        self.recover(inside, held)
                    settle(inside)
            except (Died, psycopg.OperationalError):
                killed(process)
                return False
            code, _ = process.stop()
            self.said += process.text()
            assert code in (0, -9), f"stopped with {code}: {process.text()[-3000:]}"
            return code == 0

    def step(self, inside, kind, what):
        try:
            if kind == "insert":
                rows = self.unknown[what] = list(self.rows(what))
                inside.do(f"INSERT INTO facts VALUES {', '.join(map(literals, rows))}")
                self.acknowledged[what] = self.unknown.pop(what)
            elif kind == "optimize":
                inside.optimize(what)
            else:
                # The next start makes it again.
                inside.do(f"DROP MATERIALIZED VIEW IF EXISTS {what}")
        except psycopg.Error as error:
            if inside.connection.broken:
                raise Died from error
            # What it did all the same is seen at the end.
            self.errors.append((kind, str(error)))

    def recover(self, inside, held):
        """Without another start: a step fails once, or as long as the disk is full."""
        if held:
            held.unlink()
        else:
            self.step(inside, "optimize", "")
        settle(inside)
        inside.optimize()
        failed = {table: row["error"] for table, row in inside.compactions().items() if row["error"]}
        assert not failed, failed

    def finish(self, reader, names):
        """A life without a fault: everything is there once, however it is read, and nothing else is."""
        assert self.play(), "a life without a fault ended early"
        process, port = self.start(None, None)
        with process, Inside(port) as inside:
            settle(inside)
            expected = self.expected(inside)
            self.compare_answers(inside, expected)
            inside.optimize()
            self.compare_answers(inside, expected)
            self.compare_files(inside, expected)
            self.compare_snapshots(inside, reader)
            code, _ = process.stop()
            assert code == 0, process.text()[-3000:]
        faults = self.outside.faults(names)
        assert not faults, faults

    def expected(self, inside):
        """The rows of each relation, by what is known, and for the rest by what the table has."""
        batches = {row["batch"]: row["n"] for row in inside.ask("SELECT batch, count(*) AS n FROM facts GROUP BY batch")}
        facts = [row for rows in self.acknowledged.values() for row in rows]
        for batch, rows in self.unknown.items():
            if batch in batches:
                facts += rows
        return {
            "facts": sorted(facts, key=repr),
            "by_k": grouped(facts, lambda row: row[2], lambda rows: (
                len(rows), sum(row[0] for row in rows), sum(row[3] for row in rows), min(row[3] for row in rows),
                max(row[3] for row in rows))),
            "by_hour": grouped(facts, lambda row: row[4].replace(minute=0), lambda rows: (
                len(rows), sum(row[3] for row in rows))),
            **OF_LINES,
        }

    def compare_answers(self, inside, expected):
        for relation, shown in SHOWN.items():
            answer = inside.connection.cursor(row_factory=tuple_row).execute(shown.format(relation)).fetchall()
            differ(f"the answer over {relation}", answer, expected[relation])

    def compare_files(self, inside, expected):
        files = inside.files()
        for relation, shown in SHOWN.items():
            of_table = files.get(relation, [])
            assert all(file["committed"] for file in of_table), of_table
            differ(f"the files of {relation}", rows_of([file["path"] for file in of_table], shown), expected[relation])

    def compare_snapshots(self, inside, reader):
        for table, recorded in inside.current().items():
            differences = recorded.differences(*reader.totals(self.outside.catalog, table, recorded.snapshot))
            assert not differences, f"{reader.engine} reads {table}: {differences}"

    def forget(self):
        # A reader may be closing a catalog still.
        shutil.rmtree(self.folder, ignore_errors=True)


def killed(process):
    """It ends now, by the signal of its fault and by nothing else."""
    code = process.wait(DYING_SECONDS_MAX)
    assert code == -9, f"ended with {code}: {process.text()[-3000:]}"


def settle(inside):
    """Until every view has what its source has, and the file was read."""
    def behind():
        rows = inside.ask("SELECT name, state, error FROM siltstone.views")
        return [row for row in rows if row["state"] != "current"] or inside.value("SELECT sum(n) FROM by_rest") != LINES

    wait_until(lambda: not behind(), SETTLE_SECONDS_MAX, lambda: (behind(), inside.ask("SELECT * FROM siltstone.sources")))


def literals(row):
    texts = ["NULL" if value is None else f"TIMESTAMP '{value}'" if isinstance(value, datetime.datetime) else str(value)
             for value in row]
    return f"({', '.join(texts)})"


def grouped(rows, key, of):
    groups = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [(key, *of(rows)) for key, rows in groups.items()]


def of_lines(*more):
    return grouped(map(line, range(LINES)), lambda row: row[0] % 7, lambda rows: (
        len(rows), sum(row[1] for row in rows), *(len(rows) for _ in more)))


OF_LINES = {"lines": of_lines("distinct"), "by_rest": of_lines()}


def plain(row):
    return tuple(float(value) if value is not None and not isinstance(value, datetime.datetime) else value for value in row)


def differ(what, found, expected):
    """Both as bags of rows; all numbers here are exact as floats."""
    found, expected = Counter(map(plain, found)), Counter(map(plain, expected))
    assert found == expected, (
        f"{what}: too many {sorted((found - expected).elements(), key=repr)[:5]}, "
        f"missing {sorted((expected - found).elements(), key=repr)[:5]}")
