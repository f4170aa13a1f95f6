#!/usr/bin/env python3
"""Questions to a server of PostgreSQL's protocol, prepared, each again and again; results in binary, whole.

    pg_ask.py PORT QUESTIONS      QUESTIONS as in duckdb_ad.py

A time ends when the whole result is in this process, as rows of bytes. Prints one JSON line.
"""
import json
import sys
import time

from psycopg import pq

BINARY = 1


def connect(port):
    connection = pq.PGconn.connect(f"host=127.0.0.1 port={port} user=siltstone dbname=siltstone".encode())
    if connection.status != pq.ConnStatus.OK:
        raise ConnectionError(connection.error_message.decode(errors="replace"))
    return connection


def checked(result, expected):
    if result.status != expected:
        raise RuntimeError(result.error_message.decode(errors="replace"))
    return result


def ask(connection, name, sql, rounds, warm_up):
    checked(connection.prepare(name.encode(), sql.encode()), pq.ExecStatus.COMMAND_OK)
    times = []
    for _ in range(warm_up + rounds):
        started = time.perf_counter_ns()
        result = connection.exec_prepared(name.encode(), [], result_format=BINARY)
        times.append(time.perf_counter_ns() - started)
        checked(result, pq.ExecStatus.TUPLES_OK)
    return {"rows": result.ntuples, "times_ns": times[warm_up:]}


def main():
    connection = connect(int(sys.argv[1]))
    with open(sys.argv[2]) as file:
        questions = json.load(file)
    rounds, warm_up = questions["rounds"], questions["warm_up"]
    print(json.dumps({name: ask(connection, name, sql, rounds, warm_up) for name, sql in questions["sql"].items()}))


if __name__ == "__main__":
    main()
