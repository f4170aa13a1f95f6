#!/usr/bin/env python3
"""What another engine sees in a snapshot of one of our tables.

    totals.py ENGINE CATALOG_DB TABLE [SNAPSHOT]
    totals.py ENGINE -

ENGINE is pyiceberg, duckdb, chdb or spark, and the Python that runs this is that of the engine's environment
(`.ci/readers`); Spark finds its jars by SPARK_JARS, separated by ':'. CATALOG_DB is the file of the catalog,
TABLE has its namespace before it. Without SNAPSHOT the current one is read. Prints a line of JSON: `rows`, and
for every numeric column a list of count, sum, least and greatest. With `-`, each line of standard input is a
JSON list of the arguments behind ENGINE.
"""
import json
import os
import sqlite3
import sys
from dataclasses import dataclass

from lines import answer_lines

WHOLE = ("int", "long")
NUMERIC = (*WHOLE, "float", "double")


@dataclass
class Snapshot:
    """Where it is, and which numeric columns it has: pairs of name and type."""

    db: str
    table: str
    metadata: str
    location: str
    number: int
    columns: list

    @classmethod
    def find(cls, db, table, number=None):
        namespace, name = table.split(".")
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as catalog:
            found = catalog.execute(
                "SELECT metadata_location FROM iceberg_tables WHERE catalog_name = 'siltstone' "
                "AND table_namespace = ? AND table_name = ?", (namespace, name)).fetchone()
        if found is None:
            raise LookupError(f"the catalog has no table {table}")
        metadata = path(found[0])
        with open(metadata) as file:
            described = json.load(file)
        number = int(number or described["current-snapshot-id"])
        snapshot = next((s for s in described["snapshots"] if s["snapshot-id"] == number), None)
        if snapshot is None:
            raise LookupError(f"{table} has no snapshot {number}")
        schema_id = snapshot.get("schema-id", described["current-schema-id"])
        schema = next(s for s in described["schemas"] if s["schema-id"] == schema_id)
        columns = [
            (field["name"], field["type"]) for field in schema["fields"]
            if field["type"] in NUMERIC or str(field["type"]).startswith("decimal")
        ]
        return cls(db, table, metadata, path(described["location"]), number, columns)


def path(uri):
    return uri.removeprefix("file://")


def select(snapshot, source, whole, function="{}", quote='"'):
    """The question in SQL; `whole` is the type in which sums of whole numbers do not overflow."""
    parts = ["count(*)"]
    for name, kind in snapshot.columns:
        column = f"{quote}{name}{quote}"
        added = f"CAST({column} AS {whole})" if kind in WHOLE else column
        calls = [function.format(call) for call in ("sum", "min", "max")]
        parts += [f"count({column})", f"{calls[0]}({added})", f"{calls[1]}({column})", f"{calls[2]}({column})"]
    return f"SELECT {', '.join(parts)} FROM {source}"


def pyiceberg():
    import pyarrow
    import pyarrow.compute as compute
    from pyiceberg.catalog.sql import SqlCatalog

    def read(snapshot):
        catalog = SqlCatalog("siltstone", uri=f"sqlite:///{snapshot.db}", init_catalog_tables="false")
        rows = catalog.load_table(snapshot.table).scan(snapshot_id=snapshot.number).to_arrow()
        yield rows.num_rows
        for name, kind in snapshot.columns:
            column = rows[name]
            added = column.cast(pyarrow.decimal128(38, 0)) if kind in WHOLE else column
            yield len(column) - column.null_count
            yield compute.sum(added).as_py()
            yield compute.min(column).as_py()
            yield compute.max(column).as_py()

    return read


def duckdb():
    import duckdb
    from duckdb_extensions import import_extension

    connection = duckdb.connect(config={"threads": 2})
    for extension in ("avro", "iceberg"):
        import_extension(extension)
        connection.execute(f"LOAD {extension}")

    def read(snapshot):
        source = f"iceberg_scan('{snapshot.metadata}', snapshot_from_id = {snapshot.number})"
        return connection.execute(select(snapshot, source, "HUGEINT")).fetchone()

    return read


def chdb():
    import chdb

    # It reads no file that is not below where it was started.
    os.chdir("/")

    def read(snapshot):
        # It finds the newest metadata in the table's folder by itself. Without -OrNull, nothing comes to 0.
        sql = select(snapshot, f"icebergLocal('{snapshot.location}')", "Nullable(Int128)", "{}OrNull")
        answer = chdb.query(f"{sql} SETTINGS iceberg_snapshot_id = {snapshot.number}", "JSONCompactEachRow")
        return json.loads(str(answer))

    return read


def spark():
    from pyspark.sql import SparkSession

    jars = os.environ["SPARK_JARS"].split(":")
    catalog = "spark.sql.catalog.siltstone"
    sessions = {}

    def session(db):
        # A process has one set of settings at a time.
        if db not in sessions:
            for other in sessions.values():
                other.stop()
            sessions.clear()
            settings = {
                "spark.ui.enabled": "false",
                "spark.jars": ",".join(jars),
                "spark.driver.extraClassPath": ":".join(jars),
                catalog: "org.apache.iceberg.spark.SparkCatalog",
                f"{catalog}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
                f"{catalog}.uri": f"jdbc:sqlite:{db}",
                f"{catalog}.jdbc.schema-version": "V1",
                f"{catalog}.warehouse": f"file://{os.path.dirname(os.path.abspath(db))}",
                # Tables change under it.
                f"{catalog}.cache-enabled": "false",
            }
            builder = SparkSession.builder.master("local[2]")
            for key, value in settings.items():
                builder = builder.config(key, value)
            sessions[db] = builder.getOrCreate()
        # A session's connection to the catalog goes on seeing what it saw first.
        return sessions[db].newSession()

    def read(snapshot):
        source = f"siltstone.{snapshot.table} VERSION AS OF {snapshot.number}"
        return list(session(snapshot.db).sql(select(snapshot, source, "DECIMAL(38, 0)", quote="`")).first())

    return read


ENGINES = {engine.__name__: engine for engine in (pyiceberg, duckdb, chdb, spark)}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ENGINES:
        sys.exit(__doc__)
    name, *arguments = sys.argv[1:]
    if arguments != ["-"]:
        arguments[0] = os.path.abspath(arguments[0])
    read = ENGINES[name]()

    def totals(*wanted):
        snapshot = Snapshot.find(*wanted)
        rows, *values = read(snapshot)
        numbers = [None if value is None else float(value) for value in values]
        columns = {column: numbers[4 * i:4 * i + 4] for i, (column, _) in enumerate(snapshot.columns)}
        return {"engine": name, "table": snapshot.table, "snapshot": snapshot.number, "rows": int(rows), **columns}

    if arguments == ["-"]:
        answer_lines(totals)
    else:
        print(json.dumps(totals(*arguments)))


if __name__ == "__main__":
    main()
