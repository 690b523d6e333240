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
	era int8 NOT NULL,
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
COMMENT ON COLUMN tikv_internal.raw.era IS
'How many deletions of ranges the store had accepted when the row was written';
COMMENT ON COLUMN tikv_internal.raw.expires_at IS
'Unix seconds at which the key expires; 0 is never';
COMMENT ON COLUMN tikv_internal.raw.cf IS
'Column family: d default, l lock, w write';
COMMENT ON COLUMN tikv_internal.raw.key IS 'The first 2048 bytes of the key';
COMMENT ON COLUMN tikv_internal.raw.key_rest IS
'The bytes of the key from 2049 on; NULL if there are none';
COMMENT ON COLUMN tikv_internal.raw.value IS 'The value, uncompressed';

/*
 * Transactions.  Versions are only added and, later, deleted: their rows need
 * no room to grow in.  Timestamps come first, as above.
 */
CREATE TABLE tikv_internal.write (
	commit_ts int8 NOT NULL,
	key bytea NOT NULL,
	key_rest bytea,
	rec bytea NOT NULL
) USING heap WITH (
	toast_tuple_target = 8160,
	autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_freeze_min_age = 0,
	vacuum_truncate = off,
	toast.autovacuum_vacuum_cost_delay = 0,
	toast.vacuum_truncate = off
);
ALTER TABLE tikv_internal.write
	ALTER key SET STORAGE PLAIN,
	ALTER key_rest SET STORAGE EXTERNAL,
	ALTER rec SET STORAGE EXTERNAL;
CREATE INDEX write_key ON tikv_internal.write (key, commit_ts);
COMMENT ON TABLE tikv_internal.write IS
'Column family write: what happened to a key and when, one row per version';
COMMENT ON COLUMN tikv_internal.write.commit_ts IS
'When it was committed; of a rollback the start_ts of its transaction';
COMMENT ON COLUMN tikv_internal.write.key IS 'The first 2048 bytes of the key';
COMMENT ON COLUMN tikv_internal.write.key_rest IS
'The bytes of the key from 2049 on; NULL if there are none';
COMMENT ON COLUMN tikv_internal.write.rec IS 'A Write record as TiKV encodes it';

CREATE TABLE tikv_internal.value (
	start_ts int8 NOT NULL,
	key bytea NOT NULL,
	key_rest bytea,
	value bytea NOT NULL
) USING heap WITH (
	toast_tuple_target = 8160,
	autovacuum_vacuum_scale_factor = 0.05,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_freeze_min_age = 0,
	vacuum_truncate = off,
	toast.autovacuum_vacuum_scale_factor = 0.05,
	toast.autovacuum_vacuum_cost_delay = 0,
	toast.vacuum_truncate = off
);
ALTER TABLE tikv_internal.value
	ALTER key SET STORAGE PLAIN,
	ALTER key_rest SET STORAGE EXTERNAL,
	ALTER value SET STORAGE EXTERNAL;
CREATE INDEX value_key ON tikv_internal.value (key, start_ts);
COMMENT ON TABLE tikv_internal.value IS
'Column family default of transactions: values too long for the records';
COMMENT ON COLUMN tikv_internal.value.start_ts IS
'The transaction that wrote the value';
COMMENT ON COLUMN tikv_internal.value.key IS 'The first 2048 bytes of the key';
COMMENT ON COLUMN tikv_internal.value.key_rest IS
'The bytes of the key from 2049 on; NULL if there are none';
COMMENT ON COLUMN tikv_internal.value.value IS 'The value, uncompressed';

/*
 * Locks are looked up in memory; these rows are what is left of them after a
 * crash.  A slot is rewritten in place, found by its address: it has no index,
 * and room for some versions of itself.
 */
CREATE TABLE tikv_internal.lock_slot (
	slot int8 NOT NULL,
	rec bytea
) USING heap WITH (
	fillfactor = 40,
	toast_tuple_target = 8160,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_freeze_min_age = 0,
	vacuum_truncate = off,
	toast.autovacuum_vacuum_cost_delay = 0,
	toast.vacuum_truncate = off
);
ALTER TABLE tikv_internal.lock_slot ALTER rec SET STORAGE EXTERNAL;
COMMENT ON TABLE tikv_internal.lock_slot IS
'Column family lock: a pool of rows, each holding one lock or none';
COMMENT ON COLUMN tikv_internal.lock_slot.slot IS 'Number of the slot';
COMMENT ON COLUMN tikv_internal.lock_slot.rec IS
'The key with its length before it, then a Lock record as TiKV encodes it; NULL while the slot is free';

CREATE TABLE tikv_internal.lock_spill (
	ts int8 NOT NULL,
	key bytea NOT NULL,
	key_rest bytea,
	rec bytea NOT NULL
) USING heap WITH (
	toast_tuple_target = 8160,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_freeze_min_age = 0,
	vacuum_truncate = off,
	toast.autovacuum_vacuum_cost_delay = 0,
	toast.vacuum_truncate = off
);
ALTER TABLE tikv_internal.lock_spill
	ALTER key SET STORAGE PLAIN,
	ALTER key_rest SET STORAGE EXTERNAL,
	ALTER rec SET STORAGE EXTERNAL;
CREATE INDEX lock_spill_key ON tikv_internal.lock_spill (key, ts);
COMMENT ON TABLE tikv_internal.lock_spill IS
'Column family lock: locks that do not fit into tikv.lock_memory';
COMMENT ON COLUMN tikv_internal.lock_spill.ts IS '0: a key has one lock';
COMMENT ON COLUMN tikv_internal.lock_spill.key IS
'The first 2048 bytes of the key';
COMMENT ON COLUMN tikv_internal.lock_spill.key_rest IS
'The bytes of the key from 2049 on; NULL if there are none';
COMMENT ON COLUMN tikv_internal.lock_spill.rec IS
'A Lock record as TiKV encodes it';

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
COMMENT ON COLUMN tikv_internal.store_meta.api_version IS
'kvrpcpb.APIVersion of the data: 0 is V1, 1 is V1 with TTL, 2 is V2';

CREATE TABLE tikv_internal.range_delete (
	era int8 NOT NULL,
	done boolean NOT NULL,
	cf "char" NOT NULL,
	next_key bytea NOT NULL,
	end_key bytea NOT NULL
) USING heap WITH (fillfactor = 40, autovacuum_vacuum_cost_delay = 0,
		autovacuum_vacuum_scale_factor = 0, vacuum_truncate = off);
COMMENT ON TABLE tikv_internal.range_delete IS
'Deletions of ranges: those on their way, and the newest';
COMMENT ON COLUMN tikv_internal.range_delete.era IS
'The era that it began: it removes rows of older ones';
COMMENT ON COLUMN tikv_internal.range_delete.next_key IS
'Where it goes on; what lies before it is done';
COMMENT ON COLUMN tikv_internal.range_delete.end_key IS
'Exclusive; empty is the end of all keys';

CREATE TABLE tikv_internal.snapshot_install (
	region_id int8 NOT NULL,
	log_index int8 NOT NULL,
	log_term int8 NOT NULL,
	loading boolean NOT NULL,
	file_offset int8 NOT NULL
) USING heap WITH (fillfactor = 40, autovacuum_vacuum_cost_delay = 0,
		autovacuum_vacuum_scale_factor = 0, vacuum_truncate = off);
COMMENT ON TABLE tikv_internal.snapshot_install IS
'Regions that are being replaced by a snapshot of another store';
COMMENT ON COLUMN tikv_internal.snapshot_install.loading IS
'The old rows are gone; before, the new ones have not begun';
COMMENT ON COLUMN tikv_internal.snapshot_install.file_offset IS
'How much of the file is in the tables';

CREATE TABLE tikv_internal.region (
	region_id int8 PRIMARY KEY,
	peer_id int8 NOT NULL,
	start_key bytea NOT NULL,
	end_key bytea NOT NULL,
	conf_ver int8 NOT NULL,
	version int8 NOT NULL,
	peer_ids int8[] NOT NULL,
	peer_stores int8[] NOT NULL,
	peer_roles int4[] NOT NULL,
	state int4 NOT NULL
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
COMMENT ON COLUMN tikv_internal.region.state IS
'raft_serverpb.PeerState: 0 normal, 1 applying a snapshot, 2 tombstone';

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

CREATE TABLE tikv_internal.raft_log (
	region_id int8 NOT NULL,
	log_index int8 NOT NULL,
	term int8 NOT NULL,
	entry bytea NOT NULL
) USING heap WITH (
	toast_tuple_target = 8160,
	autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_vacuum_cost_delay = 0,
	autovacuum_freeze_min_age = 0,
	vacuum_truncate = off,
	toast.autovacuum_vacuum_scale_factor = 0.02,
	toast.autovacuum_vacuum_cost_delay = 0,
	toast.vacuum_truncate = off
);
ALTER TABLE tikv_internal.raft_log ALTER entry SET STORAGE EXTERNAL;
CREATE INDEX raft_log_key ON tikv_internal.raft_log (region_id, log_index);
COMMENT ON TABLE tikv_internal.raft_log IS
'The logs of the Raft groups that have several peers';
COMMENT ON COLUMN tikv_internal.raft_log.entry IS 'eraftpb.Entry';

CREATE TABLE tikv_internal.pd_raft_state (
	term int8 NOT NULL,
	vote int8 NOT NULL,
	commit_index int8 NOT NULL,
	applied_index int8 NOT NULL,
	applied_term int8 NOT NULL,
	truncated_index int8 NOT NULL,
	truncated_term int8 NOT NULL,
	member_id int8 NOT NULL,
	start_seq int8 NOT NULL,
	conf bytea NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE tikv_internal.pd_raft_state IS
'One row: which member of the Placement Driver this is, hard state, applied and truncated position, configuration (eraftpb.ConfState)';

CREATE TABLE tikv_internal.pd_raft_log (
	index int8 PRIMARY KEY,
	term int8 NOT NULL,
	entry bytea NOT NULL
);
COMMENT ON TABLE tikv_internal.pd_raft_log IS
'Entries of the Placement Driver''s group (eraftpb.Entry); empty while it has one member';

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

CREATE FUNCTION tikv_put(key bytea, value bytea, ttl int8 DEFAULT 0)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_put'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_put(bytea, bytea, int8) IS
'Store a raw key, for ttl seconds if that is not 0. Durable when it returns; not part of the SQL transaction: ROLLBACK does not undo it';

CREATE FUNCTION tikv_insert(key bytea, value bytea, ttl int8 DEFAULT 0)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_insert'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_insert(bytea, bytea, int8) IS
'Store a raw key that does not exist yet, else fail (unique_violation); for ttl seconds if that is not 0. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_delete(key bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_delete'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_delete(bytea) IS
'Remove a raw key; no error if there is none. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_cas(
	key bytea, expected bytea, value bytea, ttl int8 DEFAULT 0,
	OUT swapped boolean, OUT previous bytea)
RETURNS record
AS 'MODULE_PATHNAME', 'tikv_cas'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_cas(bytea, bytea, bytea, int8) IS
'Compare and swap: store value (NULL: remove the key) if the key has the expected value (NULL: does not exist). Tells whether it did, and what was there before in either case. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_ttl(key bytea) RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_ttl'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tikv_ttl(bytea) IS
'Seconds until a raw key expires, 0 if it never does, NULL if there is none; needs tikv.enable_ttl or API version 2';

CREATE FUNCTION tikv_batch_get(keys bytea[], OUT key bytea, OUT value bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_batch_get'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION tikv_batch_get(bytea[]) IS
'The raw keys that exist, with their values, in the order asked for, over one snapshot';

CREATE FUNCTION tikv_batch_put(
	keys bytea[], vals bytea[], ttl int8 DEFAULT 0)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_batch_put'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_batch_put(bytea[], bytea[], int8) IS
'Store raw keys, for ttl seconds if that is not 0: those of one region all or none, at most 8 MiB each region. Durable when it returns; ROLLBACK does not undo it';

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

CREATE FUNCTION tikv_delete_range(start_key bytea, end_key bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_delete_range'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tikv_delete_range(bytea, bytea) IS
'Remove all raw keys of [start_key, end_key), an empty end_key being the end. Some thousands at a time, each durable before the next: not atomic, and a cancel leaves the rest. ROLLBACK does not undo it';

CREATE FUNCTION tikv_checksum(
	start_key bytea DEFAULT '', end_key bytea DEFAULT NULL,
	OUT checksum numeric, OUT total_kvs int8, OUT total_bytes int8)
RETURNS record
AS 'MODULE_PATHNAME', 'tikv_checksum'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tikv_checksum(bytea, bytea) IS
'Checksum (CRC-64 of each key and value, combined by XOR), number and size of the raw keys of [start_key, end_key), an empty or NULL end_key being the end; as RawChecksum of TiKV';

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

CREATE FUNCTION tikv_create_keyspace(name text) RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_create_keyspace'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_create_keyspace(text) IS
'Make a keyspace for clients of API V2 and return its id. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_leave() RETURNS void
AS 'MODULE_PATHNAME', 'tikv_leave'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_leave() IS
'This node leaves the cluster: its regions move to other stores, its member leaves the Placement Driver. Returns at once; tikv.stores and tikv.members show how far it is';

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

CREATE FUNCTION tikv_internal.raft(
	OUT region_id int8, OUT peer_id int8, OUT store_id int8, OUT role text,
	OUT is_local boolean, OUT term int8, OUT committed int8, OUT applied int8,
	OUT truncated int8, OUT last_index int8, OUT lag int8, OUT progress text,
	OUT lease_ms float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_raft'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION tikv_internal.raft() IS 'Behind the view tikv.raft';

CREATE VIEW tikv.raft AS SELECT * FROM tikv_internal.raft();
COMMENT ON VIEW tikv.raft IS
'Peers of the regions of this store, as its own peer sees the Raft group; told once a second';
COMMENT ON COLUMN tikv.raft.role IS
'leader, follower, candidate, learner; in a joint configuration incoming voter and demoting voter';
COMMENT ON COLUMN tikv.raft.is_local IS 'The peer is on this store';
COMMENT ON COLUMN tikv.raft.committed IS 'Last committed entry that is known here';
COMMENT ON COLUMN tikv.raft.applied IS 'Last entry applied here';
COMMENT ON COLUMN tikv.raft.truncated IS
'Last entry given up here; an older peer needs a snapshot';
COMMENT ON COLUMN tikv.raft.last_index IS
'Last entry of the peer''s log, as far as it is known here';
COMMENT ON COLUMN tikv.raft.lag IS 'Entries that the peer lacks; the leader knows';
COMMENT ON COLUMN tikv.raft.progress IS
'How the leader sends to the peer: probe, replicate, snapshot; silent: no answer';
COMMENT ON COLUMN tikv.raft.lease_ms IS
'How long this store may read without asking others; infinite for a lone peer';

CREATE FUNCTION tikv_transfer_leader(region_id int8, store_id int8)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_transfer_leader'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_transfer_leader(int8, int8) IS
'Hand the leadership of a region, which this store leads, to its peer on another store';

CREATE FUNCTION tikv_add_peer(
	region_id int8, store_id int8, learner boolean DEFAULT true)
RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_add_peer'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_add_peer(int8, int8, boolean) IS
'Add a peer of a region, which this store leads, on another store: a learner at first, which gets the data; called again with learner => false it becomes a voter. Returns the peer''s id';

CREATE FUNCTION tikv_remove_peer(region_id int8, store_id int8)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_remove_peer'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_remove_peer(int8, int8) IS
'Remove the peer of a region, which this store leads, from another store';

CREATE FUNCTION tikv_split(key bytea)
RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_split'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_split(bytea) IS
'Split the region that holds the key, which this store leads, so that a region begins with the key; returns the id of the region that ends where the old one did';

CREATE FUNCTION tikv_internal.tasks(
	OUT task text, OUT waiting int8, OUT removed int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_tasks'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 4;
COMMENT ON FUNCTION tikv_internal.tasks() IS 'Behind the view tikv.tasks';

CREATE VIEW tikv.tasks AS SELECT * FROM tikv_internal.tasks();
COMMENT ON VIEW tikv.tasks IS
'Long work that this store does in slices, and how far it has come';
COMMENT ON COLUMN tikv.tasks.task IS
'delete ranges: RawDeleteRange; expire: removal of rows whose time has come; collect garbage: versions that nobody can read any more; resolve locks: those older than the safe point';
COMMENT ON COLUMN tikv.tasks.waiting IS
'Deletions not finished; blocks of tikv_internal.raw to be looked at; 1 while garbage is collected';
COMMENT ON COLUMN tikv.tasks.removed IS
'Rows removed, or locks ended, since the store started';

CREATE FUNCTION tikv_internal.metrics(
	OUT name text, OUT labels jsonb, OUT value float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_metrics'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 1000;
COMMENT ON FUNCTION tikv_internal.metrics() IS 'Behind the view tikv.metrics';

CREATE VIEW tikv.metrics AS SELECT * FROM tikv_internal.metrics();
COMMENT ON VIEW tikv.metrics IS
'Counters and gauges of this node, the same that tikv.status_addr serves as /metrics';
COMMENT ON COLUMN tikv.metrics.name IS
'Of TiKV where it means the same; else it begins with tikv_fdw_';
COMMENT ON COLUMN tikv.metrics.value IS
'Counters begin at zero with the worker that counts';

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

CREATE FUNCTION tikv_internal.keyspaces(
	OUT keyspace_id int8, OUT name text, OUT state text,
	OUT created timestamptz, OUT state_changed timestamptz,
	OUT settings text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_keyspaces'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION tikv_internal.keyspaces() IS
'Behind the view tikv.keyspaces';

CREATE VIEW tikv.keyspaces AS SELECT * FROM tikv_internal.keyspaces();
COMMENT ON VIEW tikv.keyspaces IS
'Keyspaces of the cluster, as the Placement Driver knows them';
COMMENT ON COLUMN tikv.keyspaces.settings IS 'As name=value';

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
	tikv_transfer_leader(int8, int8), tikv_add_peer(int8, int8, boolean),
	tikv_remove_peer(int8, int8), tikv_split(bytea), tikv_internal.raft(),
	tikv_get(bytea), tikv_put(bytea, bytea, int8),
	tikv_insert(bytea, bytea, int8), tikv_delete(bytea),
	tikv_cas(bytea, bytea, bytea, int8), tikv_ttl(bytea),
	tikv_batch_get(bytea[]), tikv_batch_put(bytea[], bytea[], int8),
	tikv_batch_delete(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean),
	tikv_delete_range(bytea, bytea), tikv_checksum(bytea, bytea),
	tikv_status(), tikv_check(), tikv_internal.regions(),
	tikv_internal.tasks(), tikv_internal.metrics(),
	tikv_internal.stores(), tikv_internal.members(),
	tikv_internal.keyspaces(), tikv_create_keyspace(text), tikv_leave()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	tikv_get(bytea), tikv_ttl(bytea), tikv_batch_get(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean),
	tikv_checksum(bytea, bytea)
TO tikv_read;
GRANT EXECUTE ON FUNCTION
	tikv_put(bytea, bytea, int8), tikv_insert(bytea, bytea, int8),
	tikv_delete(bytea), tikv_batch_put(bytea[], bytea[], int8),
	tikv_batch_delete(bytea[]), tikv_delete_range(bytea, bytea)
TO tikv_write;
GRANT EXECUTE ON FUNCTION tikv_check(), tikv_create_keyspace(text),
	tikv_leave(),
	tikv_transfer_leader(int8, int8), tikv_add_peer(int8, int8, boolean),
	tikv_remove_peer(int8, int8), tikv_split(bytea)
TO tikv_admin;

/* Tells what is there, too: it asks for the right to tikv_get itself. */
GRANT EXECUTE ON FUNCTION tikv_cas(bytea, bytea, bytea, int8) TO tikv_write;

GRANT EXECUTE ON FUNCTION
	tikv_status(), tikv_internal.regions(), tikv_internal.raft(),
	tikv_internal.tasks(),
	tikv_internal.metrics(), tikv_internal.stores(), tikv_internal.members(),
	tikv_internal.keyspaces()
TO tikv_read, tikv_write, pg_monitor;
GRANT USAGE ON SCHEMA tikv TO tikv_read, tikv_write, pg_monitor;
GRANT SELECT ON tikv.regions, tikv.raft, tikv.tasks, tikv.metrics, tikv.stores, tikv.members,
	tikv.keyspaces
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
