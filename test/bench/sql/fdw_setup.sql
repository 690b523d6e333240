-- The same rows as a local table, as a foreign table of tikv_fdw, and through
-- postgres_fdw from the local table.
CREATE SCHEMA IF NOT EXISTS bench;
CREATE EXTENSION postgres_fdw;
CREATE TABLE bench.local (id int8 PRIMARY KEY, v text);
CREATE TABLE bench.far (id int8 PRIMARY KEY, v text);
CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
CREATE FOREIGN TABLE bench.tikv (id int8 OPTIONS (key 'true'), v text)
	SERVER tikv OPTIONS (prefix 'bench/fdw/');

-- The planner's choices are the session's; here they go to the other one.
CREATE SERVER loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
	host '127.0.0.1', port :'port', dbname 'postgres', batch_size '1000',
	use_remote_estimate 'true',
	options '-c enable_seqscan=off -c enable_bitmapscan=off');
CREATE USER MAPPING FOR CURRENT_USER SERVER loopback OPTIONS (user 'postgres');
CREATE FOREIGN TABLE bench.loopback (id int8, v text)
	SERVER loopback OPTIONS (schema_name 'bench', table_name 'far');

INSERT INTO bench.local
	SELECT i, repeat('x', 100) FROM generate_series(1, :rows) AS i;
INSERT INTO bench.far SELECT * FROM bench.local;
INSERT INTO bench.tikv SELECT * FROM bench.local;
CREATE TABLE bench.wanted AS
	SELECT 1 + (i * 7919) % :rows AS id FROM generate_series(1, :join_rows) AS i;
VACUUM ANALYZE bench.local, bench.far, bench.wanted;
ANALYZE bench.tikv, bench.loopback;
CHECKPOINT;
