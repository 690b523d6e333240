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

/* 0.1 had V1 alone and wrote 1 for it, the number of the setting. */
ALTER TABLE tikv_internal.store_meta
	ALTER api_version TYPE int4 USING 0,
	ADD machine int8 NOT NULL DEFAULT 0,
	ADD device int8 NOT NULL DEFAULT 0,
	ADD inode int8 NOT NULL DEFAULT 0,
	ADD timeline int4 NOT NULL DEFAULT 0;
COMMENT ON COLUMN tikv_internal.store_meta.machine IS
'With the next three: where the data were last served from, 0 if not known';
COMMENT ON COLUMN tikv_internal.store_meta.api_version IS
'kvrpcpb.APIVersion of the data: 0 is V1, 1 is V1 with TTL, 2 is V2';

/* They take a time to live now. */
DROP FUNCTION tikv_put(bytea, bytea);
DROP FUNCTION tikv_insert(bytea, bytea);
DROP FUNCTION tikv_batch_put(bytea[], bytea[]);
