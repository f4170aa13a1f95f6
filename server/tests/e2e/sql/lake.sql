-- A table that is inserted into, one that is read from a file, and views: what the lake's faults are tried on.
CREATE TABLE facts (
  id    BIGINT NOT NULL,
  batch BIGINT NOT NULL,
  k     INTEGER,
  v     DOUBLE PRECISION,
  seen  TIMESTAMP
) WITH (connector = 'push');

CREATE MATERIALIZED VIEW by_k AS
SELECT k, count(*) AS n, sum(id) AS ids, sum(v) AS s, min(v) AS least, max(v) AS most FROM facts GROUP BY k;

CREATE MATERIALIZED VIEW by_hour AS
SELECT date_trunc('hour', seen) AS hour, count(*) AS n, sum(v) AS s FROM facts GROUP BY 1;

CREATE TABLE lines (id BIGINT NOT NULL, v DOUBLE PRECISION)
WITH (connector = 'file', path = :'csv', format = 'csv', header = true);

CREATE MATERIALIZED VIEW by_rest AS
SELECT id % 7 AS rest, count(*) AS n, sum(v) AS s FROM lines GROUP BY 1;
