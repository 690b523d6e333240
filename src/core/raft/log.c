/*
 * log.c
 *	  The tail of a peer's log in memory, over the driver's stored log.
 *
 * A group holds in memory what is not stored yet and, as far as the cache
 * allows, what followers or the state machine will soon ask for; all else is
 * read back through RaftStorage a page at a time, so memory stays bounded
 * however far a follower lags.  Which ready stored what is kept in log_store.c.
 */
#include "core/raft/log.h"

#include "core/base/check.h"

#define FIND_CONFLICT_STEPS 1024

/* A burst of more entries than this does not leave its room behind. */
#define SPARE_SLOTS ((size_t) 1024)

size_t
raft_entry_bytes(const RaftEntry *e)
{
	return sizeof(RaftEntry) + e->data.len + e->context.len + e->payload_size;
}

void
raft_log_init(RaftLog *log, const RaftStorage *storage,
			  const RaftAllocator *alloc)
{
	memset(log, 0, sizeof(*log));
	log->storage = *storage;
	log->alloc = alloc;
}

static RaftEntry *
slot(const RaftLog *log, uint64_t index)
{
	CHECK(index >= log->first && index - log->first < log->n);
	return &log->slots[(log->head + (index - log->first)) & (log->cap - 1)];
}

void
raft_log_free(RaftLog *log)
{
	raft_log_ready_done(log);
	for (uint64_t i = log->first; i < log->first + log->n; i++)
		raft_log_free_entry(log, slot(log, i));
	raft_log_drop_snapshot(log);
	if (log->slots != NULL)
		log->alloc->free(log->alloc->arg, log->slots);
	if (log->records != NULL)
		log->alloc->free(log->alloc->arg, log->records);
	if (log->limbo != NULL)
		log->alloc->free(log->alloc->arg, log->limbo);
}

Status
raft_log_term(const RaftLog *log, uint64_t index, uint64_t *term)
{
	if (index == log->truncated_index)
	{
		*term = log->truncated_term;
		return STATUS_OK;
	}
	if (index < log->truncated_index || index > raft_log_last(log))
		return STATUS_NOT_FOUND;
	if (index >= log->first)
	{
		*term = slot(log, index)->term;
		return STATUS_OK;
	}
	if (index == log->applied)
	{
		*term = log->applied_term;
		return STATUS_OK;
	}
	return log->storage.term(log->storage.arg, index, term);
}

uint64_t
raft_log_last_term(const RaftLog *log)
{
	uint64_t last = raft_log_last(log);
	uint64_t term = log->last_term;

	if (last == log->truncated_index || last == log->applied || term == 0)
		CHECK(raft_log_term(log, last, &term) == STATUS_OK);
	return term;
}

bool
raft_log_matches(const RaftLog *log, uint64_t index, uint64_t term)
{
	uint64_t own;

	return raft_log_term(log, index, &own) == STATUS_OK && own == term;
}

/* Is a log that ends so at least as new as this one?  Raft paper 5.4.1. */
bool
raft_log_up_to_date(const RaftLog *log, uint64_t index, uint64_t term)
{
	uint64_t own = raft_log_last_term(log);

	return term > own || (term == own && index >= raft_log_last(log));
}

/*
 * The highest index <= `index` whose term is <= `term`, with its term (0 when
 * it is truncated away): all entries in between cannot match a log that has
 * `term` at `index`, so that one answer skips a whole conflicting term.  A very
 * long run of entries is searched in several answers.  Source: etcd-io/raft
 * log.go (findConflictByTerm).
 */
uint64_t
raft_log_find_conflict(const RaftLog *log, uint64_t index, uint64_t term,
					   uint64_t *out_term)
{
	for (int steps = 0; index > 0; index--)
	{
		uint64_t own;

		*out_term = 0;
		if (raft_log_term(log, index, &own) != STATUS_OK)
			return index;
		*out_term = own;
		if (own <= term || ++steps == FIND_CONFLICT_STEPS)
			return index;
	}
	*out_term = 0;
	return 0;
}

/* Only entries that are not stored can have one. */
bool
raft_log_has_payload(const RaftLog *log, uint64_t index)
{
	const RaftEntry *e = slot(log, index);

	return e->payload != NULL || e->payload_size > 0;
}

static void
grow_slots(RaftLog *log)
{
	size_t cap = log->cap == 0 ? 8 : log->cap * 2;
	RaftEntry *slots =
		log->alloc->alloc(log->alloc->arg, cap * sizeof(RaftEntry));

	for (size_t i = 0; i < log->n; i++)
		slots[i] = log->slots[(log->head + i) & (log->cap - 1)];
	if (log->slots != NULL)
		log->alloc->free(log->alloc->arg, log->slots);
	log->slots = slots;
	log->cap = cap;
	log->head = 0;
}

/* Copy an entry to the end of the log; its index says where that is. */
void
raft_log_append(RaftLog *log, const RaftEntry *e)
{
	RaftEntry copy = *e;
	size_t bytes = e->data.len + e->context.len;

	CHECK(e->index == raft_log_last(log) + 1);
	copy.data.data = copy.context.data = NULL;
	if (bytes > 0)
	{
		uint8_t *block = log->alloc->alloc(log->alloc->arg, bytes);

		copy.data.data = block;
		copy.context.data = block + e->data.len;
		if (e->data.len > 0)
			memcpy(block, e->data.data, e->data.len);
		if (e->context.len > 0)
			memcpy(block + e->data.len, e->context.data, e->context.len);
	}
	if (log->n == log->cap)
		grow_slots(log);
	log->slots[(log->head + log->n) & (log->cap - 1)] = copy;
	log->n++;
	log->last_term = e->term;
	log->bytes += raft_entry_bytes(&copy);
	log->unstored_bytes += raft_entry_bytes(&copy);
	if (e->type != RAFT_ENTRY_NORMAL)
		log->conf_index = e->index;
}

/* Forget the end of the log from `from` on, which must not be committed. */
void
raft_log_cut(RaftLog *log, uint64_t from)
{
	CHECK(from > log->commit && from <= raft_log_last(log));
	while (log->n > 0 && raft_log_last(log) >= from)
	{
		uint64_t last = raft_log_last(log);
		RaftEntry *e = slot(log, last);
		size_t bytes = raft_entry_bytes(e);

		log->bytes -= bytes;
		if (last > log->stored)
			log->unstored_bytes -= bytes;
		raft_log_free_entry(log, e);
		log->n--;
	}
	if (log->lent >= from)
		log->lent = from - 1;
	if (log->n == 0 && log->first > from)
		log->first = from;
	if (raft_log_term(log, from - 1, &log->last_term) != STATUS_OK)
		log->last_term = 0;
	if (log->stored >= from)
		log->stored = from - 1;
	if (log->persisted >= from)
		log->persisted = from - 1;

		/*
	 * A flush under way no longer makes these entries durable, even if the
	 * same ones come back later: what is written in between may be durable
	 * first.
	 */
#ifndef RAFT_MUTATION_FLUSH_OF_CUT_ENTRIES
	for (size_t i = 0; i < log->n_records; i++)
		if (log->records[i].last >= from)
			log->records[i].last = from - 1;
#endif
	if (log->ready_last >= from)
		log->ready_last = from - 1;
}

/*
 * Entries [low, high) up to max_bytes but at least one, in the arena; their
 * bytes stay in the log or the arena.  A range that begins in the stored part
 * may end where the tail begins.
 */
Status
raft_log_slice(const RaftLog *log, uint64_t low, uint64_t high,
			   size_t max_bytes, Arena *arena, RaftEntry **out, int *n)
{
	size_t bytes = 0;
	int count = 0;

	CHECK(low > log->truncated_index && low < high &&
		  high <= raft_log_last(log) + 1);
	if (low < log->first)
	{
		Status s = log->storage.entries(log->storage.arg, low,
										high < log->first ? high : log->first,
										max_bytes, arena, out, n);

		CHECK(s != STATUS_OK || (*n > 0 && (*out)[0].index == low));
		return s;
	}
	while (low + (uint64_t) count < high)
	{
		size_t size = raft_entry_bytes(slot(log, low + (uint64_t) count));

		if (count > 0 && (size > max_bytes || bytes > max_bytes - size))
			break;
		bytes += size;
		count++;
	}
	*out = arena_alloc(arena, (size_t) count * sizeof(RaftEntry));
	for (int i = 0; i < count; i++)
		(*out)[i] = *slot(log, low + (uint64_t) i);
	*n = count;
	return STATUS_OK;
}

/* Entries up to `index` are in the driver's log now. */
void
raft_log_stored(RaftLog *log, uint64_t index)
{
	while (log->stored < index)
	{
		log->stored++;
		log->unstored_bytes -= raft_entry_bytes(slot(log, log->stored));
	}
}

static void
drop_front(RaftLog *log)
{
	RaftEntry *e = slot(log, log->first);

	log->bytes -= raft_entry_bytes(e);
	raft_log_free_entry(log, e);
	log->head = (log->head + 1) & (log->cap - 1);
	log->first++;
	log->n--;
}

/*
 * Give back memory of entries that the driver's log has: those below
 * keep_from, and more while the tail is over cache_bytes.
 */
void
raft_log_release(RaftLog *log, uint64_t keep_from, size_t cache_bytes)
{
	while (log->n > 0 && log->first <= log->stored &&
		   (log->first < keep_from || log->bytes > cache_bytes))
		drop_front(log);
	raft_log_trim(log, SPARE_SLOTS);
}

/* An empty tail keeps room for no more than `spare` entries. */
void
raft_log_trim(RaftLog *log, size_t spare)
{
	if (log->n > 0 || log->cap <= spare)
		return;
	log->alloc->free(log->alloc->arg, log->slots);
	log->slots = NULL;
	log->cap = log->head = 0;
}

/* The log begins after `index` now, which is applied and has this term. */
void
raft_log_compact(RaftLog *log, uint64_t index, uint64_t term)
{
	CHECK(index >= log->truncated_index && index <= log->applied &&
		  index <= log->stored);
	while (log->n > 0 && log->first <= index)
		drop_front(log);
	if (log->n == 0 && log->first <= index)
		log->first = index + 1;
	log->truncated_index = index;
	log->truncated_term = term;
}
