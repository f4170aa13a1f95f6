-- Readings that may come very late, kept, and counted by the minute and by the hour.
CREATE TABLE readings (
  seen   TIMESTAMP,
  sensor INTEGER,
  v      DOUBLE PRECISION
) WITH (connector = 'file', path = :'csv', format = 'csv', header = true);

CREATE MATERIALIZED VIEW by_minute AS
SELECT date_trunc('minute', seen) AS minute, sensor, count(*) AS n, sum(v) AS s, min(v) AS least, max(v) AS most
FROM readings GROUP BY 1, 2;

CREATE MATERIALIZED VIEW by_hour AS
SELECT date_trunc('hour', seen) AS hour, count(*) AS n, sum(v) AS s, min(v) AS least, max(v) AS most
FROM readings GROUP BY 1;
