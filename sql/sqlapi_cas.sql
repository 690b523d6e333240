--
-- Compare and swap, ranges, checksums, times to live where there are none.
--
SET client_min_messages = warning;
SELECT tikv_delete_range('cas/', 'cas0');

-- txn-semantics 26.2 row 7: RawCompareAndSwap: NULL expects no key
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/a', NULL, 'one');
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/a', NULL, 'two');
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/a', 'none', 'two');
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/a', 'one', 'two');
SELECT convert_from(tikv_get('cas/a'), 'UTF8');

-- NULL as the new value deletes; deleting what is not there succeeds
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/a', 'one', NULL);
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/a', 'two', NULL);
SELECT * FROM tikv_cas('cas/a', NULL, NULL);
SELECT * FROM tikv_cas('cas/a', 'two', NULL);
SELECT tikv_get('cas/a') IS NULL AS absent;

-- an empty value is not the same as none
SELECT * FROM tikv_cas('cas/e', NULL, '');
SELECT * FROM tikv_cas('cas/e', NULL, 'x');
SELECT * FROM tikv_cas('cas/e', '', 'x');

-- a value of a megabyte, and a long key
SELECT swapped, previous IS NULL AS absent FROM tikv_cas(convert_to('cas/' || repeat('k', 5000), 'UTF8'), NULL, convert_to(repeat('v', 1000000), 'UTF8'));
SELECT swapped, length(previous) FROM tikv_cas(convert_to('cas/' || repeat('k', 5000), 'UTF8'), convert_to(repeat('v', 1000000), 'UTF8'), 'short');
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas(convert_to('cas/' || repeat('k', 5000), 'UTF8'), 'short', NULL);
SELECT * FROM tikv_cas(NULL, 'x', 'y');

-- a counter, raised by compare and swap alone
SELECT tikv_put('cas/n', '0');
DO $$
DECLARE
	i int;
	answer record;
BEGIN
	FOR i IN 0 .. 99
	LOOP
		SELECT * INTO answer FROM tikv_cas('cas/n', i::text::bytea, (i + 1)::text::bytea);
		ASSERT answer.swapped AND answer.previous = i::text::bytea;
	END LOOP;
END
$$;
SELECT convert_from(tikv_get('cas/n'), 'UTF8');

-- it tells values, so it wants the right to read them
CREATE ROLE regress_tikv_swapper IN ROLE tikv_write;
SET ROLE regress_tikv_swapper;
SELECT * FROM tikv_cas('cas/n', 'x', 'y');
RESET ROLE;
GRANT tikv_read TO regress_tikv_swapper;
SET ROLE regress_tikv_swapper;
SELECT swapped, convert_from(previous, 'UTF8') AS previous FROM tikv_cas('cas/n', 'x', 'y');
RESET ROLE;
DROP ROLE regress_tikv_swapper;

-- txn-semantics 26.2 row 4: RawPut ttl on V1, RawGetKeyTTL: keys do not expire
SELECT tikv_put('cas/t', 'v', 5);
SELECT tikv_put('cas/t', 'v', -5);
SELECT tikv_insert('cas/t', 'v', 5);
SELECT tikv_batch_put(array['cas/t']::bytea[], array['v']::bytea[], 5);
SELECT * FROM tikv_cas('cas/t', NULL, 'v', 5);
SELECT tikv_ttl('cas/n');
SELECT tikv_put('cas/t', 'v', 0), tikv_put('cas/u', 'v', NULL);
SELECT tikv_ttl(NULL);

-- txn-semantics 26.2 row 12: RawChecksum: of no key, and of known ones
SELECT tikv_delete_range('cas/', 'cas0');
SELECT * FROM tikv_checksum('cas/', 'cas0');
SELECT tikv_put('cas/123', '456789');
SELECT * FROM tikv_checksum('cas/', 'cas0');
SELECT tikv_put('123', '456789');
-- the check value of CRC-64/XZ, that of the string 123456789
SELECT checksum = 11051210869376104954 AS known, total_kvs, total_bytes FROM tikv_checksum('123', '124');
SELECT tikv_delete('123');
-- the same pairs have the same sum in whatever order they came, others another
SELECT tikv_batch_put(array['cas/1', 'cas/2']::bytea[], array['a', 'b']::bytea[]);
CREATE TEMP TABLE sums AS SELECT * FROM tikv_checksum('cas/', 'cas0');
SELECT tikv_delete('cas/1'), tikv_put('cas/1', 'a');
SELECT s = c AS same FROM sums AS s, tikv_checksum('cas/', 'cas0') AS c;
SELECT tikv_put('cas/1', 'c');
SELECT s.checksum = c.checksum AS same_sum, s.total_kvs = c.total_kvs AS same_number FROM sums AS s, tikv_checksum('cas/', 'cas0') AS c;

-- txn-semantics 26.2 row 10: RawDeleteRange: what is inside and nothing else, any number of keys
SELECT tikv_batch_put(array_agg(convert_to(format('cas/%s', to_char(i, 'FM000000')), 'UTF8')), array_agg(convert_to(i::text, 'UTF8')))
	FROM generate_series(1, 10000) AS i;
SELECT tikv_delete_range('cas/000100', 'cas/009900');
SELECT count(*), min(convert_from(key, 'UTF8')) AS first, max(convert_from(key, 'UTF8')) AS last FROM tikv_scan('cas/0', 'cas/1');
SELECT count(*) FROM tikv_scan('cas/000099', 'cas/009901');
SELECT tikv_delete_range('cas/0', 'cas/0');
SELECT tikv_delete_range('cas/1', 'cas/0');
SELECT tikv_delete_range('cas/', NULL);
SELECT tikv_delete_range(NULL, 'cas/');
SELECT count(*) FROM tikv_scan('cas/0', 'cas/1');
-- written again after it, a key stays
SELECT tikv_delete_range('cas/0', 'cas/1'), tikv_put('cas/000500', 'again');
SELECT convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value FROM tikv_scan('cas/0', 'cas/1');
-- keys that share their first 2,048 bytes
SELECT tikv_batch_put(array_agg(convert_to('cas/' || repeat('x', 2100) || to_char(i, 'FM000'), 'UTF8')), array_agg(convert_to(i::text, 'UTF8')))
	FROM generate_series(1, 600) AS i;
SELECT tikv_delete_range(convert_to('cas/' || repeat('x', 2100) || '010', 'UTF8'), convert_to('cas/' || repeat('x', 2100) || '590', 'UTF8'));
SELECT count(*), right(max(convert_from(key, 'UTF8')), 3) AS last FROM tikv_scan('cas/x', 'cas/y');
SELECT tikv_delete_range('cas/', 'cas0');
SELECT count(*) FROM tikv_scan('cas/', 'cas0');

-- one request of the function deletes 4,096 keys
SELECT task, waiting FROM tikv.tasks WHERE task IN ('delete ranges', 'expire') ORDER BY task;
SELECT removed > 10000 AS removed FROM tikv.tasks WHERE task = 'delete ranges';
SELECT * FROM tikv_check();
