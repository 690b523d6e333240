/*
 * buffered_get.c
 *	  KvBufferBatchGet: a pipelined transaction reads what it has flushed.
 *
 * Source: tikv/tikv src/storage/mod.rs (buffer_batch_get); txn-semantics 20.
 */
#include "core/txn/buffered_get.h"

#include <stdlib.h>

static int
cmp_keys(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

static bool
get_one(MvccReader *reader, Bytes key, uint64_t start_ts, Arena *arena,
		Bytes *value)
{
	Lock lock;

	if (!reader->get_lock(reader, key, arena, &lock) ||
		lock.type == LOCK_TYPE_SHARED || lock.start_ts != start_ts)
		return false;
	*value = lock.short_value;
	if (lock.type == LOCK_TYPE_DELETE)
		return true;
	if (lock.type != LOCK_TYPE_PUT)
		return false;
	return lock.has_short_value ||
		reader->get_value(reader, key, start_ts, arena, value);
}

size_t
txn_buffer_batch_get(MvccReader *reader, Bytes *keys, size_t n,
					 uint64_t start_ts, size_t max_bytes, Arena *arena,
					 BufferedPair *pairs)
{
	size_t n_pairs = 0;
	size_t bytes = 0;

	if (n > 0)
		qsort(keys, n, sizeof(*keys), cmp_keys);
	for (size_t i = 0; i < n && (max_bytes == 0 || bytes <= max_bytes); i++)
	{
		if (i > 0 && bytes_eq(keys[i], keys[i - 1]))
			continue;
		if (!get_one(reader, keys[i], start_ts, arena, &pairs[n_pairs].value))
			continue;
		bytes += keys[i].len + pairs[n_pairs].value.len;
		pairs[n_pairs++].key = keys[i];
	}
	return n_pairs;
}
