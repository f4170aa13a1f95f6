-- The ad workload from a Kafka topic of JSON objects. The raw events are kept and can be queried.
--
--   siltstone run --data DIR -v brokers=127.0.0.1:9092 -v topic=events examples/ad/kafka_table.sql
CREATE TABLE events (
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
) WITH (connector = 'kafka', "bootstrap.servers" = :'brokers', topic = :'topic', format = 'json',
        "auto.offset.reset" = 'earliest');

\i rollups.sql
