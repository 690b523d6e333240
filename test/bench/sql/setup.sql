-- The plain table that the store is measured against, and the same rows as
-- raw keys.  Same sizes of keys and values, same fillfactor.
CREATE SCHEMA bench;

-- As long as the load generator's keys; inlined into the statements.
CREATE FUNCTION bench.key(id bigint) RETURNS bytea
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT 'sqlkey__'::bytea || int8send(id) $$;

CREATE TABLE bench.plain (
	key bytea PRIMARY KEY,
	value bytea NOT NULL
) WITH (fillfactor = 80);
ALTER TABLE bench.plain ALTER value SET STORAGE EXTERNAL;

INSERT INTO bench.plain
	SELECT bench.key(id), :'value'::bytea FROM generate_series(0, :keys - 1) id;

SELECT count(tikv_batch_put(keys, vals)) FROM (
	SELECT array_agg(key) AS keys, array_agg(value) AS vals
	FROM (SELECT key, value, (row_number() OVER () - 1) / 1000 AS part
		FROM bench.plain) numbered
	GROUP BY part) parts;
VACUUM ANALYZE bench.plain;
CHECKPOINT;
