-- Keys and tables of a transaction as one commit of Postgres.
CREATE EXTENSION IF NOT EXISTS tikv_fdw;
CREATE TABLE at_orders (id int PRIMARY KEY);
CREATE FUNCTION at_last() RETURNS TABLE (guarantee text, has_xid bool, above bool, keys int8) LANGUAGE sql AS
$$ SELECT guarantee, xid IS NOT NULL, commit_ts > start_ts, keys FROM tikv.recent_commits WHERE pid = pg_backend_pid() ORDER BY at DESC LIMIT 1 $$;

BEGIN;
INSERT INTO at_orders VALUES (1);
SELECT tikv_txn_put('at/a', '1'), tikv_txn_put('at/b', convert_to(repeat('x', 3000), 'UTF8'));
SAVEPOINT s;
SELECT tikv_txn_put('at/c', '1');
ROLLBACK TO s;
COMMIT;
-- The key of the savepoint is locked, and no more.
SELECT * FROM at_last();
SELECT convert_from(tikv_txn_get('at/a'), 'UTF8') AS a, length(tikv_txn_get('at/b')) AS b, tikv_txn_get('at/c') IS NULL AS no_c;

-- Keys alone are the store's; or what is asked for.
SELECT tikv_txn_put('at/a', '2');
SELECT * FROM at_last();
SET tikv.local_atomic = require;
SELECT tikv_txn_put('at/a', '3');
SELECT * FROM at_last();
SET tikv.local_atomic = off;
BEGIN;
INSERT INTO at_orders VALUES (2);
SELECT tikv_txn_put('at/a', '4');
COMMIT;
SELECT * FROM at_last();
SET tikv.local_atomic = require;
SET tikv.txn_mode = optimistic;
BEGIN;
INSERT INTO at_orders VALUES (3);
SELECT tikv_txn_insert('at/d', '1'), tikv_txn_delete('at/b');
COMMIT;
SELECT * FROM at_last();

-- An error of either is one of both.
BEGIN;
INSERT INTO at_orders VALUES (4);
SELECT tikv_txn_insert('at/e', '1');
SELECT tikv_txn_insert('at/d', '1');
COMMIT;
SET tikv.txn_mode = pessimistic;
CREATE TABLE at_late (id int PRIMARY KEY, other int REFERENCES at_orders DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO at_late VALUES (1, 99);
SELECT tikv_txn_put('at/a', '5');
COMMIT;
SELECT convert_from(tikv_txn_get('at/a'), 'UTF8') AS a, (SELECT count(*) FROM at_late) AS late;

-- More than a grant can hold: in two phases, or not at all.
BEGIN;
INSERT INTO at_orders VALUES (5);
SET LOCAL tikv.txn_mode = optimistic;
SELECT count(tikv_txn_put(('at/many/' || repeat('k', 900) || i)::bytea, 'v')) FROM generate_series(1, 1200) i;
COMMIT;
SELECT count(*) FROM tikv_txn_scan('at/many/', 'at/many0');
SET tikv.local_atomic = auto;
SET tikv.txn_mode = optimistic;
BEGIN;
INSERT INTO at_orders VALUES (5);
SELECT count(tikv_txn_put(('at/many/' || repeat('k', 900) || i)::bytea, 'v')) FROM generate_series(1, 1200) i;
COMMIT;
SELECT guarantee <> 'one_commit' AS another_way FROM at_last();
SELECT count(*) FROM tikv_txn_scan('at/many/', 'at/many0');
-- More than one write may have in the log: the other way, or told why not.
SET tikv.local_atomic = require;
BEGIN;
INSERT INTO at_orders VALUES (6);
SELECT count(tikv_txn_put(('at/large/' || i)::bytea, convert_to(repeat('v', 5000000), 'UTF8'))) FROM generate_series(1, 2) i;
COMMIT;
SELECT count(*) FROM tikv_txn_scan('at/large/', 'at/large0');
SET tikv.local_atomic = auto;
BEGIN;
INSERT INTO at_orders VALUES (6);
SELECT count(tikv_txn_put(('at/large/' || i)::bytea, convert_to(repeat('v', 5000000), 'UTF8'))) FROM generate_series(1, 2) i;
COMMIT;
SELECT guarantee <> 'one_commit' AS another_way FROM at_last();
SELECT sum(length(value)) FROM tikv_txn_scan('at/large/', 'at/large0');

-- Each lock names the first key, which is long.
BEGIN;
INSERT INTO at_orders VALUES (7);
SELECT count(tikv_txn_put(('at/p' || CASE i WHEN 1 THEN repeat('/', 4000) ELSE i::text END)::bytea, 'v')) FROM generate_series(1, 4000) i;
COMMIT;
SELECT guarantee <> 'one_commit' AS another_way, keys FROM at_last();
RESET tikv.local_atomic;

SELECT id FROM at_orders ORDER BY id;
SELECT count(tikv_txn_delete(key)) FROM tikv_txn_scan('at/', 'at0');
RESET tikv.txn_mode;
SELECT * FROM tikv_check();
SELECT count(*) FROM tikv.locks WHERE key LIKE 'at/%';
DROP FUNCTION at_last;
DROP TABLE at_late, at_orders;
