--
-- Rows that move to the beginning of their table, whose end is cut off: under
-- snapshots from before, beside rows that others hold, through all indexes.
-- The database has no store.
--
\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/storage.sql'
\set database tikv_move_test
\i :include
CREATE EXTENSION amcheck;
CREATE EXTENSION dblink;
ALTER TABLE tikv_internal.raw SET (autovacuum_enabled = off);

CREATE FUNCTION storage_test_cache(text) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_put(text, bytea, bytea, int8) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_delete(text, bytea) RETURNS void
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_get(text, bytea, int8, bool) RETURNS bytea
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_get_many(bytea[], int4) RETURNS int4
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_check() RETURNS SETOF text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_move(int4, int4) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_tail(int4) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_cut(int4, int8) RETURNS text
	AS :'module' LANGUAGE C STRICT;
CREATE FUNCTION storage_test_loose() RETURNS bool
	AS :'module' LANGUAGE C STRICT;

-- Six rows fill a block.
CREATE FUNCTION key(i int) RETURNS bytea LANGUAGE SQL IMMUTABLE AS
	$$ SELECT convert_to('k' || lpad(i::text, 3, '0'), 'UTF8') $$;
CREATE FUNCTION rep(c text, n int) RETURNS bytea LANGUAGE SQL IMMUTABLE AS
	$$ SELECT convert_to(repeat(c, n), 'UTF8') $$;
CREATE FUNCTION put(k bytea, v bytea) RETURNS void LANGUAGE SQL AS
	$$ SELECT storage_test_put('default', k, v, 0) $$;
CREATE FUNCTION del(k bytea) RETURNS void LANGUAGE SQL AS
	$$ SELECT storage_test_delete('default', k) $$;
CREATE FUNCTION get(k bytea, fresh bool DEFAULT true) RETURNS bytea LANGUAGE SQL AS
	$$ SELECT storage_test_get('default', k, 0, fresh) $$;
CREATE FUNCTION block_of(k bytea) RETURNS int LANGUAGE SQL AS
	$$ SELECT (ctid::text::point)[0]::int FROM tikv_internal.raw WHERE key = substr(k, 1, 2048)
	   AND key_rest IS NOT DISTINCT FROM nullif(substr(k, 2049), '') $$;
-- what is where: blocks with rows, and how many
CREATE FUNCTION layout() RETURNS text LANGUAGE SQL AS $$
	SELECT string_agg(block || ':' || n, ' ' ORDER BY block) || ' of ' || pg_relation_size('tikv_internal.raw') / 8192
	FROM (SELECT (ctid::text::point)[0]::int AS block, count(*) AS n FROM tikv_internal.raw GROUP BY 1) s $$;
-- keys whose value is not what it should be
CREATE FUNCTION wrong(fresh bool DEFAULT true) RETURNS int8 LANGUAGE SQL AS $$
	SELECT count(*) FILTER (WHERE get(key(i), fresh) IS DISTINCT FROM rep(chr(97 + i % 26), 1000)) +
		(get(rep('l', 8191) || '1', fresh) IS DISTINCT FROM rep('w', 20000))::int +
		(get(rep('l', 8191) || '2', fresh) IS DISTINCT FROM rep('w', 20001))::int
	FROM generate_series(31, 60) AS i $$;
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=%s application_name=other',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database(), current_user)) AS ok \gset
CREATE FUNCTION other(command text) RETURNS text LANGUAGE SQL AS $$ SELECT dblink_exec('other', command) $$;
SET client_min_messages = warning;
\set ECHO all

SELECT storage_test_cache('empty');
SELECT count(put(key(i), rep(chr(97 + i % 26), 1000))) FROM generate_series(1, 60) AS i;
-- long keys that share the first of their columns, and values out of line
SELECT put(rep('l', 8191) || '1', rep('w', 20000)), put(rep('l', 8191) || '2', rep('w', 20001));
-- an index of a user is kept as well
CREATE INDEX extra ON tikv_internal.raw (cf, era);
SELECT layout();
SELECT count(del(key(i))) FROM generate_series(1, 30) AS i;
VACUUM tikv_internal.raw;
SELECT layout(), wrong();
SELECT storage_test_loose();

--
-- Nothing has happened where it is undone
--
BEGIN;
SELECT storage_test_move(9, 100);
SELECT layout();
ROLLBACK;
SELECT layout(), wrong();

--
-- Who reads under an older snapshot, and who reads under a new one
--
SELECT other('BEGIN ISOLATION LEVEL REPEATABLE READ');
SELECT * FROM dblink('other', 'SELECT wrong(false)') AS t (wrong int8);
SELECT storage_test_move(9, 4);
SELECT storage_test_move(9, 100);
SELECT layout(), wrong();
SELECT * FROM dblink('other', 'SELECT wrong(false), wrong(true), layout()') AS t (old int8, new int8, layout text);
-- while it is held, what is left behind cannot be cleaned up
VACUUM tikv_internal.raw;
SELECT storage_test_tail(0);
SELECT other('COMMIT');

--
-- Rows that others hold stay, and come later
--
SELECT other('BEGIN');
SELECT * FROM dblink('other', $$ SELECT length(value) FROM tikv_internal.raw WHERE key = key(54) FOR UPDATE $$) AS t (length int);
SELECT storage_test_move(8, 100);
SELECT block_of(key(54)), block_of(key(53)) < 8 AS moved;
SELECT other('ROLLBACK');
SELECT other('BEGIN'), other('SET LOCAL session_replication_role = replica');
SELECT other($$ UPDATE tikv_internal.raw SET expires_at = 7 WHERE key = key(54) $$);
SELECT storage_test_move(8, 100);
SELECT other('COMMIT');
SELECT expires_at, (ctid::text::point)[0] AS block FROM tikv_internal.raw WHERE key = key(54);
SELECT storage_test_move(8, 100);
SELECT expires_at, (ctid::text::point)[0] < 8 AS moved FROM tikv_internal.raw WHERE key = key(54);
SELECT other('BEGIN'), other('SET LOCAL session_replication_role = replica');
SELECT other($$ UPDATE tikv_internal.raw SET expires_at = 0 WHERE key = key(54) $$);
SELECT other('COMMIT');

--
-- The last block, with all that is out of line
--
SELECT storage_test_move(pg_relation_size('tikv_internal.raw')::int / 8192 - 1, 100);
SELECT storage_test_move(10, 100);
SELECT layout(), wrong();
-- there is no room before the first
SELECT storage_test_move(0, 100);
SELECT layout(), wrong();

--
-- The end: of use to nobody, and cut when nobody is there
--
SELECT storage_test_tail(0);
SELECT storage_test_cut(0, 0);
VACUUM tikv_internal.raw;
SELECT storage_test_tail(0);
SELECT other('BEGIN');
SELECT * FROM dblink('other', 'SELECT count(*) FROM tikv_internal.raw') AS t (count int8);
SELECT storage_test_cut(0, 1000);
SELECT other('COMMIT');
SELECT storage_test_cut(0, 1000000);
SELECT layout();
SELECT storage_test_cut(0, 1000000);
-- places that are cached lead behind the end
SELECT wrong();
SELECT * FROM dblink('other', 'SELECT wrong()') AS t (wrong int8);
SELECT storage_test_get_many(array_agg(key(i)), 1000) FROM generate_series(1, 60) AS i;

--
-- Through every index, and nothing twice
--
SELECT * FROM storage_test_check();
SELECT bt_index_check('tikv_internal.raw_key', true), bt_index_check('tikv_internal.extra', true);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*), count(DISTINCT (key, key_rest)) FROM tikv_internal.raw WHERE cf = 'd' AND era >= 0;
-- and they can be written
SELECT count(put(key(i), '1')) FROM generate_series(31, 60) AS i WHERE i % 2 = 0;
SELECT count(del(key(i))) FROM generate_series(31, 60) AS i WHERE i % 3 = 0;
SELECT * FROM storage_test_check();

SELECT dblink_disconnect('other');
\c :home
DROP DATABASE tikv_move_test;
