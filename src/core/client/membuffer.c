/*
 * membuffer.c
 *	  What a transaction has written and not yet committed.
 *
 * A skip list in an arena, and a log of what each stage has changed.  The
 * first change of an entry in a stage saves what it was; undoing a stage
 * restores that, the newest first.
 */
#include "core/client/membuffer.h"

#include <stdlib.h>

#include "core/base/check.h"

#define MAX_LEVELS 20

/* What an entry was before a stage changed it. */
typedef struct Saved
{
	BufferEntry *entry;
	BufferOp op;
	Bytes value;
	bool must_not_exist;
	bool lock_wanted;
	uint64_t saved_in;
} Saved;

typedef struct Stage
{
	uint64_t id; /* unique */
	size_t mark; /* where its part of the log begins */
} Stage;

struct MemBuffer
{
	Arena arena;
	BufferEntry *head[MAX_LEVELS];
	BufferEntry *last;
	uint64_t random;
	size_t n;
	Saved *log;
	size_t n_log;
	size_t log_room;
	Stage *stages;
	size_t n_stages;
	size_t stage_room;
	uint64_t next_id;
};

MemBuffer *
membuffer_new(void)
{
	MemBuffer *buffer = calloc(1, sizeof(*buffer));

	CHECK(buffer != NULL);
	arena_init(&buffer->arena);
	buffer->random = UINT64_C(0x9e3779b97f4a7c15);
	buffer->next_id = 1;
	return buffer;
}

void
membuffer_free(MemBuffer *buffer)
{
	if (buffer == NULL)
		return;
	arena_free(&buffer->arena);
	free(buffer->log);
	free(buffer->stages);
	free(buffer);
}

/* ------------------------------------------------------------------ lookup */

static BufferEntry **
link_of(const MemBuffer *buffer, BufferEntry *at, int level)
{
	return at == NULL ? (BufferEntry **) &buffer->head[level] :
						&at->next[level];
}

/* The last entry before the key, and by level what must be linked to it. */
static BufferEntry *
seek(const MemBuffer *buffer, Bytes key, BufferEntry **path)
{
	BufferEntry *at = NULL;

	for (int level = MAX_LEVELS - 1; level >= 0; level--)
	{
		BufferEntry *next;

		while ((next = *link_of(buffer, at, level)) != NULL &&
			   bytes_cmp(next->key, key) < 0)
			at = next;
		if (path != NULL)
			path[level] = at;
	}
	return at;
}

BufferEntry *
membuffer_from(const MemBuffer *buffer, Bytes key)
{
	return *link_of(buffer, seek(buffer, key, NULL), 0);
}

BufferEntry *
membuffer_before(const MemBuffer *buffer, Bytes bound)
{
	return bound.len == 0 ? buffer->last : seek(buffer, bound, NULL);
}

BufferEntry *
membuffer_find(const MemBuffer *buffer, Bytes key)
{
	BufferEntry *entry = membuffer_from(buffer, key);

	return entry != NULL && bytes_eq(entry->key, key) ? entry : NULL;
}

size_t
membuffer_n(const MemBuffer *buffer)
{
	return buffer->n;
}

size_t
membuffer_bytes(const MemBuffer *buffer)
{
	return buffer->arena.allocated + buffer->log_room * sizeof(Saved);
}

/* --------------------------------------------------------------- changes */

/* One in four entries of a level is in the next one, too. */
static int
choose_levels(MemBuffer *buffer)
{
	int levels = 1;
	uint64_t bits;

	buffer->random ^= buffer->random >> 12;
	buffer->random ^= buffer->random << 25;
	buffer->random ^= buffer->random >> 27;
	bits = buffer->random * UINT64_C(2685821657736338717);
	while (levels < MAX_LEVELS && (bits & 3) == 0)
	{
		levels++;
		bits >>= 2;
	}
	return levels;
}

static BufferEntry *
find_or_add(MemBuffer *buffer, Bytes key)
{
	BufferEntry *path[MAX_LEVELS];
	BufferEntry *before = seek(buffer, key, path);
	BufferEntry *entry = *link_of(buffer, before, 0);
	int levels;

	if (entry != NULL && bytes_eq(entry->key, key))
		return entry;
	levels = choose_levels(buffer);
	entry =
		arena_zalloc(&buffer->arena,
					 sizeof(*entry) + (size_t) levels * sizeof(entry->next[0]));
	entry->key = arena_copy(&buffer->arena, key);
	entry->levels = levels;
	entry->prev = before;
	for (int level = 0; level < levels; level++)
	{
		BufferEntry **link = link_of(buffer, path[level], level);

		entry->next[level] = *link;
		*link = entry;
	}
	if (entry->next[0] != NULL)
		entry->next[0]->prev = entry;
	else
		buffer->last = entry;
	buffer->n++;
	return entry;
}

/* Before a change: what it was, once per stage. */
static void
save(MemBuffer *buffer, BufferEntry *entry)
{
	const Stage *stage;
	Saved *saved;

	if (buffer->n_stages == 0)
		return;
	stage = &buffer->stages[buffer->n_stages - 1];
	if (entry->saved_in == stage->id)
		return;
	if (buffer->n_log == buffer->log_room)
	{
		buffer->log_room = buffer->log_room == 0 ? 64 : buffer->log_room * 2;
		buffer->log = realloc(buffer->log, buffer->log_room * sizeof(Saved));
		CHECK(buffer->log != NULL);
	}
	saved = &buffer->log[buffer->n_log++];
	saved->entry = entry;
	saved->op = entry->op;
	saved->value = entry->value;
	saved->must_not_exist = entry->must_not_exist;
	saved->lock_wanted = entry->lock_wanted;
	saved->saved_in = entry->saved_in;
	entry->saved_in = stage->id;
}

BufferEntry *
membuffer_put(MemBuffer *buffer, Bytes key, Bytes value, bool must_not_exist)
{
	BufferEntry *entry = find_or_add(buffer, key);

	save(buffer, entry);
	/* What did not exist before the transaction still must not. */
	entry->must_not_exist |= must_not_exist;
	entry->op = BUFFER_PUT;
	entry->value = arena_copy(&buffer->arena, value);
	return entry;
}

BufferEntry *
membuffer_delete(MemBuffer *buffer, Bytes key)
{
	BufferEntry *entry = find_or_add(buffer, key);

	save(buffer, entry);
	entry->op = BUFFER_DELETE;
	entry->value = bytes_empty();
	return entry;
}

BufferEntry *
membuffer_want_lock(MemBuffer *buffer, Bytes key)
{
	BufferEntry *entry = find_or_add(buffer, key);

	save(buffer, entry);
	entry->lock_wanted = true;
	return entry;
}

BufferEntry *
membuffer_locked(MemBuffer *buffer, Bytes key, uint64_t for_update_ts)
{
	BufferEntry *entry = find_or_add(buffer, key);

	entry->locked = true;
	entry->locked_at = for_update_ts;
	return entry;
}

/* ----------------------------------------------------------------- stages */

int
membuffer_stage(MemBuffer *buffer)
{
	Stage *stage;

	if (buffer->n_stages == buffer->stage_room)
	{
		buffer->stage_room =
			buffer->stage_room == 0 ? 8 : buffer->stage_room * 2;
		buffer->stages =
			realloc(buffer->stages, buffer->stage_room * sizeof(Stage));
		CHECK(buffer->stages != NULL);
	}
	stage = &buffer->stages[buffer->n_stages++];
	stage->id = buffer->next_id++;
	stage->mark = buffer->n_log;
	return (int) buffer->n_stages;
}

int
membuffer_depth(const MemBuffer *buffer)
{
	return (int) buffer->n_stages;
}

/* The stage below can now undo what this one changed. */
void
membuffer_keep(MemBuffer *buffer)
{
	CHECK(buffer->n_stages > 0);
	if (--buffer->n_stages == 0)
		buffer->n_log = 0;
}

void
membuffer_undo(MemBuffer *buffer)
{
	size_t mark;

	CHECK(buffer->n_stages > 0);
	mark = buffer->stages[--buffer->n_stages].mark;
	while (buffer->n_log > mark)
	{
		const Saved *saved = &buffer->log[--buffer->n_log];
		BufferEntry *entry = saved->entry;

		entry->op = saved->op;
		entry->value = saved->value;
		entry->must_not_exist = saved->must_not_exist;
		entry->lock_wanted = saved->lock_wanted;
		entry->saved_in = saved->saved_in;
	}
}
