-- A source of records that may be bad in every way.
CREATE SOURCE records (
  id     BIGINT NOT NULL,
  small  INTEGER,
  amount DOUBLE PRECISION,
  name   VARCHAR
) WITH (connector = 'kafka', "bootstrap.servers" = :'brokers', topic = :'topic', format = 'json',
        "auto.offset.reset" = 'earliest');

CREATE MATERIALIZED VIEW good AS
SELECT count(*) AS n, sum(id) AS ids, count(small) AS smalls, sum(small) AS small_sum, count(amount) AS amounts,
       sum(amount) AS amount_sum, count(name) AS names
FROM records;
