--
-- Keys through SQL: one at a time and in batches.
--
SET client_min_messages = warning;
SELECT tikv_batch_delete(array_agg(key)) FROM tikv_scan('raw/', 'raw0');

-- absent, stored, overwritten, removed
SELECT tikv_get('raw/a') IS NULL AS absent;
SELECT tikv_put('raw/a', 'one');
SELECT convert_from(tikv_get('raw/a'), 'UTF8');
SELECT tikv_put('raw/a', 'two');
SELECT convert_from(tikv_get('raw/a'), 'UTF8');
SELECT tikv_delete('raw/a');
SELECT tikv_get('raw/a') IS NULL AS absent;
SELECT tikv_delete('raw/a');

-- an empty value is a value
SELECT tikv_put('raw/empty', '');
SELECT tikv_get('raw/empty') IS NULL AS absent, length(tikv_get('raw/empty'));

-- insert only what is not there
SELECT tikv_insert('raw/i', 'first');
DO $$
BEGIN
	PERFORM tikv_insert('raw/i', 'second');
EXCEPTION WHEN unique_violation THEN
	RAISE WARNING 'unique_violation: %', SQLERRM;
END
$$;
SELECT convert_from(tikv_get('raw/i'), 'UTF8');
SELECT tikv_delete('raw/i'), tikv_insert('raw/i', 'third');
SELECT convert_from(tikv_get('raw/i'), 'UTF8');

-- batches: order as asked for, what is absent left out, twice is twice
SELECT tikv_batch_put(array['raw/b1', 'raw/b2', 'raw/b3']::bytea[],
					  array['1', '2', '3']::bytea[]);
SELECT convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value
	FROM tikv_batch_get(array['raw/b3', 'raw/none', 'raw/b1', 'raw/b1']::bytea[]);
SELECT tikv_batch_put(array['raw/b1', 'raw/b1']::bytea[],
					  array['earlier', 'later']::bytea[]);
SELECT convert_from(tikv_get('raw/b1'), 'UTF8');
SELECT tikv_batch_delete(array['raw/b1', 'raw/none', 'raw/b3']::bytea[]);
SELECT convert_from(key, 'UTF8') AS key
	FROM tikv_batch_get(array['raw/b1', 'raw/b2', 'raw/b3']::bytea[]);
SELECT tikv_batch_put('{}', '{}');
SELECT count(*) FROM tikv_batch_get('{}');

-- NULL: nothing is read, nothing is written silently
SELECT tikv_get(NULL) IS NULL AS null_key;
SELECT tikv_put(NULL, 'v');
SELECT tikv_put('raw/null', NULL);
SELECT tikv_insert('raw/null', NULL);
SELECT tikv_delete(NULL);
SELECT tikv_get('raw/null') IS NULL AS absent;

-- keys and values of many sizes, through the index prefix and through TOAST
SELECT tikv_put(('raw/size' || repeat('k', k))::bytea, convert_to(repeat('v', v), 'UTF8'))
	FROM (VALUES (0, 0), (2039, 1), (2040, 511), (2041, 513), (4000, 3000), (8184, 100000)) AS s(k, v);
SELECT length(key) AS key, length(value) AS value,
	tikv_get(key) = value AS same
	FROM tikv_scan('raw/size', 'raw/sizf') ORDER BY 1;
SELECT tikv_put('raw/big', convert_to(repeat('0123456789abcdef', 400000), 'UTF8'));
SELECT length(tikv_get('raw/big')),
	tikv_get('raw/big') = convert_to(repeat('0123456789abcdef', 400000), 'UTF8') AS same;
SELECT tikv_delete('raw/big');

-- a write is no part of the transaction, nor of the subtransaction
BEGIN;
SELECT tikv_put('raw/rollback', 'stays');
ROLLBACK;
SELECT convert_from(tikv_get('raw/rollback'), 'UTF8');

-- a session in REPEATABLE READ sees keys that are newer than its snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) > 0 AS snapshot_taken FROM pg_class;
SELECT tikv_put('raw/newer', 'seen');
SELECT convert_from(tikv_get('raw/newer'), 'UTF8');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT tikv_put('raw/newer', 'seen too');
SELECT convert_from(tikv_get('raw/newer'), 'UTF8');
COMMIT;

-- locks of the tables are given back at the end of the function
BEGIN;
SELECT tikv_get('raw/newer') IS NULL AS absent;
SELECT count(*) FROM pg_locks
	WHERE pid = pg_backend_pid() AND relation = 'tikv_internal.raw'::regclass;
COMMIT;

SELECT tikv_batch_delete(array_agg(key)) FROM tikv_scan('raw/', 'raw0');
SELECT count(*) FROM tikv_scan('raw/', 'raw0');
