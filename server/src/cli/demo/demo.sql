-- What `siltstone demo` runs: ad events from a Kafka topic, kept as ten rollups.
-- Only the rollups are stored. :'brokers' is the address of the broker inside the process.

CREATE SOURCE events (
  ts            BIGINT,            -- milliseconds since 1970, UTC
  type          VARCHAR,           -- serve, impression, click or purchase
  auction_id    VARCHAR,
  advertiser_id INTEGER,
  publisher_id  INTEGER,
  bid_price     DOUBLE PRECISION,  -- of impressions only
  user_id       BIGINT,
  total_price   DOUBLE PRECISION,  -- of purchases only
  country       VARCHAR,
  event_time    TIMESTAMP GENERATED ALWAYS AS (to_timestamp_millis(ts)),
  WATERMARK FOR event_time AS event_time - INTERVAL '5 seconds'
) WITH (
  connector = 'kafka', "bootstrap.servers" = :'brokers', topic = 'events', format = 'json',
  "auto.offset.reset" = 'earliest'
);

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
