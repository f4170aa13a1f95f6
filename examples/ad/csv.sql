-- The ad workload from CSV files. Only the rollups are kept.
--
--   siltstone run --data DIR -v csv='EVENTS/csv/*.csv' examples/ad/csv.sql
CREATE SOURCE events (
  ts            BIGINT,            -- event time, milliseconds since 1970 UTC
  type          VARCHAR,           -- serve, impression, click or purchase
  auction_id    VARCHAR,
  advertiser_id INTEGER,
  publisher_id  INTEGER,
  bid_price     DOUBLE PRECISION,  -- of impressions; sometimes NULL
  user_id       BIGINT,
  total_price   DOUBLE PRECISION,  -- of purchases
  country       VARCHAR,
  event_time    TIMESTAMP GENERATED ALWAYS AS (to_timestamp_millis(ts)),
  WATERMARK FOR event_time AS event_time - INTERVAL '5 seconds'
) WITH (connector = 'file', path = :'csv', format = 'csv', header = true);

\i rollups.sql
