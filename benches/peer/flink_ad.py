#!/usr/bin/env python3
"""The four rollups of a Kafka topic of ad events in Flink SQL, in one local JVM: streaming, two slots, exactly-once
checkpoints every second, two-phase mini-batches, into a sink that drops everything.

    flink_ad.py ADDRESS TOPIC hashmap|rocksdb     where the state is

Reads from the topic's start to where it ends now. Makes itself an environment in the user's cache with apache-flink,
and fetches the connector's jar by Maven, both once. Seconds go from submitting the job to its end: starting the JVM
is not counted. What the rollups hold is not checked. Prints one JSON line.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

FLINK = "2.3.0"
CONNECTOR = "flink-sql-connector-kafka"
CONNECTOR_VERSION = "5.0.0-2.2"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "siltstone" / "flink"
PYTHON = CACHE / "venv" / "bin" / "python"
JAR = CACHE / f"{CONNECTOR}-{CONNECTOR_VERSION}.jar"

SETTINGS = {
    "execution.runtime-mode": "STREAMING",
    "parallelism.default": "2",
    "taskmanager.numberOfTaskSlots": "2",
    "taskmanager.memory.managed.size": "1gb",
    "pipeline.object-reuse": "true",
    # Of RocksDB's state; the heap's is written whole.
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.interval": "1 s",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.exec.mini-batch.size": "50000",
    "table.optimizer.agg-phase-strategy": "TWO_PHASE",
}
COLUMNS = (
    "ts BIGINT, `type` STRING, auction_id STRING, advertiser_id INT, publisher_id INT, bid_price DOUBLE, "
    "user_id BIGINT, total_price DOUBLE, country STRING"
)
MEASURES = {
    "n": "count(*)", "bid_n": "count(bid_price)", "bid_sum": "sum(bid_price)", "bid_min": "min(bid_price)",
    "bid_max": "max(bid_price)", "total_n": "count(total_price)", "total_sum": "sum(total_price)",
}
# Each key's name, type and expression.
ROLLUPS = {
    "minute_type": [("minute_no", "BIGINT", "ts / 60000")],
    "hour_country_type": [("hour_no", "BIGINT", "ts / 3600000"), ("country", "STRING", "country")],
    "day_advertiser_type": [("day_no", "BIGINT", "ts / 86400000"), ("advertiser_id", "INT", "advertiser_id")],
    "publisher_type": [("publisher_id", "INT", "publisher_id")],
}


def prepare():
    """An environment with Flink, and the connector; then this script again, in that environment."""
    said = {"stdout": sys.stderr, "check": True}
    CACHE.mkdir(parents=True, exist_ok=True)
    marker = CACHE / f"flink-{FLINK}"
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], **said)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"apache-flink=={FLINK}"]
        subprocess.run([PYTHON, *install], **said)
        marker.touch()
    if not JAR.exists():
        artifact = f"org.apache.flink:{CONNECTOR}:{CONNECTOR_VERSION}"
        subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}"], **said)
    os.execv(PYTHON, [str(PYTHON), *sys.argv])


def descendants():
    """The processes below this one: the JVM."""
    parents = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def used():
    """CPU seconds of the JVM so far, and the most memory that it had, in 10⁶ bytes."""
    ticks = peak = 0
    for pid in descendants():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak = max(peak, int(line.split()[1]) * 1024 / 1e6)
    return ticks / os.sysconf("SC_CLK_TCK"), peak


def measure(address, topic, backend, checkpoints):
    from pyflink.common import Configuration
    from pyflink.table import EnvironmentSettings, TableEnvironment

    settings = Configuration()
    for key, value in {**SETTINGS, "state.backend.type": backend, "execution.checkpointing.dir": f"file://{checkpoints}",
                       "pipeline.jars": f"file://{JAR}"}.items():
        settings.set_string(key, value)
    flink = TableEnvironment.create(EnvironmentSettings.new_instance().with_configuration(settings).build())
    flink.execute_sql(
        f"CREATE TABLE events ({COLUMNS}) WITH ('connector' = 'kafka', 'format' = 'json', 'topic' = '{topic}', "
        f"'properties.bootstrap.servers' = '{address}', 'properties.group.id' = 'flink', "
        "'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset')"
    )
    job = flink.create_statement_set()
    for name, keys in ROLLUPS.items():
        fields = ", ".join(f"{key} {kind}" for key, kind, _ in [*keys, ("`type`", "STRING", "")])
        kinds = {measure: "BIGINT" if text.startswith("count") else "DOUBLE" for measure, text in MEASURES.items()}
        columns = ", ".join(f"{measure} {kind}" for measure, kind in kinds.items())
        flink.execute_sql(f"CREATE TABLE {name} ({fields}, {columns}) WITH ('connector' = 'blackhole')")
        grouped = ", ".join([text for _, _, text in keys] + ["`type`"])
        job.add_insert_sql(f"INSERT INTO {name} SELECT {grouped}, {', '.join(MEASURES.values())} FROM events GROUP BY {grouped}")
    cpu_before, _ = used()
    started = time.perf_counter()
    job.execute().wait()
    seconds = time.perf_counter() - started
    cpu_s, peak_mb = used()
    return {"engine": f"Flink {FLINK}, {backend}", "seconds": seconds, "cpu_s": cpu_s - cpu_before, "peak_mb": peak_mb}


def main():
    if pathlib.Path(sys.executable) != PYTHON:
        prepare()
    with tempfile.TemporaryDirectory() as checkpoints:
        print(json.dumps(measure(*sys.argv[1:4], checkpoints)))


if __name__ == "__main__":
    main()
