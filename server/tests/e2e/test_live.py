"""Views created one by one, through the wire, over a topic that is being written and read."""
import threading
import time

import psycopg

from broker import produce_lines
from conftest import REPO
from process import wait_until
from questions import OVER_VIEWS, VIEWS
from test_files import compare, whole_views

CATCH_UP_SECONDS_MAX = 180


def statements(path, values):
    """The statements of a file of ours, which has no semicolon inside one."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("\\"))
    for name, value in values.items():
        text = text.replace(f":'{name}'", f"'{value}'")
    lines = "\n".join(line.split("--")[0] for line in text.splitlines())
    return [statement.strip() for statement in lines.split(";") if statement.strip()]


def test_ten_views_one_by_one(siltstone, broker, few_ads, few_oracle, tmp_path, rng, figure):
    broker.create_topic("live", 6)
    produced = threading.Event()
    rows = few_ads.totals["rows"]
    progress = [0]

    def pace(count):
        # The whole takes about twenty seconds: every view is created while it goes on.
        progress[0] = count
        if count % 1000 == 0:
            time.sleep(20 * 1000 / rows)

    def produce():
        produce_lines(broker, "live", few_ads.jsonl, pace, rng)
        produced.set()

    process, port = siltstone.serve()
    with process, psycopg.connect(
        f"host=127.0.0.1 port={port} user=siltstone dbname=siltstone", autocommit=True
    ) as connection:
        source, = statements(REPO / "examples/ad/kafka.sql", {"brokers": broker.address, "topic": "live"})
        connection.execute(source)
        producer = threading.Thread(target=produce, daemon=True)
        producer.start()
        created_at = []
        for i, view in enumerate(statements(REPO / "examples/ad/rollups.sql", {})):
            wait_until(lambda: progress[0] >= rows * i / 12 or produced.is_set(), 120, "the producer goes on")
            created_at.append(progress[0])
            connection.execute(view)
        assert created_at[-1] < rows, "the last view was created too late to show anything"

        def caught_up():
            counts = [connection.execute(f"SELECT sum(n) FROM {view}").fetchone()[0] for view in VIEWS]
            assert all(count is None or count <= rows for count in counts), counts
            return produced.is_set() and all(count == rows for count in counts)

        wait_until(caught_up, CATCH_UP_SECONDS_MAX, lambda: connection.execute(
            "SELECT * FROM siltstone.views").fetchall())
        states = connection.execute("SELECT name, state FROM siltstone.views").fetchall()
        assert {name for name, _ in states} == set(VIEWS)
        assert {state for _, state in states} == {"current"}, states
        figure(f"ten views created at {created_at} of {rows} events")
        # Asked of the directory while the server owns it: it is the server that answers.
        whole_views(siltstone, few_oracle, tmp_path)
        compare(siltstone, few_oracle, OVER_VIEWS, few=True)
        code, seconds = process.stop()
        assert code == 0 and seconds < 10


def test_views_of_one_epoch_agree(siltstone, broker, few_ads, workload, rng):
    """While events come in, any one query sees the same events in every view."""
    broker.create_topic("agree", 6)
    stop = threading.Event()

    seen = set()

    def pace(count):
        # Slower while few epochs were seen, so that the events do not run out before eight were.
        if count % 1000 == 0:
            time.sleep(0.02 if len(seen) >= count // 20_000 else 0.2)
        if stop.is_set():
            raise InterruptedError

    def produce():
        try:
            produce_lines(broker, "agree", few_ads.jsonl, pace, rng)
        except InterruptedError:
            pass

    process, port = siltstone.serve(file=workload / "kafka.sql", values={"brokers": broker.address, "topic": "agree"})
    with process, psycopg.connect(
        f"host=127.0.0.1 port={port} user=siltstone dbname=siltstone", autocommit=True
    ) as connection:
        producer = threading.Thread(target=produce, daemon=True)
        producer.start()
        sums = " UNION ALL ".join(f"SELECT sum(n) AS n, sum(bid_n) AS b FROM {view}" for view in VIEWS)

        def agrees():
            answer = set(connection.execute(sums).fetchall())
            assert len(answer) == 1, answer
            seen.update(answer)
            return len(seen) >= 8

        wait_until(agrees, 120, lambda: f"only {len(seen)} epochs were seen: {process.text()[-2000:]}")
        stop.set()
        producer.join(60)
