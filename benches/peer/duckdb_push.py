#!/usr/bin/env python3
"""Four rollups of Arrow batches that are in memory already, in DuckDB inside this process, two threads.

    duckdb_push.py EVENTS.arrow

Reading the file is not counted; the peak is what came on top of the events. Prints one JSON line.
"""
import json
import sys

import pyarrow

from cost import Meter
from duckdb_ad import FINEST, NEEDED, engine, open_database, roll_up


def main():
    with pyarrow.OSFile(sys.argv[1]) as file:
        batches = pyarrow.ipc.open_file(file).read_all()
    connection = open_database()
    connection.register("batches", batches)
    connection.execute(f"CREATE TEMP VIEW events AS SELECT {NEEDED} FROM batches")
    meter = Meter()
    roll_up(connection, FINEST, {})
    cost = meter.read()
    for view in FINEST:
        counted, = connection.execute(f"SELECT sum(n)::BIGINT FROM {view}").fetchone()
        assert counted == batches.num_rows, (view, counted)
    print(json.dumps({"engine": engine(), **cost}))


if __name__ == "__main__":
    main()
