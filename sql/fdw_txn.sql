--
-- Foreign tables over keys of transactions: part of the SQL transaction.
--
SET client_min_messages = warning;
CREATE SERVER fdw_txn FOREIGN DATA WRAPPER tikv_fdw OPTIONS (mode 'txn');
CREATE FOREIGN TABLE stock (id int OPTIONS (key 'true'), n int, note text) SERVER fdw_txn OPTIONS (prefix 'fdw_txn/');
TRUNCATE stock;

-- own writes, savepoints, rollback, and what another way of reading sees
BEGIN;
INSERT INTO stock SELECT i, i, 'x' FROM generate_series(1, 10) AS i;
SELECT count(*) FROM stock;
SAVEPOINT a;
UPDATE stock SET n = n + 100 WHERE id < 4 RETURNING *;
DELETE FROM stock WHERE id = 5 RETURNING n;
SELECT id, n FROM stock WHERE id < 7 ORDER BY id DESC;
SELECT n FROM stock WHERE id IN (1, 5, 6);
ROLLBACK TO a;
SELECT count(*), sum(n) FROM stock;
COMMIT;
SELECT count(*), sum(n) FROM stock;
SELECT octet_length(key) FROM tikv_txn_scan('fdw_txn/', 'fdw_txn0') LIMIT 1;
SELECT count(*) FROM tikv_scan('fdw_txn/', 'fdw_txn0');
BEGIN;
DELETE FROM stock;
SELECT count(*) FROM stock;
ROLLBACK;
SELECT count(*) FROM stock;

-- rows that are to be written are locked as they are read
EXPLAIN (COSTS OFF) UPDATE stock SET n = 0 WHERE n > 7;
EXPLAIN (COSTS OFF) DELETE FROM stock WHERE id = 7;
EXPLAIN (COSTS OFF) SELECT * FROM stock WHERE id = 3 FOR UPDATE;
SELECT * FROM stock WHERE id = 3 FOR UPDATE SKIP LOCKED;
EXPLAIN (COSTS OFF) SELECT * FROM stock WHERE id = 3 FOR SHARE;
SELECT * FROM stock WHERE id = 3 FOR UPDATE;

-- a cursor meets no row twice, whatever is written behind it
CREATE TEMP TABLE met (id int);
INSERT INTO stock SELECT i, i FROM generate_series(1001, 1200) AS i;
DO $$
DECLARE
	one record;
BEGIN
	FOR one IN SELECT id FROM stock ORDER BY id LOOP
		INSERT INTO met VALUES (one.id);
		UPDATE stock SET n = n WHERE id = one.id;
	END LOOP;
	FOR one IN SELECT id FROM stock ORDER BY id DESC LOOP
		INSERT INTO met VALUES (one.id);
		UPDATE stock SET n = n WHERE id = one.id;
	END LOOP;
END
$$;
SELECT count(*) = 2 * count(DISTINCT id) AS twice, count(DISTINCT id) = (SELECT count(*) FROM stock) AS all FROM met;
DELETE FROM stock WHERE id > 1000;

-- inserts of what exists end the statement, and nothing of it stays
INSERT INTO stock VALUES (11, 11), (3, 1), (12, 12);
SELECT count(*) FROM stock;
INSERT INTO stock VALUES (3, 1), (11, 11) ON CONFLICT DO NOTHING RETURNING id;
UPDATE stock SET id = id + 1;
SELECT * FROM stock ORDER BY id DESC LIMIT 3;
UPDATE stock SET id = 5 WHERE id = 6;
SELECT count(*) FROM stock;
INSERT INTO stock SELECT id + 100, n, note FROM stock;
SELECT count(*) FROM stock;

-- with a table of Postgres, both or none
CREATE TEMP TABLE sold (id int, n int CHECK (n < 5));
BEGIN;
UPDATE stock SET n = n - 1 WHERE id = 2;
INSERT INTO sold VALUES (2, 1);
COMMIT;
BEGIN;
UPDATE stock SET n = n - 9 WHERE id = 2;
INSERT INTO sold VALUES (2, 9);
COMMIT;
SELECT s.id, s.n, sold.n FROM stock AS s JOIN sold USING (id);

-- TRUNCATE is undone, too
BEGIN;
TRUNCATE stock;
SELECT count(*) FROM stock;
ROLLBACK;
SELECT count(*) FROM stock;

-- more rows than one request takes
INSERT INTO stock SELECT i, i FROM generate_series(1001, 6000) AS i;
SELECT count(*), min(id), max(id) FROM stock WHERE id > 1000;
UPDATE stock SET n = -n WHERE id > 1000;
SELECT sum(n) FROM stock WHERE id > 1000;
DELETE FROM stock WHERE id > 1000;

-- isolation levels; what has no place in a transaction
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM stock;
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) > 0 AS rows FROM stock;
UPDATE stock SET n = 0;
ROLLBACK;
CREATE FOREIGN TABLE lease (id int OPTIONS (key 'true'), s int OPTIONS (ttl 'true')) SERVER fdw_txn;
SELECT * FROM lease;
-- the mode of a table wins over its server's
CREATE FOREIGN TABLE raw_side (key text, value text) SERVER fdw_txn OPTIONS (prefix 'fdw_txn/', mode 'raw');
SELECT count(*) FROM raw_side;

ANALYZE stock;
-- rights are asked of the same table
CREATE ROLE regress_tikv_txn;
GRANT ALL ON stock TO regress_tikv_txn;
SELECT tikv_grant('regress_tikv_txn', 'fdw_txn/', 'read');
SET ROLE regress_tikv_txn;
SELECT count(*) > 0 AS rows FROM stock;
SELECT count(*) > 0 AS rows FROM tikv_txn_scan('fdw_txn/', 'fdw_txn0');
SELECT count(*) FROM tikv_txn_scan();
SELECT tikv_txn_get('fdw_tx');
SELECT tikv_txn_put('fdw_txn/x', 'y');
SELECT tikv_txn_lock('fdw_txn/x');
DELETE FROM stock;
RESET ROLE;
SELECT tikv_revoke('regress_tikv_txn', 'fdw_txn/');
TRUNCATE stock;
SELECT count(*) FROM stock;
DROP SERVER fdw_txn CASCADE;
DROP ROLE regress_tikv_txn;
