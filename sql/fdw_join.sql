--
-- Joins that get the keys of a foreign table in batches.
--
SET client_min_messages = warning;
CREATE SERVER fdw_join FOREIGN DATA WRAPPER tikv_fdw;
SELECT tikv_delete_range('fdw_join/', 'fdw_join0');
CREATE FOREIGN TABLE item (id int OPTIONS (key 'true'), name text, price numeric) SERVER fdw_join OPTIONS (prefix 'fdw_join/item/');
CREATE FOREIGN TABLE edge (src text OPTIONS (key '1'), dst bigint OPTIONS (key '2'), note text) SERVER fdw_join OPTIONS (prefix 'fdw_join/edge/');
CREATE FOREIGN TABLE kv (key text, value text) SERVER fdw_join OPTIONS (prefix 'fdw_join/kv/');
INSERT INTO item SELECT i, 'item ' || i, i FROM generate_series(1, 20000) AS i;
INSERT INTO edge SELECT 'n' || i % 10, i, 'edge ' || i FROM generate_series(1, 1000) AS i;
INSERT INTO kv SELECT 'fdw_join/kv/' || i, 'v' || i FROM generate_series(1, 100) AS i;
CREATE TEMP TABLE line (n int, item int, src text);
INSERT INTO line SELECT i, CASE WHEN i % 10 <> 0 THEN (i * 7919) % 20200 END, 'n' || i % 12 FROM generate_series(1, 3000) AS i;
ANALYZE line; ANALYZE item; ANALYZE edge;

-- one request for up to 1,024 rows, each key once, in the order of the rows
EXPLAIN (COSTS OFF, VERBOSE) SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item;
SELECT count(*), count(DISTINCT i.id), sum(l.n), sum(i.price), bool_and(i.id = l.item AND i.name = 'item ' || l.item)
	FROM line AS l JOIN item AS i ON i.id = l.item;
-- the same without
SET tikv.lookup_join = off;
EXPLAIN (COSTS OFF) SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.n < 10;
SELECT count(*), count(DISTINCT i.id), sum(l.n), sum(i.price), bool_and(i.id = l.item AND i.name = 'item ' || l.item)
	FROM line AS l JOIN item AS i ON i.id = l.item;
SELECT count(*), count(i.id), sum(l.n), sum(i.price) FROM line AS l LEFT JOIN item AS i ON i.id = l.item AND i.price > 100;
RESET tikv.lookup_join;

-- left joins: rows without a match stay; conditions of the join and of the whole
EXPLAIN (COSTS OFF) SELECT l.n, i.name FROM line AS l LEFT JOIN item AS i ON i.id = l.item AND i.price > 100 WHERE l.n < 2000 AND i.name IS DISTINCT FROM 'item 5';
SELECT count(*), count(i.id), sum(l.n), sum(i.price) FROM line AS l LEFT JOIN item AS i ON i.id = l.item AND i.price > 100;
SELECT l.n, i.id, i.name FROM line AS l LEFT JOIN item AS i ON i.id = l.item AND i.price > 15000 WHERE l.n <= 12 ORDER BY l.n;
SELECT count(*) FROM line AS l LEFT JOIN item AS i ON i.id = l.item WHERE i.id IS NULL;
SELECT count(*) FROM item AS i RIGHT JOIN line AS l ON i.id = l.item;

-- composite keys, constants, expressions, types that are not the column's
SET enable_hashjoin = off; SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM line AS l JOIN edge AS e ON e.src = l.src AND e.dst = l.n;
SELECT count(*), min(e.dst), max(e.dst) FROM line AS l JOIN edge AS e ON e.src = l.src AND e.dst = l.n;
EXPLAIN (COSTS OFF) SELECT l.n, e.note FROM line AS l JOIN edge AS e ON e.dst = l.n WHERE e.src = 'n3';
SELECT count(*) FROM line AS l JOIN edge AS e ON e.dst = l.n WHERE e.src = 'n3';
RESET enable_hashjoin; RESET enable_mergejoin;
EXPLAIN (COSTS OFF) SELECT l.n, k.value FROM line AS l JOIN kv AS k ON k.key = 'fdw_join/kv/' || l.n;
SELECT count(*), min(k.value) FROM line AS l JOIN kv AS k ON k.key = 'fdw_join/kv/' || l.n;
SELECT count(*) FROM line AS l JOIN kv AS k ON k.key = 'elsewhere/' || l.n;
SELECT count(*) FROM (SELECT n::bigint * 10 AS x FROM line) AS l JOIN item AS i ON i.id = l.x;
-- keys that are no rows, though nobody looks at the column: a value of the wider type
CREATE FOREIGN TABLE wide (id bigint OPTIONS (key 'true'), name text, price numeric) SERVER fdw_join OPTIONS (prefix 'fdw_join/item/');
CREATE FOREIGN TABLE narrow (id int OPTIONS (key 'true'), name text, price numeric) SERVER fdw_join OPTIONS (prefix 'fdw_join/item/', on_error 'null');
INSERT INTO wide VALUES (5000000007, 'wide', 1);
SET enable_hashjoin = off; SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(w.name), sum(w.price) FROM line AS l JOIN wide AS w ON w.id = l.item;
SELECT count(w.name), sum(w.price) FROM line AS l JOIN wide AS w ON w.id = l.item;
SELECT count(w.name), sum(w.price) FROM (SELECT n::smallint AS x FROM line) AS l JOIN wide AS w ON w.id = l.x;
SELECT count(w.name), sum(w.price) FROM (SELECT n + 5000000000 AS x FROM line) AS l JOIN wide AS w ON w.id = l.x;
EXPLAIN (COSTS OFF) SELECT count(r.name) FROM (SELECT n + 5000000000 AS x FROM line) AS l JOIN narrow AS r ON r.id = l.x;
SELECT count(r.name) FROM (SELECT n + 5000000000 AS x FROM line) AS l JOIN narrow AS r ON r.id = l.x;
SELECT count(*), count(r.name) FROM (SELECT n + 5000000000 AS x FROM line) AS l LEFT JOIN narrow AS r ON r.id = l.x;
SELECT count(i.name) FROM (SELECT n + 5000000000 AS x FROM line) AS l JOIN item AS i ON i.id = l.x;
RESET enable_hashjoin; RESET enable_mergejoin;
DELETE FROM wide WHERE id = 5000000007;
-- more conditions between both
EXPLAIN (COSTS OFF) SELECT count(*) FROM line AS l JOIN item AS i ON i.id = l.item AND i.price > l.n;
SELECT count(*) FROM line AS l JOIN item AS i ON i.id = l.item AND i.price > l.n;

-- three tables, aggregates, orders, limits
EXPLAIN (COSTS OFF) SELECT l.n, i.name, e.note FROM line AS l JOIN item AS i ON i.id = l.item JOIN edge AS e ON e.src = l.src AND e.dst = l.n ORDER BY l.n LIMIT 3;
SELECT l.n, i.name, e.note FROM line AS l JOIN item AS i ON i.id = l.item JOIN edge AS e ON e.src = l.src AND e.dst = l.n ORDER BY l.n LIMIT 3;
EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT l.n, i.name FROM line AS l JOIN item AS i ON i.id = l.item LIMIT 3;
SELECT i.id % 3 AS rest, count(*) FROM line AS l JOIN item AS i ON i.id = l.item GROUP BY 1 ORDER BY 1;
-- within subqueries that are run again
EXPLAIN (COSTS OFF) SELECT g, (SELECT sum(i.price) FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.n % 3 = g) FROM generate_series(0, 2) AS g;
SELECT g, (SELECT sum(i.price) FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.n % 3 = g) FROM generate_series(0, 2) AS g;
-- in a view, a function, a prepared statement
CREATE VIEW pricey AS SELECT l.n, i.price FROM line AS l JOIN item AS i ON i.id = l.item;
SELECT sum(price) FROM pricey WHERE n < 100;
PREPARE prices (int) AS SELECT sum(i.price) FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.n < $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE prices (100);
EXECUTE prices (10);
RESET plan_cache_mode;

-- many rows: repeated and missing keys and NULLs, keys alike in what they begin
-- with, rows written anew, long keys and values; all as of one key after the other
CREATE FOREIGN TABLE many (key text OPTIONS (key 'true'), n int, v text) SERVER fdw_join OPTIONS (prefix 'fdw_join/many/');
INSERT INTO many SELECT 'customer/' || i, i, repeat('v', i % 50) FROM generate_series(1, 6000) AS i;
INSERT INTO many SELECT repeat('long', 700) || i, i, repeat('w', 20) FROM generate_series(1, 50) AS i;
INSERT INTO many SELECT 'large/' || i, i, (SELECT string_agg(md5(i || '.' || g), '') FROM generate_series(1, 400) AS g) FROM generate_series(1, 20) AS i;
UPDATE many SET v = 'changed', n = -n WHERE key LIKE 'customer/%' AND n % 7 = 0;
DELETE FROM many WHERE key LIKE 'customer/%' AND n % 11 = 0;
CREATE TABLE asked AS
	SELECT i AS id, CASE WHEN i % 13 > 0 THEN 'customer/' || 1 + i * 7919 % 7000 END AS key, repeat('o', i % 30) AS note FROM generate_series(1, 20000) AS i
	UNION ALL SELECT 20000 + i, repeat('long', 700) || i, NULL FROM generate_series(1, 60) AS i
	UNION ALL SELECT 30000 + i, 'large/' || 1 + i % 25, 'x' FROM generate_series(1, 100) AS i;
ANALYZE asked;
SET enable_hashjoin = off; SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT a.id, m.n FROM asked AS a JOIN many AS m ON m.key = a.key;
CREATE TABLE batched AS SELECT a.*, m.key AS found, m.n, m.v FROM asked AS a LEFT JOIN many AS m ON m.key = a.key;
CREATE TABLE batched_inner AS SELECT a.*, m.key AS found, m.n, m.v FROM asked AS a JOIN many AS m ON m.key = a.key;
SET tikv.lookup_join = off;
CREATE TABLE single AS SELECT a.*, m.key AS found, m.n, m.v FROM asked AS a LEFT JOIN many AS m ON m.key = a.key;
RESET tikv.lookup_join;
SELECT count(*), count(found), count(DISTINCT found), sum(n), md5(string_agg(v, '' ORDER BY id)) = (SELECT md5(string_agg(v, '' ORDER BY id)) FROM batched) AS same FROM single;
SELECT count(*) FROM ((TABLE single EXCEPT ALL TABLE batched) UNION ALL (TABLE batched EXCEPT ALL TABLE single)) AS differences;
SELECT count(*) FROM ((SELECT * FROM single WHERE found IS NOT NULL EXCEPT ALL TABLE batched_inner) UNION ALL (TABLE batched_inner EXCEPT ALL SELECT * FROM single WHERE found IS NOT NULL)) AS differences;
-- in the order of the other side where the plan relies on it
CREATE INDEX ON asked (id);
SET enable_seqscan = off; SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT a.id, m.n FROM asked AS a JOIN many AS m ON m.key = a.key ORDER BY a.id;
SELECT count(*), count(*) FILTER (WHERE id < previous) AS disordered FROM (SELECT id, lag(id) OVER () AS previous FROM (SELECT a.id, m.n FROM asked AS a JOIN many AS m ON m.key = a.key ORDER BY a.id OFFSET 0) AS ordered) AS pairs;
SELECT count(*) FROM ((SELECT id, n FROM single WHERE found IS NOT NULL EXCEPT ALL (SELECT a.id, m.n FROM asked AS a JOIN many AS m ON m.key = a.key ORDER BY a.id OFFSET 0))
	UNION ALL ((SELECT a.id, m.n FROM asked AS a JOIN many AS m ON m.key = a.key ORDER BY a.id OFFSET 0) EXCEPT ALL SELECT id, n FROM single WHERE found IS NOT NULL)) AS differences;
RESET enable_seqscan; RESET enable_sort;
RESET enable_hashjoin; RESET enable_mergejoin;
DROP TABLE asked, batched, batched_inner, single;

-- not for whole rows, rows to be locked, statements that write
EXPLAIN (COSTS OFF) SELECT l.n, i FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.n < 3;
EXPLAIN (COSTS OFF) SELECT l.n FROM line AS l JOIN item AS i ON i.id = l.item WHERE l.n < 3 FOR UPDATE OF l;
EXPLAIN (COSTS OFF) UPDATE line SET n = 0 FROM item AS i WHERE i.id = line.item AND n < 3;
UPDATE item SET name = 'changed' FROM line AS l WHERE item.id = l.item AND l.n < 3 RETURNING id, name;

-- the rights of who asks
CREATE ROLE regress_tikv_join;
GRANT SELECT ON line, item TO regress_tikv_join;
SET ROLE regress_tikv_join;
SELECT count(*) FROM line AS l JOIN item AS i ON i.id = l.item;
RESET ROLE;
DROP OWNED BY regress_tikv_join;
DROP ROLE regress_tikv_join;

-- with keys of transactions
CREATE FOREIGN TABLE stock (id int OPTIONS (key 'true'), n int) SERVER fdw_join OPTIONS (prefix 'fdw_join/', mode 'txn');
BEGIN;
INSERT INTO stock SELECT i, i FROM generate_series(1, 5000) AS i;
ANALYZE stock;
EXPLAIN (COSTS OFF) SELECT count(*), sum(s.n) FROM line AS l JOIN stock AS s ON s.id = l.item WHERE l.n < 500;
SELECT count(*), sum(s.n) FROM line AS l JOIN stock AS s ON s.id = l.item WHERE l.n < 500;
ROLLBACK;

SELECT tikv_delete_range('fdw_join/', 'fdw_join0');
DROP SERVER fdw_join CASCADE;
