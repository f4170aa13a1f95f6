"""Random queries over the ad workload: the ten views, and the events themselves."""
from oracle import KEYS, UNITS
from questions import Question

TYPES = ["serve", "impression", "click", "purchase"]
COUNTRIES = ["US", "DE", "JP", "FR", "GB", "IN", "BR", "KR", "AU", "MX"]
EVENT_KEYS = ["type", "country", "advertiser_id", "publisher_id", "event_time"]
MEASURES = ["sum(n)", "sum(bid_n)", "sum(bid_sum)", "min(bid_min)", "max(bid_max)", "sum(total_n)", "sum(total_sum)",
            "count(*)", "avg(n)", "max(n)", "sum(bid_sum) / sum(bid_n)"]
EVENT_MEASURES = ["count(*)", "sum(bid_price)", "avg(bid_price)", "min(total_price)", "max(bid_price)", "count(total_price)",
                  "sum(user_id)", "count(DISTINCT publisher_id)", "min(auction_id)", "max(ts)",
                  "sum(bid_price) FILTER (WHERE type = 'impression')"]
EVENT_COLUMNS = ["ts", "type", "auction_id", "advertiser_id", "publisher_id", "bid_price", "user_id", "total_price", "country"]


def queries(rng, count, days):
    """So many, over the first `days` of 2024; names are unique."""
    return [Question(f"{i}", *query(rng, days)) for i in range(count)]


def query(rng, days):
    """SQL, and whether its rows have an order."""
    if rng.random() < 0.35:
        return over_events(rng, days)
    view = rng.choice(list(KEYS))
    keys = [*KEYS[view], "type"]
    where = condition(rng, keys, days)
    shape = rng.random()
    if shape < 0.25:
        return f"SELECT * FROM {view}{where}", False
    if shape < 0.4:
        order = ", ".join(rng.sample(keys, len(keys)))
        return f"SELECT * FROM {view}{where} ORDER BY n {rng.choice(['DESC', 'ASC'])}, {order} LIMIT {rng.randrange(1, 50)}", True
    if shape < 0.5:
        other = rng.choice([name for name in KEYS if name != view])
        return (f"SELECT a.type, a.n AS one, b.n AS other FROM (SELECT type, sum(n) AS n FROM {view}{where} GROUP BY type) AS a "
                f"JOIN (SELECT type, sum(n) AS n FROM {other} GROUP BY type) AS b ON a.type = b.type"), False
    return grouped(rng, view, keys, where, MEASURES)


def over_events(rng, days):
    where = condition(rng, [*EVENT_KEYS, "bid_price", "total_price", "user_id"], days)
    if rng.random() < 0.3:
        # A table has no key: what is chosen of it must be few, and all of it is compared.
        return f"SELECT {', '.join(EVENT_COLUMNS)} FROM events WHERE advertiser_id = {rng.randrange(1, 3000)}", False
    return grouped(rng, "events", EVENT_KEYS, where, EVENT_MEASURES)


def grouped(rng, relation, keys, where, measures):
    chosen = [spread(rng, key) for key in rng.sample(keys, rng.randrange(0, min(3, len(keys) + 1)))]
    columns = [f"{key} AS k{i}" for i, key in enumerate(chosen)]
    columns += [f"{measure} AS m{i}" for i, measure in enumerate(rng.sample(measures, rng.randrange(1, 5)))]
    sql = f"SELECT {', '.join(columns)} FROM {relation}{where}"
    if not chosen:
        return sql, False
    sql += f" GROUP BY {', '.join(chosen)}"
    if rng.random() < 0.2:
        sql += f" HAVING count(*) > {rng.randrange(1, 20)}"
    if rng.random() < 0.3:
        return f"{sql} ORDER BY {', '.join(f'k{i}' for i in range(len(chosen)))}", True
    return sql, False


def spread(rng, key):
    """A key, or something that is computed of it."""
    if key in UNITS or key == "event_time":
        units = ["day", "month"] if key in ("day", "week") else ["hour", "day", "month"]
        return rng.choice([f"date_trunc('{rng.choice(units)}', {key})", f"extract(dow FROM {key})"])
    return rng.choice([key, f"{key} % 10"]) if key.endswith("_id") else key


def condition(rng, keys, days):
    chosen = rng.sample(keys, rng.randrange(0, min(4, len(keys) + 1)))
    return f" WHERE {' AND '.join(comparison(rng, key, days) for key in chosen)}" if chosen else ""


def comparison(rng, key, days):
    if key == "type":
        return rng.choice([f"type = '{rng.choice(TYPES)}'", f"type <> '{rng.choice(TYPES)}'", "type LIKE '%s%'",
                           f"type IN ('{TYPES[0]}', '{rng.choice(TYPES)}')"])
    if key == "country":
        some = "', '".join(rng.sample(COUNTRIES, 3))
        return rng.choice([f"country IN ('{some}')", "country BETWEEN 'C' AND 'J'", f"country = '{rng.choice(COUNTRIES)}'"])
    if key == "user_id":
        return f"user_id % {rng.randrange(2, 9)} = 1"
    if key.endswith("_id"):
        start = rng.randrange(1, 3000)
        return rng.choice([f"{key} = {start}", f"{key} BETWEEN {start} AND {start + rng.randrange(500)}", f"{key} % 7 = 3"])
    if key.endswith("_price"):
        return rng.choice([f"{key} IS NULL", f"{key} > {rng.random() * 2:.3f}", f"{key} IS NOT NULL"])
    first = rng.randrange(days)
    last = rng.randrange(first, days) + 1
    hour = rng.randrange(24)
    return f"{key} >= {moment(first, hour)} AND {key} < {moment(last, hour)}"


def moment(day, hour):
    """An hour of a day, counted from the first of January 2024."""
    for month, length in enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1):
        if day < length:
            return f"TIMESTAMP '2024-{month:02}-{day + 1:02} {hour:02}:00:00'"
        day -= length
    return "TIMESTAMP '2025-01-01 00:00:00'"
