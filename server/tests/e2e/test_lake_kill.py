"""The process is killed, or a step fails, at every step of the way into the lake: nothing that was acknowledged is
lost, nothing is there twice, nothing is left over, and the next attempt succeeds."""
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from conftest import NIGHTLY, REPO, SEED
from lake.round import Round, write_lines

# The steps are those that the engine has; a new one is tried from then on.
SOURCE = (REPO / "engine" / "src" / "lake" / "fault.rs").read_text()
STEPS = re.findall(r'^    "([a-z-]+)",$', SOURCE, re.MULTILINE)
POINTS = [f"{step}.{side}" for step in STEPS for side in ("before", "after")]
SEEDS = 10 if NIGHTLY else 1
# How often a point is passed before it is met.
PASSES = [1, 1, 1, 2, 3, 5]
# Points that are passed once, if at all.
RARE = ("create", "discard", "epoch-file")
# What is discarded was begun by a process that ended.
DISCARDED = ["file-write.after", "file-sync.before", "file-sync.after", "folder-sync.before", "written.before"]
# A round waits for its disk more than it computes.
ROUNDS_AT_ONCE = 4


def fault(rng, point, action):
    n = 1 if point.startswith(RARE) else rng.choice(PASSES)
    return f"{point}={action}@{n}"


def leave_something(round, point, rng):
    """What is to be discarded, if it is about that."""
    if point.startswith("discard"):
        round.play(f"{rng.choice(DISCARDED)}=kill")


def kill(round, point, rng):
    leave_something(round, point, rng)
    met = not round.play(fault(rng, point, "kill"))
    if rng.random() < 0.5:
        # And once more, on the way back.
        round.play(fault(rng, rng.choice(POINTS), "kill"))
    return met


def fail(action):
    def once(round, point, rng):
        leave_something(round, point, rng)
        assert round.play(fault(rng, point, action)), "the process ended"
        return point in round.said or any(point in message for _, message in round.errors)

    return once


def full(round, point, rng):
    held = round.folder / "full"
    held.touch()
    assert round.play(f"{point}=enospc*", held), "the process ended"
    assert {kind for kind, _ in round.errors} <= {"optimize"}, round.errors
    return bool(round.errors)


def rounds(todo, binary, folder, script, readers, names, figure):
    """Each of `todo`, a name, a point, a seed and what to do; all are tried before the test fails."""
    lines = write_lines(folder / "lines.csv")

    def one(name, point, seed, play):
        rng = random.Random(f"{SEED} {name} {point} {seed}")
        where = folder / f"{name}-{point}-{seed}"
        said = f"{name} at {point}, seed {SEED}, round {seed}"
        print(said)
        round = Round(binary, where, script, lines, rng)
        try:
            met = play(round, point, rng)
            round.finish(readers["pyiceberg"], names)
        except Exception as error:  # every round is tried, whatever happens in one
            return point, False, f"{said} ({where}): {type(error).__name__}: {error}\n  errors of statements: {round.errors}"
        round.forget()
        return point, met, None

    with ThreadPoolExecutor(ROUNDS_AT_ONCE) as pool:
        done = list(pool.map(lambda task: one(*task), todo))
    wrong = [message for *_, message in done if message]
    met = Counter(point for point, met, _ in done if met)
    never = sorted({point for point, *_ in done} - set(met))
    figure(f"{len(done)} rounds, {met.total()} met their point; never met: {', '.join(never) or 'none'}")
    assert not wrong, f"{len(wrong)} of {len(done)} rounds:\n" + "\n".join(wrong)
    return met


def test_kills(binary, tmp_path, sql_files, readers, names, figure):
    todo = [("kill", point, seed, kill) for seed in range(SEEDS) for point in POINTS]
    met = rounds(todo, binary, tmp_path, sql_files / "lake.sql", readers, names, figure)
    assert met.total() >= len(todo) // 2, f"only {met} of the rounds were killed where they should be"


def test_steps_that_fail_once(binary, tmp_path, sql_files, readers, names, figure):
    """`lost` does the step and reports an error; the others fail it. In the short tier each point has one of them."""
    actions = ["lost", "eio", "enospc"]
    rng = random.Random(f"{SEED} actions")
    todo = [
        (action, point, seed, fail(action))
        for seed in range(SEEDS) for point in POINTS for action in (actions if NIGHTLY else [rng.choice(actions)])
    ]
    rounds(todo, binary, tmp_path, sql_files / "lake.sql", readers, names, figure)


SOME_FULL = ["create.before", "file-write.before", "manifest.before", "metadata.before", "swap.before", "drop.before"]


def test_a_full_disk(binary, tmp_path, sql_files, readers, names, figure):
    """As long as it is full nothing is pressed and everything else goes on; then it is, without another start."""
    todo = [("full", point, seed, full) for seed in range(SEEDS) for point in (POINTS if NIGHTLY else SOME_FULL)]
    met = rounds(todo, binary, tmp_path, sql_files / "lake.sql", readers, names, figure)
    assert met, "no statement met the full disk"
