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
 * one step down, or a jump where last_change is worth it.  Adds to *versions
 * how many that passes.
 */
static bool
next_older(MvccReader *reader, Bytes key, Arena *arena, WriteAt *at,
		   uint64_t *versions)
{
	LastChange change = at->write.last_change;

	if (last_change_not_exist(change) || at->commit_ts == 0)
		return false;
	if (change.ts == 0 || change.versions < JUMP_MIN_VERSIONS)
	{
		*versions += 1;
		return reader->seek_write(reader, key, at->commit_ts - 1, arena, at);
	}
	*versions += change.versions;
	/* Collected as garbage: then all below it is garbage too. */
	return reader->seek_write(reader, key, change.ts, arena, at) &&
		at->commit_ts == change.ts;
}

/* mvcc_get_put_from, counting the versions passed. */
static bool
find_put(MvccReader *reader, Bytes key, uint64_t fence_limit, Arena *arena,
		 WriteAt *at, uint64_t *versions)
{
	for (;;)
	{
		if (write_is_fenced(&at->write, fence_limit))
			return false;
		if (at->write.type == WRITE_TYPE_PUT)
			return true;
		if (at->write.type == WRITE_TYPE_DELETE ||
			!next_older(reader, key, arena, at, versions))
			return false;
	}
}

bool
mvcc_get_put_from(MvccReader *reader, Bytes key, const WriteAt *from,
				  uint64_t fence_limit, Arena *arena, WriteAt *out)
{
	uint64_t versions = 0;

	*out = *from;
	return find_put(reader, key, fence_limit, arena, out, &versions);
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
	uint64_t versions = 0;

	*out = *from;
	while (!write_is_change(&out->write))
		if (!next_older(reader, key, arena, out, &versions))
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
	WriteAt at = *newest;

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
		return last_change_none();
	/*
	 * A record that does not say: look, and count from there.  Nothing newer
	 * than `newest` exists, so any fence on the way down is one of garbage.
	 */
	change.versions = 1;
	if (!find_put(reader, key, UINT64_MAX, arena, &at, &change.versions))
		return last_change_none();
	change.ts = at.commit_ts;
	return change;
}

bool
mvcc_existing_put(MvccReader *reader, Bytes key, const WriteAt *newest,
				  Arena *arena, WriteAt *put)
{
	/* The newest of the key: a fence that is not 0 points at nothing. */
	return mvcc_get_put_from(reader, key, newest, UINT64_MAX, arena, put);
}

bool
mvcc_key_exists(MvccReader *reader, Bytes key, const WriteAt *newest,
				Arena *arena)
{
	WriteAt put;

	return mvcc_existing_put(reader, key, newest, arena, &put);
}

static bool
found_one(void *arg, Bytes key, const WriteAt *at)
{
	(void) key;
	(void) at;
	*(bool *) arg = true;
	return false;
}

bool
mvcc_has_writes(MvccReader *reader, const KeyRange *range)
{
	bool found = false;

	if (reader->has_writes != NULL)
		return reader->has_writes(reader, range);
	reader->scan_writes(reader, range, UINT64_MAX, false, found_one, &found);
	return found;
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
