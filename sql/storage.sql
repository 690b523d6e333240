--
-- The storage layer under SQL: long keys, ranges, big values, rollback, HOT,
-- the place cache.  It writes the tables itself, so it works in a database
-- that no store serves.
--
\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/storage.sql'
\set database tikv_storage_test
\i :include
-- a vacuum between two statements would change what the place cache can do
ALTER TABLE tikv_internal.raw SET (autovacuum_enabled = off);

CREATE FUNCTION storage_test_cache(text) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_misplace(bytea, tid) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_put(text, bytea, bytea, int8) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_insert(bytea[]) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_delete(text, bytea) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_get(text, bytea, int8, bool) RETURNS bytea
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_get_many(bytea[], int4) RETURNS int4
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_scan(text, bytea, bytea, bool, bool, int4, int8,
	OUT key bytea, OUT value bytea, OUT expires_at int8) RETURNS SETOF record
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_scan_asks(bytea, bytea, bool, int8, int4) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_check() RETURNS SETOF text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_open(bool) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_blocker() RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_meta() RETURNS bool
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_region(int8, bytea, bytea, int4) RETURNS bool
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_log(int8, int4, int8, int4) RETURNS text
AS :'module', 'storage_test_log' LANGUAGE C;
CREATE FUNCTION storage_test_log_bytes(int8) RETURNS int8
AS :'module', 'storage_test_log_bytes' LANGUAGE C;
CREATE FUNCTION storage_test_log_compact(int8) RETURNS int4
AS :'module', 'storage_test_log_compact' LANGUAGE C;
CREATE FUNCTION storage_test_group(int8, int8, bool) RETURNS int8
	AS :'module' LANGUAGE C STRICT;

CREATE FUNCTION storage_test_expired(int4, int4, int8, int4) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_range_delete(int8, bytea, bool) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_has_rows(text) RETURNS bool
	AS :'module' LANGUAGE C STRICT;

-- Shorter to write.
CREATE FUNCTION put(k bytea, v bytea) RETURNS void LANGUAGE SQL AS
	$$ SELECT storage_test_put('default', k, v, 0) $$;
CREATE FUNCTION del(k bytea) RETURNS void LANGUAGE SQL AS
	$$ SELECT storage_test_delete('default', k) $$;
CREATE FUNCTION get(k bytea) RETURNS bytea LANGUAGE SQL AS
	$$ SELECT storage_test_get('default', k, 0, true) $$;
CREATE FUNCTION scan(lower bytea, upper bytea, backward bool DEFAULT false,
	key_only bool DEFAULT false, max int4 DEFAULT 100000)
	RETURNS TABLE (key bytea, value bytea) LANGUAGE SQL AS
	$$ SELECT s.key, s.value
	   FROM storage_test_scan('', lower, upper, backward, key_only, max, 0) s $$;
-- a bytea of n times the same byte
CREATE FUNCTION rep(c text, n int) RETURNS bytea LANGUAGE SQL IMMUTABLE AS
	$$ SELECT convert_to(repeat(c, n), 'UTF8') $$;
-- get and put, and how often they searched the index for it
CREATE FUNCTION index_scans() RETURNS int8 LANGUAGE SQL AS
	$$ SELECT pg_stat_get_xact_numscans('tikv_internal.raw_key'::regclass) $$;
CREATE FUNCTION search(k bytea, OUT value text, OUT searches int8) LANGUAGE plpgsql AS $$
BEGIN
	searches := -index_scans();
	value := convert_from(get(k), 'UTF8');
	searches := searches + index_scans();
END $$;
CREATE FUNCTION search_put(k bytea, v bytea, OUT searches int8) LANGUAGE plpgsql AS $$
BEGIN
	searches := -index_scans();
	PERFORM put(k, v);
	searches := searches + index_scans();
END $$;
-- what a scan must return, computed from an independent copy of the data
CREATE TABLE model (key bytea PRIMARY KEY, value bytea);
CREATE FUNCTION mput(k bytea, v bytea) RETURNS void LANGUAGE SQL AS
	$$ INSERT INTO model VALUES (k, v)
	   ON CONFLICT (key) DO UPDATE SET value = excluded.value $$;
SET client_min_messages = warning;
\set ECHO all

SELECT storage_test_cache('empty');

--
-- One key
--
SELECT get('a');
SELECT put('a', '1');
SELECT get('a');
SELECT put('a', '2');
SELECT get('a');
SELECT del('a');
SELECT get('a');
SELECT del('a');
SELECT put('a', '');
SELECT get('a');
-- the empty key, and a key of zeros
SELECT put('', 'empty'), put('\x00', 'zero'), put('\x0000', 'zeros');
SELECT get(''), get('\x00'), get('\x0000'), get('\x000000');

--
-- Column families are apart
--
SELECT storage_test_put('lock', 'a', 'in lock', 0);
SELECT storage_test_put('write', 'a', 'in write', 0);
SELECT storage_test_get('lock', 'a', 0, true), storage_test_get('write', 'a', 0, true), get('a');
SELECT key, value FROM storage_test_scan('lock', '', '', false, false, 10, 0);
SELECT storage_test_put('other', 'a', '', 0);

--
-- Rows past their time are absent, to get and scan
--
SELECT storage_test_put('lock', 'ttl', 'v', 1000);
SELECT storage_test_get('lock', 'ttl', 999, true), storage_test_get('lock', 'ttl', 1000, true);
SELECT key, expires_at FROM storage_test_scan('lock', '', '', false, false, 10, 999);
SELECT key, expires_at FROM storage_test_scan('lock', '', '', false, false, 10, 1000);

--
-- Rollback: nothing happened, and the place cache knows no better
--
BEGIN;
SELECT put('a', 'rolled back'), put('new', 'rolled back');
ROLLBACK;
SELECT get('a'), get('new');
BEGIN;
SELECT put('a', 'kept');
COMMIT;
SELECT get('a');

--
-- A statement's snapshot sees what was current then, the place cache or not
--
SELECT put('snap', 'old');
BEGIN;
DECLARE c CURSOR FOR SELECT storage_test_get('default', 'snap', 0, false), storage_test_get('default', 'snap', 0, true);
SELECT put('snap', 'new');
FETCH c;
COMMIT;
SELECT get('snap');

--
-- Key lengths around the split, in order and out of order
--
CREATE TABLE lengths AS SELECT unnest(ARRAY[0, 1, 100, 2047, 2048, 2049, 2050, 4096, 8192]) AS n;
SELECT count(put(rep('k', n), rep('v', n))) FROM lengths;
SELECT count(*) FROM lengths WHERE get(rep('k', n)) = rep('v', n);
SELECT n, get(rep('k', n + 1)) IS NULL AS longer_is_absent FROM lengths WHERE n IN (100, 2050, 4096, 8192);
SELECT length(key), length(value) FROM scan('k', 'l');
SELECT length(key), length(value) FROM scan('k', 'l', true);
SELECT length(key), length(value) FROM scan('k', 'l', false, true);
-- bounds of every length: lower is inclusive, upper exclusive
SELECT n, array_agg(length(key)) FROM lengths, scan(rep('k', n), 'l', false, true) WHERE n > 0 GROUP BY n ORDER BY n;
SELECT n, array_agg(length(key)) FROM lengths, scan('k', rep('k', n), true, true) WHERE n > 0 GROUP BY n ORDER BY n;
-- limits end within a group
SELECT max, array_agg(length(key)) FROM unnest(ARRAY[0, 1, 4, 5, 6]) max, scan('k', 'l', false, true, max) GROUP BY max ORDER BY max;
SELECT max, array_agg(length(key)) FROM unnest(ARRAY[1, 2, 5, 6]) max, scan('k', 'l', true, true, max) GROUP BY max ORDER BY max;
-- update and delete in the middle of a group
SELECT put(rep('k', 2049), 'changed'), del(rep('k', 4096));
SELECT length(key), substr(value, 1, 10) FROM scan(rep('k', 2048), 'l');
SELECT * FROM storage_test_check();

--
-- A model of everything: random keys of which many share a long prefix
--
SELECT setseed(0.42);
CREATE TABLE script AS
	SELECT i, CASE WHEN random() < 0.5 THEN rep('p', 2047) ELSE '' END ||
		CASE WHEN random() < 0.8 THEN rep('q', (random() * 3)::int) ELSE '' END ||
		decode(lpad(to_hex((random() * 1500)::int), 4, '0'), 'hex') AS key,
		CASE WHEN random() < 0.7 THEN convert_to('value ' || i, 'UTF8') END AS value
	FROM generate_series(1, 6000) i;
DO $$
DECLARE s record;
BEGIN
	FOR s IN SELECT * FROM script ORDER BY i LOOP
		IF s.value IS NULL THEN
			DELETE FROM model WHERE key = s.key;
			PERFORM del(s.key);
		ELSE
			PERFORM mput(s.key, s.value), put(s.key, s.value);
		END IF;
		IF s.i % 10 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
SELECT count(*) > 2000 AS enough, count(*) FILTER (WHERE length(key) > 2048) > 500 AS enough_long FROM model;
-- every key, and none but them
SELECT count(*) FROM model WHERE get(key) IS DISTINCT FROM value;
SELECT count(*) FROM script s WHERE NOT EXISTS (SELECT FROM model m WHERE m.key = s.key) AND get(s.key) IS NOT NULL;
-- the same with the index alone
SELECT storage_test_cache('off');
SELECT count(*) FROM model WHERE get(key) IS DISTINCT FROM value;
SELECT storage_test_cache('empty');
-- the other tests' keys are all in these ranges
CREATE TABLE others AS SELECT key FROM scan('', '') s WHERE NOT EXISTS (SELECT FROM model m WHERE m.key = s.key);
SELECT count(del(key)) > 0 AS deleted FROM others;
-- whole ranges, order included
CREATE FUNCTION differs(lo bytea, up bytea, backward bool, max int) RETURNS bool LANGUAGE SQL AS $$
	SELECT (SELECT array_agg(key || '='::bytea || value) FROM scan(lo, up, backward, false, max)) IS DISTINCT FROM
		(SELECT array_agg(key || '='::bytea || value) FROM
			(SELECT * FROM model WHERE key >= lo AND (up = '' OR key < up)
			 ORDER BY CASE WHEN backward THEN key END DESC, key LIMIT max) m)
	OR (SELECT array_agg(key) FROM scan(lo, up, backward, true, max)) IS DISTINCT FROM
		(SELECT array_agg(key) FROM scan(lo, up, backward, false, max)) $$;
SELECT differs('', '', false, 100000), differs('', '', true, 100000);
-- random bounds, from the keys and a little beside them, and random limits
SELECT count(*) AS tried, count(*) FILTER (WHERE differs(lo, up, backward, max)) AS wrong FROM (
	SELECT CASE WHEN random() < 0.3 THEN a.key || '\x00'::bytea ELSE a.key END AS lo,
		CASE WHEN random() < 0.3 THEN b.key || '\xff'::bytea ELSE b.key END AS up,
		random() < 0.5 AS backward, (random() * 50)::int + 1 AS max
	FROM (SELECT key, row_number() OVER (ORDER BY md5(key)) n FROM model) a
	JOIN (SELECT key, row_number() OVER (ORDER BY md5(key || 'x'::bytea)) n FROM model) b USING (n)
	WHERE n <= 150 OFFSET 0) bounds;
SELECT * FROM storage_test_check();

--
-- A group larger than one pass
--
SELECT count(storage_test_put('default', rep('g', 2048) || int4send(i), int4send(i), 1000)) FROM generate_series(1, 2600) i;
SELECT count(*), bool_and(key = rep('g', 2048) || int4send(n::int) AND value = int4send(n::int)) AS in_order
	FROM (SELECT key, value, row_number() OVER () n FROM scan('g', 'h')) s;
SELECT count(*), bool_and(key = rep('g', 2048) || int4send((2601 - n)::int)) AS in_order
	FROM (SELECT key, row_number() OVER () n FROM scan('g', 'h', true)) s;
SELECT count(*), min(value::text), max(value::text) FROM scan(rep('g', 2048) || int4send(1000), rep('g', 2048) || int4send(2100));
-- asked every 256 rows: of three passes over 2600 and of the walk behind them
SELECT storage_test_scan_asks('g', 'h', false, 0, 1000), storage_test_scan_asks('g', 'h', true, 0, 1000);
-- it ends at once, between two pairs of the second pass, in the walk
SELECT storage_test_scan_asks('g', 'h', false, 0, 1), storage_test_scan_asks('g', 'h', false, 0, 12),
	storage_test_scan_asks('g', 'h', false, 0, 35);
-- none of them is a pair any more
SELECT storage_test_scan_asks('g', 'h', false, 1000, 1000), storage_test_scan_asks('g', 'h', false, 1000, 3);
SELECT count(del(rep('g', 2048) || int4send(i))) FROM generate_series(1, 2600) i;
SELECT count(*) FROM scan('g', 'h');

--
-- Values that are stored out of line
--
SELECT put('big', rep('x', 1048576)), put('big2', rep('y', 3000));
SELECT length(get('big')), get('big') = rep('x', 1048576) AS same;
SELECT put('big', rep('z', 1048576));
SELECT get('big') = rep('z', 1048576) AS same, get('big2') = rep('y', 3000) AS same2;
SELECT key, length(value) FROM scan('big', 'bih');
-- keys alone fetch nothing of the values
SELECT pg_stat_force_next_flush();
SELECT idx_scan AS before FROM pg_stat_all_tables WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'tikv_internal.raw'::regclass) \gset
SELECT key, length(value) FROM scan('big', 'bih', false, true);
SELECT pg_stat_force_next_flush();
SELECT idx_scan - :before AS toast_scans FROM pg_stat_all_tables WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'tikv_internal.raw'::regclass);
SELECT put('big', 'small'), del('big2');
SELECT get('big'), get('big2');

--
-- Updates in place: no index entry for most
--
SELECT count(put(convert_to('hot' || i, 'UTF8'), rep('v', 100))) FROM generate_series(1, 50) i;
SELECT pg_stat_force_next_flush();
SELECT n_tup_upd AS upd, n_tup_hot_upd AS hot FROM pg_stat_all_tables WHERE relid = 'tikv_internal.raw'::regclass \gset
DO $$
BEGIN
	FOR round IN 1..100 LOOP
		PERFORM put(convert_to('hot' || i, 'UTF8'), rep('w', 100)) FROM generate_series(1, 50) i;
		COMMIT;
	END LOOP;
END $$;
SELECT pg_stat_force_next_flush();
SELECT n_tup_upd - :upd AS updates, (n_tup_hot_upd - :hot) / (n_tup_upd - :upd)::numeric > 0.9 AS mostly_hot
	FROM pg_stat_all_tables WHERE relid = 'tikv_internal.raw'::regclass;

--
-- With a known place no index is asked; one that is wrong costs a search
--
SELECT search_put('placed', '1');
SELECT search_put('placed', '2');
SELECT * FROM search('placed');
-- a read adds what it had to search for
SELECT storage_test_cache('empty');
SELECT * FROM search('placed');
SELECT * FROM search('placed');
-- places that are told late are followed, a few versions far
SELECT storage_test_cache('off');
SELECT put('placed', '3');
SELECT put('placed', '4');
SELECT storage_test_cache('on');
SELECT * FROM search('placed');
SELECT storage_test_cache('off');
SELECT put('placed', '5');
SELECT put('placed', '6');
-- too far: each of four, as the key is got alone and thrice in one call
SELECT put('placed', '7');
SELECT storage_test_cache('on');
SELECT * FROM search('placed');
SELECT search_put('placed', '8');
SELECT * FROM search('placed');
-- the place before the newest is tried, too
SELECT storage_test_misplace('placed', '(0,2000)');
SELECT * FROM search('placed');
SELECT storage_test_misplace('placed', '(4000000000,1)');
SELECT * FROM search('placed');
SELECT * FROM search('placed');
-- every row moves, the cache is not told; a read mends it
VACUUM FULL tikv_internal.raw;
SELECT * FROM search('placed');
SELECT * FROM search('placed');
SELECT count(*) FROM model WHERE get(key) IS DISTINCT FROM value;
SELECT put('placed', '9');
SELECT get('placed');
-- rows beyond the end of the table
DELETE FROM model;
SELECT count(del(key)) > 1000 AS many FROM scan('', '') WHERE key <> 'placed';
VACUUM FULL tikv_internal.raw;
SELECT get('placed');
-- a place whose row is another key's now
SELECT put('first', '1');
SELECT del('placed'), del('first');
VACUUM tikv_internal.raw;
SELECT put('second', '2'), put('third', '3');
SELECT get('placed'), get('first'), get('second'), get('third');
SELECT * FROM storage_test_check();

--
-- Other sessions in the way: no waiting, and who it is
--
\set ECHO none
CREATE EXTENSION dblink;
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=%s application_name=other',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) AS ok \gset
CREATE FUNCTION other(command text) RETURNS text LANGUAGE SQL AS $$ SELECT dblink_exec('other', command) $$;
CREATE FUNCTION tables(OUT read text, OUT write text, OUT blocker text) LANGUAGE SQL AS
	$$ SELECT storage_test_open(false), storage_test_open(true),
		regexp_replace(storage_test_blocker(), '\d+', 'N', 'g') $$;
SELECT format('REINDEX TABLE %s', reltoastrelid::regclass) AS reindex_toast
	FROM pg_class WHERE oid = 'tikv_internal.raw'::regclass \gset
\set ECHO all
SELECT * FROM tables();
SELECT other('BEGIN'), other('LOCK TABLE tikv_internal.raw IN SHARE MODE');
SELECT * FROM tables();
SELECT other('ROLLBACK');
SELECT other('BEGIN'), other('LOCK TABLE tikv_internal.raw IN ACCESS EXCLUSIVE MODE');
SELECT * FROM tables();
SELECT put('a', 'locked');
SELECT other('ROLLBACK');
SELECT other('BEGIN'), other('LOCK TABLE tikv_internal.raft_state IN SHARE MODE');
SELECT * FROM tables();
SELECT other('ROLLBACK');
SELECT other('BEGIN'), other('REINDEX INDEX tikv_internal.raw_key');
SELECT * FROM tables();
SELECT other('ROLLBACK');
SELECT other('BEGIN'), other(:'reindex_toast') LIKE 'REINDEX%' AS toast;
SELECT * FROM tables();
SELECT other('ROLLBACK');
SELECT other('BEGIN'), other('DROP EXTENSION tikv_fdw');
SELECT * FROM tables();
SELECT other('ROLLBACK');
SELECT * FROM tables();
-- nothing is left locked by a refusal
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'tikv_internal.%';
-- a row that a user locked
SELECT put('row', '1');
SELECT other('BEGIN');
SELECT * FROM dblink('other', $$ SELECT value FROM tikv_internal.raw WHERE key = 'row' FOR UPDATE $$) AS t (value bytea);
SELECT put('row', '2');
SELECT other('ROLLBACK');
SELECT put('row', '3');
SELECT get('row');

--
-- A hot key while another session holds an old snapshot
--
SELECT put('hot', '0');
SELECT other('BEGIN ISOLATION LEVEL REPEATABLE READ');
SELECT * FROM dblink('other', $$ SELECT storage_test_get('default', 'hot', 0, false) $$) AS t (value bytea);
-- none of the 3,000 walks over its predecessors
DO $$
DECLARE searches int8 = 0;
BEGIN
	FOR i IN 1..3000 LOOP
		searches := searches + search_put('hot', convert_to(i::text, 'UTF8'));
		COMMIT;
	END LOOP;
	RAISE WARNING 'searches: %', searches;
END $$;
SELECT * FROM search('hot');
-- to the old snapshot nothing happened, to a new one in the same session it did
SELECT * FROM dblink('other', $$ SELECT storage_test_get('default', 'hot', 0, false), storage_test_get('default', 'hot', 0, true) $$) AS t (old bytea, new bytea);
SELECT other('COMMIT');
SELECT * FROM storage_test_check();
SELECT dblink_disconnect('other');

--
-- REINDEX gives the index another file, CONCURRENTLY another OID
--
REINDEX TABLE CONCURRENTLY tikv_internal.raw;
SELECT put('after', 'reindex');
SELECT storage_test_cache('off');
SELECT get('after'), get('second');
REINDEX INDEX tikv_internal.raw_key;
SELECT get('after'), get('second');
SELECT storage_test_cache('empty');
SELECT * FROM storage_test_check();
-- an index of a user's is kept, unless that would take an executor
CREATE INDEX raw_expiry ON tikv_internal.raw (expires_at);
SELECT storage_test_put('default', 'with', 'expiry', 5000);
SET enable_seqscan = off;
SELECT key, value FROM tikv_internal.raw WHERE expires_at = 5000;
RESET enable_seqscan;
DROP INDEX tikv_internal.raw_expiry;
CREATE INDEX raw_half ON tikv_internal.raw (expires_at) WHERE expires_at > 0;
SELECT put('with', 'partial index');
SELECT storage_test_open(false) AS read, storage_test_open(true) AS write, storage_test_blocker() AS blocker;
SELECT get('with');
DROP INDEX tikv_internal.raw_half;

--
-- What the check finds.  (DML is refused to users; here it makes damage.)
--
ALTER TABLE tikv_internal.raw DISABLE TRIGGER USER;
SELECT * FROM storage_test_check();
BEGIN;
INSERT INTO tikv_internal.raw (era, expires_at, cf, key, key_rest, value) VALUES
	(0, 0, 'd', 'second', NULL, 'twice'),
	(0, 0, 'x', 'family', NULL, ''),
	(-7, -1, 'd', 'versioned', NULL, ''),
	(0, 0, 'd', 'short', 'rest', ''),
	(0, 0, 'd', rep('d', 2048), '', ''),
	(0, 0, 'd', rep('e', 2048), 'same', ''),
	(0, 0, 'd', rep('e', 2048), 'same', ''),
	(0, 0, 'd', rep('f', 2100), NULL, '');
SELECT regexp_replace(c, 'row \(\d+,\d+\)', 'row') AS defect FROM storage_test_check() c ORDER BY 1;
ROLLBACK;
-- a row without an index entry
UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = 'tikv_internal.raw_key'::regclass;
INSERT INTO tikv_internal.raw (era, expires_at, cf, key, value) VALUES (0, 0, 'd', 'lost', 'v');
UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = 'tikv_internal.raw_key'::regclass;
SELECT regexp_replace(c, 'row \(\d+,\d+\)', 'row') AS defect FROM storage_test_check() c ORDER BY 1;
REINDEX INDEX tikv_internal.raw_key;
SELECT * FROM storage_test_check();
SELECT get('lost');

--
-- The small tables
--
SELECT storage_test_meta();
SELECT cluster_id, store_id, api_version, storage_format, start_seq
FROM tikv_internal.store_meta;
SELECT storage_test_region(2, '', 'm', 1), storage_test_region(3, 'm', '', 16);
SELECT storage_test_region(2, '', rep('m', 8000), 3);
SELECT region_id, peer_id, length(end_key), conf_ver, version, peer_ids, peer_stores, peer_roles FROM tikv_internal.region WHERE region_id = 2;
SELECT storage_test_region(-1, '', '', 1);
SELECT storage_test_group(2, 6, false), storage_test_group(3, 6, false);
SELECT storage_test_group(2, 7, false);
SELECT storage_test_group(2, 8, true);
VACUUM FULL tikv_internal.raft_state;
SELECT storage_test_group(2, 9, false), storage_test_group(3, 10, true);
SELECT storage_test_group(2, -1, false);
-- the log: appended, its end replaced, large entries, its front removed
SELECT storage_test_log(6, 10, 6, 100);
SELECT storage_test_log(16, 3, 7, 3000000);
SELECT storage_test_log_bytes(0) > 9000000 AS large,
	bool_and(storage_test_log_bytes(f) = (SELECT coalesce(sum(length(entry)), 0) FROM tikv_internal.raft_log WHERE log_index >= f)) AS same
FROM generate_series(0, 19) f;
SELECT storage_test_log(12, 2, 8, 0);
SELECT storage_test_log_compact(9);
SELECT storage_test_log_compact(9);
SELECT log_index, term FROM tikv_internal.raft_log ORDER BY log_index;
SELECT storage_test_log(1, 0, 9, 1);
SELECT count(*) FROM tikv_internal.raft_log;
SELECT region_id, applied_index FROM tikv_internal.raft_state ORDER BY 1;

--
-- Deletions of ranges: in the order of their eras, whatever the rows' order
--
SELECT storage_test_range_delete(2, 'b', false);
SELECT storage_test_range_delete(1, 'a', false);
SELECT storage_test_range_delete(1, 'c', false);
SELECT storage_test_range_delete(2, rep('x', 8000), false);
SELECT storage_test_range_delete(-1, '', false);
SELECT storage_test_range_delete(2, '', true);
SELECT storage_test_range_delete(-2, '', true);

--
-- Rows that have expired, block by block
--
DELETE FROM tikv_internal.raw;
VACUUM (TRUNCATE) tikv_internal.raw;
SELECT storage_test_has_rows('raw'), storage_test_has_rows('raft_state'), storage_test_has_rows('no_such_table');
SELECT storage_test_expired(0, 100, 50, 100);
SELECT storage_test_put('default', 'never', 'v', 0), storage_test_put('default', 'at 40', 'v', 40),
	storage_test_put('lock', 'at 60', 'v', 60), storage_test_put('default', rep('l', 5000), 'v', 45);
SELECT storage_test_has_rows('raw');
SELECT storage_test_expired(0, 100, 39, 100);
SELECT storage_test_expired(0, 100, 40, 100);
SELECT storage_test_expired(0, 100, 60, 100);
-- an older version does not count, nor one that is undone
SELECT storage_test_put('default', 'at 40', 'v', 80);
SELECT storage_test_expired(0, 100, 60, 100);
BEGIN;
SELECT storage_test_put('default', 'at 40', 'v', 10);
ROLLBACK;
SELECT storage_test_expired(0, 100, 60, 100);
SELECT storage_test_delete('default', rep('l', 5000));
SELECT storage_test_expired(0, 100, 100, 100);
-- it stops at the end of the block in which it has found enough
SELECT count(storage_test_put('default', convert_to('many' || i, 'UTF8'), rep('v', 1000), 20)) FROM generate_series(1, 50) i;
SELECT right(storage_test_expired(0, 100, 30, 1), 20) LIKE '%/ 1 blocks%' AS one_block;
SELECT cardinality(regexp_split_to_array(storage_test_expired(1, 100, 30, 100), 'd:')) - 1 < 50 AS less_behind_it;
SELECT cardinality(regexp_split_to_array(storage_test_expired(0, 100, 30, 100), 'd:')) - 1 AS of_all;
SELECT right(storage_test_expired(1000, 5, 30, 100), 22);

--
-- Many new rows at once: their index entries go into a leaf while they belong
-- there, whatever their order and whatever there is already
--
DELETE FROM tikv_internal.raw;
VACUUM (TRUNCATE) tikv_internal.raw;
CREATE EXTENSION amcheck;
CREATE FUNCTION key_of(i int) RETURNS bytea LANGUAGE SQL IMMUTABLE AS
	$$ SELECT convert_to('run' || lpad(i::text, 8, '0'), 'UTF8') $$;
-- how many rows there are by the heap, by the index and by single gets
CREATE FUNCTION rows_seen() RETURNS text LANGUAGE SQL AS $$
	SELECT concat_ws(' ', bt_index_check('tikv_internal.raw_key', true),
		(SELECT count(*) FROM tikv_internal.raw),
		(SELECT count(*) FROM scan('', '')),
		(SELECT count(*) FROM tikv_internal.raw AS r WHERE get(r.key || coalesce(r.key_rest, '')) = r.value),
		(SELECT bool_and(before < key) FROM (SELECT key, lag(key) OVER () AS before FROM scan('', '')) AS s))
$$;
SELECT storage_test_cache('off');
-- into an empty index, then in between: forwards, backwards, at random, in
-- two runs that alternate, in one that leaps behind the others and back
SELECT storage_test_insert(ARRAY[]::bytea[]), storage_test_insert(ARRAY[key_of(0)]);
SELECT storage_test_insert(array_agg(key_of(i * 10) ORDER BY i)) FROM generate_series(1, 3000) AS i;
SELECT rows_seen();
SELECT storage_test_insert(array_agg(key_of(i * 10 + 1) ORDER BY i)) FROM generate_series(1, 3000) AS i;
SELECT storage_test_insert(array_agg(key_of(i * 10 + 2) ORDER BY i DESC)) FROM generate_series(1, 3000) AS i;
SELECT storage_test_insert(array_agg(key_of(i * 10 + 3) ORDER BY i * 7919 % 3001)) FROM generate_series(1, 3000) AS i;
SELECT storage_test_insert(array_agg(key_of(i * 10 + 4) ORDER BY i % 1500, i)) FROM generate_series(1, 3000) AS i;
SELECT storage_test_insert(array_agg(key_of(100000 + i) ORDER BY i) || array_agg(key_of(i * 10 + 5) ORDER BY i)
	|| array_agg(key_of(200000 + i) ORDER BY i)) FROM generate_series(1, 500) AS i;
SELECT rows_seen();
-- an insert that is undone leaves its entries, of which one is now of a row
BEGIN;
SELECT storage_test_insert(array_agg(key_of(i * 10 + 6) ORDER BY i)) FROM generate_series(1, 300) AS i;
ROLLBACK;
SELECT storage_test_insert(array_agg(key_of(i * 10 + 6) ORDER BY i)) FROM generate_series(1, 300) AS i;
SELECT rows_seen();
-- neighbours share the descent: fewer pages are looked at than there are entries
SELECT pg_stat_force_next_flush();
SELECT idx_blks_hit + idx_blks_read AS before FROM pg_statio_all_indexes WHERE indexrelname = 'raw_key' \gset
SELECT storage_test_insert(array_agg(key_of(300000 + i) ORDER BY i)), pg_stat_force_next_flush() FROM generate_series(1, 3000) AS i;
SELECT idx_blks_hit + idx_blks_read - :before BETWEEN 1 AND 2999 AS shared FROM pg_statio_all_indexes WHERE indexrelname = 'raw_key';
-- many keys are got from many pages until it is enough: none is pinned afterwards
SELECT storage_test_cache('empty');
SELECT count(get(key_of(300000 + i * 100))) FROM generate_series(1, 30) AS i;
SELECT count(DISTINCT (ctid::text::point)[0]) >= 20 AS many_pages FROM tikv_internal.raw
	WHERE key IN (SELECT key_of(300000 + i * 100) FROM generate_series(1, 30) AS i);
SELECT string_agg(storage_test_get_many(keys, enough)::text, ' ' ORDER BY enough) FROM generate_series(1, 31) AS enough,
	(SELECT array_agg(key_of(300000 + i * 100) ORDER BY i) AS keys FROM generate_series(1, 30) AS i) AS k;
SELECT storage_test_cache('off');
-- an index of a user's, in which entries with a NULL come before others
CREATE INDEX raw_rest ON tikv_internal.raw (key_rest);
SELECT storage_test_insert(array_agg(CASE i % 2 WHEN 0 THEN key_of(400000 + i) ELSE rep('n', 2048) || key_of(i) END ORDER BY i))
	FROM generate_series(1, 300) AS i;
SELECT bt_index_check('tikv_internal.raw_rest', true);
DROP INDEX tikv_internal.raw_rest;
-- entries that vary in length up to those that the btree must look at itself
SELECT storage_test_insert(array_agg(rep('v', i) ORDER BY i)) FROM generate_series(1, 2047) AS i;
SELECT storage_test_insert(array_agg(rep('l', 2048) || key_of(i) ORDER BY i)) FROM generate_series(1, 1000) AS i;
SELECT rows_seen();
DELETE FROM tikv_internal.raw WHERE get_byte(key, 0) = 108 AND get_byte(key_rest, 10) % 2 = 0;
VACUUM tikv_internal.raw;
SELECT storage_test_insert(array_agg(rep('l', 2048) || key_of(i) ORDER BY i)) FROM generate_series(2001, 2600) AS i;
SELECT rows_seen();
-- entries of one key, as dead versions leave them, are packed in lists; new
-- ones come to lie amid them
INSERT INTO tikv_internal.raw (era, expires_at, cf, key, value)
	SELECT 0, 0, cf, CASE i % 4 WHEN 0 THEN key_of(99999999) ELSE key_of(50000000 + i) END, 'v'
	FROM generate_series(1, 8000) AS i, (SELECT cf FROM tikv_internal.raw LIMIT 1) AS r;
DELETE FROM tikv_internal.raw WHERE key BETWEEN key_of(50000000) AND key_of(50008000);
VACUUM tikv_internal.raw;
SELECT storage_test_insert(array_agg(key_of(99999999))) FROM generate_series(1, 3000) AS i;
SELECT bt_index_check('tikv_internal.raw_key', true), count(*) FROM tikv_internal.raw WHERE key = key_of(99999999);
SELECT storage_test_cache('empty');
DROP FUNCTION rows_seen();
DROP EXTENSION amcheck;
DELETE FROM tikv_internal.raw;
VACUUM (TRUNCATE) tikv_internal.raw;

--
-- Not installed, as far as anyone else can tell
--
DROP EXTENSION tikv_fdw CASCADE;
SELECT storage_test_open(false), storage_test_open(true);
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION tikv_fdw;
SELECT storage_test_open(false), storage_test_open(true);
COMMIT;
SELECT storage_test_open(false), storage_test_open(true);
SELECT storage_test_blocker();
\c :home
DROP DATABASE tikv_storage_test;
