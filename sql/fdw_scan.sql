--
-- Foreign tables: which keys a query reads, in which order, and how many.
--
SET client_min_messages = warning;
CREATE SERVER fdw_scan FOREIGN DATA WRAPPER tikv_fdw;
SELECT tikv_delete_range('fdw_scan/', 'fdw_scan0');
CREATE FOREIGN TABLE item (id int OPTIONS (key 'true'), name text, price numeric)
	SERVER fdw_scan OPTIONS (prefix 'fdw_scan/item/');
CREATE FOREIGN TABLE edge (src text OPTIONS (key '1') COLLATE "C", dst bigint OPTIONS (key '2'), note text)
	SERVER fdw_scan OPTIONS (prefix 'fdw_scan/edge/');
CREATE FOREIGN TABLE word (w text OPTIONS (key 'true') COLLATE "und-x-icu", n int)
	SERVER fdw_scan OPTIONS (prefix 'fdw_scan/word/');
INSERT INTO item SELECT i, 'item ' || i, i / 4.0 FROM generate_series(-500, 499) AS i;
INSERT INTO edge SELECT chr(97 + i % 5), i, 'edge ' || i FROM generate_series(1, 100) AS i;
INSERT INTO word SELECT w, 1 FROM unnest('{apple,Apple,banana,"",äpfel,a%b,a_b,"back\\slash"}'::text[]) AS w;

-- what EXPLAIN says without costs
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE, ANALYZE, TIMING OFF, SUMMARY OFF) ' || query;
END
$$;

-- one key, several keys, none
SELECT pg_temp.plan('SELECT * FROM item WHERE id = 7');
SELECT * FROM item WHERE id = 7;
SELECT pg_temp.plan('SELECT name FROM item WHERE id = 7::bigint');
SELECT pg_temp.plan('SELECT name FROM item WHERE 7 = id');
SELECT * FROM item WHERE id = 3000000000;
SELECT pg_temp.plan('SELECT name FROM item WHERE id IN (7, 3, 3, NULL, 5000)');
SELECT name FROM item WHERE id IN (7, 3, 3, NULL, 5000);
SELECT name FROM item WHERE id IN (7, 3, 3, NULL, 5000) ORDER BY id DESC;
SELECT pg_temp.plan('SELECT name FROM item WHERE id = ANY (''{}'')');
SELECT pg_temp.plan('SELECT name FROM item WHERE id = 7 AND id = 8');
SELECT pg_temp.plan('SELECT name FROM item WHERE id = 7 AND price > 100');

-- ranges; keys alone
SELECT pg_temp.plan('SELECT id FROM item WHERE id > 10 AND id <= 15');
SELECT id FROM item WHERE id > 10 AND id <= 15;
SELECT pg_temp.plan('SELECT count(*) FROM item WHERE id BETWEEN -3 AND 3');
SELECT count(*) FROM item WHERE id BETWEEN -3 AND 3;
SELECT pg_temp.plan('SELECT id FROM item WHERE id > 10 AND id < 10');
SELECT count(*) FROM item WHERE id < -2147483648;
SELECT count(*) FROM item WHERE id >= -9223372036854775808;
SELECT count(*) FROM item WHERE id > 9223372036854775807;
SELECT pg_temp.plan('SELECT id FROM item WHERE id + 0 = 3 AND id < -498');
SELECT count(*) FROM item;

-- order, both ways, and limits
SELECT pg_temp.plan('SELECT id, name FROM item ORDER BY id LIMIT 3');
SELECT id, name FROM item ORDER BY id LIMIT 3;
SELECT pg_temp.plan('SELECT id FROM item ORDER BY id DESC LIMIT 3');
SELECT id FROM item ORDER BY id DESC LIMIT 3;
SELECT pg_temp.plan('SELECT id FROM item WHERE id < 100 ORDER BY id DESC OFFSET 2 LIMIT 3');
SELECT id FROM item WHERE id < 100 ORDER BY id DESC OFFSET 2 LIMIT 3;
SELECT pg_temp.plan('SELECT max(id) FROM item');
SELECT min(id), max(id) FROM item;
SELECT pg_temp.plan('SELECT id FROM item WHERE price = 1 LIMIT 1');

-- composite keys
SELECT pg_temp.plan('SELECT * FROM edge WHERE src = ''a''');
SELECT count(*) FROM edge WHERE src = 'a';
SELECT pg_temp.plan('SELECT * FROM edge WHERE src = ''a'' AND dst = 5');
SELECT * FROM edge WHERE src = 'a' AND dst = 5;
SELECT pg_temp.plan('SELECT dst FROM edge WHERE src = ''a'' AND dst > 50 ORDER BY dst DESC');
SELECT dst FROM edge WHERE src = 'a' AND dst > 90 ORDER BY dst DESC;
SELECT pg_temp.plan('SELECT dst FROM edge WHERE src IN (''b'', ''a'') AND dst < 8');
SELECT src, dst FROM edge WHERE src IN ('b', 'a') AND dst < 8;
SELECT pg_temp.plan('SELECT dst FROM edge WHERE src IN (''b'', ''a'') AND dst IN (5, 6, 7)');
SELECT src, dst FROM edge WHERE src IN ('b', 'a') AND dst IN (5, 6, 7);
-- bytes that are zero, in keys and in what they are compared with
CREATE FOREIGN TABLE bin (b bytea OPTIONS (key '1'), n int OPTIONS (key '2')) SERVER fdw_scan OPTIONS (prefix 'fdw_scan/bin/');
INSERT INTO bin SELECT decode(b, 'hex'), 1 FROM unnest('{"",00,0001,000100,01,0100,0101,ff,ffff}'::text[]) AS b;
SELECT b FROM bin WHERE b > '\x00' AND b < '\x0100';
SELECT b FROM bin WHERE b >= '\x0001' AND b <= '\x0100' ORDER BY b DESC;
SELECT b FROM bin WHERE b IN ('\x00', '\xff', '\x000100') AND n IN (2, 1);
SELECT b FROM bin WHERE b > '\xff' OR b < '\x00';
-- lists of several columns: their product is asked for piece by piece
CREATE FUNCTION pg_temp.memory_after_one(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	after bigint;
	c refcursor;
	found record;
BEGIN
	SELECT sum(total_bytes) INTO before FROM pg_backend_memory_contexts;
	OPEN c FOR EXECUTE query;
	FETCH c INTO found;
	SELECT sum(total_bytes) INTO after FROM pg_backend_memory_contexts;
	CLOSE c;
	RETURN found::text || CASE WHEN after - before < 8000000 THEN ', little memory' ELSE format(', %s MB', (after - before) / 1000000) END;
END
$$;
SELECT pg_temp.memory_after_one(format('SELECT src, dst FROM edge WHERE src = ANY (ARRAY(SELECT %L || i FROM generate_series(1, 2000) AS i) || %L::text) AND dst = ANY (ARRAY(SELECT j FROM generate_series(-1, 1998) AS j)) %s', others, wanted, orders))
	FROM (VALUES ('f', 'a', ''), ('A', 'e', 'ORDER BY src DESC, dst DESC')) AS lists(others, wanted, orders);
-- what is too much to ask for by name is read behind the first lists
CREATE FOREIGN TABLE grid (a int OPTIONS (key '1'), b int OPTIONS (key '2'), c int OPTIONS (key '3'), n int)
	SERVER fdw_scan OPTIONS (prefix 'fdw_scan/grid/');
INSERT INTO grid SELECT a, b, c, a * 10000 + b * 100 + c FROM generate_series(1, 20) AS a, generate_series(1, 20) AS b, generate_series(1, 5) AS c;
CREATE FUNCTION pg_temp.list(first int, last int, step int) RETURNS text LANGUAGE sql AS $$
	SELECT quote_literal(array_agg(i)::text) || '::int[]' FROM generate_series(first, last, step) AS i
$$;
-- of the plan the conditions, how keys are read, and of how many first ones
CREATE FUNCTION pg_temp.shape(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
		IF line ~ '(Keys|Ranges): ' THEN
			RETURN NEXT regexp_replace(line, '^ *(Keys|Ranges): .* and', '\1: and');
		ELSIF line ~ '(Access|Key Cond|Filter): ' THEN
			RETURN NEXT regexp_replace(ltrim(line), '\{[^}]{80,}\}', '{..}', 'g');
		END IF;
	END LOOP;
END
$$;
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) AND c = 2', pg_temp.list(1, 200, 1), pg_temp.list(1, 300, 1)));
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) AND c = 2', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = 3 AND b = ANY (%s) AND c = ANY (%s)', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) AND c = ANY (%s)', pg_temp.list(1, 100, 1), pg_temp.list(1, 100, 1), pg_temp.list(1, 100, 1)));
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) ORDER BY a DESC, b DESC', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s)', pg_temp.list(1, 100000, 1)));
-- ... but not where that locks more, or is known to be more
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) AND c = 2 FOR UPDATE', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
SELECT pg_temp.shape(format('UPDATE grid SET n = 0 WHERE a = ANY (%s) AND b = ANY (%s) AND c = 2', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
ANALYZE grid;
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) AND c = 2', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
UPDATE pg_class SET reltuples = 1e9 WHERE oid = 'grid'::regclass;
SELECT pg_temp.shape(format('SELECT n FROM grid WHERE a = ANY (%s) AND b = ANY (%s) AND c = 2', pg_temp.list(1, 1000, 1), pg_temp.list(1, 1000, 1)));
UPDATE pg_class SET reltuples = -1 WHERE oid = 'grid'::regclass;
-- the rows are the same ones
CREATE FUNCTION pg_temp.rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('SELECT count(*) || '' rows, '' || md5(string_agg(n::text, '','')) FROM (%s) AS q', query) INTO answer;
	RETURN answer;
END
$$;
CREATE TEMP TABLE heap_grid AS SELECT * FROM grid;
SELECT step, pg_temp.rows_of(format(query, 'grid')) AS found, pg_temp.rows_of(format(query, 'grid')) = pg_temp.rows_of(format(query, 'heap_grid')) AS same
	FROM (SELECT step, format('SELECT n FROM %%s WHERE a = ANY (%s) AND b = ANY (%s) AND %s', pg_temp.list(2, 1000, step), pg_temp.list(3, 1000, step), condition) AS query
		FROM unnest('{1,7}'::int[]) AS step, unnest('{c = 2 ORDER BY a\, b,"c = ANY (''{5,1,NULL,5}'') ORDER BY a DESC, b DESC, c DESC",c > 3 ORDER BY a\, b\, c,"true ORDER BY a, b, c OFFSET 3 LIMIT 50"}'::text[]) AS condition) AS queries(step, query);
SELECT pg_temp.plan('SELECT src, dst FROM edge WHERE src >= ''d'' ORDER BY src, dst');
SELECT src, count(*) FROM edge WHERE src > 'c' GROUP BY src ORDER BY src;
EXPLAIN (COSTS OFF) SELECT src, dst FROM edge ORDER BY src, dst DESC;
EXPLAIN (COSTS OFF) SELECT src, dst FROM edge ORDER BY src DESC, dst DESC;
EXPLAIN (COSTS OFF) SELECT src, dst FROM edge WHERE dst = 5;

-- text: bytes decide, so only C is ordered; equality and beginnings always work
EXPLAIN (COSTS OFF) SELECT w FROM word ORDER BY w;
EXPLAIN (COSTS OFF) SELECT w FROM word ORDER BY w COLLATE "C";
SELECT w FROM word ORDER BY w;
SELECT w FROM word ORDER BY w COLLATE "C";
EXPLAIN (COSTS OFF) SELECT w FROM word WHERE w > 'b';
EXPLAIN (COSTS OFF) SELECT w FROM word WHERE w > 'b' COLLATE "C";
EXPLAIN (COSTS OFF) SELECT w FROM word WHERE w ~>=~ 'b';
SELECT w FROM word WHERE w > 'b' COLLATE "C" ORDER BY 1;
SELECT pg_temp.plan('SELECT w FROM word WHERE w = ''apple''');
SELECT pg_temp.plan('SELECT w FROM word WHERE w LIKE ''a%''');
SELECT w FROM word WHERE w LIKE 'a%' ORDER BY w;
SELECT pg_temp.plan('SELECT w FROM word WHERE w LIKE ''a%e''');
SELECT pg_temp.plan('SELECT w FROM word WHERE w LIKE ''a\%b''');
SELECT w FROM word WHERE w LIKE 'a\_%';
SELECT w FROM word WHERE w LIKE 'back\\%';
SELECT w FROM word WHERE w LIKE 'a\%\';
SELECT w FROM word WHERE w LIKE 'a\';
EXPLAIN (COSTS OFF) SELECT w FROM word WHERE w LIKE '%a';
EXPLAIN (COSTS OFF) SELECT w FROM word WHERE w ILIKE 'a%';
SELECT pg_temp.plan('SELECT w FROM word WHERE w ^@ ''ap''');
SELECT pg_temp.plan('SELECT w FROM word WHERE starts_with(w, ''ap'')');
SELECT w FROM word WHERE w ^@ '' ORDER BY w COLLATE "C";

-- parameters, stable functions
PREPARE by_id(int) AS SELECT name FROM item WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE by_id(3);
EXECUTE by_id(3);
EXECUTE by_id(NULL);
RESET plan_cache_mode;
EXPLAIN (COSTS OFF) SELECT name FROM item WHERE id = (SELECT 3);
SELECT name FROM item WHERE id = (SELECT 3);
EXPLAIN (COSTS OFF) SELECT name FROM item WHERE id = (random() * 0)::int;

-- joins: keys from the other side
CREATE TEMP TABLE local (id int, label text);
INSERT INTO local SELECT i * 10, 'l' || i FROM generate_series(1, 5) AS i;
ANALYZE local;
ANALYZE item;
ANALYZE edge;
SET enable_hashjoin = off; SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT l.label, (SELECT name FROM item AS i WHERE i.id = l.id) FROM local AS l;
SELECT l.label, (SELECT name FROM item AS i WHERE i.id = l.id) FROM local AS l;
EXPLAIN (COSTS OFF) SELECT * FROM local AS l, LATERAL (SELECT dst FROM edge AS e WHERE e.src = 'a' AND e.dst > l.id ORDER BY dst LIMIT 1) AS n;
SELECT * FROM local AS l, LATERAL (SELECT dst FROM edge AS e WHERE e.src = 'a' AND e.dst > l.id ORDER BY dst LIMIT 1) AS n;
RESET enable_hashjoin; RESET enable_mergejoin;
EXPLAIN (COSTS OFF) SELECT count(*) FROM edge AS a JOIN edge AS b USING (src, dst);
SELECT count(*) FROM edge AS a JOIN edge AS b USING (src, dst);
SELECT reltuples FROM pg_class WHERE oid IN ('item'::regclass, 'edge'::regclass) ORDER BY 1;

-- pages: small ones, many rows, cursors both in and out of order
ALTER FOREIGN TABLE item OPTIONS (ADD fetch_size '7');
SELECT count(*), sum(id) FROM item;
SELECT count(*), sum(id) FROM (SELECT * FROM item ORDER BY id DESC) AS i;
SELECT array_agg(id) FROM (SELECT id FROM item WHERE id >= 480 ORDER BY id DESC) AS i;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM item WHERE id >= 0;
FETCH 3 FROM c;
FETCH 10 FROM c;
MOVE 980 IN c;
FETCH 3 FROM c;
COMMIT;
ALTER FOREIGN TABLE item OPTIONS (DROP fetch_size);

-- system columns, whole rows, self joins
SELECT tableoid::regclass, item FROM item WHERE id = 1;
SELECT a.id, b.id FROM item AS a JOIN item AS b ON b.id = a.id + 1 WHERE a.id IN (1, 2) ORDER BY 1;

-- values that do not decode are named by their key
SELECT tikv_put(key, 'garbage') FROM tikv_scan('fdw_scan/item/', 'fdw_scan/item0') LIMIT 1;
SELECT count(*) FROM item;
SELECT * FROM item WHERE id = -500;
ALTER FOREIGN TABLE item OPTIONS (ADD on_error 'null');
SELECT * FROM item WHERE id < -498;
SELECT tikv_put('fdw_scan/item/strange', '');
SELECT count(*) FROM item;
ALTER FOREIGN TABLE item OPTIONS (SET on_error 'error');
SELECT count(*) FROM item;
-- also if they decode, to a number that is too large for the column
SELECT tikv_delete('fdw_scan/item/strange');
SELECT tikv_put('fdw_scan/item/'::bytea || '\x8000000100000000', '');
SELECT count(*) FROM item;
ALTER FOREIGN TABLE item OPTIONS (SET on_error 'null');
SELECT count(*) = (SELECT count(*) FROM (SELECT id FROM item OFFSET 0) AS ids) AS same FROM item;

SELECT tikv_delete_range('fdw_scan/', 'fdw_scan0');
DROP SERVER fdw_scan CASCADE;
