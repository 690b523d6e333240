/*
 * 0.1-0.2.sql
 *	  What an update of version 0.1 drops and alters; see tikv_fdw.sql.
 *
 * No key's row is rewritten: 0.1 kept zero in raw.ts, which is an era before
 * all deletions of ranges.
 */
ALTER TABLE tikv_internal.raw RENAME ts TO era;
COMMENT ON COLUMN tikv_internal.raw.era IS
'How many deletions of ranges the store had accepted when the row was written';

ALTER TABLE tikv_internal.raw SET (vacuum_index_cleanup = on);

/* 0.1 had V1 alone and wrote 1 for it, the number of the setting. */
ALTER TABLE tikv_internal.store_meta
	ALTER api_version TYPE int4 USING 0,
	ADD machine int8 NOT NULL DEFAULT 0,
	ADD device int8 NOT NULL DEFAULT 0,
	ADD inode int8 NOT NULL DEFAULT 0,
	ADD timeline int4 NOT NULL DEFAULT 0,
	ADD claim_word int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN tikv_internal.store_meta.machine IS
'With the next three: where the data were last served from, 0 if not known';
COMMENT ON COLUMN tikv_internal.store_meta.claim_word IS
'What the start is claimed with at PD, until it is known to be; 0 afterwards';
COMMENT ON COLUMN tikv_internal.store_meta.api_version IS
'kvrpcpb.APIVersion of the data: 0 is V1, 1 is V1 with TTL, 2 is V2';

/* Every region had one peer, in no special state. */
ALTER TABLE tikv_internal.region
	ADD flashback_start_ts int8 NOT NULL DEFAULT 0,
	ADD state int4 NOT NULL DEFAULT 0;
ALTER TABLE tikv_internal.region
	ALTER flashback_start_ts DROP DEFAULT,
	ALTER state DROP DEFAULT;
COMMENT ON COLUMN tikv_internal.region.flashback_start_ts IS
'Of the flashback that is under way; 0 if there is none';
COMMENT ON COLUMN tikv_internal.region.state IS
'raft_serverpb.PeerState: 0 normal, 1 applying a snapshot, 2 tombstone';

/* How large the region is has to be counted first. */
ALTER TABLE tikv_internal.raft_state
	ADD approximate_size int8 NOT NULL DEFAULT -1,
	ADD approximate_keys int8 NOT NULL DEFAULT -1;
ALTER TABLE tikv_internal.raft_state
	ALTER approximate_size DROP DEFAULT,
	ALTER approximate_keys DROP DEFAULT;
COMMENT ON TABLE tikv_internal.raft_state IS
'One row per Raft group: hard state, applied and truncated position, size of the region';
COMMENT ON COLUMN tikv_internal.raft_state.approximate_size IS
'Bytes of the region''s keys and values, about; -1 if they are to be counted';

/* The only member is named in pd_kv; tikv pd completes the row from there. */
ALTER TABLE tikv_internal.pd_raft_state
	ADD truncated_index int8 NOT NULL DEFAULT 0,
	ADD truncated_term int8 NOT NULL DEFAULT 0,
	ADD member_id int8 NOT NULL DEFAULT 0,
	ADD start_seq int8 NOT NULL DEFAULT 0,
	ADD conf bytea NOT NULL DEFAULT '';
ALTER TABLE tikv_internal.pd_raft_state
	ALTER truncated_index DROP DEFAULT,
	ALTER truncated_term DROP DEFAULT,
	ALTER member_id DROP DEFAULT,
	ALTER start_seq DROP DEFAULT,
	ALTER conf DROP DEFAULT;
COMMENT ON TABLE tikv_internal.pd_raft_state IS
'One row: which member of the Placement Driver this is, hard state, applied and truncated position, configuration (eraftpb.ConfState)';

/* They take a time to live now. */
DROP FUNCTION tikv_put(bytea, bytea);
DROP FUNCTION tikv_insert(bytea, bytea);
DROP FUNCTION tikv_batch_put(bytea[], bytea[]);

/* It tells of flashbacks now. */
DROP VIEW tikv.regions;
DROP FUNCTION tikv_internal.regions();
