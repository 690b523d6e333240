--
-- The tables of transactions under SQL: versions, values, locks in slots and
-- spilled, against a model; rollback of turns, restarts, long keys, the check.
-- In a database that no store serves, with a lock table of the session's own.
--
\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/storage.sql'
\set database tikv_storage_txn_test
\i :include
ALTER TABLE tikv_internal.lock_slot SET (autovacuum_enabled = off);

CREATE FUNCTION storage_test_txn_start(int4, int8) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_turn(int4) RETURNS int4
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_lock(bytea, int8) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_put(bytea, int8, int8, bytea) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_value(bytea, int8) RETURNS bytea
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_asks(bytea, bytea, int8, bool, int4) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_compare(int4) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_stats() RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_txn_check() RETURNS SETOF text
	AS :'module' LANGUAGE C STRICT;
-- turns of n effects each; one of five is rolled back
CREATE PROCEDURE turns(n int, effects int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..n LOOP
		PERFORM storage_test_txn_turn(effects);
		IF i % 5 = 0 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION rep(c text, n int) RETURNS bytea LANGUAGE SQL IMMUTABLE AS
	$$ SELECT convert_to(repeat(c, n), 'UTF8') $$;
\set ECHO all

--
-- Random turns and a model: every question gets the model's answer
--
SELECT storage_test_txn_start(4096, 1);
SELECT storage_test_txn_compare(100);
CALL turns(60, 8);
SELECT storage_test_txn_compare(2000);
CALL turns(200, 40);
SELECT storage_test_txn_compare(3000);
SELECT storage_test_txn_stats();
SELECT count(*) FILTER (WHERE length(key) = 2048) > 20 AS long_keys, count(*) > 500 AS enough FROM tikv_internal.write;
SELECT count(*) > 0 AS spilled FROM tikv_internal.lock_spill;

--
-- A turn that throws half way is undone, its slots and room with it
--
DO $$
BEGIN
	FOR i IN 1..50 LOOP
		BEGIN
			PERFORM storage_test_txn_turn(30);
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
		ROLLBACK;
	END LOOP;
END $$;
SELECT storage_test_txn_compare(1000);
SELECT storage_test_txn_stats();

--
-- Restarts: what was durable is there again, with any amount of memory
--
SELECT storage_test_txn_start(4096, 2);
SELECT storage_test_txn_compare(1000);
SELECT storage_test_txn_stats();
CALL turns(50, 40);
SELECT storage_test_txn_compare(1000);
-- almost no memory: the locks move out
SELECT storage_test_txn_start(64, 3);
SELECT storage_test_txn_compare(1000);
SELECT count(*) > 10 AS moved_out FROM tikv_internal.lock_spill;
CALL turns(100, 40);
SELECT storage_test_txn_compare(2000);
SELECT storage_test_txn_stats();
SELECT storage_test_txn_start(4096, 4);
SELECT storage_test_txn_compare(1000);
CALL turns(100, 40);
SELECT storage_test_txn_compare(1000);
-- the rows move, and are found again
VACUUM FULL tikv_internal.lock_slot;
CALL turns(20, 40);
VACUUM FULL tikv_internal.write;
REINDEX INDEX tikv_internal.write_key;
REINDEX TABLE CONCURRENTLY tikv_internal.value;
CALL turns(20, 40);
SELECT storage_test_txn_compare(1000);
SELECT storage_test_txn_stats();
-- a group of keys that takes more than one pass
DO $$
BEGIN
	FOR i IN 1..1500 LOOP
		PERFORM storage_test_txn_put(rep('p', 2048) || int4send(i % 1300), i, i + 1, 'v');
		COMMIT;
	END LOOP;
END $$;
SELECT storage_test_txn_compare(200);
-- random records have values that nobody wants and lack others; the rest is well
SELECT regexp_replace(regexp_replace(c, 'row \(\d+,\d+\)', 'row'), '\d+', 'N', 'g') AS defect, count(*) > 10 AS many
	FROM storage_test_txn_check() c GROUP BY 1 ORDER BY 1;

--
-- Slots are used again, in place
--
DROP EXTENSION tikv_fdw CASCADE;
CREATE EXTENSION tikv_fdw;
ALTER TABLE tikv_internal.lock_slot SET (autovacuum_enabled = off);
\c tikv_storage_txn_test
SELECT storage_test_txn_start(4096, 5);
DO $$
BEGIN
	FOR i IN 1..1500 LOOP
		PERFORM storage_test_txn_lock(convert_to('k' || i % 7, 'UTF8'), i);
		COMMIT;
		PERFORM storage_test_txn_lock(convert_to('k' || i % 7, 'UTF8'), 0);
		COMMIT;
	END LOOP;
END $$;
SELECT count(*) AS slots, count(rec) AS locks, pg_relation_size('tikv_internal.lock_slot') / 8192 AS pages FROM tikv_internal.lock_slot;
SELECT pg_stat_force_next_flush();
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = 'tikv_internal.lock_slot'::regclass;
SELECT storage_test_txn_lock('one', 10);
SELECT storage_test_txn_lock('two', 20);
SELECT storage_test_txn_lock('one', 11);
SELECT slot, rec FROM tikv_internal.lock_slot ORDER BY slot;
SELECT storage_test_txn_stats();
SELECT storage_test_txn_compare(100);
SELECT storage_test_txn_lock('one', 0);
SELECT storage_test_txn_lock('two', 0);

--
-- A scan asks whether it goes on, also while it finds nothing old enough
--
BEGIN;
ALTER TABLE tikv_internal.write DISABLE TRIGGER USER;
INSERT INTO tikv_internal.write (commit_ts, key, rec)
	SELECT 1000 + i, convert_to('a' || lpad(i::text, 4, '0'), 'UTF8'), '\x5006' FROM generate_series(1, 2000) i;
INSERT INTO tikv_internal.write (commit_ts, key, key_rest, rec)
	SELECT 1000 + i, rep('g', 2048), int4send(i), '\x5006' FROM generate_series(1, 2000) i;
INSERT INTO tikv_internal.write (commit_ts, key, rec)
	SELECT 1000 + i, 'many', '\x5006' FROM generate_series(1, 2000) i;
SELECT reverse, ts, storage_test_txn_asks('a', 'b', ts, reverse, 1000) AS keys,
	storage_test_txn_asks('g', 'h', ts, reverse, 1000) AS "group",
	storage_test_txn_asks('m', 'n', ts, reverse, 1000) AS versions
	FROM (VALUES (false, 500), (true, 500), (false, 5000), (true, 5000)) v(reverse, ts);
-- it ends at once
SELECT storage_test_txn_asks('a', 'b', 500, false, 3) AS keys, storage_test_txn_asks('g', 'h', 500, false, 3) AS "group",
	storage_test_txn_asks('a', 'b', 5000, true, 2) AS emitted, storage_test_txn_asks('g', 'h', 5000, false, 9) AS passes;
ROLLBACK;

--
-- Large values, one by one; rewriting
--
SELECT storage_test_txn_put('big', 100, 110, rep('x', 1048576));
SELECT storage_test_txn_value('big', 100) = rep('x', 1048576) AS same, storage_test_txn_value('big', 101);
SELECT storage_test_txn_put('big', 100, 110, rep('y', 1048576));
SELECT storage_test_txn_value('big', 100) = rep('y', 1048576) AS same;
SELECT storage_test_txn_put(rep('l', 8192), 100, 110, rep('z', 5000));
SELECT storage_test_txn_value(rep('l', 8192), 100) = rep('z', 5000) AS same, storage_test_txn_value(rep('l', 8191), 100);
SELECT storage_test_txn_put('small', 1, 9223372036854775807, 'v');
SELECT storage_test_txn_put('small', 1, -1, 'v');
SELECT commit_ts, length(key), length(key_rest), length(rec) FROM tikv_internal.write ORDER BY key;
SELECT storage_test_txn_compare(500);
SELECT * FROM storage_test_txn_check();

--
-- What the check finds
--
ALTER TABLE tikv_internal.write DISABLE TRIGGER USER;
ALTER TABLE tikv_internal.value DISABLE TRIGGER USER;
ALTER TABLE tikv_internal.lock_slot DISABLE TRIGGER USER;
ALTER TABLE tikv_internal.lock_spill DISABLE TRIGGER USER;
BEGIN;
INSERT INTO tikv_internal.write (commit_ts, key, key_rest, rec) VALUES
	(110, 'big', NULL, '\x50647600'), -- twice
	(120, 'put', NULL, '\x5064'), -- no value
	(130, 'bad', NULL, '\x58'),
	(-1, 'neg', NULL, '\x447600'),
	(140, 'short', 'rest', '\x5264'),
	(150, rep('e', 2048), 'same', '\x5264'),
	(150, rep('e', 2048), 'same', '\x5264'),
	(151, rep('e', 2048), 'same', '\x5264');
INSERT INTO tikv_internal.value (start_ts, key, key_rest, value) VALUES
	(99, 'big', NULL, 'orphan'),
	(55, 'nobody', NULL, 'orphan'),
	(77, 'held', NULL, 'of a lock');
INSERT INTO tikv_internal.lock_slot (slot, rec) VALUES
	(7, '\x0868656c6450026b4d00'), -- held: Put of k at 77, no short value
	(8, '\x0868656c6450026b4e00'), -- held: at 78
	(8, NULL),
	(9, '\xff');
INSERT INTO tikv_internal.lock_spill (ts, key, rec) VALUES
	(0, 'held', '\x53026b4f00'),
	(1, 'other', '\x00');
SELECT regexp_replace(c, 'row \(\d+,\d+\)', 'row') AS defect FROM storage_test_txn_check() c ORDER BY 1;
ROLLBACK;
SELECT * FROM storage_test_txn_check();
-- a store does not begin with two locks of a key
BEGIN;
INSERT INTO tikv_internal.lock_slot (slot, rec) VALUES
	(1000, '\x0868656c6450026b4d00'), (1001, '\x0868656c6450026b4e00');
SELECT storage_test_txn_start(4096, 6);
ROLLBACK;
BEGIN;
INSERT INTO tikv_internal.lock_slot (slot, rec) VALUES (1000, '\x08');
SELECT storage_test_txn_start(4096, 6);
ROLLBACK;
\c :home
DROP DATABASE tikv_storage_txn_test;
