/*
 * log_store.c
 *	  What the driver was asked to store, and what has become durable.
 *
 * Each ready leaves a record of the last entry it stores and of its term; the
 * record goes when that ready is flushed.  Flushes finish in order, and a
 * record whose entries were replaced meanwhile claims only what is left of
 * them.  Also here: the received snapshot on its way to the driver, and memory
 * that a ready still points to.
 */
#include "core/raft/log.h"

#include "core/base/check.h"

/* Beyond this many unflushed readies, the newest two share a record. */
#define RAFT_MAX_RECORDS ((size_t) 1024)

static void *
grow(const RaftAllocator *alloc, void *old, size_t n, size_t cap, size_t size)
{
	void *p = alloc->alloc(alloc->arg, cap * size);

	if (n > 0)
		memcpy(p, old, n * size);
	if (old != NULL)
		alloc->free(alloc->arg, old);
	return p;
}

void
raft_log_record(RaftLog *log, uint64_t number, uint64_t last, uint64_t term)
{
	RaftLogRecord *record;

	if (log->n_records == RAFT_MAX_RECORDS)
		log->n_records--;
	else if (log->n_records == log->cap_records)
	{
		size_t cap = log->cap_records == 0 ? 4 : log->cap_records * 2;

		log->records = grow(log->alloc, log->records, log->n_records, cap,
							sizeof(RaftLogRecord));
		log->cap_records = cap;
	}
	record = &log->records[log->n_records++];
	record->number = number;
	record->last = last;
	record->term = term;
}

/* Everything that readies up to `number` stored survives a crash. */
void
raft_log_flushed(RaftLog *log, uint64_t number)
{
	size_t done = 0;

	while (done < log->n_records && log->records[done].number <= number)
	{
		const RaftLogRecord *record = &log->records[done++];

		CHECK(record->last <= log->stored);
		if (record->last > log->persisted)
			log->persisted = record->last;
		if (record->term > log->persisted_term)
			log->persisted_term = record->term;
	}
	log->n_records -= done;
	if (done > 0 && log->n_records > 0)
		memmove(log->records, log->records + done,
				log->n_records * sizeof(RaftLogRecord));
}

/* Freed when the ready that is out is done, since it may point there. */
static void
put_off(RaftLog *log, void *p)
{
	if (log->n_limbo == log->cap_limbo)
	{
		size_t cap = log->cap_limbo == 0 ? 16 : log->cap_limbo * 2;

		log->limbo =
			grow(log->alloc, log->limbo, log->n_limbo, cap, sizeof(void *));
		log->cap_limbo = cap;
	}
	log->limbo[log->n_limbo++] = p;
}

/*
 * Data and context share one block, which begins where the data does.  What
 * came after the ready was handed out is not borrowed, so that memory stays
 * bounded however long it is out.
 */
void
raft_log_free_entry(RaftLog *log, RaftEntry *e)
{
	void *block = (void *) (uintptr_t) e->data.data;

	if (block == NULL)
		return;
	if (e->index <= log->lent)
		put_off(log, block);
	else
		log->alloc->free(log->alloc->arg, block);
}

/* A ready is handed out, which may point to all there is now. */
void
raft_log_lend(RaftLog *log)
{
	log->ready_out = true;
	log->lent = raft_log_last(log);
	log->snapshot_lent = log->snapshot;
}

/* No ready points into the log any more. */
void
raft_log_ready_done(RaftLog *log)
{
	log->ready_out = false;
	log->lent = 0;
	log->snapshot_lent = NULL;
	for (size_t i = 0; i < log->n_limbo; i++)
		log->alloc->free(log->alloc->arg, log->limbo[i]);
	log->n_limbo = 0;
}

void
raft_log_drop_snapshot(RaftLog *log)
{
	if (log->snapshot == NULL)
		return;
	if (log->snapshot == log->snapshot_lent)
		put_off(log, log->snapshot);
	else
		log->alloc->free(log->alloc->arg, log->snapshot);
	log->snapshot = NULL;
}

/*
 * A snapshot replaces the whole log.  Its index is committed, so what a flush
 * under way says about entries up to there needs no doubt, and about entries
 * after it nothing is left.
 */
void
raft_log_restore(RaftLog *log, const RaftSnapshot *snapshot)
{
	RaftSnapshot *copy;
	uint64_t index = snapshot->meta.index;

	CHECK(index > log->commit);
	if (raft_log_last(log) > log->commit)
		raft_log_cut(log, log->commit + 1);
	raft_log_drop_snapshot(log);
	copy = log->alloc->alloc(log->alloc->arg,
							 sizeof(RaftSnapshot) + snapshot->data.len);
	*copy = *snapshot;
	copy->data.data = (uint8_t *) (copy + 1);
	if (snapshot->data.len > 0)
		memcpy(copy + 1, snapshot->data.data, snapshot->data.len);
	log->snapshot = copy;

	while (log->n > 0)
	{
		raft_log_free_entry(log, &log->slots[log->head]);
		log->head = (log->head + 1) & (log->cap - 1);
		log->n--;
	}
	log->bytes = log->unstored_bytes = 0;
	log->lent = 0;
	log->first = index + 1;
	log->truncated_index = log->commit = index;
	log->truncated_term = snapshot->meta.term;
	log->stored = log->persisted = index;
	log->conf_index = index;
	log->last_term = snapshot->meta.term;
}

/* Nothing is on its way to the disk or the driver: keep no room for it. */
void
raft_log_trim_records(RaftLog *log)
{
	if (log->n_records == 0 && log->records != NULL)
	{
		log->alloc->free(log->alloc->arg, log->records);
		log->records = NULL;
		log->cap_records = 0;
	}
	if (log->n_limbo == 0 && log->limbo != NULL)
	{
		log->alloc->free(log->alloc->arg, log->limbo);
		log->limbo = NULL;
		log->cap_limbo = 0;
	}
}

/* What log.h says of the positions; cheap enough to be looked at each time. */
void
raft_log_check(const RaftLog *log)
{
	uint64_t last = raft_log_last(log);

	CHECK(log->applied <= log->commit && log->commit <= last);
	CHECK(log->persisted <= log->stored && log->stored <= last);
	CHECK(log->first <= log->stored + 1 && log->first > log->truncated_index);
	CHECK(log->truncated_index <= log->commit);
	CHECK((log->truncated_index <= log->applied) == (log->snapshot == NULL));
	CHECK(log->unstored_bytes <= log->bytes);
	CHECK(log->snapshot == NULL ||
		  log->snapshot->meta.index == log->truncated_index);
	CHECK(log->n == 0 ||
		  log->slots[(log->head + log->n - 1) & (log->cap - 1)].term ==
			  log->last_term);
}
