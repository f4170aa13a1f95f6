#!/usr/bin/env python3
"""Looks at a rollup again and again, until it holds as many events as are expected.

    pg_watch.py PORT EVENTS

Prints a JSON line for each look at which something was new: the time behind the answer, in microseconds since 1970,
and how many events of each country were there.
"""
import json
import sys
import time

from psycopg import pq

from pg_ask import checked, connect

QUESTION = b"SELECT country, CAST(sum(n) AS BIGINT) FROM hour_country_type GROUP BY country"
POLL_SECONDS = 0.005
# Without anything new for so long, events are missing. The producer's start is in it.
QUIET_SECONDS_MAX = 60


def main():
    port, expected = sys.argv[1], int(sys.argv[2])
    connection = connect(port)
    checked(connection.prepare(b"look", QUESTION), pq.ExecStatus.COMMAND_OK)
    seen, changed = {}, time.monotonic()
    while sum(seen.values()) < expected:
        result = checked(connection.exec_prepared(b"look", []), pq.ExecStatus.TUPLES_OK)
        at_us = time.time_ns() // 1000
        now = {result.get_value(i, 0).decode(): int(result.get_value(i, 1)) for i in range(result.ntuples)}
        if now != seen:
            seen, changed = now, time.monotonic()
            print(json.dumps({"at_us": at_us, "seen": seen}), flush=True)
        elif time.monotonic() - changed > QUIET_SECONDS_MAX:
            sys.exit(f"{sum(seen.values())} of {expected} events were seen, and nothing new for {QUIET_SECONDS_MAX} s")
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
