--
-- Foreign tables for the usual patterns of keys: the examples of docs/fdw.md.
--
SET client_min_messages = warning;
SET timezone = 'UTC'; SET datestyle = 'ISO';
CREATE SERVER fdw_patterns FOREIGN DATA WRAPPER tikv_fdw;
SELECT tikv_delete_range('fdw_patterns/', 'fdw_patterns0');

-- plain: whole keys, the same that functions and other clients see
CREATE FOREIGN TABLE kv (key bytea, value bytea) SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/');
SELECT tikv_put('fdw_patterns/a', 'one');
SELECT convert_from(key, 'UTF8'), convert_from(value, 'UTF8') FROM kv;
INSERT INTO kv VALUES ('fdw_patterns/b', 'two');
SELECT convert_from(tikv_get('fdw_patterns/b'), 'UTF8');
SELECT convert_from(value, 'UTF8') FROM kv WHERE key = 'fdw_patterns/a';
EXPLAIN (COSTS OFF) SELECT * FROM kv WHERE key >= 'fdw_patterns/a' AND key < 'fdw_patterns/b' ORDER BY key DESC;
EXPLAIN (COSTS OFF, VERBOSE) SELECT key FROM kv WHERE key LIKE 'fdw_patterns/b%';
EXPLAIN (COSTS OFF, VERBOSE) SELECT key FROM kv WHERE key > 'elsewhere' AND key <= 'fdw_patterns/a';
SELECT convert_from(key, 'UTF8') FROM kv WHERE key > 'elsewhere' AND key <= 'fdw_patterns/a';
DELETE FROM kv;

-- {prefix}/{table}/{id}, text behind the prefix, the value as it is
CREATE FOREIGN TABLE sessions (id text OPTIONS (key 'true'), data jsonb)
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/session/', key_format 'plain', value_format 'plain');
INSERT INTO sessions VALUES ('abc', '{"user": 1}'), ('abd', '{"user": 2}'), ('b', '{}');
SELECT convert_from(key, 'UTF8') AS key, convert_from(value, 'UTF8') AS value FROM tikv_scan('fdw_patterns/session/', 'fdw_patterns/session0');
SELECT data ->> 'user' AS who FROM sessions WHERE id = 'abc';
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM sessions WHERE id LIKE 'ab%';
SELECT id FROM sessions WHERE id LIKE 'ab%';
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM sessions WHERE id > 'abc' COLLATE "C" AND id <= 'b' COLLATE "C";
SELECT id FROM sessions WHERE id > 'abc' COLLATE "C" AND id <= 'b' COLLATE "C";
-- and another table beside it, mapped
CREATE FOREIGN TABLE users (id bigint OPTIONS (key 'true'), name text, born date)
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/user/');
INSERT INTO users VALUES (1, 'Ada', '1815-12-10'), (2, 'Grace', '1906-12-09');
SELECT s.id, u.name FROM sessions AS s JOIN users AS u ON u.id = (s.data ->> 'user')::bigint ORDER BY s.id;

-- a graph: edges out of a node and into it, neighbours of neighbours
CREATE FOREIGN TABLE edge_out (src bigint OPTIONS (key '1'), dst bigint OPTIONS (key '2'), weight float8)
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/out/');
CREATE FOREIGN TABLE edge_in (dst bigint OPTIONS (key '1'), src bigint OPTIONS (key '2'))
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/in/');
WITH edges AS (
	INSERT INTO edge_out SELECT i, (i * 7) % 20, i / 10.0 FROM generate_series(1, 19) AS i UNION ALL
		SELECT i, (i * 3) % 20, 1 FROM generate_series(1, 19) AS i WHERE i <> 10 AND i <> 5 AND i <> 15 RETURNING src, dst)
	INSERT INTO edge_in SELECT dst, src FROM edges;
SELECT * FROM edge_out WHERE src = 3;
SELECT src FROM edge_in WHERE dst = 1;
SELECT DISTINCT b.dst FROM edge_out AS a JOIN edge_out AS b ON b.src = a.dst WHERE a.src = 3 ORDER BY 1;
WITH RECURSIVE reach (node, depth) AS (
	SELECT 2::bigint, 0 UNION SELECT e.dst, depth + 1 FROM reach AS r JOIN edge_out AS e ON e.src = r.node WHERE depth < 2)
	SELECT node, min(depth) FROM reach GROUP BY node ORDER BY 1;

-- time series: ranges of one series, the newest first, each series' last
CREATE FOREIGN TABLE samples (series text OPTIONS (key '1'), ts timestamptz OPTIONS (key '2'), value float8)
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/ts/');
INSERT INTO samples SELECT s, '2024-01-01'::timestamptz + i * interval '1 min', i FROM unnest('{cpu,disk,mem}'::text[]) AS s, generate_series(0, 999) AS i;
EXPLAIN (COSTS OFF) SELECT ts, value FROM samples WHERE series = 'cpu' ORDER BY ts DESC LIMIT 3;
SELECT ts, value FROM samples WHERE series = 'cpu' ORDER BY ts DESC LIMIT 3;
EXPLAIN (COSTS OFF) SELECT avg(value) FROM samples WHERE series = 'mem' AND ts >= '2024-01-01 01:00+00' AND ts < '2024-01-01 02:00+00';
SELECT avg(value) FROM samples WHERE series = 'mem' AND ts >= '2024-01-01 01:00+00' AND ts < '2024-01-01 02:00+00';
SELECT s, l.* FROM unnest('{cpu,disk,none}'::text[]) AS s, LATERAL (SELECT ts, value FROM samples WHERE series = s ORDER BY ts DESC LIMIT 1) AS l;
DELETE FROM samples WHERE series = 'disk' AND ts < '2024-01-01 16:00+00';
SELECT series, count(*), min(ts) FROM samples GROUP BY series ORDER BY series COLLATE "C";

-- vectors of a collection
CREATE FOREIGN TABLE vectors (collection text OPTIONS (key '1'), id bigint OPTIONS (key '2'), v float4[])
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/vec/');
INSERT INTO vectors SELECT 'docs', i, array(SELECT sin(i * d) FROM generate_series(1, 8) AS d)::float4[] FROM generate_series(1, 50) AS i;
INSERT INTO vectors VALUES ('other', 1, '{1,2}');
SELECT id FROM vectors, LATERAL (SELECT sum(a * b) AS dot FROM unnest(v, (SELECT v FROM vectors WHERE collection = 'docs' AND id = 7)) AS p (a, b)) AS d
	WHERE collection = 'docs' ORDER BY dot DESC, id LIMIT 3;

-- leases need a store whose keys expire (test/tap/t/020_fdw.pl has one)
CREATE FOREIGN TABLE leases (name text OPTIONS (key 'true'), holder text, seconds int OPTIONS (ttl 'true'))
	SERVER fdw_patterns OPTIONS (prefix 'fdw_patterns/lease/', key_format 'plain');
INSERT INTO leases VALUES ('forever', 'node0', NULL);
SELECT * FROM leases;
INSERT INTO leases VALUES ('leader', 'node1', 30) ON CONFLICT DO NOTHING RETURNING holder;
INSERT INTO leases VALUES ('leader', 'node1', -30);

-- what is there already
CREATE SCHEMA fdw_import;
IMPORT FOREIGN SCHEMA fdw_patterns FROM SERVER fdw_patterns INTO fdw_import OPTIONS (type 'text');
IMPORT FOREIGN SCHEMA "fdw_patterns/" LIMIT TO (ts) FROM SERVER fdw_patterns INTO fdw_import;
CREATE SCHEMA fdw_import2;
IMPORT FOREIGN SCHEMA fdw_patterns EXCEPT ("in", "out", session, lease, vec) FROM SERVER fdw_patterns INTO fdw_import2 OPTIONS (separator '/');
SELECT foreign_table_schema, foreign_table_name, option_value
	FROM information_schema.foreign_table_options
	WHERE foreign_table_schema LIKE 'fdw_import%' ORDER BY 1, 2;
SELECT * FROM fdw_import.session;
IMPORT FOREIGN SCHEMA fdw_patterns FROM SERVER fdw_patterns INTO fdw_import2 OPTIONS (type 'int');
IMPORT FOREIGN SCHEMA fdw_patterns FROM SERVER fdw_patterns INTO fdw_import2 OPTIONS (kind 'text');
IMPORT FOREIGN SCHEMA nothing_there FROM SERVER fdw_patterns INTO fdw_import2;

SELECT tikv_delete_range('fdw_patterns/', 'fdw_patterns0');
DROP SERVER fdw_patterns CASCADE;
DROP SCHEMA fdw_import, fdw_import2;
