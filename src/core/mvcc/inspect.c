/*
 * inspect.c
 *	  All that is stored of a key, for MvccGetByKey and MvccGetByStartTs, and of
 *	  the keys of a range.
 *
 * Source: tikv/tikv src/storage/txn/actions/mvcc.rs,
 * src/storage/mvcc/reader/reader.rs (seek_ts).
 */
#include "core/mvcc/inspect.h"

typedef struct FindStartTs
{
	MvccReader *reader;
	uint64_t start_ts;
	Arena *arena; /* for the answer */
	Arena *scratch;
	Bytes key;
	bool found;
} FindStartTs;

typedef struct ListValues
{
	Arena *arena;
	MvccInfo *info;
	size_t room;
	size_t limit; /* of arena->allocated */
} ListValues;

static bool
is_full(const Arena *arena, size_t limit, MvccInfo *info)
{
	info->too_large = info->too_large || arena->allocated > limit;
	return info->too_large;
}

static void
list_writes(MvccReader *reader, Bytes key, size_t limit, Arena *arena,
			MvccInfo *info)
{
	uint64_t ts = UINT64_MAX;
	size_t room = 0;
	WriteAt at;

	while (!is_full(arena, limit, info) &&
		   reader->seek_write(reader, key, ts, arena, &at))
	{
		if (info->n_writes == room)
		{
			WriteAt *more;

			room = room == 0 ? 16 : room * 2;
			more = arena_alloc(arena, room * sizeof(WriteAt));
			if (info->n_writes > 0)
				memcpy(more, info->writes, info->n_writes * sizeof(WriteAt));
			info->writes = more;
		}
		info->writes[info->n_writes++] = at;
		if (at.commit_ts == 0)
			break;
		ts = at.commit_ts - 1;
	}
}

static bool
list_value(void *arg, Bytes key, uint64_t start_ts, Bytes value)
{
	ListValues *list = arg;
	MvccInfo *info = list->info;

	(void) key;
	if (info->n_values == list->room)
	{
		MvccValue *more;

		list->room = list->room == 0 ? 16 : list->room * 2;
		more = arena_alloc(list->arena, list->room * sizeof(MvccValue));
		if (info->n_values > 0)
			memcpy(more, info->values, info->n_values * sizeof(MvccValue));
		info->values = more;
	}
	info->values[info->n_values].start_ts = start_ts;
	info->values[info->n_values++].value = arena_copy(list->arena, value);
	return !is_full(list->arena, list->limit, info);
}

/* The reader walks up in start_ts, TiKV down. */
static void
turn_values(MvccInfo *info)
{
	for (size_t i = 0; i < info->n_values / 2; i++)
	{
		MvccValue *other = &info->values[info->n_values - 1 - i];
		MvccValue value = info->values[i];

		info->values[i] = *other;
		*other = value;
	}
}

/* [key, key + 0x00): the key alone. */
static KeyRange
range_of_key(Bytes key, Arena *arena)
{
	uint8_t *upper = arena_zalloc(arena, key.len + 1);
	KeyRange range = {.lower = key, .upper = bytes_make(upper, key.len + 1)};

	if (key.len > 0)
		memcpy(upper, key.data, key.len);
	return range;
}

void
mvcc_inspect_key(MvccReader *reader, Bytes key, size_t max_bytes, Arena *arena,
				 MvccInfo *info)
{
	ListValues list = {.arena = arena,
					   .info = info,
					   .limit = max_bytes == 0 ? SIZE_MAX :
												 arena->allocated + max_bytes};
	KeyRange range = range_of_key(key, arena);

	memset(info, 0, sizeof(*info));
	info->has_lock = reader->get_lock(reader, key, arena, &info->lock);
	if (info->has_lock && info->lock.type == LOCK_TYPE_SHARED)
	{
		info->has_lock = info->lock.n_members > 0;
		if (info->has_lock)
			info->lock = info->lock.members[0];
	}
	list_writes(reader, key, list.limit, arena, info);
	reader->scan_values(reader, &range, list_value, &list);
	turn_values(info);
}

/* ------------------------------------------------------- keys of a range */

typedef struct KeyList
{
	Arena *arena;
	Bytes *keys;
	size_t n;
	size_t most;
} KeyList;

static bool
add_key(KeyList *list, Bytes key)
{
	list->keys[list->n++] = arena_copy(list->arena, key);
	return list->n < list->most;
}

static bool
add_written(void *arg, Bytes key, const WriteAt *at)
{
	(void) at;
	return add_key(arg, key);
}

static bool
add_locked(void *arg, Bytes key, const Lock *lock)
{
	(void) lock;
	return add_key(arg, key);
}

static void
list_init(KeyList *list, Arena *arena, size_t most)
{
	list->arena = arena;
	list->most = most;
	list->n = 0;
	list->keys = arena_alloc(arena, most * sizeof(Bytes));
}

static bool
is_cut(const KeyList *list)
{
	return list->n == list->most;
}

/* Behind the end of a list that was cut nothing is known. */
static void
merge_lists(const KeyList *written, const KeyList *locked, MvccKeys *out)
{
	size_t a = 0;
	size_t b = 0;

	while (a < written->n || b < locked->n)
	{
		int c = a == written->n ? 1 :
			b == locked->n		? -1 :
								  bytes_cmp(written->keys[a], locked->keys[b]);

		if ((a == written->n && is_cut(written)) ||
			(b == locked->n && is_cut(locked)))
			break;
		out->keys[out->n++] = c <= 0 ? written->keys[a] : locked->keys[b];
		a += c <= 0;
		b += c >= 0;
	}
}

void
mvcc_list_keys(MvccReader *reader, const KeyRange *range, size_t page,
			   Arena *arena, MvccKeys *keys)
{
	KeyList written;
	KeyList locked;

	list_init(&written, arena, page);
	list_init(&locked, arena, page);
	reader->scan_writes(reader, range, UINT64_MAX, false, add_written,
						&written);
	reader->scan_locks(reader, range, UINT64_MAX, true, add_locked, &locked);
	keys->keys = arena_alloc(arena, 2 * page * sizeof(Bytes));
	keys->n = 0;
	keys->more = is_cut(&written) || is_cut(&locked);
	merge_lists(&written, &locked, keys);
}

/* --------------------------------------------------- a transaction's key */

static bool
find_in_key(void *arg, Bytes key, const WriteAt *newest)
{
	FindStartTs *find = arg;
	MvccReader *reader = find->reader;
	WriteAt at = *newest;

	do
	{
		if (at.write.start_ts == find->start_ts)
		{
			find->key = arena_copy(find->arena, key);
			find->found = true;
			return false;
		}
	} while (at.commit_ts > 0 &&
			 reader->seek_write(reader, key, at.commit_ts - 1, find->scratch,
								&at));
	arena_reset(find->scratch);
	return true;
}

bool
mvcc_find_start_ts(MvccReader *reader, const KeyRange *range, uint64_t start_ts,
				   Arena *arena, Bytes *key)
{
	Arena scratch;
	FindStartTs find = {.reader = reader,
						.start_ts = start_ts,
						.arena = arena,
						.scratch = &scratch};

	arena_init(&scratch);
	reader->scan_writes(reader, range, UINT64_MAX, false, find_in_key, &find);
	arena_free(&scratch);
	*key = find.key;
	return find.found;
}
