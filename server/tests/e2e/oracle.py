"""DuckDB as oracle: the same views from the same files, and how two answers are compared."""
import datetime
import decimal
import json
import math

import duckdb

# Floats may differ by the order of their additions.
RELATIVE = 1e-9

COLUMNS = (
    "{'ts': 'BIGINT', 'type': 'VARCHAR', 'auction_id': 'VARCHAR', 'advertiser_id': 'INTEGER', "
    "'publisher_id': 'INTEGER', 'bid_price': 'DOUBLE', 'user_id': 'BIGINT', 'total_price': 'DOUBLE', "
    "'country': 'VARCHAR'}"
)
MEASURES = (
    "count(*) AS n, count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, "
    "max(bid_price) AS bid_max, count(total_price) AS total_n, sum(total_price) AS total_sum"
)
KEYS = {
    "day_type": ["day"],
    "hour_type": ["hour"],
    "minute_type": ["minute"],
    "week_type": ["week"],
    "country_type": ["country"],
    "advertiser_type": ["advertiser_id"],
    "publisher_type": ["publisher_id"],
    "day_country_type": ["day", "country"],
    "day_advertiser_type": ["day", "advertiser_id"],
    "hour_country_type": ["hour", "country"],
}
UNITS = {"minute", "hour", "day", "week"}


class Oracle:
    """The ten views over CSV files, in memory."""

    def __init__(self, pattern):
        self.connection = duckdb.connect(config={"threads": 2})
        self.connection.execute(
            f"CREATE TABLE events AS SELECT *, make_timestamp(ts * 1000) AS event_time FROM "
            f"read_csv('{pattern}', header = true, auto_detect = false, delim = ',', columns = {COLUMNS})"
        )
        for view, dimensions in KEYS.items():
            keys = [
                f"date_trunc('{key}', event_time)::TIMESTAMP AS {key}" if key in UNITS else key for key in dimensions
            ]
            self.connection.execute(
                f"CREATE TABLE {view} AS SELECT {', '.join(keys)}, type, {MEASURES} FROM events GROUP BY ALL"
            )

    def ask(self, sql):
        """Column names, and rows of canonical values."""
        cursor = self.connection.cursor().execute(sql)
        names = [column[0] for column in cursor.description]
        return names, [tuple(canonical(value) for value in row) for row in cursor.fetchall()]

    def view_differences(self, view, csv_path):
        """How many groups of a view differ from those that Siltstone wrote as CSV, and one of them."""
        keys = [*KEYS[view], "type"]
        table = self.connection.cursor()
        columns = table.execute(f"DESCRIBE {view}").fetchall()
        types = ", ".join(f"'{name}': '{kind}'" for name, kind, *_ in columns)
        floats = ("bid_sum", "bid_min", "bid_max", "total_sum")
        wrong = [
            f"abs(e.{name} - a.{name}) > {RELATIVE} * abs(e.{name}) OR (e.{name} IS NULL) <> (a.{name} IS NULL)"
            if name in floats
            else f"e.{name} IS DISTINCT FROM a.{name}"
            for name, *_ in columns
        ]
        different = table.execute(
            f"SELECT e, a FROM {view} AS e FULL JOIN read_csv('{csv_path}', header = true, auto_detect = false, "
            f"columns = {{{types}}}) AS a ON {' AND '.join(f'e.{key} = a.{key}' for key in keys)} "
            f"WHERE {' OR '.join(wrong)}"
        ).fetchall()
        return len(different), different[:1]


def canonical(value):
    """One value for what two systems write differently."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def like(value, expected):
    """A value of Siltstone's JSON, read as the type that the oracle has for it."""
    if isinstance(value, str) and isinstance(expected, datetime.datetime):
        return canonical(datetime.datetime.fromisoformat(value))
    if isinstance(value, str) and isinstance(expected, (int, float)) and not isinstance(expected, bool):
        return canonical(decimal.Decimal(value))
    return canonical(value)


def rows_of_json(text):
    """Rows of `--format json`: one object a line."""
    return [json.loads(line, parse_float=decimal.Decimal) for line in text.splitlines()]


def same(left, right):
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=1e-12) or (math.isnan(left) and math.isnan(right))
    return left == right


def sort_key(row):
    """Exact values first; a float only to the digits that both sides surely share."""
    exact = [(value is not None, str(value)) for value in row if not isinstance(value, float)]
    floats = [f"{value:.6e}" for value in row if isinstance(value, float)]
    return exact, floats


def typed(actual, expected):
    """Siltstone's rows with the oracle's types, column by column."""
    samples = [
        next((row[i] for row in expected if row[i] is not None), None) for i in range(len(expected[0]) if expected else 0)
    ]
    return [tuple(like(value, sample) for value, sample in zip(row, samples)) for row in actual]


def difference(question, names, expected, actual):
    """None if the answers are the same, else what differs first."""
    if len(expected) != len(actual):
        return f"{question.name}: {len(actual)} rows instead of {len(expected)}"
    actual = [tuple(row[name] for name in names) if isinstance(row, dict) else tuple(row) for row in actual]
    actual = typed(actual, expected)
    if not question.ordered:
        expected, actual = sorted(expected, key=sort_key), sorted(actual, key=sort_key)
    for line, (left, right) in enumerate(zip(expected, actual)):
        if not all(same(a, b) for a, b in zip(left, right)):
            return f"{question.name}: row {line} is {right}, DuckDB says {left}"
    return None
