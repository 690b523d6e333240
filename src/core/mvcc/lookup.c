/*
 * lookup.c
 *	  What the commands ask of a key's history (txn-semantics 7).
 */
#include "core/mvcc/lookup.h"

/* Fewer versions than this are walked rather than jumped over. */
#define JUMP_MIN_VERSIONS 8

void
mvcc_commit_record(MvccReader *reader, Bytes key, uint64_t start_ts,
				   Arena *arena, CommitRecord *out)
{
	uint64_t ts = UINT64_MAX;
	WriteAt at;

	memset(out, 0, sizeof(*out));
	/* From the top: an older transaction may have the greater commit_ts. */
	while (reader->seek_write(reader, key, ts, arena, &at))
	{
		if (at.write.start_ts == start_ts)
		{
			out->kind = COMMIT_RECORD_SINGLE;
			out->at = at;
			return;
		}
		if (at.commit_ts == start_ts)
		{
			out->at = at;
			out->has_overlapped = !at.write.has_overlapped_rollback;
			if (at.write.has_overlapped_rollback)
				out->kind = COMMIT_RECORD_OVERLAPPED_ROLLBACK;
			return;
		}
		if (at.commit_ts < start_ts)
			break;
		if (write_is_change(&at.write))
			out->fence = at.commit_ts;
		ts = at.commit_ts - 1;
	}
	out->fence = 0;
}

bool
commit_record_is_commit(const CommitRecord *record)
{
	return record->kind == COMMIT_RECORD_SINGLE &&
		record->at.write.type != WRITE_TYPE_ROLLBACK;
}

bool
commit_record_is_rollback(const CommitRecord *record)
{
	return record->kind == COMMIT_RECORD_OVERLAPPED_ROLLBACK ||
		(record->kind == COMMIT_RECORD_SINGLE &&
		 record->at.write.type == WRITE_TYPE_ROLLBACK);
}

/*
 * From a Lock or Rollback record to the next older one that may be a change:
 * one step down, or a jump where last_change is worth it.
 */
static bool
next_older(MvccReader *reader, Bytes key, Arena *arena, WriteAt *at)
{
	LastChange change = at->write.last_change;

	if (last_change_not_exist(change) || at->commit_ts == 0)
		return false;
	if (change.ts != 0 && change.versions >= JUMP_MIN_VERSIONS)
		return reader->seek_write(reader, key, change.ts, arena, at);
	return reader->seek_write(reader, key, at->commit_ts - 1, arena, at);
}

bool
mvcc_get_put_from(MvccReader *reader, Bytes key, const WriteAt *from,
				  uint64_t fence_limit, Arena *arena, WriteAt *out)
{
	*out = *from;
	for (;;)
	{
		if (write_is_fenced(&out->write, fence_limit))
			return false;
		if (out->write.type == WRITE_TYPE_PUT)
			return true;
		if (out->write.type == WRITE_TYPE_DELETE ||
			!next_older(reader, key, arena, out))
			return false;
	}
}

bool
mvcc_get_put(MvccReader *reader, Bytes key, uint64_t ts, uint64_t fence_limit,
			 Arena *arena, WriteAt *out)
{
	WriteAt from;

	return reader->seek_write(reader, key, ts, arena, &from) &&
		mvcc_get_put_from(reader, key, &from, fence_limit, arena, out);
}

bool
mvcc_last_change_record(MvccReader *reader, Bytes key, const WriteAt *from,
						Arena *arena, WriteAt *out)
{
	*out = *from;
	while (!write_is_change(&out->write))
		if (!next_older(reader, key, arena, out))
			return false;
	return true;
}

LastChange
last_change_none(void)
{
	LastChange none = {0, 1};

	return none;
}

LastChange
mvcc_next_last_change(MvccReader *reader, Bytes key, const WriteAt *newest,
					  Arena *arena)
{
	LastChange change = newest->write.last_change;
	WriteAt at;

	if (write_is_change(&newest->write))
	{
		change.ts = newest->commit_ts;
		change.versions = 1;
		return change;
	}
	if (change.ts != 0)
	{
		change.versions++;
		return change;
	}
	if (last_change_not_exist(change))
		return change;
	/* An old record that does not say: look, and count from there. */
	if (!mvcc_last_change_record(reader, key, newest, arena, &at))
		return last_change_none();
	change.ts = at.commit_ts;
	change.versions = 1;
	return change;
}

bool
mvcc_key_exists(MvccReader *reader, Bytes key, const WriteAt *newest,
				Arena *arena)
{
	WriteAt put;

	/* A record with any fence but 0 is rewritten and shadowed: no Put here. */
	if (newest->write.has_gc_fence && newest->write.gc_fence != 0)
		return false;
	if (newest->write.type == WRITE_TYPE_PUT)
		return true;
	if (newest->write.type == WRITE_TYPE_DELETE || newest->commit_ts == 0)
		return false;
	return mvcc_get_put(reader, key, newest->commit_ts - 1, UINT64_MAX, arena,
						&put);
}

bool
mvcc_load_value(MvccReader *reader, Bytes key, const WriteRecord *put,
				Arena *arena, Bytes *value)
{
	if (put->has_short_value)
	{
		*value = put->short_value;
		return true;
	}
	return reader->get_value(reader, key, put->start_ts, arena, value);
}
