/*
 * tikv_fdw.sql
 *	  The extension's objects.  Edited here; `make` copies it to
 *	  tikv_fdw--<version>.sql.  A released script never changes again.
 *
 * Order: schemas, tables, functions, views, roles.
 */

-- complain if the script is sourced in psql rather than by CREATE EXTENSION
\echo Use "CREATE EXTENSION tikv_fdw" to load this file. \quit

/* ---------------------------------------------------------------- schemas */

CREATE SCHEMA tikv;
COMMENT ON SCHEMA tikv IS 'tikv_fdw: views over the state of this TiKV node';

CREATE SCHEMA tikv_internal;
COMMENT ON SCHEMA tikv_internal IS
'tikv_fdw: tables written by the workers only; SQL DML is refused';
REVOKE ALL ON SCHEMA tikv_internal FROM PUBLIC;

/* ----------------------------------------------------------------- tables */

/*
 * Fixed-width columns come first so that a lookup reaches them without
 * walking the key.  Key columns are never compressed: the index must hold
 * them as they are.  Values stay in the row as long as it fits a page, since
 * a value of some kilobytes costs two to three times as much in TOAST.
 */
CREATE TABLE tikv_internal.raw (
	ts int8 NOT NULL,
	expires_at int8 NOT NULL,
	cf "char" NOT NULL,
	key bytea NOT NULL,
	key_rest bytea,
	value bytea NOT NULL
) USING heap WITH (
	fillfactor = 80,
	toast_tuple_target = 8160,
	autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_freeze_min_age = 0,
	vacuum_truncate = off,
	toast.autovacuum_vacuum_scale_factor = 0.05,
	toast.autovacuum_vacuum_cost_delay = 0,
	toast.vacuum_truncate = off
);
ALTER TABLE tikv_internal.raw
	ALTER key SET STORAGE PLAIN,
	ALTER key_rest SET STORAGE EXTERNAL,
	ALTER value SET STORAGE EXTERNAL;
CREATE INDEX raw_key ON tikv_internal.raw (cf, key);
COMMENT ON TABLE tikv_internal.raw IS 'One row per raw key of the TiKV raw API';
COMMENT ON COLUMN tikv_internal.raw.ts IS 'Version of the row; 0 in API V1';
COMMENT ON COLUMN tikv_internal.raw.expires_at IS
'Unix seconds at which the key expires; 0 is never';
COMMENT ON COLUMN tikv_internal.raw.cf IS
'Column family: d default, l lock, w write';
COMMENT ON COLUMN tikv_internal.raw.key IS 'The first 2048 bytes of the key';
COMMENT ON COLUMN tikv_internal.raw.key_rest IS
'The bytes of the key from 2049 on; NULL if there are none';
COMMENT ON COLUMN tikv_internal.raw.value IS 'The value, uncompressed';

/*
 * Small tables: few rows, updated in place.  All tables name the heap, since
 * the workers write below the table access method interface.
 */
CREATE TABLE tikv_internal.store_meta (
	cluster_id numeric(20, 0) NOT NULL,
	store_id numeric(20, 0) NOT NULL,
	api_version int4 NOT NULL,
	storage_format int4 NOT NULL,
	start_seq int8 NOT NULL
) USING heap WITH (fillfactor = 40);
COMMENT ON TABLE tikv_internal.store_meta IS
'One row: which store of which cluster this database holds';

CREATE TABLE tikv_internal.region (
	region_id int8 PRIMARY KEY,
	peer_id int8 NOT NULL,
	start_key bytea NOT NULL,
	end_key bytea NOT NULL,
	conf_ver int8 NOT NULL,
	version int8 NOT NULL,
	peer_ids int8[] NOT NULL,
	peer_stores int8[] NOT NULL,
	peer_roles int4[] NOT NULL
) USING heap WITH (fillfactor = 40);
COMMENT ON TABLE tikv_internal.region IS
'Descriptors of the regions that have a peer on this store';
COMMENT ON COLUMN tikv_internal.region.peer_id IS 'This store''s own peer';
COMMENT ON COLUMN tikv_internal.region.start_key IS
'Inclusive, in the encoded key space';
COMMENT ON COLUMN tikv_internal.region.end_key IS
'Exclusive, in the encoded key space; empty is the end of all keys';
COMMENT ON COLUMN tikv_internal.region.peer_roles IS
'metapb.PeerRole of each peer: 0 voter, 1 learner, 2 incoming, 3 demoting';

CREATE TABLE tikv_internal.raft_state (
	region_id int8 NOT NULL,
	term int8 NOT NULL,
	vote int8 NOT NULL,
	commit_index int8 NOT NULL,
	applied_index int8 NOT NULL,
	applied_term int8 NOT NULL,
	truncated_index int8 NOT NULL,
	truncated_term int8 NOT NULL
) USING heap WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0,
		autovacuum_vacuum_scale_factor = 0, vacuum_truncate = off);
CREATE UNIQUE INDEX raft_state_region ON tikv_internal.raft_state (region_id);
COMMENT ON TABLE tikv_internal.raft_state IS
'One row per Raft group: hard state, applied and truncated position';

CREATE TABLE tikv_internal.pd_raft_state (
	term int8 NOT NULL,
	vote int8 NOT NULL,
	commit_index int8 NOT NULL,
	applied_index int8 NOT NULL,
	applied_term int8 NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE tikv_internal.pd_raft_state IS
'One row: hard state and applied position of the Placement Driver''s group';

CREATE TABLE tikv_internal.pd_kv (
	key text PRIMARY KEY,
	value bytea NOT NULL
) WITH (fillfactor = 40);
COMMENT ON TABLE tikv_internal.pd_kv IS
'What the Placement Driver replicates, under the key names of tikv/pd';

/*
 * What the tables hold is what the Raft groups have agreed on; SQL must not
 * change it behind their back.
 */
CREATE FUNCTION tikv_internal.refuse_dml() RETURNS trigger
AS 'MODULE_PATHNAME', 'tikv_refuse_dml' LANGUAGE C;
REVOKE ALL ON FUNCTION tikv_internal.refuse_dml() FROM PUBLIC;
COMMENT ON FUNCTION tikv_internal.refuse_dml() IS
'Trigger that keeps SQL from writing the tables of tikv_fdw';

DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_catalog.pg_class
		WHERE relnamespace = 'tikv_internal'::regnamespace AND relkind = 'r'
	LOOP
		EXECUTE pg_catalog.format(
			'REVOKE ALL ON TABLE %s FROM PUBLIC', t);
		EXECUTE pg_catalog.format(
			'CREATE TRIGGER refuse_dml BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
			'FOR EACH STATEMENT EXECUTE FUNCTION tikv_internal.refuse_dml()', t);
	END LOOP;
END
$$;

/* -------------------------------------------------------------- functions */

CREATE FUNCTION tikv_get(key bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'tikv_get'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tikv_get(bytea) IS
'The value of a raw key, NULL if there is none; sees every write acknowledged before, whatever the transaction''s snapshot';

CREATE FUNCTION tikv_put(key bytea, value bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_put'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_put(bytea, bytea) IS
'Store a raw key. Durable when it returns; not part of the SQL transaction: ROLLBACK does not undo it';

CREATE FUNCTION tikv_insert(key bytea, value bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_insert'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_insert(bytea, bytea) IS
'Store a raw key that does not exist yet, else fail (unique_violation). Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_delete(key bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_delete'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_delete(bytea) IS
'Remove a raw key; no error if there is none. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_batch_get(keys bytea[], OUT key bytea, OUT value bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_batch_get'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION tikv_batch_get(bytea[]) IS
'The raw keys that exist, with their values, in the order asked for, over one snapshot';

CREATE FUNCTION tikv_batch_put(keys bytea[], vals bytea[]) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_batch_put'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_batch_put(bytea[], bytea[]) IS
'Store raw keys: those of one region all or none, at most 8 MiB each region. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_batch_delete(keys bytea[]) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_batch_delete'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_batch_delete(bytea[]) IS
'Remove raw keys: those of one region all or none. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_scan(
	start_key bytea DEFAULT '', end_key bytea DEFAULT NULL,
	lim int8 DEFAULT NULL, reverse boolean DEFAULT false,
	key_only boolean DEFAULT false,
	OUT key bytea, OUT value bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_scan'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;
COMMENT ON FUNCTION tikv_scan(bytea, bytea, int8, boolean, boolean) IS
'Raw keys of [start_key, end_key) in order, an empty or NULL end_key being the end; reverse gives the same keys in descending order. Page by page, each over a fresh snapshot: in the select list a LIMIT stops it early';

CREATE FUNCTION tikv_status(
	OUT worker text, OUT pid int4, OUT state text, OUT reason text,
	OUT address text, OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_status'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 2;
COMMENT ON FUNCTION tikv_status() IS
'A row per worker of this node: its state, why it does not serve, where it listens. One more if this session cannot use them';

CREATE FUNCTION tikv_check() RETURNS SETOF text
AS 'MODULE_PATHNAME', 'tikv_check'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1;
COMMENT ON FUNCTION tikv_check() IS
'Verify the tables of this store, reading all of them: a row per defect';

/* ------------------------------------------------------------------ views */

CREATE FUNCTION tikv_internal.regions(
	OUT region_id int8, OUT start_key bytea, OUT end_key bytea,
	OUT conf_ver int8, OUT version int8, OUT store_ids int8[],
	OUT peer_id int8, OUT leader_peer_id int8, OUT is_leader boolean,
	OUT term int8, OUT applied_index int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_regions'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION tikv_internal.regions() IS 'Behind the view tikv.regions';

CREATE VIEW tikv.regions AS SELECT * FROM tikv_internal.regions();
COMMENT ON VIEW tikv.regions IS
'Regions with a peer on this store, as the store publishes them';
COMMENT ON COLUMN tikv.regions.start_key IS 'First key of the region';
COMMENT ON COLUMN tikv.regions.end_key IS
'First key after the region; NULL if it has no end';
COMMENT ON COLUMN tikv.regions.conf_ver IS
'Epoch: grows with every change of the peers';
COMMENT ON COLUMN tikv.regions.version IS
'Epoch: grows with every change of the range';
COMMENT ON COLUMN tikv.regions.store_ids IS 'Stores that have a peer';
COMMENT ON COLUMN tikv.regions.peer_id IS 'The peer on this store';
COMMENT ON COLUMN tikv.regions.leader_peer_id IS 'NULL if unknown';
COMMENT ON COLUMN tikv.regions.is_leader IS 'This store leads the region';

CREATE FUNCTION tikv_internal.stores(
	OUT store_id int8, OUT address text, OUT peer_address text,
	OUT status_address text, OUT version text, OUT state text,
	OUT started timestamptz, OUT last_heartbeat timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_stores'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION tikv_internal.stores() IS 'Behind the view tikv.stores';

CREATE VIEW tikv.stores AS SELECT * FROM tikv_internal.stores();
COMMENT ON VIEW tikv.stores IS
'Stores of the cluster, as the Placement Driver knows them';

CREATE FUNCTION tikv_internal.members(
	OUT name text, OUT member_id numeric, OUT peer_urls text[],
	OUT client_urls text[], OUT is_leader boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_members'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 3;
COMMENT ON FUNCTION tikv_internal.members() IS 'Behind the view tikv.members';

CREATE VIEW tikv.members AS SELECT * FROM tikv_internal.members();
COMMENT ON VIEW tikv.members IS 'Members of the Placement Driver';

/* ------------------------------------------------------------------ roles */

/* Roles belong to the whole server: made if missing, and kept by DROP. */
DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['tikv_read', 'tikv_write', 'tikv_admin']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
		END IF;
	END LOOP;
END
$$;
GRANT tikv_read, tikv_write TO tikv_admin;

REVOKE ALL ON FUNCTION
	tikv_get(bytea), tikv_put(bytea, bytea), tikv_insert(bytea, bytea),
	tikv_delete(bytea), tikv_batch_get(bytea[]),
	tikv_batch_put(bytea[], bytea[]), tikv_batch_delete(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean),
	tikv_status(), tikv_check(), tikv_internal.regions(),
	tikv_internal.stores(), tikv_internal.members()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	tikv_get(bytea), tikv_batch_get(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean)
TO tikv_read;
GRANT EXECUTE ON FUNCTION
	tikv_put(bytea, bytea), tikv_insert(bytea, bytea), tikv_delete(bytea),
	tikv_batch_put(bytea[], bytea[]), tikv_batch_delete(bytea[])
TO tikv_write;
GRANT EXECUTE ON FUNCTION tikv_check() TO tikv_admin;
GRANT EXECUTE ON FUNCTION
	tikv_status(), tikv_internal.regions(), tikv_internal.stores(),
	tikv_internal.members()
TO tikv_read, tikv_write, pg_monitor;
GRANT USAGE ON SCHEMA tikv TO tikv_read, tikv_write, pg_monitor;
GRANT SELECT ON tikv.regions, tikv.stores, tikv.members
TO tikv_read, tikv_write, pg_monitor;

/* ----------------------------------------------------------------- wake-up */

CREATE FUNCTION tikv_internal.extension_created() RETURNS void
AS 'MODULE_PATHNAME', 'tikv_extension_created'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION tikv_internal.extension_created() FROM PUBLIC;
COMMENT ON FUNCTION tikv_internal.extension_created() IS
'Called once, by this script: wakes the workers when its transaction commits';

/* The last statement: from its commit on the workers serve. */
SELECT tikv_internal.extension_created();
