"""A real Kafka broker for the tests, through the project's own script, and topics in it."""
import os
import subprocess

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from process import free_port

# Fetching the jars for the first time included.
START_SECONDS_MAX = 600
FLUSH_SECONDS_MAX = 120
MESSAGE_BYTES_MAX = 20_000_000


class Broker:
    """One node in a folder of its own; `kill` and `start` keep its data."""

    def __init__(self, script, folder):
        self.script = script
        self.port = free_port(2)
        self.env = {**os.environ, "KAFKA_HOME": str(folder)}

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def command(self, *arguments):
        # Its output goes to a file: the broker itself inherits it and would keep a pipe open.
        with open(os.path.join(self.env["KAFKA_HOME"], "command.log"), "a+") as log:
            done = subprocess.run(
                [self.script, *arguments], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                timeout=START_SECONDS_MAX,
            )
            if done.returncode != 0:
                log.seek(0)
                raise AssertionError(f"kafka {' '.join(arguments)} failed: {log.read()[-4000:]}")

    def start(self):
        self.command("start", str(self.port))

    def kill(self):
        self.command("kill")

    def wipe(self):
        self.command("wipe")

    def admin(self):
        return AdminClient({"bootstrap.servers": self.address})

    def create_topic(self, name, partitions):
        self.done(lambda admin: admin.create_topics([NewTopic(name, partitions, 1)]))

    def done(self, request):
        """Waits for what was asked of an admin client, which must live until then."""
        admin = self.admin()
        for future in request(admin).values():
            future.result(60)

    def producer(self):
        return Producer({
            "bootstrap.servers": self.address,
            "enable.idempotence": True,
            # Brokers that are killed on purpose are no news.
            "log_level": 2,
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.max.bytes": MESSAGE_BYTES_MAX,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 512 * 1024,
            # A broker that is killed and comes back loses nothing of what waits here.
            "message.timeout.ms": 300_000,
        })


class Feed:
    """Produces, and counts what the broker did not take."""

    def __init__(self, broker, topic):
        self.producer = broker.producer()
        self.topic = topic
        self.failed = []

    def send(self, partition, value):
        while True:
            try:
                self.producer.produce(self.topic, value, partition=partition, on_delivery=self.delivered)
                self.producer.poll(0)
                return
            except BufferError:
                self.producer.poll(0.1)

    def delivered(self, error, _message):
        if error is not None:
            self.failed.append(error)

    def flush(self):
        left = self.producer.flush(FLUSH_SECONDS_MAX)
        assert left == 0, f"{left} messages were not delivered in {FLUSH_SECONDS_MAX} s"
        assert not self.failed, f"the broker refused {len(self.failed)} messages: {self.failed[0]}"


# Six partitions, some with many events, one with hardly any.
UNEVEN = [0] * 40 + [1] * 25 + [2] * 20 + [3] * 10 + [4] * 4 + [5]


def produce_lines(broker, topic, paths, every=None, rng=None):
    """All lines of the files, over six uneven partitions. `every(count)` is called as it goes on."""
    feed = Feed(broker, topic)
    count = 0
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                feed.send(rng.choice(UNEVEN) if rng else UNEVEN[count % 100], line.rstrip(b"\n"))
                count += 1
                if every:
                    every(count)
    feed.flush()
    return count
