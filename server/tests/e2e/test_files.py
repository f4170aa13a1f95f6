"""Historical CSV becomes ten rollups whose answers equal DuckDB's, with and without the raw events kept."""
import time

import pytest

from oracle import difference, rows_of_json
from questions import OVER_EVENTS, OVER_VIEWS, VIEWS
from process import Siltstone


def loaded(binary, folder, file, ads):
    siltstone = Siltstone(binary, folder)
    started = time.monotonic()
    with siltstone.run(file, {"csv": ads.csv}) as process:
        # Every source is bounded: it ends by itself.
        process.succeed()
    siltstone.seconds = time.monotonic() - started
    return siltstone


@pytest.fixture(scope="module")
def rollups(binary, ads, tmp_path_factory):
    from conftest import REPO

    return loaded(binary, tmp_path_factory.mktemp("rollups"), REPO / "examples/ad/csv.sql", ads)


@pytest.fixture(scope="module")
def table(binary, ads, tmp_path_factory):
    from conftest import REPO

    return loaded(binary, tmp_path_factory.mktemp("table"), REPO / "examples/ad/csv_table.sql", ads)


def compare(siltstone, oracle, questions, few=False):
    """Every question is asked before the test fails, so that one run shows all that is wrong. Over the whole
    workload each has an answer; over few events some have none."""
    wrong = []
    for question in questions:
        done = siltstone.sql(question.sql, check=False)
        if done.returncode != 0:
            wrong.append(f"{question.name}: {done.stderr.strip()}")
            continue
        names, expected = oracle.ask(question.sql)
        assert expected or few, f"{question.name} asks for nothing"
        wrong.append(difference(question, names, expected, rows_of_json(done.stdout)))
    wrong = [line for line in wrong if line]
    assert not wrong, f"{len(wrong)} of {len(questions)}:\n" + "\n".join(wrong)


def whole_views(siltstone, oracle, folder):
    for view in VIEWS:
        path = folder / f"{view}.csv"
        path.write_text(siltstone.sql(f"SELECT * FROM {view}", form="csv"))
        count, example = oracle.view_differences(view, path)
        assert count == 0, f"{view}: {count} groups differ, for one: {example}"


def test_every_group_of_every_view(rollups, oracle, ads, tmp_path, figure):
    figure(f"{ads.totals['rows']} rows of CSV into ten views in {rollups.seconds:.1f} s")
    whole_views(rollups, oracle, tmp_path)


def test_questions_over_views(rollups, oracle):
    compare(rollups, oracle, OVER_VIEWS)


def test_totals_equal_the_generator_s(rollups, ads):
    answer, = rows_of_json(rollups.sql(
        "SELECT sum(n) AS n, round(sum(bid_sum) * 1e6) AS micros, round(sum(total_sum) * 1e2) AS cents FROM day_type"))
    assert int(float(answer["n"])) == ads.totals["rows"]
    assert int(float(answer["micros"])) == ads.totals["bid_micros"]
    assert int(float(answer["cents"])) == ads.totals["total_cents"]


def test_a_kept_table_has_the_same_views(table, oracle, ads, tmp_path, figure):
    figure(f"{ads.totals['rows']} rows of CSV kept and into ten views in {table.seconds:.1f} s")
    whole_views(table, oracle, tmp_path)


def test_questions_over_a_kept_table(table, oracle):
    compare(table, oracle, OVER_EVENTS + OVER_VIEWS)


def test_a_source_keeps_no_rows(rollups):
    done = rollups.sql("SELECT auction_id FROM events LIMIT 1", check=False)
    assert done.returncode != 0
    assert "events" in done.stderr


def test_running_again_adds_nothing(rollups, ads, workload):
    with rollups.run(workload / "csv.sql", {"csv": ads.csv}) as process:
        process.succeed()
    answer, = rows_of_json(rollups.sql("SELECT sum(n) AS n FROM day_type"))
    assert int(answer["n"]) == ads.totals["rows"]
