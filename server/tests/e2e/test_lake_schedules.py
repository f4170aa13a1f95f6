"""Answers do not depend on what was pressed into the lake when, nor on how often the process ended meanwhile."""
import random
from collections import Counter

from conftest import NIGHTLY, SEED
from lake.inside import Inside
from lake.outside import Outside
from lake.query import queries
from oracle import canonical, difference
from process import Siltstone, wait_until

QUERIES = 200
SCHEDULES = 40 if NIGHTLY else 3
# Of 49 slices of the year; they are loaded in parts.
SLICES = 8
DAYS = 60
PARTS_MAX = 4
CATCH_UP_SECONDS_MAX = 120
QUIET = ("--lake-interval", "1h")
BUSY = ("--lake-interval", "100ms")


class Life:
    """A data directory over the slices that have come so far, and the process that has it at the moment."""

    def __init__(self, binary, folder, script, ads):
        folder.mkdir()
        self.siltstone = Siltstone(binary, folder)
        self.folder = folder
        self.script = script
        self.ads = ads
        self.slices = []
        (folder / "in").mkdir()
        self.process = self.inside = None

    def start(self, flags=QUIET):
        self.process, port = self.siltstone.serve(
            *flags, file=self.script, values={"csv": self.folder / "in" / "*.csv"})
        self.inside = Inside(port)
        rows = sum(path.read_bytes().count(b"\n") - 1 for path in self.slices)
        wait_until(lambda: self.counts() == {rows}, CATCH_UP_SECONDS_MAX, lambda: f"{self.counts()} of {rows}")

    def counts(self):
        return {int(self.inside.value(f"SELECT {what}") or 0)
                for what in ("count(*) FROM events", "sum(n) FROM day_type", "sum(n) FROM publisher_type")}

    def stop(self):
        self.inside.connection.close()
        code, _ = self.process.stop()
        assert code == 0, self.process.text()
        self.process.__exit__()

    def kill(self):
        self.inside.connection.close()
        self.process.__exit__()

    def load(self, paths):
        """They are found at the next start."""
        for path in paths:
            (self.folder / "in" / path.name).symlink_to(path)
        self.slices += paths
        if self.process:
            self.stop()
        self.start()

    def act(self, rng):
        action = rng.choice(["optimize", "optimize one", "background", "stop", "kill"])
        if action == "optimize":
            self.inside.optimize()
        elif action == "optimize one":
            self.inside.optimize(rng.choice(["events", "day_type", "minute_type", "advertiser_type"]))
        else:
            (self.kill if action == "kill" else self.stop)()
            self.start(BUSY if action == "background" else QUIET)
            if action == "background":
                self.inside.wait_until_pressed()
        return action

    def answers(self, questions):
        cursor = self.inside.connection.cursor(row_factory=lambda cursor: tuple)
        return [[tuple(map(canonical, row)) for row in cursor.execute(question.sql).fetchall()] for question in questions]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.kill()


def parts(rng, paths):
    """The paths, in order, in up to so many parts."""
    cuts = sorted(rng.sample(range(1, len(paths)), rng.randrange(PARTS_MAX)))
    return [paths[start:end] for start, end in zip([0, *cuts], [*cuts, len(paths)])]


def test_answers_do_not_depend_on_the_lake(binary, workload, few_ads, names, tmp_path, rng, figure):
    questions = queries(rng, QUERIES, DAYS)
    paths = sorted((few_ads.folder / "csv").glob("*.csv"))[:SLICES]
    script = workload / "csv_table.sql"
    with Life(binary, tmp_path / "hot", script, few_ads) as life:
        life.load(paths)
        expected = life.answers(questions)
        life.stop()
    empty = sum(not rows for rows in expected)
    assert empty < QUERIES / 4, f"{empty} of {QUERIES} queries ask for nothing"
    acted = 0
    for schedule in range(SCHEDULES):
        rng = random.Random(f"{SEED} schedule {schedule}")
        done = []

        def same():
            for question, before, after in zip(questions, expected, life.answers(questions)):
                if before == after or (not question.ordered and Counter(before) == Counter(after)):
                    continue
                # Sums of floats may differ in their last bits.
                wrong = difference(question, [], before, after)
                assert wrong is None, f"schedule {schedule} of seed {SEED}, {done}: {question.sql}: {wrong}"

        with Life(binary, tmp_path / f"schedule-{schedule}", script, few_ads) as life:
            for part in parts(rng, paths):
                life.load(part)
                done.append(f"load {len(part)}")
                done += [life.act(rng) for _ in range(rng.randrange(3))]
            same()
            done += [life.act(rng) for _ in range(rng.randrange(1, 3))]
            life.inside.optimize()
            same()
            life.stop()
        assert not (faults := Outside(life.siltstone.data).faults(names)), f"{done}: {faults}"
        acted += len(done)
    figure(f"{QUERIES} queries, {empty} of them without rows, over {SCHEDULES} schedules of {acted} actions in all")
