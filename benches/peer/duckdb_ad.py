#!/usr/bin/env python3
"""The ad workload in DuckDB, two threads.

    duckdb_ad.py ingest 'CSV/*.csv'   the ten rollups, once: the scan and the four finest first, the rest from those
    duckdb_ad.py query 'CSV/*.csv'    the same, then four questions again and again over the rollups' tables

Prints one JSON line.
"""
import json
import sys
import time

import duckdb

ROUNDS, WARM_UP = 200, 20
COLUMNS = (
    "{'ts': 'BIGINT', 'type': 'VARCHAR', 'auction_id': 'VARCHAR', 'advertiser_id': 'INTEGER', "
    "'publisher_id': 'INTEGER', 'bid_price': 'DOUBLE', 'user_id': 'BIGINT', 'total_price': 'DOUBLE', "
    "'country': 'VARCHAR'}"
)
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
QUERIES = {
    "q1": "SELECT day, bid_sum FROM day_type WHERE type = 'impression'",
    "q3": "SELECT country, total_sum / total_n AS average FROM country_type WHERE type = 'purchase' ORDER BY 2 DESC",
    "q4": "SELECT advertiser_id, type, n FROM advertiser_type ORDER BY n DESC",
    "q5": "SELECT minute, bid_sum FROM minute_type WHERE type = 'impression' AND minute >= TIMESTAMP '2024-06-01' "
    "AND minute < TIMESTAMP '2024-06-02' ORDER BY minute",
}


def ingest(connection, pattern):
    connection.execute(
        "CREATE TEMP TABLE events AS SELECT make_timestamp(ts * 1000) AS event_time, type, advertiser_id, publisher_id, bid_price, "
        f"total_price, country FROM read_csv('{pattern}', header = true, auto_detect = false, delim = ',', "
        f"columns = {COLUMNS})"
    )
    for view, keys in FINEST.items():
        connection.execute(f"CREATE TABLE {view} AS SELECT {keys}, type, {FROM_EVENTS} FROM events GROUP BY ALL")
    for view, (keys, finer) in COARSER.items():
        connection.execute(f"CREATE TABLE {view} AS SELECT {keys}, type, {FROM_FINER} FROM {finer} GROUP BY ALL")


def ask(connection, sql):
    times = []
    for _ in range(WARM_UP + ROUNDS):
        started = time.perf_counter()
        rows = connection.execute(sql).arrow().read_all()
        times.append((time.perf_counter() - started) * 1e3)
    counted = sorted(times[WARM_UP:])
    return {
        "rows": rows.num_rows,
        "p50_ms": counted[len(counted) // 2],
        "p99_ms": counted[min(len(counted) - 1, len(counted) * 99 // 100)],
    }


def main():
    mode, pattern = sys.argv[1:3]
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET preserve_insertion_order = false")
    ingest(connection, pattern)
    report = {"engine": f"DuckDB {duckdb.__version__}"}
    if mode == "query":
        # Sorted tables answer a time range several times faster: the peer gets its best form.
        for view in [*FINEST, *COARSER]:
            connection.execute(f"CREATE OR REPLACE TABLE {view} AS SELECT * FROM {view} ORDER BY ALL")
        report.update({name: ask(connection, sql) for name, sql in QUERIES.items()})
    print(json.dumps(report))


if __name__ == "__main__":
    main()
