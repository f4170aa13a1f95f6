"""SELECTs that Siltstone and DuckDB must answer alike.

Every question is valid in both dialects, names its columns, and has one right answer: those marked ordered
are sorted by a full key, the others are compared as sets of rows.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    name: str
    sql: str
    ordered: bool = False


def ordered(name, sql):
    return Question(name, sql, True)


VIEWS = (
    "day_type hour_type minute_type week_type country_type advertiser_type publisher_type "
    "day_country_type day_advertiser_type hour_country_type"
).split()

OVER_VIEWS = [
    # Totals agree whichever view they come from.
    *[
        Question(
            f"totals {view}",
            f"SELECT sum(n) AS n, sum(bid_n) AS bid_n, sum(bid_sum) AS bid_sum, min(bid_min) AS bid_min, "
            f"max(bid_max) AS bid_max, sum(total_n) AS total_n, sum(total_sum) AS total_sum FROM {view}",
        )
        for view in VIEWS
    ],
    Question("count of groups", "SELECT count(*) AS groups FROM minute_type"),
    Question("by type", "SELECT type, sum(n) AS n FROM day_type GROUP BY type"),
    Question("filter equal", "SELECT country, n, bid_sum FROM country_type WHERE type = 'impression'"),
    Question("filter in", "SELECT country, type, n FROM country_type WHERE country IN ('JP', 'DE') AND type <> 'click'"),
    Question("filter range", "SELECT day, n FROM day_type WHERE type = 'serve' AND day >= TIMESTAMP '2024-02-01' "
             "AND day < TIMESTAMP '2024-03-01'"),
    Question("filter between", "SELECT advertiser_id, n FROM advertiser_type WHERE type = 'click' AND n BETWEEN 10 AND 40"),
    Question("filter like", "SELECT type, sum(n) AS n FROM country_type WHERE type LIKE '%e' GROUP BY type"),
    Question("filter is null", "SELECT type, count(*) AS groups FROM day_type WHERE bid_sum IS NULL GROUP BY type"),
    Question("filter or", "SELECT day, type, n FROM day_type WHERE (type = 'purchase' AND n > 60) OR "
             "(type = 'click' AND n > 640)"),
    Question("group by month", "SELECT date_trunc('month', day) AS month, sum(n) AS n, sum(bid_sum) AS bids "
             "FROM day_type GROUP BY 1"),
    Question("group by hour of day", "SELECT extract(hour FROM hour) AS h, sum(n) AS n FROM hour_type GROUP BY 1"),
    Question("group by two", "SELECT date_trunc('month', day) AS month, country, sum(total_sum) AS revenue "
             "FROM day_country_type WHERE type = 'purchase' GROUP BY 1, 2"),
    Question("average from sums", "SELECT country, sum(total_sum) / sum(total_n) AS average FROM day_country_type "
             "WHERE type = 'purchase' GROUP BY country"),
    Question("avg of rows", "SELECT type, avg(n) AS mean FROM hour_type GROUP BY type"),
    Question("having", "SELECT advertiser_id, sum(n) AS n FROM advertiser_type GROUP BY advertiser_id HAVING sum(n) > 9000"),
    Question("having float", "SELECT country, sum(bid_sum) AS s FROM day_country_type GROUP BY country "
             "HAVING sum(bid_sum) > 50000"),
    Question("count distinct", "SELECT count(DISTINCT advertiser_id) AS advertisers, count(DISTINCT day) AS days "
             "FROM day_advertiser_type"),
    Question("conditional sum", "SELECT day, sum(CASE WHEN type = 'click' THEN n ELSE 0 END) AS clicks, "
             "sum(CASE WHEN type = 'impression' THEN n ELSE 0 END) AS impressions FROM day_type GROUP BY day"),
    Question("filter clause", "SELECT country, sum(n) FILTER (WHERE type = 'click') AS clicks, "
             "sum(n) FILTER (WHERE type = 'serve') AS serves FROM country_type GROUP BY country"),
    Question("ratio", "SELECT country, CAST(sum(CASE WHEN type = 'click' THEN n ELSE 0 END) AS DOUBLE PRECISION) / "
             "sum(CASE WHEN type = 'impression' THEN n ELSE 0 END) AS rate FROM country_type GROUP BY country"),
    Question("case key", "SELECT CASE WHEN country IN ('US', 'CA', 'MX') THEN 'america' ELSE 'elsewhere' END AS area, "
             "sum(n) AS n FROM country_type GROUP BY 1"),
    Question("coalesce", "SELECT type, sum(coalesce(total_sum, 0)) AS s FROM week_type GROUP BY type"),
    Question("subquery in", "SELECT type, sum(n) AS n FROM day_country_type WHERE country IN "
             "(SELECT country FROM country_type WHERE type = 'purchase' AND n > 1500) GROUP BY type"),
    Question("scalar subquery", "SELECT country, n FROM country_type WHERE type = 'serve' AND "
             "n > (SELECT avg(n) FROM country_type WHERE type = 'serve')"),
    Question("derived table", "SELECT max(s) AS most FROM (SELECT publisher_id, sum(n) AS s FROM publisher_type "
             "GROUP BY publisher_id) AS p"),
    Question("common table", "WITH daily AS (SELECT day, sum(n) AS n FROM day_type GROUP BY day) "
             "SELECT min(n) AS least, max(n) AS most, count(*) AS days FROM daily"),
    Question("two common tables", "WITH c AS (SELECT day, n AS clicks FROM day_type WHERE type = 'click'), "
             "i AS (SELECT day, n AS impressions FROM day_type WHERE type = 'impression') "
             "SELECT c.day, clicks, impressions FROM c JOIN i ON c.day = i.day WHERE 2 * impressions > 7 * clicks"),
    Question("join day and week", "SELECT d.day, d.n AS day_n, w.n AS week_n FROM day_type AS d JOIN week_type AS w "
             "ON w.week = date_trunc('week', d.day) AND w.type = d.type WHERE d.type = 'purchase'"),
    Question("join three", "SELECT d.day, d.country, d.n, c.n AS country_n, t.n AS day_n FROM day_country_type AS d "
             "JOIN country_type AS c ON c.country = d.country AND c.type = d.type "
             "JOIN day_type AS t ON t.day = d.day AND t.type = d.type WHERE d.type = 'purchase' AND d.n >= 25"),
    Question("left join", "SELECT a.advertiser_id, a.n AS serves, p.n AS purchases FROM advertiser_type AS a LEFT JOIN "
             "(SELECT advertiser_id, n FROM advertiser_type WHERE type = 'purchase') AS p "
             "ON p.advertiser_id = a.advertiser_id WHERE a.type = 'serve'"),
    Question("self join", "SELECT a.country, a.n AS serves, b.n AS clicks FROM country_type AS a JOIN country_type AS b "
             "ON a.country = b.country WHERE a.type = 'serve' AND b.type = 'click'"),
    Question("union", "SELECT 'country' AS kind, sum(n) AS n FROM country_type UNION ALL "
             "SELECT 'publisher', sum(n) FROM publisher_type"),
    Question("except", "SELECT DISTINCT advertiser_id FROM advertiser_type EXCEPT "
             "SELECT advertiser_id FROM advertiser_type WHERE type = 'purchase'"),
    Question("exists", "SELECT count(*) AS advertisers FROM advertiser_type AS a WHERE a.type = 'serve' AND NOT EXISTS "
             "(SELECT 1 FROM advertiser_type AS b WHERE b.advertiser_id = a.advertiser_id AND b.type = 'purchase')"),
    Question("date parts", "SELECT extract(year FROM day) AS y, extract(month FROM day) AS m, "
             "extract(dow FROM day) AS weekday, sum(n) AS n FROM day_type GROUP BY 1, 2, 3"),
    Question("interval", "SELECT hour, n FROM hour_type WHERE type = 'serve' AND hour >= TIMESTAMP '2024-02-29' AND "
             "hour < TIMESTAMP '2024-02-29' + INTERVAL '1 day'"),
    Question("leap day minutes", "SELECT minute, type, n, bid_sum FROM minute_type WHERE "
             "minute >= TIMESTAMP '2024-02-29 12:00:00' AND minute < TIMESTAMP '2024-02-29 12:30:00'"),
    Question("quarters", "SELECT extract(quarter FROM week) AS q, min(week) AS first, max(week) AS last FROM week_type "
             "GROUP BY 1"),
    Question("grouping sets", "SELECT country, type, sum(n) AS n FROM country_type "
             "GROUP BY GROUPING SETS ((country), (type), ())"),
    Question("rollup", "SELECT date_trunc('month', day) AS month, type, sum(n) AS n FROM day_type "
             "GROUP BY ROLLUP (date_trunc('month', day), type)"),
    Question("string functions", "SELECT upper(substr(type, 1, 3)) AS t, length(type) AS l, sum(n) AS n FROM day_type "
             "GROUP BY 1, 2"),
    ordered("top by count", "SELECT advertiser_id, sum(n) AS n FROM advertiser_type GROUP BY advertiser_id "
            "ORDER BY n DESC, advertiser_id LIMIT 10"),
    ordered("top with offset", "SELECT publisher_id, type, n FROM publisher_type ORDER BY n DESC, publisher_id, type "
            "LIMIT 7 OFFSET 5"),
    ordered("order by several", "SELECT country, type, n FROM country_type ORDER BY type DESC, n, country"),
    ordered("nulls first", "SELECT day, type, bid_sum FROM day_type WHERE day < TIMESTAMP '2024-01-04' "
            "ORDER BY bid_sum NULLS FIRST, day, type"),
    ordered("nulls last", "SELECT country, type, total_sum FROM country_type "
            "ORDER BY total_sum DESC NULLS LAST, country, type"),
    ordered("running sum", "SELECT day, n, sum(n) OVER (ORDER BY day) AS so_far FROM day_type WHERE type = 'click' "
            "ORDER BY day"),
    ordered("rank", "SELECT country, type, n, rank() OVER (PARTITION BY type ORDER BY n DESC, country) AS place "
            "FROM country_type ORDER BY type, place"),
    ordered("lag", "SELECT day, n - lag(n) OVER (ORDER BY day) AS change FROM day_type WHERE type = 'serve' ORDER BY day"),
    ordered("moving average", "SELECT day, avg(n) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS mean "
            "FROM day_type WHERE type = 'impression' ORDER BY day"),
    ordered("first of each", "SELECT type, country, n FROM (SELECT type, country, n, row_number() OVER "
            "(PARTITION BY type ORDER BY n DESC, country) AS place FROM country_type) AS t WHERE place = 1 ORDER BY type"),
    # The ad challenge's covered questions, asked of the views.
    ordered("challenge 1", "SELECT day, bid_sum FROM day_type WHERE type = 'impression' ORDER BY day"),
    ordered("challenge 3", "SELECT country, sum(total_sum) / sum(total_n) AS average FROM country_type "
            "WHERE type = 'purchase' GROUP BY country ORDER BY average DESC, country"),
    ordered("challenge 4", "SELECT advertiser_id, type, n FROM advertiser_type ORDER BY n DESC, advertiser_id, type"),
    ordered("challenge 5", "SELECT minute, bid_sum FROM minute_type WHERE type = 'impression' AND "
            "minute >= TIMESTAMP '2024-06-01' AND minute < TIMESTAMP '2024-06-02' ORDER BY minute"),
]

# For a table: the raw events answer, too.
OVER_EVENTS = [
    Question("events count", "SELECT count(*) AS n FROM events"),
    Question("events by type", "SELECT type, count(*) AS n, sum(bid_price) AS s, avg(total_price) AS a FROM events GROUP BY type"),
    Question("events one publisher", "SELECT publisher_id, sum(bid_price) AS s FROM events WHERE type = 'impression' AND "
             "country = 'JP' AND event_time >= TIMESTAMP '2024-10-20' AND event_time < TIMESTAMP '2024-10-24' "
             "GROUP BY publisher_id"),
    Question("events distinct users", "SELECT country, count(DISTINCT user_id) AS users FROM events "
             "WHERE type = 'purchase' GROUP BY country"),
    Question("events sum of ids", "SELECT sum(user_id) AS users, sum(advertiser_id) AS advertisers, min(ts) AS first, "
             "max(ts) AS last FROM events"),
    Question("events nulls", "SELECT type, count(*) - count(bid_price) AS without_bid FROM events GROUP BY type"),
    Question("events generated column", "SELECT date_trunc('day', event_time) AS day, sum(bid_price) AS s FROM events "
             "WHERE type = 'impression' GROUP BY 1"),
    Question("events filter on measure", "SELECT count(*) AS n, max(total_price) AS m FROM events WHERE total_price > 300"),
    Question("events joined to a view", "SELECT e.country, count(*) AS n, min(c.n) AS all_n FROM events AS e JOIN "
             "country_type AS c ON c.country = e.country AND c.type = e.type WHERE e.type = 'purchase' GROUP BY e.country"),
    ordered("events some rows", "SELECT ts, type, auction_id, advertiser_id, publisher_id, bid_price, user_id, total_price, "
            "country, event_time FROM events ORDER BY ts, auction_id LIMIT 50"),
    ordered("events dearest", "SELECT auction_id, total_price FROM events WHERE type = 'purchase' "
            "ORDER BY total_price DESC, auction_id LIMIT 20"),
    ordered("challenge 2", "SELECT publisher_id, sum(bid_price) AS s FROM events WHERE type = 'impression' AND country = 'JP' "
            "AND event_time >= '2024-10-20' AND event_time < '2024-10-24' GROUP BY publisher_id ORDER BY publisher_id"),
]
