/*
 * tikv_fdw.sql
 *	  The extension's objects.  Edited here; `make` copies it to
 *	  tikv_fdw--<version>.sql and makes the script that updates from the last
 *	  release: sql/update/<old>-<new>.sql, which drops and alters, then what
 *	  stands between "new in <version>" and "end of what is new" here, then
 *	  all from "update scripts run the rest" on with CREATE OR REPLACE.  A
 *	  released script (sql/released) never changes again.
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
 * a value of some kilobytes costs two to three times as much in TOAST.  VACUUM
 * leaves no dead pointers behind where there are few: the end of the table
 * could not be cut off.
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
	vacuum_index_cleanup = on,
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

/* new in 0.2 */

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
	vacuum_index_cleanup = on,
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
	vacuum_index_cleanup = on,
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

/* end of what is new */

/*
 * Small tables: few rows, updated in place.  All tables name the heap, since
 * the workers write below the table access method interface.
 */
CREATE TABLE tikv_internal.store_meta (
	cluster_id numeric(20, 0) NOT NULL,
	store_id numeric(20, 0) NOT NULL,
	api_version int4 NOT NULL,
	storage_format int4 NOT NULL,
	start_seq int8 NOT NULL,
	machine int8 NOT NULL DEFAULT 0,
	device int8 NOT NULL DEFAULT 0,
	inode int8 NOT NULL DEFAULT 0,
	timeline int4 NOT NULL DEFAULT 0,
	claim_word int8 NOT NULL DEFAULT 0
) USING heap WITH (fillfactor = 40);
COMMENT ON TABLE tikv_internal.store_meta IS
'One row: which store of which cluster this database holds';
COMMENT ON COLUMN tikv_internal.store_meta.machine IS
'With the next three: where the data were last served from, 0 if not known';
COMMENT ON COLUMN tikv_internal.store_meta.claim_word IS
'What the start is claimed with at PD, until it is known to be; 0 afterwards';
COMMENT ON COLUMN tikv_internal.store_meta.api_version IS
'kvrpcpb.APIVersion of the data: 0 is V1, 1 is V1 with TTL, 2 is V2';

/* new in 0.2 */

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

CREATE TABLE tikv_internal.leftover (
	number int8 NOT NULL,
	region_id int8 NOT NULL,
	is_log boolean NOT NULL,
	start_key bytea NOT NULL,
	end_key bytea NOT NULL
) USING heap WITH (fillfactor = 40, autovacuum_vacuum_cost_delay = 0,
		autovacuum_vacuum_scale_factor = 0, vacuum_truncate = off);
COMMENT ON TABLE tikv_internal.leftover IS
'What destroyed peers have left behind and is being removed: logs, and ranges of keys that no region of this store has';
COMMENT ON COLUMN tikv_internal.leftover.number IS
'It alone has it; greater than those of what was left before';
COMMENT ON COLUMN tikv_internal.leftover.is_log IS
'The region''s log, and no keys';
COMMENT ON COLUMN tikv_internal.leftover.start_key IS
'Inclusive, as bounds of regions are';
COMMENT ON COLUMN tikv_internal.leftover.end_key IS
'Exclusive; empty is the end of all keys';

/* end of what is new */

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
	flashback_start_ts int8 NOT NULL,
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
COMMENT ON COLUMN tikv_internal.region.flashback_start_ts IS
'Of the flashback that is under way; 0 if there is none';
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
	truncated_term int8 NOT NULL,
	approximate_size int8 NOT NULL,
	approximate_keys int8 NOT NULL
) USING heap WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0,
		autovacuum_vacuum_scale_factor = 0, vacuum_truncate = off);
CREATE UNIQUE INDEX raft_state_region ON tikv_internal.raft_state (region_id);
COMMENT ON TABLE tikv_internal.raft_state IS
'One row per Raft group: hard state, applied and truncated position, size of the region';
COMMENT ON COLUMN tikv_internal.raft_state.approximate_size IS
'Bytes of the region''s keys and values, about; -1 if they are to be counted';

/* new in 0.2 */

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

/*
 * Who may do what with keys of a prefix.  Written by tikv_grant and
 * tikv_revoke, read by everybody who has to ask.
 */
CREATE TABLE tikv_internal.prefix_grant (
	role oid NOT NULL,
	prefix bytea NOT NULL,
	privileges int4 NOT NULL
) USING heap;
COMMENT ON TABLE tikv_internal.prefix_grant IS
'One row per role and prefix: what tikv_grant gave';
COMMENT ON COLUMN tikv_internal.prefix_grant.prefix IS
'In API V2 with the three bytes of the keyspace before it';
COMMENT ON COLUMN tikv_internal.prefix_grant.privileges IS
'Bits: 1 read, 2 write';

/* end of what is new */

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

/* new in 0.2 */

CREATE TABLE tikv_internal.pd_raft_log (
	index int8 PRIMARY KEY,
	term int8 NOT NULL,
	entry bytea NOT NULL
);
COMMENT ON TABLE tikv_internal.pd_raft_log IS
'Entries of the Placement Driver''s group (eraftpb.Entry); empty while it has one member';

/* end of what is new */

CREATE TABLE tikv_internal.pd_kv (
	key text PRIMARY KEY,
	value bytea NOT NULL
) WITH (fillfactor = 40);
COMMENT ON TABLE tikv_internal.pd_kv IS
'What the Placement Driver replicates, under the key names of tikv/pd';

/* update scripts run the rest */

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
			'CREATE OR REPLACE TRIGGER refuse_dml BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s '
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

/* ------------------------------------------- keys of the SQL transaction */

CREATE FUNCTION tikv_txn_get(key bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'tikv_txn_get'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 100;
COMMENT ON FUNCTION tikv_txn_get(bytea) IS
'The value of a transactional key as this transaction sees it, NULL if there is none: its own writes, else what was committed before its statement (READ COMMITTED) or before it (REPEATABLE READ)';

CREATE FUNCTION tikv_txn_get(key bytea, as_of timestamptz) RETURNS bytea
AS 'MODULE_PATHNAME', 'tikv_txn_get_as_of'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_txn_get(bytea, timestamptz) IS
'The value that a transactional key had at that time, which must not lie before the safe point of garbage collection (tikv.gc); to the millisecond, by the clock of the timestamp oracle';

CREATE FUNCTION tikv_txn_put(key bytea, value bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_txn_put'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_txn_put(bytea, bytea) IS
'Store a transactional key when this transaction commits; ROLLBACK and ROLLBACK TO undo it';

CREATE FUNCTION tikv_txn_insert(key bytea, value bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_txn_insert'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_txn_insert(bytea, bytea) IS
'Store a transactional key that does not exist, else fail (unique_violation), when this transaction commits';

CREATE FUNCTION tikv_txn_delete(key bytea) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_txn_delete'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_txn_delete(bytea) IS
'Remove a transactional key when this transaction commits; no error if there is none';

CREATE FUNCTION tikv_txn_lock(key bytea) RETURNS bytea
AS 'MODULE_PATHNAME', 'tikv_txn_lock'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_txn_lock(bytea) IS
'Lock a transactional key until this transaction ends, as SELECT FOR UPDATE does a row, and return its value, NULL if there is none. With tikv.txn_mode optimistic the commit fails if somebody else wrote it';

CREATE FUNCTION tikv_txn_batch_get(
	keys bytea[], OUT key bytea, OUT value bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_txn_batch_get'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION tikv_txn_batch_get(bytea[]) IS
'The transactional keys that exist, with their values, in the order asked for, as tikv_txn_get sees them';

CREATE FUNCTION tikv_txn_scan(
	start_key bytea DEFAULT '', end_key bytea DEFAULT NULL,
	lim int8 DEFAULT NULL, reverse boolean DEFAULT false,
	key_only boolean DEFAULT false,
	OUT key bytea, OUT value bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_txn_scan'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1000;
COMMENT ON FUNCTION tikv_txn_scan(bytea, bytea, int8, boolean, boolean) IS
'Transactional keys of [start_key, end_key) in order, as tikv_txn_get sees them; an empty or NULL end_key is the end, reverse gives the same keys in descending order';

CREATE FUNCTION tikv_mvcc(
	start_key bytea, end_key bytea DEFAULT NULL,
	OUT key bytea, OUT kind text, OUT op text, OUT start_ts int8,
	OUT commit_ts int8, OUT committed timestamptz, OUT value bytea)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_mvcc'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION tikv_mvcc(bytea, bytea) IS
'All that is stored of a transactional key, or with an end_key (empty: the end) of the keys of [start_key, end_key): its lock, then its versions, the newest first; whoever may see them, and whichever store leads their regions';

CREATE FUNCTION tikv_resolve_lock(key bytea, force boolean DEFAULT false)
RETURNS text
AS 'MODULE_PATHNAME', 'tikv_resolve_lock'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_resolve_lock(bytea, boolean) IS
'End the lock of a transactional key if its transaction is over or has expired; with force also if it lives, which rolls it back. Tells what it found: not locked, resolved, alive';

CREATE FUNCTION tikv_gc_barrier(
	name text, at timestamptz DEFAULT now(), ttl interval DEFAULT '1 hour')
RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_gc_barrier'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_gc_barrier(text, timestamptz, interval) IS
'Keep what could be read at that time from garbage collection, for ttl (NULL: until it is deleted); the timestamp. The same name again moves it. Durable when it returns; ROLLBACK does not undo it';

CREATE FUNCTION tikv_gc_barrier_delete(name text) RETURNS boolean
AS 'MODULE_PATHNAME', 'tikv_gc_barrier_delete'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_gc_barrier_delete(text) IS
'Take a barrier away; whether there was one. Durable when it returns; ROLLBACK does not undo it';

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

CREATE FUNCTION tikv_reset_store(store_id int8 DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_reset_store'
LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE COST 10000;
COMMENT ON FUNCTION tikv_reset_store(int8) IS
'Forget all keys and begin anew as an empty store: for a node that serves no more since its data are a copy, or were rolled back. For superusers; the argument is the store''s id, to confirm, and an error without it says which that is';

CREATE FUNCTION tikv_grant(
	role name, prefix bytea, privileges text DEFAULT 'all')
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_grant'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_grant(name, bytea, text) IS
'Let a role read or write (privileges: read, write, all) the keys that begin with prefix, through the functions and foreign tables';

CREATE FUNCTION tikv_revoke(
	role name, prefix bytea, privileges text DEFAULT 'all')
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_revoke'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION tikv_revoke(name, bytea, text) IS
'Take back what tikv_grant gave for the same prefix';

/* --------------------------------------------------- foreign data wrapper */

CREATE FUNCTION tikv_fdw_handler() RETURNS fdw_handler
AS 'MODULE_PATHNAME', 'tikv_fdw_handler'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_fdw_handler() IS
'Handler of the foreign data wrapper tikv_fdw';

CREATE FUNCTION tikv_fdw_validator(options text[], catalog oid) RETURNS void
AS 'MODULE_PATHNAME', 'tikv_fdw_validator'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_fdw_validator(text[], oid) IS
'Validator of options of the foreign data wrapper tikv_fdw';

CREATE FOREIGN DATA WRAPPER tikv_fdw
	HANDLER tikv_fdw_handler VALIDATOR tikv_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER tikv_fdw IS
'Prefixes of the key space as tables';

/* ------------------------------------------------------------------ views */

CREATE FUNCTION tikv_internal.regions(
	OUT region_id int8, OUT start_key bytea, OUT end_key bytea,
	OUT conf_ver int8, OUT version int8, OUT store_ids int8[],
	OUT peer_id int8, OUT leader_peer_id int8, OUT is_leader boolean,
	OUT term int8, OUT applied_index int8, OUT flashback_start_ts int8,
	OUT approximate_size int8, OUT approximate_keys int8)
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
COMMENT ON COLUMN tikv.regions.flashback_start_ts IS
'Of the flashback that is under way, during which the region serves nothing newer; NULL if there is none';
COMMENT ON COLUMN tikv.regions.approximate_size IS
'Bytes of keys and values, versions included, about; told once a second';
COMMENT ON COLUMN tikv.regions.approximate_keys IS
'Rows of keys, about: versions count';

CREATE FUNCTION tikv_internal.raft(
	OUT region_id int8, OUT peer_id int8, OUT store_id int8, OUT role text,
	OUT is_local boolean, OUT term int8, OUT committed int8, OUT applied int8,
	OUT truncated int8, OUT last_index int8, OUT lag int8, OUT progress text,
	OUT lease_ms float8, OUT hibernates boolean)
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
COMMENT ON COLUMN tikv.raft.hibernates IS
'The peer on this store sleeps, since its group has nothing to do';

CREATE FUNCTION tikv_transfer_leader(region_id int8, store_id int8)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_transfer_leader'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_transfer_leader(int8, int8) IS
'Hand the leadership of a region to its peer on another store, on any node';

CREATE FUNCTION tikv_add_peer(
	region_id int8, store_id int8, learner boolean DEFAULT true)
RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_add_peer'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_add_peer(int8, int8, boolean) IS
'Add a peer of a region on a store, by SQL on any node: a learner at first, which gets the data; called again with learner => false it becomes a voter, once it has all and if a majority of the voters is heard of then. Returns the peer''s id';

CREATE FUNCTION tikv_remove_peer(region_id int8, store_id int8)
RETURNS void
AS 'MODULE_PATHNAME', 'tikv_remove_peer'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_remove_peer(int8, int8) IS
'Remove the peer of a region from a store that does not lead it, by SQL on any node; refused if no majority of the voters that stay is heard of';

CREATE FUNCTION tikv_split(key bytea, transactional boolean DEFAULT false)
RETURNS int8
AS 'MODULE_PATHNAME', 'tikv_split'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION tikv_split(bytea, boolean) IS
'Split the region that holds the key, by SQL on any node, so that a region begins with the key, of transactions if transactional; returns the id of the region that ends where the old one did';

CREATE FUNCTION tikv_internal.tasks(
	OUT task text, OUT waiting int8, OUT removed int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_tasks'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 8;
COMMENT ON FUNCTION tikv_internal.tasks() IS 'Behind the view tikv.tasks';

CREATE VIEW tikv.tasks AS SELECT * FROM tikv_internal.tasks();
COMMENT ON VIEW tikv.tasks IS
'Long work that this store does in slices, and how far it has come';
COMMENT ON COLUMN tikv.tasks.task IS
'delete ranges: RawDeleteRange; expire: removal of rows whose time has come; collect garbage: versions that nobody can read any more; resolve locks: those older than the safe point; send snapshots, install snapshots: of regions, to and from other stores; remove regions: rows of those that this store has no more; compact tables: rows of long tables that are mostly empty move to their beginning, and the end is cut off';
COMMENT ON COLUMN tikv.tasks.waiting IS
'Deletions not finished; blocks of tikv_internal.raw to be looked at; 1 while garbage is collected; regions that are read or replaced; blocks to be emptied or cut off';
COMMENT ON COLUMN tikv.tasks.removed IS
'Rows removed, locks ended, snapshots sent or installed, or blocks cut off, since the store started';

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

CREATE FUNCTION tikv_internal.transactions(
	OUT pid int4, OUT start_ts int8, OUT for_update_ts int8,
	OUT since timestamptz, OUT phase text, OUT mode text, OUT isolation text,
	OUT primary_key bytea, OUT keys int8, OUT locks int8, OUT heartbeats int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_transactions'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 10;
COMMENT ON FUNCTION tikv_internal.transactions() IS
'Behind the view tikv.transactions';

CREATE VIEW tikv.transactions AS SELECT * FROM tikv_internal.transactions();
COMMENT ON VIEW tikv.transactions IS
'Transactions of this server''s sessions that have touched transactional keys';
COMMENT ON COLUMN tikv.transactions.keys IS
'Keys that the session remembers: written or locked';
COMMENT ON COLUMN tikv.transactions.primary_key IS
'The key, as it is stored, whose lock the store keeps alive';
COMMENT ON COLUMN tikv.transactions.heartbeats IS
'How often the store has done so';

CREATE FUNCTION tikv_internal.recent_commits(
	OUT at timestamptz, OUT pid int4, OUT guarantee text, OUT xid xid,
	OUT start_ts int8, OUT commit_ts int8, OUT keys int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_recent_commits'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE ROWS 100;
COMMENT ON FUNCTION tikv_internal.recent_commits() IS
'Behind the view tikv.recent_commits';

CREATE VIEW tikv.recent_commits AS SELECT * FROM tikv_internal.recent_commits();
COMMENT ON VIEW tikv.recent_commits IS
'The last commits of SQL transactions on this server that wrote or locked transactional keys, the newest first';
COMMENT ON COLUMN tikv.recent_commits.guarantee IS
'one_commit: keys and tables by one commit of Postgres. 1pc, async, two_phase: the keys by themselves, in one step or several, just before the tables';
COMMENT ON COLUMN tikv.recent_commits.xid IS
'The transaction id in Postgres, NULL if it wrote no table';
COMMENT ON COLUMN tikv.recent_commits.keys IS
'Keys that it wrote or locked';

CREATE FUNCTION tikv_internal.locks(
	OUT key bytea, OUT type text, OUT start_ts int8, OUT started timestamptz,
	OUT primary_key bytea, OUT ttl_ms int8, OUT for_update_ts int8,
	OUT min_commit_ts int8, OUT async_commit boolean, OUT secondaries int8,
	OUT pid int4)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_locks'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 100;
COMMENT ON FUNCTION tikv_internal.locks() IS 'Behind the view tikv.locks';

CREATE VIEW tikv.locks AS SELECT * FROM tikv_internal.locks();
COMMENT ON VIEW tikv.locks IS
'Locks of transactional keys, of all keyspaces, all clients and all regions, whichever store leads them; keys as they are stored';
COMMENT ON COLUMN tikv.locks.ttl_ms IS
'How long after its start the transaction is taken for alive';
COMMENT ON COLUMN tikv.locks.pid IS
'The session of this node that holds it; NULL for one of another node, or a client of the network';

CREATE FUNCTION tikv_internal.lock_waits(
	OUT start_ts int8, OUT pid int4, OUT holder_start_ts int8,
	OUT holder_pid int4, OUT key bytea, OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_lock_waits'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION tikv_internal.lock_waits() IS
'Behind the view tikv.lock_waits';

CREATE VIEW tikv.lock_waits AS SELECT * FROM tikv_internal.lock_waits();
COMMENT ON VIEW tikv.lock_waits IS
'Who waits for the lock of a transactional key, and who holds it; a pid is of this server''s sessions, NULL for a client of the network';
COMMENT ON COLUMN tikv.lock_waits.key IS
'As it is stored; of a session its first 256 bytes';

CREATE FUNCTION tikv_internal.gc(
	OUT step text, OUT txn_safe_point numeric, OUT txn_safe_time timestamptz,
	OUT gc_safe_point numeric, OUT gc_safe_time timestamptz,
	OUT collected numeric, OUT versions_removed int8, OUT locks_resolved int8,
	OUT oldest_transaction int8, OUT gave_up_because text, OUT gave_up_on int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_gc'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 1;
COMMENT ON FUNCTION tikv_internal.gc() IS 'Behind the view tikv.gc';

CREATE VIEW tikv.gc AS SELECT * FROM tikv_internal.gc();
COMMENT ON VIEW tikv.gc IS
'Garbage collection: how far the cluster allows it, and what this store is at';
COMMENT ON COLUMN tikv.gc.txn_safe_point IS
'Transactions that began before it write nothing any more; their locks are ended first';
COMMENT ON COLUMN tikv.gc.txn_safe_time IS
'One may read back to this time';
COMMENT ON COLUMN tikv.gc.gc_safe_point IS
'Reads before it are refused: versions may be gone';
COMMENT ON COLUMN tikv.gc.collected IS
'The safe point up to which this store has made a whole pass since its start';
COMMENT ON COLUMN tikv.gc.oldest_transaction IS
'The start_ts of the oldest session that holds it back';
COMMENT ON COLUMN tikv.gc.gave_up_because IS
'Why the last round ended early, or passed keys by; NULL if it did neither. The next one tries again';
COMMENT ON COLUMN tikv.gc.gave_up_on IS
'start_ts of the transaction that was in the way';

CREATE FUNCTION tikv_internal.gc_barriers(
	OUT name text, OUT barrier_ts numeric, OUT at timestamptz,
	OUT ttl_seconds int8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'tikv_gc_barriers'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION tikv_internal.gc_barriers() IS
'Behind the view tikv.gc_barriers';

CREATE VIEW tikv.gc_barriers AS SELECT * FROM tikv_internal.gc_barriers();
COMMENT ON VIEW tikv.gc_barriers IS
'What keeps garbage collection from going on, of tikv_gc_barrier() and of clients';
COMMENT ON COLUMN tikv.gc_barriers.ttl_seconds IS
'Seconds until it ends; NULL: it does not';

CREATE VIEW tikv.mvcc AS SELECT * FROM tikv_mvcc('', '');
COMMENT ON VIEW tikv.mvcc IS
'Every version of every transactional key, reading all of them: tikv_mvcc(key) or tikv_mvcc(start_key, end_key) read less';

CREATE VIEW tikv.settings AS
	SELECT name, setting, unit, context, source, boot_val, pending_restart,
		short_desc AS description
	FROM pg_catalog.pg_settings WHERE name LIKE 'tikv.%';
COMMENT ON VIEW tikv.settings IS 'The settings of the extension';

CREATE VIEW tikv.prefix_grants AS
	SELECT r.rolname AS role, g.prefix,
		g.privileges & 1 <> 0 AS can_read, g.privileges & 2 <> 0 AS can_write
	FROM tikv_internal.prefix_grant AS g
		JOIN pg_catalog.pg_roles AS r ON r.oid = g.role;
COMMENT ON VIEW tikv.prefix_grants IS
'What tikv_grant gave to whom; members of tikv_read and tikv_write need none';
COMMENT ON COLUMN tikv.prefix_grants.prefix IS
'In API V2 with the three bytes of the keyspace before it';

/* ------------------------------------------------------------------ roles */

/* Roles belong to the whole server: made if missing, and kept by DROP. */
DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['tikv_read', 'tikv_write', 'tikv_admin', 'tikv_user']
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
	tikv_remove_peer(int8, int8), tikv_split(bytea, boolean), tikv_internal.raft(),
	tikv_get(bytea), tikv_put(bytea, bytea, int8),
	tikv_insert(bytea, bytea, int8), tikv_delete(bytea),
	tikv_cas(bytea, bytea, bytea, int8), tikv_ttl(bytea),
	tikv_batch_get(bytea[]), tikv_batch_put(bytea[], bytea[], int8),
	tikv_batch_delete(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean),
	tikv_delete_range(bytea, bytea), tikv_checksum(bytea, bytea),
	tikv_txn_get(bytea), tikv_txn_get(bytea, timestamptz),
	tikv_txn_put(bytea, bytea),
	tikv_txn_insert(bytea, bytea), tikv_txn_delete(bytea),
	tikv_txn_lock(bytea), tikv_txn_batch_get(bytea[]),
	tikv_txn_scan(bytea, bytea, int8, boolean, boolean),
	tikv_mvcc(bytea, bytea), tikv_resolve_lock(bytea, boolean),
	tikv_gc_barrier(text, timestamptz, interval), tikv_gc_barrier_delete(text),
	tikv_internal.transactions(), tikv_internal.locks(),
	tikv_internal.lock_waits(), tikv_internal.gc(),
	tikv_internal.gc_barriers(), tikv_internal.recent_commits(),
	tikv_status(), tikv_check(), tikv_internal.regions(),
	tikv_internal.raft(), tikv_transfer_leader(int8, int8),
	tikv_add_peer(int8, int8, boolean), tikv_remove_peer(int8, int8),
	tikv_internal.tasks(), tikv_internal.metrics(),
	tikv_internal.stores(), tikv_internal.members(),
	tikv_internal.keyspaces(), tikv_create_keyspace(text), tikv_leave(),
	tikv_reset_store(int8), tikv_split(bytea, boolean),
	tikv_grant(name, bytea, text), tikv_revoke(name, bytea, text),
	tikv_fdw_handler(), tikv_fdw_validator(text[], oid)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
	tikv_get(bytea), tikv_ttl(bytea), tikv_batch_get(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean),
	tikv_checksum(bytea, bytea), tikv_txn_get(bytea),
	tikv_txn_get(bytea, timestamptz), tikv_txn_batch_get(bytea[]),
	tikv_txn_scan(bytea, bytea, int8, boolean, boolean),
	tikv_mvcc(bytea, bytea), tikv_internal.transactions(),
	tikv_internal.locks(), tikv_internal.lock_waits()
TO tikv_read;
GRANT EXECUTE ON FUNCTION
	tikv_put(bytea, bytea, int8), tikv_insert(bytea, bytea, int8),
	tikv_delete(bytea), tikv_batch_put(bytea[], bytea[], int8),
	tikv_batch_delete(bytea[]), tikv_delete_range(bytea, bytea),
	tikv_txn_put(bytea, bytea), tikv_txn_insert(bytea, bytea),
	tikv_txn_delete(bytea)
TO tikv_write;

/* It writes a lock and tells a value. */
GRANT EXECUTE ON FUNCTION tikv_txn_lock(bytea) TO tikv_write;
GRANT EXECUTE ON FUNCTION
	tikv_check(), tikv_create_keyspace(text), tikv_leave(),
	tikv_resolve_lock(bytea, boolean),
	tikv_gc_barrier(text, timestamptz, interval), tikv_gc_barrier_delete(text),
	tikv_transfer_leader(int8, int8), tikv_add_peer(int8, int8, boolean),
	tikv_remove_peer(int8, int8), tikv_split(bytea, boolean),
	tikv_grant(name, bytea, text), tikv_revoke(name, bytea, text)
TO tikv_admin;

/*
 * tikv_grant makes its roles members: they may call the functions, and what
 * these do with which keys is decided by the prefix.
 */
GRANT EXECUTE ON FUNCTION
	tikv_get(bytea), tikv_ttl(bytea), tikv_batch_get(bytea[]),
	tikv_scan(bytea, bytea, int8, boolean, boolean),
	tikv_checksum(bytea, bytea), tikv_put(bytea, bytea, int8),
	tikv_insert(bytea, bytea, int8), tikv_delete(bytea),
	tikv_batch_put(bytea[], bytea[], int8), tikv_batch_delete(bytea[]),
	tikv_delete_range(bytea, bytea), tikv_cas(bytea, bytea, bytea, int8),
	tikv_txn_get(bytea), tikv_txn_batch_get(bytea[]),
	tikv_txn_scan(bytea, bytea, int8, boolean, boolean),
	tikv_txn_put(bytea, bytea), tikv_txn_insert(bytea, bytea),
	tikv_txn_delete(bytea), tikv_txn_lock(bytea)
TO tikv_user;
GRANT USAGE ON FOREIGN DATA WRAPPER tikv_fdw TO tikv_admin;

/* Tells what is there, too: it asks for the right to tikv_get itself. */
GRANT EXECUTE ON FUNCTION tikv_cas(bytea, bytea, bytea, int8) TO tikv_write;

GRANT EXECUTE ON FUNCTION
	tikv_status(), tikv_internal.regions(), tikv_internal.raft(),
	tikv_internal.tasks(), tikv_internal.gc(), tikv_internal.gc_barriers(),
	tikv_internal.metrics(), tikv_internal.stores(), tikv_internal.members(),
	tikv_internal.keyspaces(), tikv_internal.recent_commits()
TO tikv_read, tikv_write, pg_monitor;
GRANT USAGE ON SCHEMA tikv TO tikv_read, tikv_write, pg_monitor;
GRANT SELECT ON tikv.regions, tikv.raft, tikv.tasks, tikv.gc, tikv.gc_barriers,
	tikv.metrics, tikv.stores, tikv.members, tikv.keyspaces, tikv.settings,
	tikv.recent_commits
TO tikv_read, tikv_write, pg_monitor;
GRANT SELECT ON tikv.prefix_grants TO tikv_admin;

/* They show keys. */
GRANT SELECT ON tikv.transactions, tikv.locks, tikv.lock_waits, tikv.mvcc
TO tikv_read;

/* ----------------------------------------------------------------- wake-up */

CREATE FUNCTION tikv_internal.extension_created() RETURNS void
AS 'MODULE_PATHNAME', 'tikv_extension_created'
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION tikv_internal.extension_created() FROM PUBLIC;
COMMENT ON FUNCTION tikv_internal.extension_created() IS
'Called once, by this script: wakes the workers when its transaction commits';

/* The last statement: from its commit on the workers serve. */
SELECT tikv_internal.extension_created();
