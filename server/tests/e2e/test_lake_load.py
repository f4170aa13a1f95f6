"""A day's events within minutes, pressed as often as a day has intervals: files and snapshots stay few, what is
written stays within a few times what came in, nothing is left over."""
import json

from conftest import NIGHTLY
from lake.inside import Inside
from lake.outside import Outside
from lake.stream import Stream
from process import wait_until
from questions import VIEWS

# 24 h of intervals of 30 s are 2,880; at this interval they are 5 minutes, if the machine is as fast.
LAKE_INTERVAL = "100ms"
STREAM_SECONDS = 300 if NIGHTLY else 30
SLICES = 49 if NIGHTLY else 8
# Noon of a Sunday, so that days and weeks end on the way.
START_MS = 1_714_910_400_000
DAY_MS = 86_400_000
# Snapshots that are kept of a table, and a quarter more, before those go; and the one that came just then.
KEPT_MAX = 100 * 5 // 4 + 1
# A table has the partitions of two days or a month, each with a few tiers of fewer than eight files.
FILES_MAX = 64
# Files on disk: of each snapshot that is kept the metadata and what it alone names.
FILES_OF_SNAPSHOT_MAX = 12
WRITE_AMPLIFICATION_MAX = 5
CATCH_UP_SECONDS_MAX = 120


def a_day_of(lines, folder, rng):
    """The events with times of one day in their order, a few of them an hour late."""
    events = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    with open(folder / "day.jsonl", "w") as file:
        for i, event in enumerate(events):
            late = 3_600_000 if rng.random() < 0.01 else 0
            event["ts"] = START_MS + DAY_MS * i // len(events) - late
            file.write(json.dumps(event) + "\n")
    return [folder / "day.jsonl"], len(events)


def test_a_day_in_short(siltstone, broker, few_ads, names, workload, tmp_path, rng, figure):
    broker.create_topic("day", 6)
    lines, rows = a_day_of(few_ads.jsonl[:SLICES], tmp_path, rng)
    outside = Outside(siltstone.data)
    snapshots, most_files, most_kept, most_on_disk = set(), {}, 0, 0
    process, port = siltstone.serve(
        "--lake-interval", LAKE_INTERVAL, "--epoch-interval", "100ms", file=workload / "kafka_table.sql",
        values={"brokers": broker.address, "topic": "day"})
    with process, Inside(port) as inside:
        stream = Stream(broker, "day", lines, rows, STREAM_SECONDS, rng)
        stream.start()

        def ended():
            nonlocal most_kept, most_on_disk
            going = stream.going()
            seen = inside.ask('SELECT "table", snapshot, files FROM siltstone.snapshots')
            snapshots.update((row["table"], row["snapshot"]) for row in seen)
            kept = {}
            for row in seen:
                kept[row["table"]] = kept.get(row["table"], 0) + 1
                most_files[row["table"]] = max(row["files"], most_files.get(row["table"], 0))
            most_kept = max([most_kept, *kept.values()])
            most_on_disk = max(most_on_disk, len(outside.on_disk()))
            return not going and {int(inside.value(f"SELECT sum(n) FROM {view}") or 0) for view in VIEWS} == {rows}

        wait_until(ended, STREAM_SECONDS + CATCH_UP_SECONDS_MAX, process.text)
        inside.wait_until_pressed()
        compactions = inside.compactions()
        assert not [row for row in compactions.values() if row["error"]], compactions
        for view in [*VIEWS, "events"]:
            row = compactions[view]
            figure(f"{view}: {row['pressed_bytes'] >> 10} KiB pressed, {row['written_bytes'] >> 10} KiB written, "
                   f"amplification {row['write_amplification']:.2f}, at most {most_files[view]} files")
        figure(f"{rows} events of 24 h in {STREAM_SECONDS} s: {len(snapshots)} snapshots were seen, at most {most_kept} of a "
               f"table at once, at most {most_on_disk} files on disk")
        too_much = {view: compactions[view]["write_amplification"] for view in VIEWS}
        too_much = {view: value for view, value in too_much.items() if value > WRITE_AMPLIFICATION_MAX}
        assert not too_much, too_much
        assert max(most_files.values()) <= FILES_MAX, most_files
        assert most_kept <= KEPT_MAX, most_kept
        assert most_on_disk <= FILES_OF_SNAPSHOT_MAX * KEPT_MAX * (len(VIEWS) + 1), most_on_disk
        inside.optimize()
        code, _ = process.stop()
        assert code == 0, process.text()
    assert outside.faults(names) == []
