"""Questions of the raw events are answered from views, and each answer is DuckDB's."""
import pytest

from conftest import NIGHTLY, REPO
from oracle import difference
from process import Siltstone
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
        by, advice = chosen(loaded, sql)
        assert by == ["events"], sql
        statement, = advice
        loaded.execute(statement)
        name = statement.split('"')[1] if '"' in statement.split(" AS ")[0] else statement.split()[3]
        for _ in range(6000):
            row = loaded.execute("SELECT state FROM siltstone.views WHERE name = %s", [name]).fetchone()
            if row["state"] != "backfilling":
                break
        by, advice = chosen(loaded, sql)
        assert by == [name] and not advice, f"{sql}\n{statement}\n{by}"
        rows = loaded.execute(sql).fetchall()
        assert difference(type("Q", (), {"name": sql, "ordered": False}), names, expected, rows) is None
        loaded.execute(f'DROP MATERIALIZED VIEW "{name}"')
