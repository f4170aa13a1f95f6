#!/usr/bin/env python3
"""Produces events on a schedule: event i is due i / RATE seconds after the start, and carries that time whenever it
is sent. The schedule waits for nobody.

    kafka_pace.py ADDRESS TOPIC TEMPLATES MOST RATE EVENTS

Events are the lines of TEMPLATES (at most MOST of them), again and again, with their `ts` replaced. All events of a
country go to one partition, in order. Prints one JSON line.
"""
import json
import re
import sys
import time

from kafka_topic import Node, finish, send

# Countries in the order of their shares; those not named go to the last partition.
PARTITION = {b"US": 0, b"JP": 1, b"DE": 1, b"GB": 2, b"IN": 2, b"BR": 3, b"FR": 3, b"CA": 4, b"KR": 4}
LAST = 5
START_AFTER_US = 300_000
BATCH_MAX = 2_000
# Between two looks at the clock when nothing is due.
IDLE_SECONDS = 0.001


def templates(path, most):
    """Everything behind the time of each event, and its partition."""
    found = []
    with open(path, "rb") as file:
        for line in file:
            if len(found) == most:
                break
            rest = line.rstrip(b"\n").split(b",", 1)[1]
            country = re.search(rb'"country":"(\w+)"', rest).group(1)
            found.append((b"," + rest, PARTITION.get(country, LAST)))
    return found


def now_us():
    return time.time_ns() // 1000


def main():
    address, topic, path, most, rate, events = sys.argv[1:]
    rate, events = int(rate), int(events)
    lines = templates(path, int(most))
    node = Node(address)
    producer = node.producer()
    # Connected before the schedule starts.
    producer.list_topics(topic, timeout=60)
    start_us = now_us() + START_AFTER_US
    sent = late_us = 0
    while sent < events:
        now = now_us()
        due = min(events, (now - start_us) * rate // 1_000_000 + 1)
        if sent >= due:
            producer.poll(0)
            time.sleep(IDLE_SECONDS)
            continue
        late_us = max(late_us, now - start_us - sent * 1_000_000 // rate)
        messages = []
        for i in range(sent, min(due, sent + BATCH_MAX)):
            rest, partition = lines[i % len(lines)]
            ts_ms = (start_us + i * 1_000_000 // rate) // 1000
            messages.append({"value": b'{"ts":%d%s' % (ts_ms, rest), "partition": partition})
        send(producer, topic, messages)
        sent += len(messages)
    finish(node, producer, topic, events)
    print(json.dumps({"start_us": start_us, "late_max_ms": late_us / 1000}))


if __name__ == "__main__":
    main()
