--
-- Foreign tables: INSERT, UPDATE, DELETE, COPY, TRUNCATE.
--
SET client_min_messages = warning;
CREATE SERVER fdw_modify FOREIGN DATA WRAPPER tikv_fdw;
SELECT tikv_delete_range('fdw_modify/', 'fdw_modify0');
CREATE FOREIGN TABLE item (id int OPTIONS (key 'true'), name text DEFAULT 'none', price numeric)
	SERVER fdw_modify OPTIONS (prefix 'fdw_modify/item/');

-- INSERT: defaults, RETURNING, keys that exist
INSERT INTO item (id) VALUES (1) RETURNING *;
INSERT INTO item VALUES (2, 'two', 2), (3, 'three', 3) RETURNING id, name || '!' AS name;
INSERT INTO item VALUES (2, 'again', 2);
INSERT INTO item VALUES (4, 'four', 4), (4, 'twice', 4);
INSERT INTO item VALUES (4, 'four', 4), (3, 'again', 3), (5, 'five', 5);
SELECT * FROM item;
INSERT INTO item VALUES (4, 'four', 4), (3, 'again', 3), (4, 'twice', 4) ON CONFLICT DO NOTHING;
INSERT INTO item VALUES (5, 'five', 5), (3, 'again', 3) ON CONFLICT DO NOTHING RETURNING *;
SELECT * FROM item;
INSERT INTO item VALUES (3, 'x', 3) ON CONFLICT (id) DO NOTHING;
INSERT INTO item VALUES (3, 'x', 3) ON CONFLICT (id) DO UPDATE SET name = 'y';

-- many rows, in batches; a table read while it grows
INSERT INTO item SELECT i, 'bulk', i FROM generate_series(100, 3099) AS i;
SELECT count(*), sum(price) FROM item WHERE id >= 100;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) INSERT INTO item SELECT id + 10000, name, price FROM item WHERE id >= 100;
SELECT count(*) FROM item;
INSERT INTO item SELECT id + 1, 'shifted', price FROM item WHERE id >= 100 ON CONFLICT DO NOTHING;
SELECT * FROM item WHERE name = 'shifted';

-- keys between others, where others were, and across the ends
CREATE FOREIGN TABLE gap (id int OPTIONS (key 'true'), v text) SERVER fdw_modify OPTIONS (prefix 'fdw_modify/gap/');
INSERT INTO gap SELECT i, 'even' FROM generate_series(2, 4000, 2) AS i;
INSERT INTO gap SELECT i, 'odd' FROM generate_series(1, 3999, 2) AS i ORDER BY i DESC;
SELECT count(*), count(DISTINCT id) FROM gap;
DELETE FROM gap WHERE id % 3 = 0;
INSERT INTO gap SELECT i, 'back' FROM generate_series(1, 5000) AS i ON CONFLICT DO NOTHING;
SELECT v, count(*), count(DISTINCT id) FROM gap GROUP BY v ORDER BY v;
TRUNCATE gap;
INSERT INTO gap SELECT i, 'new' FROM generate_series(1, 5000) AS i;
INSERT INTO gap SELECT i, 'last' FROM generate_series(5001, 10000) AS i UNION ALL SELECT 5000, 'there';
SELECT v, count(*), count(DISTINCT id) FROM gap WHERE id <= 5000 GROUP BY v ORDER BY v;
SELECT count(*) FROM tikv_check();

-- UPDATE
UPDATE item SET name = 'TWO', price = price * 2 WHERE id = 2 RETURNING *;
UPDATE item SET price = NULL WHERE id IN (3, 4);
SELECT * FROM item WHERE id < 10;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) UPDATE item SET name = 'many' WHERE id >= 10000;
SELECT count(*) FROM item WHERE name = 'many';
-- of the key: to a free one, to one that exists, all by one
UPDATE item SET id = 50 WHERE id = 1 RETURNING id, name;
UPDATE item SET id = 2 WHERE id = 50;
UPDATE item SET id = 7 WHERE id < 100;
SELECT id FROM item WHERE id < 100;
UPDATE item SET id = id + 1 WHERE id < 10;
SELECT id, name FROM item WHERE id < 100;
UPDATE item SET id = id - 1 WHERE id < 10;
UPDATE item SET id = -id WHERE id < 100;
SELECT id, name FROM item WHERE id < 100;
UPDATE item SET id = NULL WHERE id = -2;
CREATE TEMP TABLE change (id int, name text);
INSERT INTO change VALUES (-2, 'from a join'), (-5, 'from a join too');
UPDATE item SET name = c.name FROM change AS c WHERE c.id = item.id RETURNING item.*;

-- DELETE
DELETE FROM item WHERE id = -50 RETURNING *;
DELETE FROM item USING change AS c WHERE c.id = item.id RETURNING item.id, c.name;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) DELETE FROM item WHERE id >= 10000;
DELETE FROM item WHERE id > 102;
SELECT * FROM item;

-- COPY both ways
COPY item (id, name) FROM stdin;
7	seven
8	eight
\.
COPY item FROM stdin WITH (FORMAT csv);
9,nine,9
7,again,7
\.
COPY (SELECT * FROM item WHERE id BETWEEN 5 AND 10) TO stdout;

-- Rows travel in batches, the next one when the former is known to be written
CREATE FOREIGN TABLE many (id int OPTIONS (key 'true'), v text) SERVER fdw_modify
	OPTIONS (prefix 'fdw_modify/many/', batch_size '10');
INSERT INTO many VALUES (25, 'there');
INSERT INTO many SELECT i, 'new' FROM generate_series(1, 35) AS i;
SELECT count(*), max(id) FROM many;
INSERT INTO many SELECT i, 'new' FROM generate_series(101, 199) AS i;
INSERT INTO many SELECT 201 + i % 95, 'twice' FROM generate_series(0, 99) AS i;
SELECT count(*), max(id), count(*) FILTER (WHERE v = 'twice') FROM many;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
	INSERT INTO many SELECT i, 'new' FROM generate_series(401, 425) AS i;
INSERT INTO many SELECT i, 'new' FROM generate_series(300, 425) AS i ON CONFLICT DO NOTHING;
SELECT count(*), max(id) FROM many;
-- ... and nothing comes after an error: what is on its way is there, or not
INSERT INTO many SELECT i, (1 / (535 - i))::text FROM generate_series(501, 540) AS i;
CREATE TEMP TABLE seen AS SELECT count(*) AS n FROM many WHERE id > 500;
SELECT n IN (20, 30) FROM seen;
INSERT INTO many VALUES (600, 'next');
SELECT (SELECT count(*) FROM many WHERE id BETWEEN 501 AND 599) = n FROM seen;
-- in a block that goes on after the error
DO $$
BEGIN
	BEGIN
		INSERT INTO many SELECT i, 'block' FROM generate_series(701, 799) AS i UNION ALL SELECT 701, 'again';
	EXCEPTION WHEN unique_violation THEN
		RAISE WARNING '%', SQLERRM;
	END;
	INSERT INTO many SELECT i, 'more' FROM generate_series(801, 820) AS i;
	RAISE WARNING '% rows', (SELECT count(*) FROM many WHERE id > 700);
END
$$;
-- who looks at the end of the statement sees all of it
CREATE FUNCTION pg_temp.count_many() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING '% rows', (SELECT count(*) FROM many WHERE id > 900);
	RETURN NULL;
END
$$;
CREATE TRIGGER count_after AFTER INSERT ON many FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.count_many();
INSERT INTO many SELECT i, 'new' FROM generate_series(901, 915) AS i;
COPY many FROM stdin;
916	copied
917	copied
\.
DROP TRIGGER count_after ON many;
CREATE TABLE many_all (id int, v text) PARTITION BY RANGE (id);
ALTER TABLE many_all ATTACH PARTITION many FOR VALUES FROM (0) TO (10000);
CREATE TRIGGER count_after AFTER INSERT ON many_all FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.count_many();
INSERT INTO many_all SELECT i, 'new' FROM generate_series(921, 935) AS i;
DROP TABLE many_all;

-- triggers and WITH statements
CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING '% % old % new %', TG_WHEN, TG_OP, OLD, NEW;
	RETURN coalesce(NEW, OLD);
END
$$;
CREATE TRIGGER tell_after AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
INSERT INTO item VALUES (20, 'twenty', 20);
UPDATE item SET price = 21 WHERE id = 20;
DELETE FROM item WHERE id = 20;
DROP TRIGGER tell_after ON item;
CREATE TRIGGER tell_before BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
INSERT INTO item VALUES (20, 'twenty', 20), (21, 'more', 21);
UPDATE item SET id = 22 WHERE id = 21;
DROP TRIGGER tell_before ON item;
WITH gone AS (DELETE FROM item WHERE id IN (20, 22) RETURNING *)
	INSERT INTO item SELECT id + 10, name, price FROM gone RETURNING *;

-- A statement sees the rows as they were before it: joins, subqueries, and
-- what is read late
CREATE FUNCTION pg_temp.total() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	found record;
BEGIN
	EXECUTE format('SELECT count(*) AS n, min(id), max(id), sum(v) FROM %s', TG_RELID::regclass) INTO found;
	RAISE WARNING '% %: %', TG_LEVEL, TG_OP, found;
	RETURN NULL;
END
$$;
CREATE FOREIGN TABLE self (id int OPTIONS (key 'true'), v int) SERVER fdw_modify
	OPTIONS (prefix 'fdw_modify/self/', mode 'raw', batch_size '10');
SELECT $$
INSERT INTO self VALUES (1, 100);
INSERT INTO self SELECT i + 1, s.v FROM generate_series(1, 3) AS i LEFT JOIN self AS s ON s.id = i RETURNING *;
INSERT INTO self SELECT i + 101, (SELECT v FROM self WHERE id = 100 + i) FROM generate_series(0, 2) AS i RETURNING *;
INSERT INTO self SELECT 200 + i, i FROM generate_series(1, 2) AS i UNION ALL SELECT id + 1000, v FROM self RETURNING *;
WITH more AS (INSERT INTO self VALUES (300, 0) RETURNING id) SELECT more.id, s.id FROM more LEFT JOIN self AS s USING (id);
DELETE FROM self WHERE id > 50 RETURNING id;
TRUNCATE self;
INSERT INTO self SELECT i, i FROM generate_series(1, 100) AS i;
UPDATE self AS t SET v = s.v FROM self AS s WHERE s.id = t.id - 1;
UPDATE self AS t SET v = (SELECT v FROM self AS s WHERE s.id = t.id - 1) WHERE id > 1;
SELECT count(*) FILTER (WHERE v = greatest(id - 2, 1)) FROM self;
DELETE FROM self AS t WHERE EXISTS (SELECT FROM self AS s WHERE s.id = t.id - 1);
SELECT * FROM self;
TRUNCATE self;
INSERT INTO self SELECT i, 1 FROM generate_series(1, 100) AS i;
CREATE TRIGGER total AFTER UPDATE OR DELETE ON self FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.total();
UPDATE self SET v = v + 1, id = id + 1000;
DELETE FROM self WHERE id % 50 <> 0;
DROP TRIGGER total ON self;
CREATE TRIGGER total AFTER UPDATE OR DELETE ON self FOR EACH ROW EXECUTE FUNCTION pg_temp.total();
UPDATE self SET v = v + 1;
DELETE FROM self WHERE id = 1050 RETURNING *;
DROP TRIGGER total ON self;
TRUNCATE self;
$$ AS statements \gset
:statements
ALTER FOREIGN TABLE self OPTIONS (SET mode 'txn');
:statements
SET enable_hashjoin = off; SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) INSERT INTO self SELECT s.id + 1, t.v FROM change AS s JOIN self AS t ON t.id = s.id;
EXPLAIN (COSTS OFF) INSERT INTO item SELECT s.id + 1, t.v FROM change AS s JOIN self AS t ON t.id = s.id;
RESET enable_hashjoin; RESET enable_mergejoin;
DROP FOREIGN TABLE self;

-- views, with and without a check
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 10 WITH CHECK OPTION;
INSERT INTO cheap VALUES (40, 'cheap', 1);
INSERT INTO cheap VALUES (41, 'dear', 100);
UPDATE cheap SET price = 100 WHERE id = 40;
DELETE FROM cheap WHERE id = 40 RETURNING id;

-- partitions: rows go where they belong, and move
CREATE TABLE part (id int, v text) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE part_low (id int OPTIONS (key 'true'), v text)
	SERVER fdw_modify OPTIONS (prefix 'fdw_modify/low/');
ALTER TABLE part ATTACH PARTITION part_low FOR VALUES FROM (0) TO (100);
CREATE TABLE part_mid PARTITION OF part FOR VALUES FROM (100) TO (200);
CREATE FOREIGN TABLE part_high (v text, id int OPTIONS (key 'true'))
	SERVER fdw_modify OPTIONS (prefix 'fdw_modify/high/');
ALTER TABLE part ATTACH PARTITION part_high FOR VALUES FROM (200) TO (300);
INSERT INTO part SELECT i, 'v' || i FROM generate_series(0, 250, 50) AS i;
SELECT tableoid::regclass, * FROM part ORDER BY id;
EXPLAIN (COSTS OFF) SELECT * FROM part WHERE id = 250;
UPDATE part SET v = 'new' WHERE id = 250;
UPDATE part SET id = 210 WHERE id = 110;
UPDATE part SET id = 220 WHERE id = 100;
DELETE FROM part WHERE id = 0;
SELECT tableoid::regclass, * FROM part ORDER BY id;
-- all of them at once, though their columns differ
UPDATE part SET v = v || '!' WHERE id IN (50, 150, 250) RETURNING tableoid::regclass, *;
CREATE TRIGGER tell_after AFTER DELETE ON part FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
DELETE FROM part WHERE id IN (50, 150, 250) RETURNING tableoid::regclass, *;
DROP TABLE part;

-- values: types, NULLs, columns that come and go and change
CREATE DOMAIN pg_temp.positive AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE types (k uuid OPTIONS (key 'true'), i2 int2, i8 int8, f4 float4, f8 float8, b bool, n numeric,
	t text, vc varchar(5), c char(5), ba bytea, u uuid, d date, ts timestamp, tz timestamptz, tm time, iv interval,
	j json, jb jsonb, ia int[], fa float4[], ta text[], r int4range, ip inet, dom pg_temp.positive, nm name)
	SERVER fdw_modify OPTIONS (prefix 'fdw_modify/types/');
INSERT INTO types (k) VALUES ('00000000-0000-0000-0000-000000000001');
SET timezone = 'UTC'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard';
INSERT INTO types VALUES ('00000000-0000-0000-0000-000000000002', -1, -9223372036854775808, 1.5, -0.1, true, 12345678901234567890.12,
	'täxt', 'vc', 'c', '\x00ff', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '2024-02-29', '2024-02-29 12:00:00.000001', 'infinity', '12:34', '-1 day 2 hours',
	'{"a" : 1}', '{"b":2}', '{1,NULL,3}', '{0.5,NaN}', '{"a,b",NULL}', '[1,5)', '10.0.0.0/8', 7, 'name');
RESET datestyle; RESET intervalstyle;
\x on
SELECT * FROM types;
\x off
SELECT octet_length(value) FROM tikv_scan('fdw_modify/types/', 'fdw_modify/types0');
ALTER FOREIGN TABLE types ADD added text, DROP i2, ALTER i8 TYPE numeric, ALTER n TYPE text, ALTER d TYPE text, ALTER b TYPE int;
SELECT i8, n, d, b, added FROM types WHERE k = '00000000-0000-0000-0000-000000000002';
ALTER FOREIGN TABLE types ALTER t TYPE int, ALTER dom TYPE int2;
SELECT dom FROM types WHERE t IS NULL;
SELECT t FROM types;
ALTER FOREIGN TABLE types OPTIONS (ADD on_error 'null');
SELECT t, dom FROM types;

-- what types say of bytes that are not theirs, by many SQLSTATEs
CREATE FOREIGN TABLE odd (k int OPTIONS (key 'true'), a int[], q tsquery) SERVER fdw_modify
	OPTIONS (prefix 'fdw_modify/odd/');
INSERT INTO odd (k, a) VALUES (1, '{1}'), (2, '{1}'), (3, '{1}');
INSERT INTO odd (k, q) VALUES (4, 'abcde'), (5, 'abcde');
SELECT tikv_put(key, set_byte(value, place, 99)) FROM tikv_scan('fdw_modify/odd/', 'fdw_modify/odd0') WITH ORDINALITY
	AS s(key, value, k) JOIN (VALUES (1, 6), (2, 14), (3, 18)) AS v(k, place) USING (k);
SELECT tikv_put(key, overlay(value PLACING '& & & &' FROM 4))
	FROM (SELECT * FROM tikv_scan('fdw_modify/odd/', 'fdw_modify/odd0') OFFSET 4) AS last;
DO $$
DECLARE
	context text;
BEGIN
	FOR i IN 1..5 LOOP
		BEGIN
			PERFORM odd FROM odd WHERE k = i;
			RAISE WARNING '% is well', i;
		EXCEPTION WHEN others THEN
			GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
			RAISE WARNING '% % %', SQLSTATE, SQLERRM, split_part(context, E'\n', 1);
		END;
	END LOOP;
END
$$;
ALTER FOREIGN TABLE odd OPTIONS (ADD on_error 'null');
SELECT * FROM odd;

-- JSON: what other programs write; fields that are no columns stay
CREATE FOREIGN TABLE doc (id text OPTIONS (key 'true'), a int, b text[], c jsonb)
	SERVER fdw_modify OPTIONS (prefix 'fdw_modify/doc/', key_format 'plain', value_format 'jsonb');
INSERT INTO doc VALUES ('one', 1, '{x,y}', '{"z":[1]}'), ('two', NULL, NULL, NULL);
SELECT convert_from(value, 'UTF8') FROM tikv_scan('fdw_modify/doc/', 'fdw_modify/doc0');
SELECT tikv_put('fdw_modify/doc/three', '{"a": "3", "other": true}');
SELECT tikv_put('fdw_modify/doc/four', '{"a": "four"}');
SELECT tikv_put('fdw_modify/doc/five', '[1]');
SELECT tikv_put('fdw_modify/doc/six', '\xff');
SELECT * FROM doc WHERE id IN ('one', 'two', 'three') ORDER BY id;
UPDATE doc SET a = a + 1 WHERE id = 'three';
SELECT convert_from(tikv_get('fdw_modify/doc/three'), 'UTF8');
SELECT * FROM doc WHERE id = 'four';
SELECT * FROM doc WHERE id = 'five';
SELECT * FROM doc WHERE id = 'six';
ALTER FOREIGN TABLE doc OPTIONS (ADD on_error 'null');
SELECT * FROM doc ORDER BY id;

-- nothing is undone by ROLLBACK in mode raw, and a cursor is no snapshot
BEGIN;
INSERT INTO doc VALUES ('rollback', 1);
ROLLBACK;
SELECT a FROM doc WHERE id = 'rollback';
BEGIN READ ONLY;
INSERT INTO doc VALUES ('read only', 1);
ROLLBACK;

-- TRUNCATE
TRUNCATE item, doc;
SELECT count(*) FROM item;
SELECT count(*) FROM doc;
SELECT count(*) FROM types;

SELECT tikv_delete_range('fdw_modify/', 'fdw_modify0');
DROP SERVER fdw_modify CASCADE;
