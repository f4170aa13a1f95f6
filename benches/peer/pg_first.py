#!/usr/bin/env python3
"""From the start of a server's process to its first right answer over the wire.

    pg_first.py PROGRAM DATA PORT QUESTION EXPECTED LOG     EXPECTED: a JSON object of whole numbers

Prints one JSON line: seconds, and what the server's process had used by then.
"""
import json
import os
import socket
import subprocess
import sys
import time

from psycopg import pq

from cost import status
from pg_ask import checked, connect

START_SECONDS_MAX = 300
POLL_SECONDS = 0.001


def wait_for(port, server):
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None:
                raise RuntimeError(f"the server ended with {server.returncode}") from None
            time.sleep(POLL_SECONDS)
    raise TimeoutError(f"no answer within {START_SECONDS_MAX} s")


def used(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    return {"cpu_s": ticks / os.sysconf("SC_CLK_TCK"), "peak_mb": status("VmHWM:", pid)}


def main():
    program, data, port, question, expected, log = sys.argv[1:]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SILTSTONE_")}
    with open(log, "wb") as out:
        started = time.perf_counter()
        server = subprocess.Popen(
            [program, "serve", "--data", data, "--pg", f"127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
        )
    try:
        wait_for(int(port), server)
        result = checked(connect(port).exec_(question.encode()), pq.ExecStatus.TUPLES_OK)
        seconds = time.perf_counter() - started
        cost = used(server.pid)
        answer = {result.fname(i).decode(): int(result.get_value(0, i)) for i in range(result.nfields)}
        assert answer == json.loads(expected), answer
    finally:
        server.terminate()
        server.wait()
    print(json.dumps({"seconds": seconds, **cost}))


if __name__ == "__main__":
    main()
