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
 * them as they are.
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
