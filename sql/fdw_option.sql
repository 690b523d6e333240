--
-- Foreign tables: options, types of keys, and what is refused.
--
SET client_min_messages = warning;
CREATE SERVER fdw_option FOREIGN DATA WRAPPER tikv_fdw;

-- names and values
CREATE SERVER bad FOREIGN DATA WRAPPER tikv_fdw OPTIONS (host 'x');
CREATE SERVER bad FOREIGN DATA WRAPPER tikv_fdw OPTIONS (mode 'snapshot');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (prefx 'a');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (prefix '\xzz');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (key_format 'hex');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (value_format 'xml');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (on_error 'ignore');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (fetch_size '0');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (batch_size 'many');
CREATE FOREIGN TABLE bad (key bytea, value bytea) SERVER fdw_option OPTIONS (updatable 'maybe');
CREATE FOREIGN TABLE bad (id int OPTIONS (key 'first')) SERVER fdw_option;
CREATE FOREIGN TABLE bad (id int OPTIONS (key '33')) SERVER fdw_option;
CREATE FOREIGN TABLE bad (id int OPTIONS (ttl 'soon')) SERVER fdw_option;
CREATE FOREIGN TABLE bad (id int OPTIONS (name 'x')) SERVER fdw_option;
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw_option OPTIONS (password 'x');

-- tables that do not fit together are found out when they are used
CREATE FOREIGN TABLE no_key (a int, b int) SERVER fdw_option;
SELECT * FROM no_key;
INSERT INTO no_key VALUES (1, 2);
CREATE FOREIGN TABLE places (a int OPTIONS (key '1'), b int OPTIONS (key '3')) SERVER fdw_option;
SELECT * FROM places;
CREATE FOREIGN TABLE mixed (a int OPTIONS (key 'true'), b int OPTIONS (key '1')) SERVER fdw_option;
SELECT * FROM mixed;
CREATE FOREIGN TABLE numeric_key (a numeric OPTIONS (key 'true')) SERVER fdw_option;
SELECT * FROM numeric_key;
CREATE FOREIGN TABLE float_key (a float8 OPTIONS (key 'true')) SERVER fdw_option;
SELECT * FROM float_key;
CREATE FOREIGN TABLE jsonb_key (a jsonb OPTIONS (key 'true')) SERVER fdw_option;
SELECT * FROM jsonb_key;
CREATE COLLATION fdw_nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE FOREIGN TABLE nd_key (a text OPTIONS (key 'true') COLLATE fdw_nd) SERVER fdw_option;
SELECT * FROM nd_key;
CREATE FOREIGN TABLE plain_int (a int OPTIONS (key 'true'), v text) SERVER fdw_option OPTIONS (key_format 'plain');
SELECT * FROM plain_int;
CREATE FOREIGN TABLE plain_two (a text OPTIONS (key '1'), b text OPTIONS (key '2')) SERVER fdw_option OPTIONS (key_format 'plain');
SELECT * FROM plain_two;
CREATE FOREIGN TABLE plain_values (a text OPTIONS (key 'true'), b text, c text) SERVER fdw_option OPTIONS (value_format 'plain');
SELECT * FROM plain_values;
CREATE FOREIGN TABLE ttl_type (a text OPTIONS (key 'true'), b text OPTIONS (ttl 'true')) SERVER fdw_option;
SELECT * FROM ttl_type;
CREATE FOREIGN TABLE ttl_two (a text OPTIONS (key 'true'), b int OPTIONS (ttl 'true'), c int OPTIONS (ttl 'true')) SERVER fdw_option;
SELECT * FROM ttl_two;
CREATE FOREIGN TABLE ttl_key (a int OPTIONS (key 'true', ttl 'true')) SERVER fdw_option;
SELECT * FROM ttl_key;
-- a column more makes a plain table no plain one, and nothing is reinterpreted
CREATE FOREIGN TABLE plain (key text, value text) SERVER fdw_option OPTIONS (prefix 'fdw_option/');
INSERT INTO plain VALUES ('fdw_option/a', 'b');
ALTER FOREIGN TABLE plain ADD more int;
SELECT * FROM plain;
ALTER FOREIGN TABLE plain DROP more;
SELECT * FROM plain;

-- NULLs, and keys outside
INSERT INTO plain VALUES (NULL, 'x');
INSERT INTO plain VALUES ('fdw_option/b', NULL);
INSERT INTO plain VALUES ('fdw_optio/b', 'x');
INSERT INTO plain VALUES ('', 'x');
UPDATE plain SET key = 'elsewhere';
SELECT * FROM plain WHERE key = 'elsewhere';
SELECT * FROM plain WHERE key < 'fdw' COLLATE "C";
SELECT * FROM plain WHERE key IS NULL;
SELECT * FROM plain WHERE key = NULL;
CREATE FOREIGN TABLE composite (a int OPTIONS (key '2'), b text OPTIONS (key '1'), c int) SERVER fdw_option OPTIONS (prefix 'fdw_option2/');
INSERT INTO composite VALUES (1, NULL, 2);
INSERT INTO composite VALUES (NULL, 'x', 2);
INSERT INTO composite VALUES (1, 'x', NULL);
SELECT * FROM composite;
SELECT key FROM tikv_scan('fdw_option2/', 'fdw_option20');
INSERT INTO composite VALUES (2, repeat('long', 3000), NULL);

-- not updatable
ALTER FOREIGN TABLE composite OPTIONS (ADD updatable 'false');
INSERT INTO composite VALUES (3, 'x', 2);
DELETE FROM composite;
TRUNCATE composite;
ALTER FOREIGN TABLE composite OPTIONS (SET updatable 'true');
TRUNCATE composite;
TRUNCATE plain;
SELECT count(*) FROM plain;

DROP SERVER fdw_option CASCADE;
DROP COLLATION fdw_nd;
