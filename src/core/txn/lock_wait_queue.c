/*
 * lock_wait_queue.c
 *	  The parts of a LockWait: queues by key, waiters, what they wait for.
 */
#include "core/txn/lock_wait_queue.h"

#include "core/base/fingerprint.h"
#include "core/base/hash.h"

/* --------------------------------------------------------- small memory */

static void *
zalloc(size_t size)
{
	void *p = calloc(1, size);

	CHECK(p != NULL);
	return p;
}

static uint8_t *
dup_bytes(Bytes b)
{
	uint8_t *p = b.len == 0 ? NULL : zalloc(b.len);

	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return p;
}

void
wait_report_free(Report *report)
{
	if (report == NULL)
		return;
	arena_free(&report->arena);
	free(report);
}

/* ------------------------------------------------------------- deadlocks */

static WaitForEntry
entry_of(const Waiter *waiter, const WaitQueue *queue, uint64_t wait_for)
{
	WaitForEntry entry = {.txn = waiter->start_ts,
						  .wait_for_txn = wait_for,
						  .key_hash = queue->key_hash,
						  .key = bytes_make(queue->key, queue->key_len),
						  .resource_group_tag =
							  bytes_make(waiter->tag, waiter->tag_len)};

	return entry;
}

void
waiter_forget_edges(LockWait *wait, const Waiter *waiter)
{
	for (size_t i = 0; !waiter->is_first_lock && i < waiter->n_wait_for; i++)
	{
		WaitForEntry entry =
			entry_of(waiter, waiter->queue, waiter->wait_for[i]);

		if (wait->send != NULL)
			wait->send(wait->send_arg, DEADLOCK_CLEAN_UP_WAIT_FOR, &entry);
		else
			deadlocks_clean_up_wait_for(wait->deadlocks, entry.txn,
										entry.wait_for_txn, entry.key_hash);
	}
}

static WaitForEntry
copy_entry(Arena *arena, const WaitForEntry *from)
{
	WaitForEntry entry = *from;

	entry.key = arena_copy(arena, from->key);
	entry.resource_group_tag = arena_copy(arena, from->resource_group_tag);
	return entry;
}

Report *
wait_report_make(const WaitForEntry *entry, const DeadlockFound *found)
{
	Report *report = zalloc(sizeof(Report));
	WaitForEntry *chain;

	arena_init(&report->arena);
	chain = arena_alloc(&report->arena, (found->n_chain + 1) * sizeof(*chain));
	for (size_t i = 0; i < found->n_chain; i++)
		chain[i] = copy_entry(&report->arena, &found->chain[i]);
	chain[found->n_chain] = copy_entry(&report->arena, entry);
	report->error.kind = TXN_DEADLOCK;
	report->error.start_ts = entry->txn;
	report->error.conflict_ts = entry->wait_for_txn;
	report->error.key = chain[found->n_chain].key;
	report->error.deadlock_key_hash = found->key_hash;
	report->error.wait_chain = chain;
	report->error.n_wait_chain = found->n_chain + 1;
	return report;
}

Report *
waiter_detect(LockWait *wait, const Waiter *waiter, int64_t now_us)
{
	for (size_t i = 0; !waiter->is_first_lock && i < waiter->n_wait_for; i++)
	{
		WaitForEntry entry =
			entry_of(waiter, waiter->queue, waiter->wait_for[i]);
		DeadlockFound found;

		if (wait->send != NULL)
			wait->send(wait->send_arg, DEADLOCK_DETECT, &entry);
		else if (deadlocks_detect(wait->deadlocks, &entry, now_us, &wait->arena,
								  &found))
			return wait_report_make(&entry, &found);
	}
	return NULL;
}

/* ------------------------------------------------- queues and waiters */

WaitQueue *
wait_queue_find(const LockWait *wait, Bytes key)
{
	ChainLink *link = chain_first(&wait->queues, hash_bytes64(key, 0));

	for (; link != NULL; link = chain_next(link))
	{
		WaitQueue *queue = CHAIN_OWNER(WaitQueue, link, link);

		if (bytes_eq(bytes_make(queue->key, queue->key_len), key))
			return queue;
	}
	return NULL;
}

static bool
waits_before(const HeapNode *a, const HeapNode *b)
{
	const Waiter *x = CHAIN_OWNER(const Waiter, in_queue, a);
	const Waiter *y = CHAIN_OWNER(const Waiter, in_queue, b);

	if (x->start_ts != y->start_ts)
		return x->start_ts < y->start_ts;
	return x->sequence < y->sequence;
}

WaitQueue *
wait_queue_make(LockWait *wait, Bytes key)
{
	WaitQueue *queue = zalloc(sizeof(WaitQueue));

	queue->key = dup_bytes(key);
	queue->key_len = key.len;
	queue->key_hash = fingerprint64(key);
	queue->waiters.before = waits_before;
	chain_insert(&wait->queues, &queue->link, hash_bytes64(key, 0));
	return queue;
}

void
wait_queue_drop_if_empty(LockWait *wait, WaitQueue *queue)
{
	if (queue->waiters.n > 0)
		return;
	chain_remove(&wait->queues, &queue->link);
	heap_remove(&wait->notifies, &queue->notify);
	free(queue->waiters.nodes);
	free(queue->key);
	free(queue->lock);
	free(queue);
}

void
wait_queue_note_lock(LockWait *wait, WaitQueue *queue, const LockInfo *info)
{
	Bytes bytes = lock_encode(&info->lock, &wait->arena);

	free(queue->lock);
	queue->lock = dup_bytes(bytes);
	queue->lock_len = bytes.len;
	queue->lock_ttl_ms = info->ttl_ms;
}

static uint64_t
token_hash(const void *token)
{
	return hash_mix64((uint64_t) (uintptr_t) token,
					  UINT64_C(0x9E3779B97F4A7C15));
}

Waiter *
waiter_find(const LockWait *wait, const void *token)
{
	ChainLink *link = chain_first(&wait->waiters, token_hash(token));

	for (; link != NULL; link = chain_next(link))
	{
		Waiter *waiter = CHAIN_OWNER(Waiter, link, link);

		if (waiter->token == token)
			return waiter;
	}
	return NULL;
}

void
waiter_free(LockWait *wait, Waiter *waiter)
{
	chain_remove(&wait->waiters, &waiter->link);
	wait_report_free(waiter->report);
	free(waiter->wait_for);
	free(waiter->tag);
	free(waiter);
}

void
waiter_set_blockers(Waiter *waiter, const Lock *lock)
{
	size_t n = lock->type == LOCK_TYPE_SHARED ? lock->n_members : 1;

	free(waiter->wait_for);
	waiter->wait_for = zalloc((n + 1) * sizeof(uint64_t));
	waiter->n_wait_for = 0;
	for (size_t i = 0; i < n; i++)
	{
		uint64_t ts = lock->type == LOCK_TYPE_SHARED ?
			lock->members[i].start_ts :
			lock->start_ts;

		if (ts != waiter->start_ts)
			waiter->wait_for[waiter->n_wait_for++] = ts;
	}
}

bool
waiter_waits_for(const Waiter *waiter, uint64_t txn)
{
	for (size_t i = 0; i < waiter->n_wait_for; i++)
		if (waiter->wait_for[i] == txn)
			return true;
	return false;
}

/* Whether the holders of the lock are those that the waiter knows. */
bool
waiter_has_blockers(const Waiter *waiter, const Lock *lock)
{
	if (lock->type != LOCK_TYPE_SHARED)
		return waiter->n_wait_for == 1 &&
			waiter_waits_for(waiter, lock->start_ts);
	if (lock->n_members != waiter->n_wait_for)
		return false;
	for (size_t i = 0; i < lock->n_members; i++)
		if (!waiter_waits_for(waiter, lock->members[i].start_ts))
			return false;
	return true;
}

void
waiter_join(LockWait *wait, Waiter *waiter, WaitQueue *queue)
{
	waiter->queue = queue;
	waiter->wake_ups_seen = queue->wake_ups;
	heap_push(&queue->waiters, &waiter->in_queue);
	heap_push(&wait->deadlines, &waiter->in_deadlines);
}

void
waiter_leave(LockWait *wait, Waiter *waiter)
{
	waiter_forget_edges(wait, waiter);
	heap_remove(&waiter->queue->waiters, &waiter->in_queue);
	heap_remove(&wait->deadlines, &waiter->in_deadlines);
	waiter->queue = NULL;
}

void
waiter_make_ready(LockWait *wait, Waiter *waiter, LockWaitEventKind kind)
{
	waiter->kind = kind;
	waiter_leave(wait, waiter);
	*wait->ready_end = waiter;
	wait->ready_end = &waiter->next_ready;
}

Waiter *
waiter_make(LockWait *wait, const LockWaitRequest *request, int64_t now_us,
			int64_t deadline_us)
{
	Waiter *waiter = zalloc(sizeof(Waiter));

	waiter->token = request->token;
	waiter->start_ts = request->start_ts;
	waiter->sequence = wait->sequence++;
	waiter->since_us = now_us;
	waiter->deadline_us = deadline_us;
	/* Parked again: its blocker is another one than before. */
	waiter->updated_us = request->deadline_us != 0 ? now_us : 0;
	waiter->is_first_lock = request->is_first_lock;
	waiter->allow_conflict = request->allow_conflict;
	waiter->is_shared = request->is_shared;
	waiter->tag = dup_bytes(request->resource_group_tag);
	waiter->tag_len = request->resource_group_tag.len;
	waiter_set_blockers(waiter, &request->blocker.lock);
	chain_insert(&wait->waiters, &waiter->link, token_hash(waiter->token));
	return waiter;
}

Waiter *
wait_queue_head(const WaitQueue *queue)
{
	HeapNode *node = heap_first(&queue->waiters);

	return node == NULL ? NULL : CHAIN_OWNER(Waiter, in_queue, node);
}
