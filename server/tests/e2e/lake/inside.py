"""What a running Siltstone says of its lake, and what it can be asked to do with it."""
import json
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from oracle import RELATIVE
from process import wait_until

QUIET_SECONDS_MAX = 60


@dataclass(frozen=True)
class Recorded:
    """A row of `siltstone.snapshots`."""

    table: str
    snapshot: int
    operation: str
    is_current: bool
    rows: int
    files: int
    bytes: int
    # By column a list of count, sum, least and greatest.
    totals: dict

    def differences(self, rows, totals):
        """What another reading of the same snapshot has otherwise."""
        if rows != self.rows:
            return [f"{rows} rows for {self.rows}"]
        recorded = {name: values for name, values in self.totals.items() if values[0]}
        read = {name: values for name, values in totals.items() if values[0]}
        if recorded.keys() != read.keys():
            return [f"columns {sorted(read)} for {sorted(recorded)}"]
        return [
            f"{name}: {read[name]} for {values}" for name, values in recorded.items()
            if values[0] != read[name][0] or not all(map(alike, values, read[name]))
        ]


def alike(one, other):
    return abs(float(one) - float(other)) <= RELATIVE * abs(float(one)) + 1e-12


class Inside:
    def __init__(self, port):
        self.connection = psycopg.connect(
            f"host=127.0.0.1 port={port} user=siltstone dbname=siltstone", autocommit=True, connect_timeout=30,
            row_factory=dict_row)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, sql):
        return self.connection.execute(sql).fetchall()

    def value(self, sql):
        row, = self.ask(sql)
        value, = row.values()
        return value

    def do(self, sql):
        self.connection.execute(sql)

    def snapshots(self):
        rows = self.ask("SELECT \"table\", snapshot, operation, is_current, rows, files, bytes, totals "
                        "FROM siltstone.snapshots")
        return [Recorded(**{**row, "totals": json.loads(row["totals"])}) for row in rows]

    def current(self):
        """The current snapshot of each table that has one."""
        return {recorded.table: recorded for recorded in self.snapshots() if recorded.is_current}

    def files(self):
        """Data files by table, as rows of `siltstone.files`."""
        tables = {}
        for row in self.ask('SELECT "table", path, "partition", rows, bytes, committed FROM siltstone.files'):
            tables.setdefault(row["table"], []).append({**row, "path": row["path"].removeprefix("file://")})
        return tables

    def compactions(self):
        return {row["table"]: row for row in self.ask("SELECT * FROM siltstone.compactions")}

    def optimize(self, table=""):
        self.do(f"OPTIMIZE {table}")

    def wait_until_pressed(self):
        """Until nothing is hot, which `serve` sees to by itself."""
        def hot():
            return {table: row["hot_bytes"] for table, row in self.compactions().items() if row["hot_bytes"]}

        wait_until(lambda: not hot(), QUIET_SECONDS_MAX, lambda: f"still hot: {hot()}, {self.compactions()}")

    def totals(self, recorded):
        """A snapshot as Siltstone itself reads it back."""
        parts = [f'count("{c}"), sum("{c}"), min("{c}"), max("{c}")' for c in recorded.totals]
        cursor = self.connection.cursor(row_factory=psycopg.rows.tuple_row)
        rows, *values = cursor.execute(
            f"SELECT {', '.join(['count(*)', *parts])} FROM {recorded.table} "
            f"FOR SYSTEM_VERSION AS OF {recorded.snapshot}").fetchone()
        return rows, {name: values[4 * i:4 * i + 4] for i, name in enumerate(recorded.totals)}
