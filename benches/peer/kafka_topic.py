#!/usr/bin/env python3
"""Topics of six partitions, by the helper of the end-to-end tests.

    kafka_topic.py create ADDRESS TOPIC
    kafka_topic.py fill ADDRESS TOPIC FOLDER     creates it, too; each line of the folder's files is an event, and some
                                                 partitions get many more of them than others

Prints one JSON line.
"""
import json
import pathlib
import sys

from confluent_kafka import Consumer, TopicPartition

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "server" / "tests" / "e2e"))

from broker import FLUSH_SECONDS_MAX, UNEVEN, Broker  # noqa: E402

PARTITIONS = 6
BATCH = 10_000
# Messages that wait in the producer before more are handed to it; its own limit is a million.
WAITING_MAX = 500_000


class Node(Broker):
    """A broker that somebody else has started."""

    def __init__(self, address):
        self.port = int(address.rsplit(":", 1)[1])


def send(producer, topic, messages):
    """Hands over all messages, waiting while there are too many. Delivery is checked by the topic's end."""
    while len(producer) > WAITING_MAX:
        producer.poll(0.01)
    taken = producer.produce_batch(topic, messages)
    assert taken == len(messages), f"{len(messages) - taken} messages were refused"


def finish(node, producer, topic, count):
    left = producer.flush(FLUSH_SECONDS_MAX)
    assert left == 0, f"{left} messages were not delivered in {FLUSH_SECONDS_MAX} s"
    consumer = Consumer({"bootstrap.servers": node.address, "group.id": "count"})
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=60)[1] for p in range(PARTITIONS)]
    consumer.close()
    assert sum(ends) == count, f"{count} messages were sent, the topic has {sum(ends)}"


def fill(node, topic, folder):
    producer, count, batch = node.producer(), 0, []
    for path in sorted(pathlib.Path(folder).iterdir()):
        with open(path, "rb") as file:
            for line in file:
                batch.append({"value": line.rstrip(b"\n"), "partition": UNEVEN[count % len(UNEVEN)]})
                count += 1
                if len(batch) == BATCH:
                    send(producer, topic, batch)
                    batch = []
    send(producer, topic, batch)
    finish(node, producer, topic, count)
    return count


def main():
    mode, address, topic = sys.argv[1:4]
    node = Node(address)
    node.create_topic(topic, PARTITIONS)
    print(json.dumps({"events": fill(node, topic, sys.argv[4]) if mode == "fill" else 0}))


if __name__ == "__main__":
    main()
