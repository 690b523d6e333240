--
-- The same rows by every plan: queries over foreign tables, and over tables of
-- Postgres with the same rows, under the planner's switches.
--
SET client_min_messages = warning;
CREATE SERVER fdw_plans FOREIGN DATA WRAPPER tikv_fdw;
SELECT tikv_delete_range('fdw_plans/', 'fdw_plans0');
CREATE SCHEMA heap;
CREATE SCHEMA keys;
CREATE SCHEMA plans;

-- ---- the tables, each twice

CREATE TABLE heap.item (id int PRIMARY KEY, name text, price numeric, odd boolean);
CREATE TABLE heap.edge (src text COLLATE "C", dst bigint, note text, PRIMARY KEY (src, dst));
CREATE TABLE heap.event (at timestamptz, who uuid, loud boolean, what bytea, PRIMARY KEY (at, who, loud));
CREATE TABLE heap.word (w text PRIMARY KEY, n int);
CREATE TABLE heap.stock (id bigint PRIMARY KEY, n int, note varchar);
INSERT INTO heap.item SELECT i, CASE WHEN i % 7 > 0 THEN 'item ' || i END, i % 100 / 4.0, i % 2 = 1 FROM generate_series(-200, 1499) AS i;
INSERT INTO heap.edge SELECT chr(97 + i % 5), i / 5, repeat('e', i % 40) FROM generate_series(1, 900) AS i;
INSERT INTO heap.event SELECT '2024-01-01Z'::timestamptz + i / 3 * interval '1 hour', md5((i % 3)::text)::uuid, i % 2 = 0, decode(md5(i::text), 'hex') FROM generate_series(1, 600) AS i;
INSERT INTO heap.word SELECT DISTINCT chr(65 + i % 58) || repeat(chr(97 + i % 3), i % 12), i % 58 FROM generate_series(1, 700) AS i;
INSERT INTO heap.stock SELECT i * 3, i % 50, CASE WHEN i % 4 > 0 THEN 'n' || i END FROM generate_series(1, 700) AS i;
CREATE FOREIGN TABLE keys.item (id int OPTIONS (key 'true'), name text, price numeric, odd boolean) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/item/');
CREATE FOREIGN TABLE keys.edge (src text OPTIONS (key '1') COLLATE "C", dst bigint OPTIONS (key '2'), note text) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/edge/', value_format 'jsonb');
CREATE FOREIGN TABLE keys.event (at timestamptz OPTIONS (key '1'), who uuid OPTIONS (key '2'), loud boolean OPTIONS (key '3'), what bytea) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/event/', fetch_size '50');
CREATE FOREIGN TABLE keys.word (w text OPTIONS (key 'true'), n int) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/word/', key_format 'plain');
CREATE FOREIGN TABLE keys.stock (id bigint OPTIONS (key 'true'), n int, note varchar) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/stock/', mode 'txn');
INSERT INTO keys.item TABLE heap.item;
INSERT INTO keys.edge TABLE heap.edge;
INSERT INTO keys.event TABLE heap.event;
INSERT INTO keys.word TABLE heap.word;
INSERT INTO keys.stock TABLE heap.stock;
-- the other side: NULLs, keys that are not there, repeated ones, other types
CREATE TABLE plans.line (n int PRIMARY KEY, item int, big bigint, small smallint, src text, w varchar, at timestamptz, who uuid, row_note text);
INSERT INTO plans.line SELECT i, CASE WHEN i % 9 > 0 THEN (i * 79) % 2300 - 250 END, CASE WHEN i % 50 = 0 THEN 3000000000 + i WHEN i % 11 > 0 THEN i / 7 END, i % 40,
	CASE WHEN i % 13 > 0 THEN chr(97 + i % 7) END, CASE WHEN i % 5 > 0 THEN chr(65 + i % 60) || repeat(chr(97 + i % 3), i % 14) END,
	'2024-01-01Z'::timestamptz + i % 190 * interval '1 hour', md5((i % 4)::text)::uuid, repeat('note', i % 30)
	FROM generate_series(1, 250) AS i;
CREATE INDEX ON plans.line (item);
CREATE INDEX ON plans.line (src, n);
ANALYZE plans.line;
ANALYZE heap.item; ANALYZE heap.edge; ANALYZE heap.event; ANALYZE heap.word; ANALYZE heap.stock;
ANALYZE keys.item; ANALYZE keys.edge; ANALYZE keys.event; ANALYZE keys.word; ANALYZE keys.stock;

-- ---- one query under all switches

CREATE TABLE plans.switches (n int, settings text);
INSERT INTO plans.switches VALUES
	(1, ''),
	(2, 'tikv.lookup_join=off'),
	(3, 'enable_hashjoin=off enable_mergejoin=off'),
	(4, 'enable_hashjoin=off enable_mergejoin=off tikv.lookup_join=off'),
	(5, 'enable_nestloop=off enable_hashjoin=off tikv.lookup_join=off'),
	(6, 'enable_nestloop=off enable_mergejoin=off tikv.lookup_join=off'),
	(7, 'enable_hashjoin=off enable_mergejoin=off enable_seqscan=off enable_sort=off enable_memoize=off'),
	(8, 'enable_sort=off enable_hashagg=off work_mem=64kB'),
	(9, 'enable_hashjoin=off enable_mergejoin=off parallel_setup_cost=0 parallel_tuple_cost=0 min_parallel_table_scan_size=0 min_parallel_index_scan_size=0');
CREATE TABLE plans.seen (query text, switches int, plan text);
CREATE TABLE plans.differences (query text, switches int, what text);

-- The rows of a query in order, or sorted, as one text.
CREATE FUNCTION plans.rows_of(query text, ordered boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('SELECT count(*) || '':'' || md5(coalesce(string_agg(r, ''|'' ORDER BY %s), '''')) FROM (SELECT q::text AS r, row_number() OVER () AS no FROM (%s) AS q) AS rows',
		CASE WHEN ordered THEN 'no' ELSE 'r COLLATE "C"' END, query) INTO answer;
	RETURN answer;
END
$$;
CREATE FUNCTION plans.compare(query text, ordered boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	expected text;
	found text;
	line text;
	plan text;
	tried text[] := '{}';
	switch record;
	setting text;
BEGIN
	PERFORM set_config('search_path', 'heap, plans, public', true);
	expected := plans.rows_of(query, ordered);
	PERFORM set_config('search_path', 'keys, plans, public', true);
	FOR switch IN SELECT * FROM plans.switches ORDER BY n LOOP
		FOREACH setting IN ARRAY string_to_array(switch.settings, ' ') LOOP
			PERFORM set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), true);
		END LOOP;
		plan := '';
		FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
			plan := plan || line || E'\n';
		END LOOP;
		INSERT INTO plans.seen VALUES (query, switch.n, plan);
		-- a plan is run once, and again in little memory
		plan := plan || CASE WHEN switch.settings LIKE '%work_mem%' THEN 'in little memory' ELSE '' END;
		IF NOT plan = ANY (tried) THEN
			tried := tried || plan;
			found := plans.rows_of(query, ordered);
			IF found IS DISTINCT FROM expected THEN
				INSERT INTO plans.differences VALUES (query, switch.n, format('%s, not %s', found, expected));
			END IF;
		END IF;
		FOREACH setting IN ARRAY string_to_array(switch.settings, ' ') LOOP
			EXECUTE 'RESET ' || split_part(setting, '=', 1);
		END LOOP;
	END LOOP;
	PERFORM set_config('search_path', 'public', true);
END
$$;

-- ---- two tables: conditions of the join and behind it, columns, both types

CREATE TABLE plans.pairs (inner_table text, cond text);
INSERT INTO plans.pairs VALUES
	('item', 'i.id = l.item'),
	('item', 'i.id = l.big'),
	('item', 'i.id = l.small'),
	('item', 'i.id = l.item + 1'),
	('item', 'l.item = i.id AND i.id = l.n'),
	('item', 'i.id = l.item AND i.price > 10'),
	('item', 'i.id = l.item AND l.n < 300 AND i.odd'),
	('item', 'i.id = l.item AND i.price::int > l.n % 20'),
	('item', 'i.id = l.item AND (i.name IS NULL OR l.src = ''a'')'),
	('item', 'i.id = l.item AND l.n = ANY (ARRAY[3, 5, 77])'),
	('item', 'i.id = l.item AND i.id BETWEEN 10 AND 900'),
	('item', 'i.id = l.item AND false'),
	('edge', 'i.src = l.src AND i.dst = l.big'),
	('edge', 'i.src = l.src AND i.dst = l.small AND i.note <> '''''),
	('edge', 'i.src = ''b'' AND i.dst = l.big'),
	('edge', 'i.src = l.src AND i.dst < l.small AND i.dst > 30'),
	('edge', 'i.dst = l.big'),
	('event', 'i.at = l.at AND i.who = l.who AND i.loud = (l.n % 2 = 0)'),
	('event', 'i.at = l.at AND i.who = l.who AND i.loud'),
	('event', 'i.at = l.at AND i.who = l.who'),
	('event', 'i.at = l.at AND NOT i.loud'),
	('word', 'i.w = l.w'),
	('word', 'i.w = l.w AND i.n > l.small'),
	('word', 'i.w = upper(l.src) || ''a'''),
	('word', 'i.w LIKE ''Ab%'' AND l.n < 20'),
	('stock', 'i.id = l.big'),
	('stock', 'i.id = l.item'),
	('stock', 'i.id = l.n * 3 AND i.n <> l.small');
CREATE TABLE plans.wholes (target text, cond text, types text[]);
INSERT INTO plans.wholes VALUES
	('l.n, i.*', '', '{JOIN,LEFT JOIN}'),
	('l.n, l.row_note', 'WHERE l.n > 150 OR l.item IS NULL', '{JOIN}'),
	('l.n, i, l', 'WHERE i IS NULL OR l.n < 50', '{LEFT JOIN}'),
	('count(*), sum(l.n)', 'WHERE i IS NOT NULL AND l.n % 3 = 0', '{LEFT JOIN}');
SELECT count(plans.compare(format('SELECT %s FROM line AS l %s %s AS i ON %s %s', target, type, inner_table, pairs.cond, wholes.cond)))
	FROM plans.pairs, plans.wholes, unnest(types) AS type;
-- conditions that name no column at all
SELECT count(plans.compare(format('SELECT l.n, i.* FROM line AS l %s (SELECT * FROM item WHERE now() %s ''2000-01-01Z'') AS i ON i.id = l.item %s', type, op, cond)))
	FROM unnest('{JOIN,LEFT JOIN}'::text[]) AS type, unnest('{>,<}'::text[]) AS op, unnest('{"",WHERE now() > ''2000-01-02Z'',WHERE now() < ''2000-01-02Z'',AND now() < ''2000-01-02Z''}'::text[]) AS cond;
-- columns that are expressions of a subquery are NULL where nothing matches
SELECT count(plans.compare(format('SELECT l.n, i.* FROM line AS l LEFT JOIN (SELECT id, coalesce(name, ''none'') AS name, 42 AS answer, odd IS NULL AS no FROM item) AS i ON i.id = l.item %s', cond)))
	FROM unnest('{"",AND i.name <> ''item 5'',AND i.answer = 42,WHERE i.name IS DISTINCT FROM ''none'',WHERE i.answer IS NULL,WHERE NOT i.no}'::text[]) AS cond;
SELECT count(plans.compare(query)) FROM unnest(ARRAY[
	'SELECT l.n, e.k, i.name FROM line AS l LEFT JOIN ((SELECT dst, ''k'' || src AS k FROM edge WHERE src = ''c'') AS e JOIN item AS i ON i.id = e.dst) ON e.dst = l.n',
	'SELECT l.n, s.x FROM line AS l LEFT JOIN (SELECT i.id, coalesce(e.note, ''no'') AS x FROM item AS i LEFT JOIN edge AS e ON e.src = ''a'' AND e.dst = i.id) AS s ON s.id = l.item',
	'SELECT l.n, s.x, s.y FROM line AS l LEFT JOIN (SELECT k.n, 1 AS x, coalesce(i.price, -1) AS y FROM line AS k LEFT JOIN item AS i ON i.id = k.item) AS s ON s.n = l.big',
	'SELECT s.x, i.name FROM (SELECT l.n, coalesce(e.dst, 7) AS x FROM line AS l LEFT JOIN edge AS e ON e.src = l.src AND e.dst = l.n) AS s LEFT JOIN item AS i ON i.id = s.x',
	-- more tables, and joins whose other side may be NULL
	'SELECT l.n, i.name, e.note, w.n AS wn FROM line AS l JOIN item AS i ON i.id = l.item JOIN edge AS e ON e.src = l.src AND e.dst = l.small LEFT JOIN word AS w ON w.w = l.w',
	'SELECT l.n, i.id, s.id AS sid FROM line AS l LEFT JOIN item AS i ON i.id = l.item LEFT JOIN stock AS s ON s.id = i.id AND s.n > 3',
	'SELECT l.n, i.id, s.id AS sid FROM line AS l LEFT JOIN item AS i ON i.id = l.item LEFT JOIN stock AS s ON s.id = coalesce(i.id, 3)',
	'SELECT l.n, i.id FROM line AS l LEFT JOIN (item AS i JOIN stock AS s ON s.id = i.id) ON i.id = l.item AND s.n < 40',
	'SELECT a.id, b.id AS other FROM item AS a JOIN item AS b ON b.id = a.id + 1 WHERE a.price < 3',
	'SELECT a.id, b.id AS other FROM item AS a FULL JOIN stock AS b ON b.id = a.id',
	'SELECT a.src, a.dst FROM edge AS a JOIN edge AS b USING (src, dst) WHERE b.note <> ''''',
	-- semi- and antijoins, sublinks, lateral subqueries
	'SELECT l.n FROM line AS l WHERE EXISTS (SELECT FROM item AS i WHERE i.id = l.item AND i.odd)',
	'SELECT l.n FROM line AS l WHERE NOT EXISTS (SELECT FROM item AS i WHERE i.id = l.item AND i.price > l.small)',
	'SELECT i.id, i.name FROM item AS i WHERE i.id IN (SELECT item FROM line WHERE n % 3 = 0)',
	'SELECT i.id FROM item AS i WHERE i.id NOT IN (SELECT item FROM line WHERE item IS NOT NULL)',
	'SELECT e.src, e.dst FROM edge AS e WHERE (e.src, e.dst) IN (SELECT src, big FROM line)',
	'SELECT l.n, (SELECT name FROM item AS i WHERE i.id = l.item) AS name FROM line AS l',
	'SELECT l.n, (SELECT sum(i.price) FROM line AS k JOIN item AS i ON i.id = k.item WHERE k.small = l.n) AS total FROM line AS l WHERE l.n < 40',
	'SELECT l.n, e.* FROM line AS l, LATERAL (SELECT dst, note FROM edge AS e WHERE e.src = l.src AND e.dst >= l.small ORDER BY dst LIMIT 2) AS e',
	'SELECT l.n, e.* FROM line AS l LEFT JOIN LATERAL (SELECT dst FROM edge AS e WHERE e.src = l.src AND e.dst < l.small ORDER BY dst DESC LIMIT 2) AS e ON true',
	'SELECT l.n, x.* FROM line AS l, LATERAL (SELECT k.n, i.name FROM line AS k JOIN item AS i ON i.id = k.item WHERE k.n BETWEEN l.small AND l.small + 3) AS x WHERE l.n < 60',
	'SELECT l.n, x.* FROM line AS l LEFT JOIN LATERAL (SELECT k.n, i.name, l.n AS ln FROM line AS k LEFT JOIN item AS i ON i.id = k.item + l.small WHERE k.n = l.big) AS x ON true',
	-- within what is run again, grouped, united, counted
	'WITH RECURSIVE t(n, id) AS (SELECT 1, 0 UNION ALL SELECT t.n + 1, i.id FROM t JOIN item AS i ON i.id = t.id + 3 WHERE t.n < 100) SELECT * FROM t',
	'WITH c AS MATERIALIZED (SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item) SELECT a.n, b.name FROM c AS a JOIN c AS b ON b.n = a.n + 1',
	'SELECT i.odd, count(*), min(l.n) FROM line AS l JOIN item AS i ON i.id = l.item GROUP BY i.odd',
	'SELECT DISTINCT i.price FROM line AS l JOIN item AS i ON i.id = l.item',
	'SELECT l.n FROM line AS l JOIN item AS i ON i.id = l.item UNION SELECT n FROM stock WHERE id BETWEEN 30 AND 60',
	'SELECT min(id), max(id), count(*) FROM stock WHERE id > 50',
	'SELECT l.n, generate_series(1, l.small % 3) AS g, i.name FROM line AS l JOIN item AS i ON i.id = l.item',
	'SELECT s.g, i.name FROM (SELECT generate_series(n, n + 2) AS g FROM line WHERE n < 300) AS s JOIN item AS i ON i.id = s.g',
	'SELECT s.src, s.n, i.name FROM (SELECT src, count(*)::int AS n FROM line GROUP BY src) AS s JOIN item AS i ON i.id = s.n',
	'SELECT g.g, i.name FROM generate_series(0, 40) AS g JOIN item AS i ON i.id = g.g AND i.odd = (g.g % 3 = 0)',
	'SELECT v.a, i.name FROM (VALUES (1, ''a''), (NULL, ''b''), (1, ''c''), (5, NULL)) AS v(a, b) LEFT JOIN item AS i ON i.id = v.a',
	'SELECT i.id FROM item AS i WHERE i.id = ANY (ARRAY(SELECT item FROM line WHERE n < 200))',
	'SELECT id, name FROM item WHERE id IN (5, 4, NULL, 5, 999, 100000) OR id < -190',
	'SELECT src, dst FROM edge WHERE src IN (''d'', ''a'', ''zz'') AND dst IN (3, 1, 7) AND note <> ''x''',
	'SELECT w FROM word WHERE w >= ''B'' COLLATE "C" AND w LIKE ''Baa%''',
	'SELECT at, who FROM event WHERE at BETWEEN ''2024-01-02Z'' AND ''2024-01-03Z'' AND loud'
]) AS query;

-- ---- orders: which rows come where

SELECT count(plans.compare(query, true)) FROM unnest(ARRAY[
	'SELECT id, name FROM item ORDER BY id',
	'SELECT id, name FROM item ORDER BY id DESC LIMIT 70',
	'SELECT id FROM item WHERE id = ANY (ARRAY(SELECT item FROM line)) ORDER BY id DESC',
	'SELECT id FROM item WHERE id IN (SELECT item FROM line) ORDER BY id DESC OFFSET 3 LIMIT 200',
	'SELECT src, dst FROM edge ORDER BY src, dst',
	'SELECT src, dst FROM edge ORDER BY src DESC, dst DESC OFFSET 40 LIMIT 100',
	'SELECT src, dst FROM edge ORDER BY src, dst DESC',
	'SELECT src, dst FROM edge WHERE src = ''c'' ORDER BY dst DESC LIMIT 9',
	'SELECT src, dst FROM edge WHERE src IN (''d'', ''a'') AND dst > 100 ORDER BY src DESC, dst DESC',
	'SELECT src, dst FROM edge WHERE src IN (''d'', ''a'') AND dst IN (9, 2, 200) ORDER BY src, dst',
	'SELECT src, dst FROM edge WHERE src IN (''d'', ''a'') ORDER BY dst, src LIMIT 20',
	'SELECT src, dst FROM edge WHERE src IN (''e'', NULL, ''b'', ''zz'', ''b'') AND dst = ANY (ARRAY(SELECT big FROM line)) ORDER BY src DESC, dst DESC LIMIT 40',
	format('SELECT src, dst FROM edge WHERE src = ANY (%L) AND dst = ANY (%L) ORDER BY src DESC, dst DESC LIMIT 40', (SELECT array_agg(chr(97 + i % 26) || repeat('x', i / 26)) FROM generate_series(0, 299) AS i), (SELECT array_agg(i * 3) FROM generate_series(0, 299) AS i)),
	'SELECT at, who, loud FROM event WHERE at = ANY (ARRAY(SELECT at FROM line)) AND who = ANY (ARRAY(SELECT who FROM line)) AND loud IN (true, false) ORDER BY at, who, loud',
	'SELECT at, who, loud FROM event WHERE at = ANY (ARRAY(SELECT at FROM line)) AND who = ANY (ARRAY(SELECT who FROM line)) ORDER BY at DESC, who DESC, loud DESC OFFSET 10',
	'SELECT src, count(*) FROM edge GROUP BY src ORDER BY src',
	'SELECT w, n FROM word ORDER BY w COLLATE "C"',
	'SELECT w, n FROM word ORDER BY w COLLATE "C" DESC LIMIT 33',
	'SELECT w, n FROM word ORDER BY n, w',
	'SELECT at, who, loud FROM event ORDER BY at DESC, who DESC, loud DESC',
	'SELECT at, who FROM event WHERE loud ORDER BY at, who',
	'SELECT id, n FROM stock ORDER BY id DESC',
	'SELECT id, n FROM stock WHERE id > 300 ORDER BY id LIMIT 90',
	'SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item ORDER BY l.n',
	'SELECT l.n, i.name FROM line AS l LEFT JOIN item AS i ON i.id = l.item ORDER BY l.n DESC LIMIT 400',
	'SELECT l.src, l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.src = ''c'' ORDER BY l.n LIMIT 100',
	'SELECT l.item, i.id, l.n FROM line AS l JOIN item AS i ON i.id = l.item ORDER BY i.id, l.n',
	'SELECT l.item, i.id, l.n FROM line AS l LEFT JOIN item AS i ON i.id = l.item ORDER BY i.id, l.n',
	'SELECT l.item, i.id, l.n FROM line AS l LEFT JOIN item AS i ON i.id = l.item ORDER BY i.id DESC, l.n DESC LIMIT 300',
	'SELECT i.id, e.dst FROM item AS i JOIN edge AS e ON e.src = ''b'' AND e.dst = i.id ORDER BY i.id DESC',
	'SELECT i.id, s.n FROM item AS i LEFT JOIN stock AS s ON s.id = i.id ORDER BY i.id LIMIT 500 OFFSET 100',
	'SELECT i.id, s.n FROM stock AS s LEFT JOIN item AS i ON s.id = i.id ORDER BY s.id DESC',
	'SELECT l.n, k.n AS kn, i.name FROM line AS l JOIN line AS k ON k.n = l.n + 1 JOIN item AS i ON i.id = k.item ORDER BY k.n',
	'SELECT src, min(n), count(name) FROM (SELECT l.src, l.n, i.name FROM line AS l LEFT JOIN item AS i ON i.id = l.item) AS s GROUP BY src ORDER BY src',
	'SELECT l.n, sum(i.price) OVER (ORDER BY l.n) AS s FROM line AS l JOIN item AS i ON i.id = l.item ORDER BY l.n'
]) AS query;

-- ---- what came out

SELECT switches, what, query FROM plans.differences ORDER BY query COLLATE "C", switches LIMIT 20;
SELECT count(*) FROM plans.differences;
-- enough of each kind of plan was among them
SELECT kind, count(*) > least AS enough
	FROM (VALUES ('TikvLookupJoin', 200), ('Join Type: Left', 50), ('batch get', 20), ('reverse scan', 20), ('Merge', 100), ('Hash', 100), ('Nested Loop', 200), ('Memoize', 5), ('Materialize', 20), ('Incremental Sort', 1), ('Gather', 10)) AS kinds(kind, least)
	LEFT JOIN plans.seen ON position(kind IN plan) > 0 GROUP BY kind, least ORDER BY kind COLLATE "C";

-- ---- rows that somebody may change meanwhile are looked at again, one by one

SET search_path = keys, plans, public;
EXPLAIN (COSTS OFF) WITH c AS MATERIALIZED (SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item)
	SELECT n FROM line WHERE row_note = (SELECT max(c.name) FROM c WHERE c.n = line.n) FOR UPDATE OF line;
RESET search_path;

-- ---- large values: what is read at once has a bound in bytes

CREATE FOREIGN TABLE keys.large (id int OPTIONS (key 'true'), v text) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/large/');
CREATE FOREIGN TABLE keys.large_txn (id int OPTIONS (key 'true'), v text) SERVER fdw_plans OPTIONS (prefix 'fdw_plans/large/', mode 'txn');
INSERT INTO keys.large SELECT i, repeat(md5(i::text), 3200) FROM generate_series(1, 400) AS i;
INSERT INTO keys.large_txn TABLE keys.large;
-- Memory of a query after 200 rows, in megabytes.
CREATE FUNCTION plans.memory_of(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	after bigint;
	c refcursor;
BEGIN
	SELECT sum(total_bytes) INTO before FROM pg_backend_memory_contexts;
	OPEN c FOR EXECUTE query;
	MOVE 200 IN c;
	SELECT sum(total_bytes) INTO after FROM pg_backend_memory_contexts;
	CLOSE c;
	RETURN (after - before) / 1000000;
END
$$;
SET search_path = keys, plans, public;
CREATE TABLE plans.wide AS SELECT i AS n, 401 - i AS id, repeat(md5(i::text), 3200) AS w FROM generate_series(1, 400) AS i;
ALTER TABLE plans.wide ADD PRIMARY KEY (n);
ANALYZE plans.wide;
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT name, query, CASE WHEN mb < 24 THEN 'little' ELSE mb || ' MB' END AS memory
	FROM unnest('{large,large_txn}'::text[]) AS name, unnest(ARRAY[
		'SELECT * FROM %s',
		'SELECT * FROM %s ORDER BY id DESC',
		'SELECT * FROM %s WHERE id = ANY (ARRAY(SELECT id FROM wide))',
		'SELECT l.n, i.* FROM wide AS l JOIN %s AS i ON i.id = l.id',
		'SELECT l.n, i.* FROM wide AS l JOIN %s AS i ON i.id = l.id ORDER BY l.n',
		'SELECT l.*, i.id FROM wide AS l LEFT JOIN %s AS i ON i.id = l.id',
		'SELECT l.*, i.* FROM wide AS l JOIN %s AS i ON i.id = l.id']) AS query, plans.memory_of(format(query, name)) AS mb ORDER BY 2, 1;
SELECT count(*), sum(length(i.v)), sum(l.n) FROM wide AS l JOIN large AS i ON i.id = l.id;
SELECT count(*), sum(length(i.v)), sum(l.n) FROM wide AS l JOIN large_txn AS i ON i.id = l.id;
SELECT count(*), bool_and(v = repeat(md5(id::text), 3200)) FROM large_txn WHERE id = ANY (ARRAY(SELECT id FROM wide));
SELECT count(*), bool_and(v = repeat(md5(id::text), 3200)) FROM large WHERE id = ANY (ARRAY(SELECT id FROM wide));
RESET enable_hashjoin; RESET enable_mergejoin;
RESET search_path;

SELECT tikv_delete_range('fdw_plans/', 'fdw_plans0');
DELETE FROM keys.stock;
TRUNCATE keys.large_txn;
DROP SERVER fdw_plans CASCADE;
DROP SCHEMA heap, keys, plans CASCADE;
