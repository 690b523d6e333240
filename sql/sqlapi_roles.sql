--
-- Who may do what, and what the catalogs say about the functions.
--
SET client_min_messages = warning;
CREATE ROLE regress_tikv_nobody;
CREATE ROLE regress_tikv_reader IN ROLE tikv_read;
CREATE ROLE regress_tikv_writer IN ROLE tikv_write;
CREATE ROLE regress_tikv_admin IN ROLE tikv_admin;

-- every function of the extension: unsafe in parallel queries, not for PUBLIC,
-- with a comment
SELECT p.oid::regprocedure AS function, proparallel, provolatile,
	has_function_privilege('regress_tikv_nobody', p.oid, 'EXECUTE') AS nobody,
	has_function_privilege('regress_tikv_reader', p.oid, 'EXECUTE') AS reader,
	has_function_privilege('regress_tikv_writer', p.oid, 'EXECUTE') AS writer,
	has_function_privilege('regress_tikv_admin', p.oid, 'EXECUTE') AS admin,
	obj_description(p.oid, 'pg_proc') IS NOT NULL AS comment
	FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tikv_fdw') AND d.deptype = 'e'
	ORDER BY p.proname, p.pronargs;
SELECT c.oid::regclass AS view,
	has_table_privilege('regress_tikv_nobody', c.oid, 'SELECT') AS nobody,
	has_table_privilege('regress_tikv_reader', c.oid, 'SELECT') AS reader,
	has_table_privilege('regress_tikv_writer', c.oid, 'SELECT') AS writer,
	has_table_privilege('regress_tikv_admin', c.oid, 'SELECT') AS admin,
	obj_description(c.oid, 'pg_class') IS NOT NULL AS comment
	FROM pg_class AS c
	WHERE relnamespace = 'tikv'::regnamespace AND relkind = 'v' ORDER BY relname;

-- the tables are nobody's
SELECT r.rolname, bool_or(has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')) AS anything,
	bool_and(obj_description(c.oid, 'pg_class') IS NOT NULL) AS comments
	FROM pg_class AS c, pg_roles AS r
	WHERE relnamespace = 'tikv_internal'::regnamespace AND relkind = 'r' AND r.rolname LIKE 'regress_tikv_%'
	GROUP BY r.rolname ORDER BY r.rolname;

SET ROLE regress_tikv_nobody;
SELECT tikv_get('roles');
SELECT tikv_put('roles', 'v');
SELECT count(*) FROM tikv_status();
SELECT count(*) FROM tikv.regions;
SET ROLE regress_tikv_reader;
SELECT tikv_put('roles', 'v');
SELECT tikv_get('roles') IS NULL AS absent;
SELECT count(*) > 0 AS rows FROM tikv.regions;
SELECT count(*) > 0 AS rows FROM tikv_status();
SELECT * FROM tikv_internal.raw;
SET ROLE regress_tikv_writer;
SELECT tikv_put('roles', 'v');
SELECT tikv_get('roles');
SELECT tikv_create_keyspace('roles');
SET ROLE regress_tikv_admin;
SELECT count(*) > 0 AS rows FROM tikv.keyspaces;
SELECT convert_from(tikv_get('roles'), 'UTF8');
SELECT tikv_delete('roles');
SELECT count(*) FROM tikv_check();
RESET ROLE;

DROP ROLE regress_tikv_nobody, regress_tikv_reader, regress_tikv_writer, regress_tikv_admin;
