--
-- Rights on prefixes: functions and foreign tables.
--
SET client_min_messages = warning;
CREATE ROLE regress_tikv_shop;
CREATE ROLE regress_tikv_clerk IN ROLE regress_tikv_shop;
CREATE ROLE regress_tikv_other;
CREATE ROLE regress_tikv_reader IN ROLE tikv_read;
CREATE ROLE regress_tikv_boss IN ROLE tikv_admin;
CREATE SERVER fdw_grants FOREIGN DATA WRAPPER tikv_fdw;
SELECT tikv_batch_put('{grant/a/1,grant/a/2,grant/b/1}'::bytea[], '{1,2,3}');
CREATE FOREIGN TABLE granted (key text, value text) SERVER fdw_grants OPTIONS (prefix 'grant/');
GRANT ALL ON granted TO PUBLIC;
CREATE VIEW granted_view AS SELECT * FROM granted;
GRANT ALL ON granted_view TO PUBLIC;

-- who may grant, to whom, what
SET ROLE regress_tikv_reader;
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', 'read');
SET ROLE regress_tikv_boss;
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', 'read');
SELECT tikv_grant('regress_tikv_nobody', 'grant/a/', 'read');
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', 'update');
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', 'read, wrote');
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', '');
SELECT tikv_grant('regress_tikv_shop', NULL, 'read') IS NULL AS nothing;
SELECT role, convert_from(prefix, 'UTF8') AS prefix, can_read, can_write FROM tikv.prefix_grants;
RESET ROLE;
SELECT * FROM tikv_internal.prefix_grant WHERE privileges <> 1;
INSERT INTO tikv_internal.prefix_grant VALUES (1, '', 3);

-- reading inside the prefix and outside, also as a member
SET ROLE regress_tikv_clerk;
SELECT convert_from(tikv_get('grant/a/1'), 'UTF8');
SELECT tikv_get('grant/b/1');
SELECT tikv_get('grant/a');
SELECT count(*) FROM tikv_batch_get('{grant/a/1,grant/a/2}'::bytea[]);
SELECT count(*) FROM tikv_batch_get('{grant/a/1,grant/b/1}'::bytea[]);
SELECT count(*) FROM tikv_scan('grant/a/', 'grant/a0');
SELECT count(*) FROM tikv_scan('grant/a/', 'grant/a/2');
SELECT count(*) FROM tikv_scan('grant/a/', 'grant/b');
SELECT count(*) FROM tikv_scan('grant/a/');
SELECT count(*) FROM tikv_scan();
SELECT n FROM tikv_checksum('grant/a/', 'grant/a0') AS c (sum, n, bytes);
SELECT * FROM tikv_checksum('grant/', 'grant0');
SELECT key FROM granted WHERE key = 'grant/a/1';
SELECT key FROM granted WHERE key = 'grant/b/1';
SELECT key FROM granted WHERE key LIKE 'grant/a/%' ORDER BY key COLLATE "C";
SELECT key FROM granted;
-- a view reads as its owner
SELECT count(*) FROM granted_view;
-- no writing
SELECT tikv_put('grant/a/1', 'x');
SELECT tikv_insert('grant/a/3', 'x');
SELECT tikv_cas('grant/a/1', '1', 'x');
SELECT tikv_delete('grant/a/1');
SELECT tikv_batch_put('{grant/a/1}', '{x}');
SELECT tikv_batch_delete('{grant/a/1}');
SELECT tikv_delete_range('grant/a/', 'grant/a0');
INSERT INTO granted VALUES ('grant/a/3', 'x');
UPDATE granted SET value = 'x' WHERE key = 'grant/a/1';
DELETE FROM granted WHERE key = 'grant/a/1';
TRUNCATE granted;
ANALYZE granted;
RESET ROLE;

-- writing and no reading
SELECT tikv_revoke('regress_tikv_shop', 'grant/a/');
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', 'write');
SET ROLE regress_tikv_shop;
SELECT tikv_put('grant/a/3', '3');
SELECT tikv_put('grant/b/3', '3');
SELECT tikv_get('grant/a/3');
SELECT tikv_cas('grant/a/3', '3', '4');
INSERT INTO granted VALUES ('grant/a/4', '4');
INSERT INTO granted VALUES ('grant/b/4', '4');
INSERT INTO granted VALUES ('grant/a/5', '4'), ('grant/b/4', '4');
RESET ROLE;

-- both; changes are seen at once, also in a transaction that is rolled back
SELECT tikv_grant('regress_tikv_shop', 'grant/a/', 'read,write');
SET ROLE regress_tikv_shop;
SELECT swapped FROM tikv_cas('grant/a/3', '3', '4');
UPDATE granted SET value = 'new' WHERE key = 'grant/a/3' RETURNING value;
UPDATE granted SET key = 'grant/b/9' WHERE key = 'grant/a/3';
DELETE FROM granted WHERE key = 'grant/a/4' RETURNING key;
SELECT tikv_delete_range('grant/a/3', 'grant/a/9');
RESET ROLE;
BEGIN;
SELECT tikv_grant('regress_tikv_shop', 'grant/', 'read');
SET LOCAL ROLE regress_tikv_shop;
SELECT count(*) FROM granted;
ROLLBACK;
SET ROLE regress_tikv_shop;
SELECT count(*) FROM granted;
RESET ROLE;

-- all readers and writers, and those without anything
SET ROLE regress_tikv_reader;
SELECT count(*) FROM granted;
INSERT INTO granted VALUES ('grant/a/7', '7');
SET ROLE regress_tikv_other;
SELECT tikv_get('grant/a/1');
SELECT * FROM granted WHERE key = 'grant/a/1';
RESET ROLE;
-- EXECUTE alone gives no keys
GRANT EXECUTE ON FUNCTION tikv_get(bytea) TO regress_tikv_other;
SET ROLE regress_tikv_other;
SELECT tikv_get('grant/a/1');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION tikv_get(bytea) FROM regress_tikv_other;

-- with the last grant EXECUTE goes, too
SELECT tikv_revoke('regress_tikv_shop', 'grant/a/', 'read');
SELECT pg_has_role('regress_tikv_shop', 'tikv_user', 'MEMBER');
SELECT tikv_revoke('regress_tikv_shop', 'grant/a/', 'all');
SELECT pg_has_role('regress_tikv_shop', 'tikv_user', 'MEMBER');
SELECT count(*) FROM tikv.prefix_grants;
-- all keys
SELECT tikv_grant('regress_tikv_other', '', 'all');
SET ROLE regress_tikv_other;
SELECT count(*) FROM granted;
SELECT count(*) FROM tikv_scan('grant/', 'grant0');
SELECT count(*) > 0 AS some FROM tikv_scan();
SELECT tikv_delete_range('grant/', 'grant0');
RESET ROLE;
SELECT tikv_revoke('regress_tikv_other', '');

DROP SERVER fdw_grants CASCADE;
DROP ROLE regress_tikv_clerk, regress_tikv_shop, regress_tikv_other, regress_tikv_reader, regress_tikv_boss;
