#!/usr/bin/env python3
"""The ad workload in DuckDB, two threads.

    duckdb_ad.py derive 'CSV/*.csv' -           ten rollups in memory: one scan of the needed columns, the four finest
                                                from that, the rest from those; no events kept
    duckdb_ad.py derive-json 'JSONL/*.jsonl' -  the same from JSON lines
    duckdb_ad.py load 'CSV/*.csv' FILE          all nine columns into a table of a database file, the rollups from it
                                                in the same way, CHECKPOINT
    duckdb_ad.py query 'CSV/*.csv' QUESTIONS    derive, then the questions again and again over the rollups; QUESTIONS is
                                                a JSON file: {"rounds": n, "warm_up": n, "sql": {name: text}}

Prints one JSON line.
"""
import json
import sys
import time
import warnings

import duckdb

from cost import Meter

TYPES = {
    "ts": "BIGINT", "type": "VARCHAR", "auction_id": "VARCHAR", "advertiser_id": "INTEGER", "publisher_id": "INTEGER",
    "bid_price": "DOUBLE", "user_id": "BIGINT", "total_price": "DOUBLE", "country": "VARCHAR",
}
# What no rollup reads.
UNREAD = ("auction_id", "user_id")
NEEDED = "make_timestamp(ts * 1000) AS event_time, type, advertiser_id, publisher_id, bid_price, total_price, country"
FROM_EVENTS = (
    "count(*) AS n, count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, "
    "max(bid_price) AS bid_max, count(total_price) AS total_n, sum(total_price) AS total_sum"
)
FROM_FINER = (
    "sum(n)::BIGINT AS n, sum(bid_n)::BIGINT AS bid_n, sum(bid_sum) AS bid_sum, min(bid_min) AS bid_min, "
    "max(bid_max) AS bid_max, sum(total_n)::BIGINT AS total_n, sum(total_sum) AS total_sum"
)
FINEST = {
    "minute_type": "time_bucket(INTERVAL '1 minute', event_time) AS minute",
    "hour_country_type": "time_bucket(INTERVAL '1 hour', event_time) AS hour, country",
    "day_advertiser_type": "time_bucket(INTERVAL '1 day', event_time) AS day, advertiser_id",
    "publisher_type": "publisher_id",
}
COARSER = {
    "hour_type": ("date_trunc('hour', minute) AS hour", "minute_type"),
    "day_type": ("date_trunc('day', hour)::TIMESTAMP AS day", "hour_type"),
    "week_type": ("date_trunc('week', day)::TIMESTAMP AS week", "day_type"),
    "day_country_type": ("date_trunc('day', hour)::TIMESTAMP AS day, country", "hour_country_type"),
    "country_type": ("country", "day_country_type"),
    "advertiser_type": ("advertiser_id", "day_advertiser_type"),
}


def open_database(file=":memory:"):
    connection = duckdb.connect(file, config={"threads": 2})
    connection.execute("SET preserve_insertion_order = false")
    return connection


def engine():
    """What runs, by its own word."""
    version, = duckdb.connect().execute("SELECT version()").fetchone()
    return f"DuckDB {version.lstrip('v')}"


def csv(pattern):
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items())
    return (f"read_csv('{pattern}', header = true, auto_detect = false, delim = ',', columns = {{{columns}}})")


def json_lines(pattern):
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items() if name not in UNREAD)
    return f"read_json('{pattern}', format = 'newline_delimited', columns = {{{columns}}})"


def roll_up(connection, finest=FINEST, coarser=COARSER):
    """From a relation `events` that has `event_time`."""
    for view, keys in finest.items():
        connection.execute(f"CREATE TABLE {view} AS SELECT {keys}, type, {FROM_EVENTS} FROM events GROUP BY ALL")
    for view, (keys, finer) in coarser.items():
        connection.execute(f"CREATE TABLE {view} AS SELECT {keys}, type, {FROM_FINER} FROM {finer} GROUP BY ALL")


def derive(scan):
    connection = open_database()
    connection.execute(f"CREATE TEMP TABLE events AS SELECT {NEEDED} FROM {scan}")
    roll_up(connection)
    return connection


def load(scan, file):
    connection = open_database(file)
    connection.execute(f"CREATE TABLE raw AS SELECT * FROM {scan}")
    connection.execute(f"CREATE VIEW events AS SELECT {NEEDED} FROM raw")
    roll_up(connection)
    connection.execute("CHECKPOINT")
    return connection


def totals(connection):
    """What the other side is compared with; the tables are small next to the work before."""
    told = {}
    for view in [*FINEST, *COARSER]:
        row = connection.execute(f"SELECT count(*), sum(n)::BIGINT, sum(bid_n)::BIGINT FROM {view}").fetchone()
        told[view] = dict(zip(("groups", "events", "bids"), row))
    return told


def ask(fetch, rounds, warm_up):
    times = []
    for _ in range(warm_up + rounds):
        started = time.perf_counter_ns()
        rows = fetch()
        times.append(time.perf_counter_ns() - started)
    return {"rows": len(rows), "times_ns": times[warm_up:]}


def sort(connection):
    """Sorted tables answer a time range several times faster: the peer gets its best form."""
    for view in [*FINEST, *COARSER]:
        connection.execute(f"CREATE OR REPLACE TABLE {view} AS SELECT * FROM {view} ORDER BY ALL")


def query(connection, questions):
    # Some versions advise another call than this one, which is the quicker one for statements like these.
    warnings.simplefilter("ignore")
    answers = {}
    for name, sql in questions["sql"].items():
        connection.execute(f"PREPARE {name} AS {sql}")
        forms = {
            "text": lambda: connection.execute(sql).to_arrow_table(),
            "prepared": lambda: connection.execute(f"EXECUTE {name}").to_arrow_table(),
            "rows": lambda: connection.execute(f"EXECUTE {name}").fetchall(),
        }
        answers[name] = {form: ask(fetch, questions["rounds"], questions["warm_up"]) for form, fetch in forms.items()}
    return answers


def main():
    mode, pattern, file = sys.argv[1:4]
    report = {"engine": engine()}
    if mode == "load":
        connection = load(csv(pattern), file)
    else:
        connection = derive(json_lines(pattern) if mode == "derive-json" else csv(pattern))
    started, busy = time.perf_counter(), time.process_time()
    report["views"] = totals(connection)
    # Not the peer's work: it is taken off.
    report["check"] = {"seconds": time.perf_counter() - started, "cpu_s": time.process_time() - busy}
    if mode == "query":
        with open(file) as text:
            questions = json.load(text)
        sort(connection)
        meter = Meter()
        report["answers"] = query(connection, questions)
        report["asked"] = meter.read()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
