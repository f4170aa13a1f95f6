"""A live topic becomes the same rollups, exactly once, whatever is killed on the way."""
import threading
import time
import zlib

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from broker import UNEVEN, Feed
from oracle import rows_of_json
from process import wait_until
from conftest import AD_ROWS, NIGHTLY
from test_files import compare, whole_views
from questions import OVER_EVENTS, OVER_VIEWS

KILLS = 40 if NIGHTLY else 20
# How long a run may live before it is killed: sometimes within its start, sometimes after many epochs.
LIFE_SECONDS = (0.05, 2.5)
# Events a second while processes are being killed.
PACE = 20_000
CATCH_UP_SECONDS_MAX = 300


def test_a_topic_gives_the_same_views(siltstone, broker, ad_topic, oracle, workload, tmp_path, figure):
    started = time.monotonic()
    siltstone.replay(workload / "kafka.sql", {"brokers": broker.address, "topic": ad_topic})
    figure(f"{AD_ROWS} JSON events from 6 partitions into ten views in {time.monotonic() - started:.1f} s")
    whole_views(siltstone, oracle, tmp_path)
    compare(siltstone, oracle, OVER_VIEWS)
    assert int(rows_of_json(siltstone.sql("SELECT count(*) AS n FROM siltstone.errors"))[0]["n"]) == 0


@pytest.mark.nightly
def test_a_topic_kept_as_a_table(siltstone, broker, ad_topic, oracle, workload):
    siltstone.replay(workload / "kafka_table.sql", {"brokers": broker.address, "topic": ad_topic})
    compare(siltstone, oracle, OVER_EVENTS)


class Facts(threading.Thread):
    """A producer that goes on while others are killed, and the log of what it sent."""

    def __init__(self, broker, topic, rng):
        super().__init__(name="facts", daemon=True)
        self.feed = Feed(broker, topic)
        self.rng = rng
        self.done = threading.Event()
        self.error = None
        self.n = self.ids = self.users = self.hashes = 0
        self.buckets = [[0, 0] for _ in range(64)]

    def run(self):
        try:
            while not self.done.is_set():
                for _ in range(PACE // 10):
                    self.send()
                self.feed.producer.poll(0)
                self.done.wait(0.1)
            self.feed.flush()
        except BaseException as error:
            self.error = error

    def send(self):
        # Numbers start high, so that their sum is beyond 64 bits long before the events are many.
        number = 4_000_000_000_000_000_000 + self.n
        user = self.rng.randrange(1, 10_000_000)
        digest = (zlib.crc32(b"%d" % number) << 31 | zlib.crc32(b"%d" % user)) - (1 << 62)
        self.feed.send(UNEVEN[self.rng.randrange(100)], b'{"id":%d,"user_id":%d,"hash":%d}' % (number, user, digest))
        self.n += 1
        self.ids += number
        self.users += user
        self.hashes += digest
        bucket = self.buckets[number % 64]
        bucket[0] += 1
        bucket[1] += digest


def test_kills_lose_and_double_nothing(siltstone, broker, sql_files, rng, figure):
    broker.create_topic("facts", 6)
    values = {"brokers": broker.address, "topic": "facts", "gaps": "error"}
    facts = Facts(broker, "facts", rng)
    facts.start()
    early = 0
    broker_dies_at = KILLS // 2
    for kill in range(KILLS):
        with siltstone.run(sql_files / "facts.sql", values) as process:
            if kill == broker_dies_at:
                broker.kill()
                broker.start()
            facts.done.wait(rng.uniform(*LIFE_SECONDS))
            assert process.running(), f"run {kill} ended by itself:\n{process.text()[-4000:]}"
            early += not process.text()
            process.kill()
        assert facts.error is None, facts.error
    facts.done.set()
    facts.join(CATCH_UP_SECONDS_MAX)
    assert not facts.is_alive() and facts.error is None, facts.error
    figure(f"{KILLS} kill -9 of run and one of the broker over {facts.n} events ({early} runs died before a word)")

    siltstone.replay(sql_files / "facts.sql", values, seconds=CATCH_UP_SECONDS_MAX)
    totals, = rows_of_json(siltstone.sql("SELECT * FROM totals"))
    assert {name: int(value) for name, value in totals.items()} == {
        "n": facts.n,
        "ids": facts.ids,
        "users": facts.users,
        "hashes": facts.hashes,
        "first": 4_000_000_000_000_000_000,
        "last": 4_000_000_000_000_000_000 + facts.n - 1,
    }
    buckets = rows_of_json(siltstone.sql("SELECT bucket, n, hashes FROM by_bucket ORDER BY bucket"))
    assert [[int(row["n"]), int(row["hashes"])] for row in buckets] == facts.buckets
    assert rows_of_json(siltstone.sql("SELECT * FROM siltstone.gaps")) == []


def test_kills_while_files_are_read(siltstone, ads, workload, rng, figure):
    kills = 0
    for _ in range(KILLS):
        with siltstone.run(workload / "csv.sql", {"csv": ads.csv}) as process:
            deadline = time.monotonic() + rng.uniform(0.05, 0.9)
            while process.running() and time.monotonic() < deadline:
                time.sleep(0.01)
            if not process.running():
                break
            process.kill()
            kills += 1
    siltstone.replay(workload / "csv.sql", {"csv": ads.csv})
    figure(f"{kills} kill -9 within one replay")
    assert kills > 0
    row, = rows_of_json(siltstone.sql(
        "SELECT sum(n) AS n, round(sum(bid_sum) * 1e6) AS micros, sum(bid_n) AS bids FROM minute_type"))
    assert int(float(row["n"])) == ads.totals["rows"]
    assert int(float(row["bids"])) == ads.totals["bids"]
    assert int(float(row["micros"])) == ads.totals["bid_micros"]


def produce_numbers(broker, topic, numbers):
    feed = Feed(broker, topic)
    for number in numbers:
        feed.send(0, b'{"id":%d,"user_id":1,"hash":1}' % number)
    feed.flush()


def count_of(siltstone):
    """What the view counts, or 0 while nobody can be asked."""
    done = siltstone.sql("SELECT n FROM totals", check=False)
    rows = rows_of_json(done.stdout) if done.returncode == 0 else []
    return int(rows[0]["n"] or 0) if rows else 0


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_records_that_are_gone_are_never_skipped_silently(siltstone, broker, sql_files, policy):
    topic = f"gap-{policy}"
    broker.create_topic(topic, 1)
    values = {"brokers": broker.address, "topic": topic, "gaps": policy}
    produce_numbers(broker, topic, range(100))
    siltstone.replay(sql_files / "facts.sql", values)
    assert count_of(siltstone) == 100
    produce_numbers(broker, topic, range(100, 200))
    broker.done(lambda admin: admin.delete_records([TopicPartition(topic, 0, 150)]))
    with siltstone.run(sql_files / "facts.sql", values, "--bounded") as process:
        code = process.wait()
    if policy == "error":
        assert code == 1
        for word in ("gap.policy", "100", "150", topic):
            assert word in process.text(), process.text()
        assert count_of(siltstone) == 100
        gap, = rows_of_json(siltstone.sql("SELECT * FROM siltstone.gaps"))
        assert {100, 150} <= set(gap.values()), gap
        # What the error's hint says can be done.
        siltstone.replay(sql_files / "facts.sql", {**values, "gaps": "skip"})
        assert count_of(siltstone) == 150
    else:
        assert code == 0, process.text()
        assert count_of(siltstone) == 150
        gap, = rows_of_json(siltstone.sql("SELECT * FROM siltstone.gaps"))
        assert {100, 150} <= set(gap.values()), gap


def test_a_view_created_after_retention_begins_where_records_are(siltstone, broker, sql_files):
    topic = "retention"
    broker.create_topic(topic, 1)
    values = {"brokers": broker.address, "topic": topic, "gaps": "error"}
    produce_numbers(broker, topic, range(100))
    with siltstone.run(sql_files / "facts.sql", values) as process:
        wait_until(lambda: count_of(siltstone) == 100, 60, process.text)
        broker.done(lambda admin: admin.delete_records([TopicPartition(topic, 0, 40)]))
        view = "CREATE MATERIALIZED VIEW later AS SELECT count(*) AS n, min(id) AS first FROM facts"
        created = siltstone.sql(view, check=False)
        assert created.returncode == 0 and "retention/0" in created.stderr and "0 to 40" in created.stderr, created.stderr
        produce_numbers(broker, topic, range(100, 110))
        wait_until(lambda: count_of(siltstone) == 110, 60, process.text)
        state, = rows_of_json(siltstone.sql("SELECT state, error FROM siltstone.views WHERE name = 'later'"))
        assert state == {"state": "current", "error": None}, state
        later, = rows_of_json(siltstone.sql("SELECT * FROM later"))
        assert {name: int(value) for name, value in later.items()} == {"n": 70, "first": 40}
        gap, = rows_of_json(siltstone.sql("SELECT from_offset, to_offset FROM siltstone.gaps"))
        assert gap == {"from_offset": 0, "to_offset": 40}, gap
        code, _ = process.stop()
        assert code == 0


def test_a_stop_does_not_wait_for_a_broker_that_is_away(siltstone, broker, sql_files):
    broker.create_topic("away", 1)
    values = {"brokers": broker.address, "topic": "away", "gaps": "error"}
    produce_numbers(broker, "away", range(10))
    with siltstone.run(sql_files / "facts.sql", values) as process:
        wait_until(lambda: count_of(siltstone) == 10, 60, process.text)
        broker.kill()
        try:
            # Long enough for it to be asked for new partitions and for their ends.
            time.sleep(6)
            code, seconds = process.stop()
        finally:
            broker.start()
        assert code == 0, process.text()
        assert seconds < 4, seconds


def test_new_partitions_are_picked_up(siltstone, broker, sql_files):
    broker.create_topic("grows", 1)
    values = {"brokers": broker.address, "topic": "grows", "gaps": "error"}
    produce_numbers(broker, "grows", [1])
    with siltstone.run(sql_files / "facts.sql", values) as process:
        wait_until(lambda: count_of(siltstone) == 1, 60, process.text)
        broker.done(lambda admin: admin.create_partitions([NewPartitions("grows", 3)]))
        feed = Feed(broker, "grows")
        feed.send(2, b'{"id":2,"user_id":1,"hash":1}')
        feed.flush()
        wait_until(lambda: count_of(siltstone) == 2, 120, process.text)
        code, _ = process.stop()
        assert code == 0
    # A bounded run goes on from there: nothing is read twice.
    siltstone.replay(sql_files / "facts.sql", values)
    assert count_of(siltstone) == 2
