"""The lake as it lies on disk, read without asking Siltstone."""
import duckdb

# What SQLite keeps beside its file.
BESIDE_CATALOG = ("-wal", "-shm", "-journal")


class Outside:
    def __init__(self, data):
        self.folder = data / "lake"
        self.catalog = self.folder / "catalog.db"

    def on_disk(self):
        catalog = {f"{self.catalog}{ending}" for ending in ("", *BESIDE_CATALOG)}
        return {str(path) for path in self.folder.rglob("*") if path.is_file()} - catalog

    def faults(self, names, waiting=()):
        """Files that nothing names, and names without a file; `waiting` are files of which Siltstone knows."""
        named, missing = set(waiting), []
        for table, files in names.of(self.catalog).items():
            missing += [f"{table} names {path}, which is not there" for path in files["missing"]]
            for kind in ("metadata", "manifest lists", "manifests", "data", "statistics"):
                named.update(files[kind])
        orphans = sorted(self.on_disk() - named)
        return missing + [f"nothing names {path}" for path in orphans]


def rows_of(paths, shown):
    """What a query, with `{}` for its relation, answers over Parquet files."""
    if not paths:
        return []
    connection = duckdb.connect(config={"threads": 1})
    listed = ", ".join(f"'{path}'" for path in paths)
    return connection.execute(shown.format(f"read_parquet([{listed}], union_by_name = true)")).fetchall()
