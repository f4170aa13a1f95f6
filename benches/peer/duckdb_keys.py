#!/usr/bin/env python3
"""A rollup of many keys in a DuckDB database file, two threads.

    duckdb_keys.py load CSV FILE MEMORY             makes it, within that memory, and ends with CHECKPOINT
    duckdb_keys.py totals FILE                      how many groups and events it has, and their sum
    duckdb_keys.py first FILE QUESTION EXPECTED     from opening the file to the answer, a JSON object

Prints one JSON line.
"""
import json
import sys

from cost import Meter
from duckdb_ad import engine, open_database


def load(csv, file, memory):
    connection = open_database(file)
    connection.execute(f"SET memory_limit = '{memory}'")
    connection.execute(
        "CREATE TABLE by_key AS SELECT k, count(*) AS n, sum(v)::BIGINT AS s, max(v) AS most FROM "
        f"read_csv('{csv}', header = true, auto_detect = false, delim = ',', columns = {{'k': 'BIGINT', 'v': 'BIGINT'}}) "
        "GROUP BY k"
    )
    connection.execute("CHECKPOINT")
    return {}


def totals(file):
    row = open_database(file).execute("SELECT count(*), sum(n)::BIGINT, sum(s)::BIGINT FROM by_key").fetchone()
    return dict(zip(("groups", "events", "total"), row))


def first(file, question, expected):
    meter = Meter()
    cursor = open_database(file).execute(question)
    row = cursor.fetchone()
    cost = meter.read()
    answer = dict(zip((column[0] for column in cursor.description), row))
    assert answer == json.loads(expected), answer
    return cost


def main():
    mode, *arguments = sys.argv[1:]
    told = {"load": load, "totals": totals, "first": first}[mode](*arguments)
    print(json.dumps({"engine": engine(), **told}))


if __name__ == "__main__":
    main()
