"""Questions of the raw events are answered from views, and each answer is DuckDB's."""
import re

import pytest

from conftest import NIGHTLY, REPO
from oracle import difference
from process import Siltstone, wait_until
from questions import Question
from route.generator import MISSED_ELSEWHERE, question

import psycopg
from psycopg.rows import dict_row

QUESTIONS = 3000 if NIGHTLY else 600
# Of those that a view covers, so many are answered by one.
ROUTED_PART_MIN = 0.98


@pytest.fixture(scope="module")
def loaded(binary, few_ads, tmp_path_factory):
    """The ten views over a table, and a connection to it."""
    siltstone = Siltstone(binary, tmp_path_factory.mktemp("route"))
    siltstone.replay(REPO / "examples/ad/csv_table.sql", {"csv": few_ads.csv})
    process, port = siltstone.serve()
    with process, psycopg.connect(f"host=127.0.0.1 port={port} user=siltstone", autocommit=True, row_factory=dict_row) as asking:
        yield asking


def chosen(asking, sql):
    """What answers each aggregation of a query, and the statement that is advised if that is the table."""
    rows = asking.execute(f"EXPLAIN ROUTE {sql}").fetchall()
    return [row["candidate"] for row in rows if row["chosen"]], [row["advice"] for row in rows if row["advice"]]


def ask(asking, oracle, asked):
    """What differs from DuckDB's answer, or why there is none."""
    names, expected = oracle.ask(asked.sql)
    try:
        rows = asking.execute(asked.sql).fetchall()
    except psycopg.Error as error:
        return f"{asked.name}: {error}"
    return difference(asked, names, expected, rows)


def test_generated_questions(loaded, few_oracle, rng, figure):
    wrong, missed, covered, routed = [], [], 0, 0
    for nth in range(QUESTIONS):
        asked = question(rng, nth)
        differs = ask(loaded, few_oracle, asked)
        if differs:
            wrong.append(f"{differs}\n  {asked.sql}")
            continue
        by, _ = chosen(loaded, asked.sql)
        is_routed = by != [] and "events" not in by
        routed += is_routed
        if asked.is_covered():
            covered += 1
            if not is_routed:
                missed.append(asked.sql)
    figure(f"{routed} of {QUESTIONS} questions answered from views; {covered - len(missed)} of {covered} that one covers")
    assert not wrong, f"{len(wrong)} of {QUESTIONS}:\n" + "\n".join(wrong[:10])
    assert len(missed) <= (1 - ROUTED_PART_MIN) * covered, "\n".join(missed[:10])


def test_what_others_miss(loaded, few_oracle):
    wrong = [differs for asked in MISSED_ELSEWHERE if (differs := ask(loaded, few_oracle, asked))]
    wrong += [f"{asked.name}: not routed" for asked in MISSED_ELSEWHERE if "events" in chosen(loaded, asked.sql)[0]]
    assert not wrong, "\n".join(wrong)


ADVISED = [
    "SELECT publisher_id, country, sum(bid_price) AS s FROM events WHERE type = 'impression' AND event_time >= '2024-10-20' "
    "AND event_time < '2024-10-24' GROUP BY publisher_id, country",
    "SELECT user_id % 10 AS u, count(*) AS n FROM events GROUP BY 1",
    "SELECT country, avg(user_id) AS u FROM events WHERE event_time >= '2024-03-05 10:07' GROUP BY country",
    "SELECT max(auction_id) AS a FROM events",
]


def test_advice_taken_routes_the_question(loaded, few_oracle):
    for sql in ADVISED:
        names, expected = few_oracle.ask(sql)
        # Asked before, it may be answered from what was folded then; the advice is the same.
        assert difference(Question(sql, sql), names, expected, loaded.execute(sql).fetchall()) is None
        by, advice = chosen(loaded, sql)
        assert by == ["events"], sql
        statement, = advice
        name = re.match(r'CREATE MATERIALIZED VIEW ("[^"]+"|\S+) AS', statement)[1].strip('"')
        loaded.execute(statement)
        wait_until(lambda: state_of(loaded, name) != "backfilling", 60, statement)
        by, advice = chosen(loaded, sql)
        assert by == [name] and not advice, f"{sql}\n{statement}\n{by}"
        assert difference(Question(sql, sql), names, expected, loaded.execute(sql).fetchall()) is None
        loaded.execute(f'DROP MATERIALIZED VIEW "{name}"')


def state_of(asking, view):
    return asking.execute("SELECT state FROM siltstone.views WHERE name = %s", [view]).fetchone()["state"]


FINER = (
    "SELECT publisher_id, country, count(*) AS n, sum(bid_price) AS s, max(bid_price) AS m FROM events "
    "WHERE type = 'impression' GROUP BY 1, 2"
)
COARSER = [
    "SELECT publisher_id % 10 AS p, country, count(*) AS n FROM events WHERE type = 'impression' GROUP BY 1, 2",
    "SELECT publisher_id % 7 AS p, sum(bid_price) AS s, count(*) AS n FROM events WHERE country <> 'JP' AND type = 'impression' GROUP BY 1",
    "SELECT publisher_id, max(bid_price) AS m FROM events WHERE type = 'impression' AND country = 'JP' GROUP BY 1 HAVING count(*) > 3",
]


def test_answers_that_were_folded_before(loaded, few_oracle):
    """Coarser questions of the rows that one was just folded of are answered from its groups, and right."""
    for sql in [FINER, *COARSER, FINER]:
        names, expected = few_oracle.ask(sql)
        explained = loaded.execute(f"EXPLAIN ROUTE {sql}").fetchall()
        own, = [row for row in explained if row["candidate"] == "events"]
        assert own["chosen"], explained
        assert sql == FINER or "folded before" in (own["reason"] or ""), f"{sql}\n{own}"
        assert difference(Question(sql, sql), names, expected, loaded.execute(sql).fetchall()) is None


def test_an_answer_that_was_dropped_is_not_kept(loaded):
    """What was folded of some rows before a query was over is not taken for the groups of all."""
    for nth in range(10):
        counted = f"SELECT count(*) AS n, sum(user_id) AS s FROM events WHERE user_id % 11 = {nth}"
        dropped = [
            f"(SELECT 1 AS n, 1.0 AS s) UNION ALL ({counted}) LIMIT 1",
            f"SELECT q.n FROM (SELECT user_id FROM events WHERE user_id = -5) AS e JOIN ({counted}) AS q ON e.user_id = q.n",
        ]
        loaded.execute(dropped[nth % 2]).fetchall()
        kept = loaded.execute(counted).fetchall()
        loaded.execute("SET result_cache = off")
        assert kept == loaded.execute(counted).fetchall(), counted
        loaded.execute("RESET result_cache")


def test_what_the_routes_were(loaded):
    """The table of routes has hits by view, and misses with their queries and what would have answered."""
    sql = "SELECT user_id % 7 AS u, count(*) AS n FROM events GROUP BY 1"
    for _ in range(3):
        loaded.execute(sql)
        loaded.execute("SELECT type, count(*) FROM events GROUP BY type")
    rows = loaded.execute("SELECT * FROM siltstone.routes").fetchall()
    hits = [row for row in rows if row["is_rollup"]]
    assert sum(row["asked"] for row in hits) >= 3, hits
    assert all(row["query"] is None for row in hits)
    miss, = [row for row in rows if row["query"] == sql]
    assert miss["candidate"] == "events" and miss["asked"] == 3 and "user_id" in miss["advice"], miss
    assert miss["total_ms"] >= miss["max_ms"]
