--
-- What is refused, and with which SQLSTATE.
--
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ': ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END
$$;
\pset format unaligned
\pset tuples_only on

-- sizes
SELECT pg_temp.refused($$SELECT tikv_put(convert_to(repeat('k', 8193), 'UTF8'), 'v')$$);
SELECT pg_temp.refused($$SELECT tikv_get(convert_to(repeat('k', 8193), 'UTF8'))$$);
SELECT pg_temp.refused($$SELECT tikv_batch_get(array['k', convert_to(repeat('k', 8193), 'UTF8')])$$);
SELECT pg_temp.refused($$SELECT count(*) FROM tikv_scan('', convert_to(repeat('k', 8193), 'UTF8'))$$);
SELECT pg_temp.refused($$SELECT tikv_put('errors/big', convert_to(repeat('v', 9000000), 'UTF8'))$$);
SELECT pg_temp.refused($$SELECT tikv_batch_put(array['errors/1', 'errors/2']::bytea[],
	array[convert_to(repeat('v', 4500000), 'UTF8'), convert_to(repeat('v', 4500000), 'UTF8')])$$);
SELECT count(*) FROM tikv_scan('errors/', 'errors0');

-- arguments
SELECT pg_temp.refused($$SELECT tikv_batch_put(array['a', NULL]::bytea[], array['1', '2']::bytea[])$$);
SELECT pg_temp.refused($$SELECT tikv_batch_put(array['a', 'b']::bytea[], array['1', NULL]::bytea[])$$);
SELECT pg_temp.refused($$SELECT tikv_batch_put(array['a', 'b']::bytea[], array['1']::bytea[])$$);
SELECT pg_temp.refused($$SELECT tikv_batch_get(array[NULL]::bytea[])$$);

-- an existing key
SELECT tikv_put('errors/exists', 'v');
SELECT pg_temp.refused($$SELECT tikv_insert('errors/exists', 'w')$$);
SELECT tikv_put(convert_to('errors/' || repeat('long', 100), 'UTF8'), 'v');
SELECT pg_temp.refused($$SELECT tikv_insert(convert_to('errors/' || repeat('long', 100), 'UTF8'), 'w')$$);

-- read-only transactions write no keys, either, but may read them
BEGIN READ ONLY;
SELECT pg_temp.refused($$SELECT tikv_put('errors/a', 'v')$$);
SELECT pg_temp.refused($$SELECT tikv_insert('errors/a', 'v')$$);
SELECT pg_temp.refused($$SELECT tikv_delete('errors/exists')$$);
SELECT pg_temp.refused($$SELECT tikv_batch_put(array['errors/a']::bytea[], array['v']::bytea[])$$);
SELECT pg_temp.refused($$SELECT tikv_batch_delete(array['errors/exists']::bytea[])$$);
SELECT tikv_get('errors/exists');
COMMIT;
SET default_transaction_read_only = on;
SELECT pg_temp.refused($$SELECT tikv_put('errors/a', 'v')$$);
RESET default_transaction_read_only;

-- the tables are the workers' own
SELECT pg_temp.refused($$INSERT INTO tikv_internal.raw VALUES (0, 0, 'd', 'k', NULL, 'v')$$);
SELECT statement, count(*) > 5 AS tables, count(DISTINCT refused) AS answers, min(refused)
	FROM (SELECT statement, left(pg_temp.refused(format(statement, c.oid::regclass)), 6) AS refused
		FROM pg_class AS c, (VALUES ('INSERT INTO %s SELECT * FROM %1$s LIMIT 0'),
			('DELETE FROM %s WHERE false'), ('TRUNCATE %s'), ($$COPY %s FROM '/dev/null'$$)) AS s(statement)
		WHERE relnamespace = 'tikv_internal'::regnamespace AND relkind = 'r') AS r
	GROUP BY statement ORDER BY statement;
SELECT pg_temp.refused('UPDATE tikv_internal.raw SET value = value');
SELECT pg_temp.refused('SELECT tikv_internal.extension_created()');

-- settings
SELECT pg_temp.refused('SET tikv.no_such_setting = 1');
SELECT pg_temp.refused($$SET tikv.request_timeout = '0'$$);
SELECT pg_temp.refused($$SET tikv.bus_slots = 5$$);

SELECT tikv_batch_delete(array_agg(key)) FROM tikv_scan('errors/', 'errors0');
