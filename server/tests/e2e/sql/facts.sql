-- What exactly once is checked with: each event has a number of its own, and a hash of it.
CREATE SOURCE facts (
  id      BIGINT NOT NULL,
  user_id BIGINT,
  hash    BIGINT
) WITH (connector = 'kafka', "bootstrap.servers" = :'brokers', topic = :'topic', format = 'json',
        "auto.offset.reset" = 'earliest', "gap.policy" = :'gaps');

CREATE MATERIALIZED VIEW totals AS
SELECT count(*) AS n, sum(id) AS ids, sum(user_id) AS users, sum(hash) AS hashes, min(id) AS first, max(id) AS last
FROM facts;

CREATE MATERIALIZED VIEW by_bucket AS
SELECT id % 64 AS bucket, count(*) AS n, sum(hash) AS hashes FROM facts GROUP BY 1;
