"""What every end-to-end test has: the binary, seeded data, a broker, a folder, and one seed.

The binary is built by `make`, never here. The seed comes from SILTSTONE_SEED or the clock and is printed,
so that a red run can be repeated.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from broker import Broker, produce_lines  # noqa: E402
from lake.reader import Names, Reader  # noqa: E402
from oracle import Oracle  # noqa: E402
from process import Siltstone  # noqa: E402

REPO = pathlib.Path(__file__).resolve().parents[3]
NIGHTLY = bool(os.environ.get("SILTSTONE_NIGHTLY"))
SEED = int(os.environ.get("SILTSTONE_SEED") or time.time())
# The rows of the ad workload in these tests.
AD_ROWS = 2_450_000
# Other engines that read the lake. Spark is large and takes its time.
READERS = ["pyiceberg", "duckdb", "chdb", *(["spark"] if NIGHTLY else [])]


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: too long for every change")


def pytest_report_header(config):
    return f"siltstone: seed {SEED} (SILTSTONE_SEED={SEED} repeats it), {'nightly' if NIGHTLY else 'test'} tier"


def pytest_terminal_summary(terminalreporter):
    figures = [value for report in terminalreporter.stats.get("passed", []) for name, value in report.user_properties
               if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.line(figure)


@pytest.fixture
def figure(record_property, request):
    """Notes a figure for the closing summary."""
    return lambda text: record_property("figure", f"{request.node.name}: {text}")


@pytest.fixture
def rng(request):
    """Random choices of one test, from the session's seed."""
    return random.Random(f"{SEED} {request.node.name}")


def built(variable):
    path = os.environ.get(variable)
    assert path, f"{variable} is not set: run the tests with `make e2e`"
    return path


@pytest.fixture(scope="session")
def binary():
    return built("SILTSTONE_BIN")


@pytest.fixture
def siltstone(binary, tmp_path):
    return Siltstone(binary, tmp_path)


class Ads:
    """Ad events as CSV and JSON lines."""

    def __init__(self, folder):
        self.folder = folder
        self.csv = f"{folder}/csv/*.csv"
        self.jsonl = sorted((folder / "jsonl").glob("*.jsonl"))
        self.totals = json.loads((folder / "manifest.json").read_text())

    def first(self, slices, folder):
        """The first slices of the year, as a pattern of CSV files in a new folder and as files of JSON lines."""
        folder.mkdir()
        for path in sorted((self.folder / "csv").glob("*.csv"))[:slices]:
            (folder / path.name).symlink_to(path)
        return f"{folder}/*.csv", self.jsonl[:slices]


def generate(folder, rows, seed=1):
    subprocess.run(
        [built("ADGEN_BIN"), "--rows", str(rows), "--out", str(folder), "--format", "both", "--seed", str(seed)],
        check=True, stdout=subprocess.DEVNULL,
    )
    return Ads(folder)


@pytest.fixture(scope="session")
def ads(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("ads"), AD_ROWS, SEED)


@pytest.fixture(scope="session")
def few_ads(tmp_path_factory):
    """A tenth of the workload, for tests whose subject is something else."""
    return generate(tmp_path_factory.mktemp("few_ads"), AD_ROWS // 10, SEED)


@pytest.fixture(scope="session")
def oracle(ads):
    return Oracle(ads.csv)


@pytest.fixture(scope="session")
def few_oracle(few_ads):
    return Oracle(few_ads.csv)


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    broker = Broker(REPO / "docker" / "kafka" / "kafka", tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.wipe()


@pytest.fixture(scope="session")
def ad_topic(broker, ads):
    """All ad events as JSON in six uneven partitions."""
    broker.create_topic("ads", 6)
    assert produce_lines(broker, "ads", ads.jsonl) == AD_ROWS
    return "ads"


@pytest.fixture(scope="session")
def readers(tmp_path_factory):
    """Other engines by name, each in a process of its own."""
    folder = tmp_path_factory.mktemp("readers")
    readers = {engine: Reader(engine, folder) for engine in READERS}
    yield readers
    for reader in readers.values():
        reader.close()


@pytest.fixture(scope="session")
def names(tmp_path_factory):
    """Which files a catalog names."""
    names = Names(tmp_path_factory.mktemp("names"))
    yield names
    names.close()


@pytest.fixture
def workload():
    """The ad workload's SQL files."""
    return REPO / "examples" / "ad"


@pytest.fixture
def sql_files():
    """This folder's SQL files."""
    return pathlib.Path(__file__).parent / "sql"
