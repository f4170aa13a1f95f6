-- More groups than memory.
CREATE SOURCE pairs (k BIGINT NOT NULL, v BIGINT)
WITH (connector = 'file', path = :'csv', format = 'csv', header = true);

CREATE MATERIALIZED VIEW by_key AS
SELECT k, count(*) AS n, sum(v) AS s, max(v) AS most FROM pairs GROUP BY k;
