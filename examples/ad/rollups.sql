-- Ten rollups of the ad events, over a source or table named events.

CREATE MATERIALIZED VIEW day_type AS
SELECT date_trunc('day', event_time) AS day, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW hour_type AS
SELECT date_trunc('hour', event_time) AS hour, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW minute_type AS
SELECT date_trunc('minute', event_time) AS minute, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW week_type AS
SELECT date_trunc('week', event_time) AS week, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW country_type AS
SELECT country, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW advertiser_type AS
SELECT advertiser_id, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW publisher_type AS
SELECT publisher_id, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2;

CREATE MATERIALIZED VIEW day_country_type AS
SELECT date_trunc('day', event_time) AS day, country, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW day_advertiser_type AS
SELECT date_trunc('day', event_time) AS day, advertiser_id, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2, 3;

CREATE MATERIALIZED VIEW hour_country_type AS
SELECT date_trunc('hour', event_time) AS hour, country, type,
       count(*) AS n,
       count(bid_price) AS bid_n, sum(bid_price) AS bid_sum, min(bid_price) AS bid_min, max(bid_price) AS bid_max,
       count(total_price) AS total_n, sum(total_price) AS total_sum
FROM events
GROUP BY 1, 2, 3;
