/*
 * group_log.c
 *	  The log of PD's group in memory.
 */
#include "pd/core/group_log.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/raft/empty_log.h"

void
group_log_init(GroupLog *log)
{
	memset(log, 0, sizeof(*log));
}

/* Drop the entries from position `at` on. */
static void
cut(GroupLog *log, size_t at)
{
	while (log->n > at)
	{
		RaftEntry *e = &log->entries[--log->n];

		log->bytes -= e->data.len + e->context.len;
		free((void *) e->data.data);
	}
}

void
group_log_free(GroupLog *log)
{
	cut(log, 0);
	free(log->entries);
	group_log_init(log);
}

void
group_log_reset(GroupLog *log, uint64_t index, uint64_t term)
{
	cut(log, 0);
	log->truncated_index = index;
	log->truncated_term = term;
}

/* One block holds data and context. */
static RaftEntry
copy_entry(const RaftEntry *from)
{
	RaftEntry to = *from;
	uint8_t *block = malloc(from->data.len + from->context.len + 1);

	CHECK(block != NULL);
	if (from->data.len > 0)
		memcpy(block, from->data.data, from->data.len);
	if (from->context.len > 0)
		memcpy(block + from->data.len, from->context.data, from->context.len);
	to.data = bytes_make(block, from->data.len);
	to.context = bytes_make(block + from->data.len, from->context.len);
	to.payload = NULL;
	to.payload_size = 0;
	return to;
}

void
group_log_replace(GroupLog *log, const RaftEntry *entries, int n)
{
	if (n == 0)
		return;
	CHECK(entries[0].index > log->truncated_index &&
		  entries[0].index <= group_log_last(log) + 1);
	cut(log, (size_t) (entries[0].index - log->truncated_index - 1));
	for (int i = 0; i < n; i++)
	{
		if (log->n == log->size)
		{
			log->size = log->size == 0 ? 64 : log->size * 2;
			log->entries = realloc(log->entries, log->size * sizeof(RaftEntry));
			CHECK(log->entries != NULL);
		}
		log->entries[log->n++] = copy_entry(&entries[i]);
		log->bytes += entries[i].data.len + entries[i].context.len;
	}
}

void
group_log_compact(GroupLog *log, uint64_t index)
{
	size_t n = (size_t) (index - log->truncated_index);

	CHECK(index > log->truncated_index && index <= group_log_last(log));
	log->truncated_term = log->entries[n - 1].term;
	log->truncated_index = index;
	for (size_t i = 0; i < n; i++)
	{
		log->bytes -= log->entries[i].data.len + log->entries[i].context.len;
		free((void *) log->entries[i].data.data);
	}
	log->n -= n;
	memmove(log->entries, log->entries + n, log->n * sizeof(RaftEntry));
}

Status
group_log_term(const GroupLog *log, uint64_t index, uint64_t *term)
{
	if (index == log->truncated_index)
		*term = log->truncated_term;
	else if (index < log->truncated_index || index > group_log_last(log))
		return STATUS_NOT_FOUND;
	else
		*term = log->entries[index - log->truncated_index - 1].term;
	return STATUS_OK;
}

/* ---- for Raft ---- */

static Status
storage_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
				Arena *arena, RaftEntry **out, int *n)
{
	const GroupLog *log = arg;
	size_t bytes = 0;

	*n = 0;
	if (low <= log->truncated_index || high > group_log_last(log) + 1 ||
		low >= high)
		return STATUS_CORRUPT;
	*out = arena_alloc(arena, (size_t) (high - low) * sizeof(RaftEntry));
	for (uint64_t index = low; index < high; index++)
	{
		const RaftEntry *e = &log->entries[index - log->truncated_index - 1];
		RaftEntry *to = &(*out)[*n];

		bytes += e->data.len + e->context.len;
		if (*n > 0 && bytes > max_bytes)
			break;
		*to = *e;
		to->data = arena_copy(arena, e->data);
		to->context = arena_copy(arena, e->context);
		(*n)++;
	}
	return STATUS_OK;
}

static Status
storage_term(void *arg, uint64_t index, uint64_t *term)
{
	return group_log_term(arg, index, term);
}

static uint64_t
storage_last_index(void *arg)
{
	return group_log_last(arg);
}

RaftStorage
group_log_storage(GroupLog *log)
{
	RaftStorage storage = {log,
						   storage_entries,
						   storage_term,
						   storage_last_index,
						   raft_no_snapshot,
						   NULL};

	return storage;
}
