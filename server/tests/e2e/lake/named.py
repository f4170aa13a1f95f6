#!/usr/bin/env python3
"""Which files the catalog names, read with pyiceberg's own code.

    named.py -      for each line of standard input, a JSON list of CATALOG_DB: by table, its location, current
                    snapshot, snapshots, and the paths of all files that its metadata names, by kind
"""
import json
import os
import sqlite3

from lines import answer_lines
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import StaticTable


def path(uri):
    return uri.removeprefix("file://")


def named(db):
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as catalog:
        tables = catalog.execute(
            "SELECT table_namespace || '.' || table_name, metadata_location FROM iceberg_tables").fetchall()
    return {name: files_of(metadata) for name, metadata in tables}


def files_of(metadata):
    table = StaticTable.from_metadata(metadata)
    io = PyArrowFileIO()
    lists, manifests, data = set(), {}, set()
    for snapshot in table.snapshots():
        lists.add(path(snapshot.manifest_list))
        for manifest in snapshot.manifests(io):
            manifests[manifest.manifest_path] = manifest
    # A manifest that a later one replaced has its own entries; what was deleted in it is not part of it.
    for manifest in manifests.values():
        data.update(path(entry.data_file.file_path) for entry in manifest.fetch_manifest_entry(io, discard_deleted=True))
    described = table.metadata
    with open(path(metadata)) as file:
        whole = json.load(file)
    statistics = [s["statistics-path"] for s in [*whole.get("statistics", []), *whole.get("partition-statistics", [])]]
    log = [path(entry.metadata_file) for entry in described.metadata_log]
    return {
        "location": path(described.location),
        "current": described.current_snapshot_id,
        "snapshots": [snapshot.snapshot_id for snapshot in table.snapshots()],
        "metadata": [path(metadata), *log],
        "manifest lists": sorted(lists),
        "manifests": sorted(path(manifest) for manifest in manifests),
        "data": sorted(data),
        "statistics": [path(statistic) for statistic in statistics],
        # What is named and is not there.
        "missing": sorted(file for file in {*lists, *map(path, manifests), *data} if not os.path.exists(file)),
    }


if __name__ == "__main__":
    answer_lines(named)
