-- tikv_txn_*: own writes, savepoints, rollback, scans over both.
CREATE EXTENSION IF NOT EXISTS tikv_fdw;
CREATE FUNCTION t(v bytea) RETURNS text LANGUAGE sql AS $$SELECT convert_from(v, 'UTF8')$$;
CREATE FUNCTION pairs(lo text, hi text, n int8 DEFAULT NULL, rev boolean DEFAULT false)
RETURNS text LANGUAGE sql AS
$$SELECT string_agg(t(key) || '=' || t(value), ' ') FROM tikv_txn_scan(lo::bytea, hi::bytea, n, rev)$$;
-- A clean sheet.
SELECT count(tikv_txn_delete(key)) >= 0 AS cleaned FROM tikv_txn_scan('bs/', 'bs0');

-- Without BEGIN each statement is a transaction.
SELECT tikv_txn_put('bs/a', '1');
SELECT t(tikv_txn_get('bs/a'));
SELECT tikv_txn_get('bs/none') IS NULL AS absent;
-- Raw keys are another world.
SELECT tikv_get('bs/a') IS NULL AS not_raw;

-- Own writes, and their undoing.
BEGIN;
SELECT tikv_txn_put('bs/b', '2'), tikv_txn_delete('bs/a');
SELECT t(tikv_txn_get('bs/b')), tikv_txn_get('bs/a') IS NULL AS deleted;
SELECT pairs('bs/', 'bs0');
ROLLBACK;
SELECT pairs('bs/', 'bs0');

BEGIN;
SELECT tikv_txn_put('bs/b', '2');
SAVEPOINT one;
SELECT tikv_txn_put('bs/b', '3'), tikv_txn_put('bs/c', '3');
SAVEPOINT two;
SELECT tikv_txn_delete('bs/a'), tikv_txn_put('bs/d', '4');
SELECT pairs('bs/', 'bs0');
ROLLBACK TO two;
SELECT pairs('bs/', 'bs0');
RELEASE one;
SELECT pairs('bs/', 'bs0');
SAVEPOINT three;
SELECT tikv_txn_delete('bs/b');
RELEASE three;
SAVEPOINT four;
SELECT tikv_txn_put('bs/e', '5');
ROLLBACK TO four;
COMMIT;
SELECT pairs('bs/', 'bs0');

-- An error in a block of PL/pgSQL undoes what the block wrote.
DO $$
BEGIN
	PERFORM tikv_txn_put('bs/p', 'outer');
	BEGIN
		PERFORM tikv_txn_put('bs/q', 'inner');
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		RAISE NOTICE 'caught';
	END;
END
$$;
SELECT pairs('bs/p', 'bs/r');

-- Insert.
SELECT tikv_txn_insert('bs/p', 'again');
SELECT tikv_txn_insert('bs/new', 'n');
BEGIN;
SELECT tikv_txn_delete('bs/new');
SELECT tikv_txn_insert('bs/new', 'm');
SELECT tikv_txn_insert('bs/new', 'o');
ROLLBACK;
BEGIN;
SELECT tikv_txn_lock('bs/new2') IS NULL AS nothing_there;
SELECT tikv_txn_insert('bs/new2', 'n');
COMMIT;
SELECT t(tikv_txn_lock('bs/new2'));
SET tikv.txn_mode = optimistic;
SELECT tikv_txn_insert('bs/new2', 'x');
BEGIN;
SELECT tikv_txn_insert('bs/new3', 'n');
SELECT tikv_txn_delete('bs/new3');
COMMIT;
SELECT tikv_txn_get('bs/new3') IS NULL AS never_was;
RESET tikv.txn_mode;

-- Many keys, both ways, own writes among them.
SELECT count(tikv_txn_put(('bs/m' || to_char(i, 'FM0000'))::bytea, i::text::bytea))
FROM generate_series(1, 3000) i;
SELECT count(*), min(t(key)), max(t(key)) FROM tikv_txn_scan('bs/m', 'bs/n');
BEGIN;
SELECT count(tikv_txn_delete(('bs/m' || to_char(i, 'FM0000'))::bytea))
FROM generate_series(2, 3000, 2) i;
SELECT tikv_txn_put('bs/m0001x', 'own'), tikv_txn_put('bs/m3001', 'own');
SELECT count(*), min(t(key)), max(t(key)) FROM tikv_txn_scan('bs/m', 'bs/n');
SELECT pairs('bs/m', 'bs/n', 4), pairs('bs/m', 'bs/n', 4, true);
SELECT count(*), sum((lag < key)::int) AS ascending
FROM (SELECT key, lag(key) OVER () FROM tikv_txn_scan('bs/m', 'bs/n')) s;
SELECT count(*), sum((lag > key)::int) AS descending
FROM (SELECT key, lag(key) OVER () FROM tikv_txn_scan('bs/m', 'bs/n', NULL, true)) s;
SELECT bool_and(value IS NULL) AS only_keys FROM tikv_txn_scan('bs/m', 'bs/n', 10, false, true);
ROLLBACK;
SELECT count(*) FROM tikv_txn_scan('bs/m', 'bs/n');
SELECT count(*) FROM tikv_txn_scan('bs/n', 'bs/m');
SELECT count(*) FROM tikv_txn_scan('bs/m', 'bs/n', 0);
SELECT tikv_txn_scan('bs/m', 'bs/n', -1);

SELECT t(key), t(value) FROM tikv_txn_batch_get(ARRAY['bs/m0002', 'bs/zzz', 'bs/m0001', 'bs/m0002']::bytea[]);

-- Long values, empty ones, and keys that are too long.
SELECT tikv_txn_put('bs/long', convert_to(repeat('x', 100000), 'UTF8')), tikv_txn_put('bs/empty', '');
SELECT length(tikv_txn_get('bs/long')), length(tikv_txn_get('bs/empty'));
SELECT tikv_txn_put(convert_to(repeat('k', 9000), 'UTF8'), 'v');
SELECT tikv_txn_put('', 'v');
SELECT tikv_txn_put(NULL, 'v');
SELECT tikv_txn_put('bs/x', NULL);

-- What it does not do.
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT tikv_txn_get('bs/a');
ROLLBACK;
BEGIN;
SELECT tikv_txn_put('bs/2pc', 'v');
PREPARE TRANSACTION 'no';
SELECT tikv_txn_get('bs/2pc') IS NULL AS rolled_back;
BEGIN READ ONLY;
SELECT t(tikv_txn_get('bs/a'));
SELECT tikv_txn_put('bs/a', 'v');
ROLLBACK;
SET tikv.txn_memory = '64kB';
SELECT tikv_txn_put('bs/big', convert_to(repeat('x', 100000), 'UTF8'));
RESET tikv.txn_memory;
SELECT tikv_txn_get('bs/big') IS NULL AS not_written;

-- A table and keys: an error of either undoes both.
CREATE TABLE bs_orders (id int PRIMARY KEY, CONSTRAINT few CHECK (id < 10));
BEGIN;
INSERT INTO bs_orders VALUES (1);
SELECT tikv_txn_put('bs/order', '1');
COMMIT;
BEGIN;
SELECT tikv_txn_put('bs/order', '2');
INSERT INTO bs_orders VALUES (1);
ROLLBACK;
SELECT t(tikv_txn_get('bs/order')), (SELECT count(*) FROM bs_orders);

-- Clean up: many keys in one commit.
SELECT count(tikv_txn_delete(key)) > 3000 AS cleaned FROM tikv_txn_scan('bs/', 'bs0');
SELECT count(*) FROM tikv_txn_scan('bs/', 'bs0');
SELECT * FROM tikv_check();
DROP TABLE bs_orders;
DROP FUNCTION pairs, t;
