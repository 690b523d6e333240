/*
 * lock_wait.c
 *	  Who waits for which lock, and whom a release wakes.
 */
#include "core/txn/lock_wait_queue.h"

static bool
due_before(const HeapNode *a, const HeapNode *b)
{
	return CHAIN_OWNER(const Waiter, in_deadlines, a)->deadline_us <
		CHAIN_OWNER(const Waiter, in_deadlines, b)->deadline_us;
}

static bool
notifies_before(const HeapNode *a, const HeapNode *b)
{
	return CHAIN_OWNER(const WaitQueue, notify, a)->notify_us <
		CHAIN_OWNER(const WaitQueue, notify, b)->notify_us;
}

LockWait *
lock_wait_new(const LockWaitConfig *config)
{
	LockWait *wait = calloc(1, sizeof(LockWait));

	CHECK(wait != NULL);
	wait->config = *config;
	wait->deadlines.before = due_before;
	wait->notifies.before = notifies_before;
	wait->ready_end = &wait->ready;
	wait->deadlocks = deadlocks_new(config->default_timeout_us,
									config->max_deadlock_bytes != 0 ?
										config->max_deadlock_bytes :
										LOCK_WAIT_GRAPH_BYTES);
	arena_init(&wait->arena);
	return wait;
}

static void
forget_handed_out(LockWait *wait)
{
	arena_reset(&wait->arena);
	wait_report_free(wait->handed_out);
	wait->handed_out = NULL;
}

void
lock_wait_detect_by(LockWait *wait,
					void (*send)(void *arg, DeadlockRequestKind kind,
								 const WaitForEntry *entry),
					void *arg)
{
	wait->send = send;
	wait->send_arg = arg;
}

Deadlocks *
lock_wait_deadlocks(LockWait *wait)
{
	return wait->deadlocks;
}

void
lock_wait_free(LockWait *wait)
{
	if (wait == NULL)
		return;
	wait->send = NULL;
	for (size_t i = 0; i < wait->waiters.n_buckets; i++)
		while (wait->waiters.buckets[i] != NULL)
		{
			Waiter *waiter =
				CHAIN_OWNER(Waiter, link, wait->waiters.buckets[i]);
			WaitQueue *queue = waiter->queue;

			if (queue != NULL)
			{
				waiter_leave(wait, waiter);
				wait_queue_drop_if_empty(wait, queue);
			}
			waiter_free(wait, waiter);
		}
	forget_handed_out(wait);
	arena_free(&wait->arena);
	chain_free(&wait->queues);
	chain_free(&wait->waiters);
	free(wait->deadlines.nodes);
	free(wait->notifies.nodes);
	deadlocks_free(wait->deadlocks);
	free(wait);
}

/* -------------------------------------------------------------- parking */

static int64_t
deadline_of(const LockWait *wait, const LockWaitRequest *request,
			int64_t now_us)
{
	int64_t ceiling = wait->config.default_timeout_us;

	if (request->deadline_us != 0)
		return request->deadline_us;
	if (request->wait_timeout_ms == 0 ||
		request->wait_timeout_ms > ceiling / 1000)
		return now_us + ceiling;
	return now_us + request->wait_timeout_ms * 1000;
}

/* The event borrows the report until the next call. */
static void
hand_out_deadlock(LockWait *wait, Waiter *waiter, LockWaitEvent *event)
{
	wait->handed_out = waiter->report;
	waiter->report = NULL;
	event->error = wait->handed_out->error;
}

LockWaitAnswer
lock_wait_park(LockWait *wait, const LockWaitRequest *request, int64_t now_us,
			   LockWaitEvent *event)
{
	int64_t deadline_us = deadline_of(wait, request, now_us);
	Waiter *waiter;
	WaitQueue *queue;

	forget_handed_out(wait);
	memset(event, 0, sizeof(*event));
	event->token = request->token;
	if (request->wait_timeout_ms < 0 || deadline_us <= now_us)
	{
		event->kind = LOCK_WAIT_TIMEOUT;
		event->blocker = request->blocker;
		event->blocker.duration_to_last_update_ms = request->deadline_us != 0;
		return LOCK_WAIT_NOW;
	}
	if (wait->waiters.n >= wait->config.max_waiters)
		return LOCK_WAIT_BUSY;

	waiter = waiter_make(wait, request, now_us, deadline_us);
	queue = wait_queue_find(wait, request->key);
	if (queue == NULL)
		queue = wait_queue_make(wait, request->key);
	wait_queue_note_lock(wait, queue, &request->blocker);
	waiter_join(wait, waiter, queue);

	waiter->report = waiter_detect(wait, waiter, now_us);
	if (waiter->report == NULL)
		return LOCK_WAIT_PARKED;
	waiter_leave(wait, waiter);
	wait_queue_drop_if_empty(wait, queue);
	event->kind = LOCK_WAIT_DEADLOCK;
	hand_out_deadlock(wait, waiter, event);
	waiter_free(wait, waiter);
	return LOCK_WAIT_NOW;
}

/* --------------------------------------------------------------- waking */

static void
wake(LockWait *wait, WaitQueue *queue, Waiter *waiter)
{
	waiter->conflict_ts = queue->conflict_ts;
	waiter->conflict_commit_ts = queue->conflict_commit_ts;
	waiter_make_ready(wait, waiter,
					  waiter->allow_conflict ? LOCK_WAIT_RESUME :
											   LOCK_WAIT_CONFLICT);
}

void
lock_wait_released(LockWait *wait, Bytes key, uint64_t start_ts,
				   uint64_t commit_ts, int64_t now_us)
{
	WaitQueue *queue = wait_queue_find(wait, key);
	bool wakes_normal = false;
	bool shared_so_far = true;

	if (queue == NULL)
		return;
	queue->conflict_ts = start_ts;
	queue->conflict_commit_ts = commit_ts;

	/* The head; and with a shared one all shared ones that follow it. */
	for (Waiter *head = wait_queue_head(queue); head != NULL && shared_so_far;
		 head = wait_queue_head(queue))
	{
		shared_so_far = head->is_shared;
		if (!head->allow_conflict)
		{
			queue->wake_ups++;
			wakes_normal = true;
		}
		wake(wait, queue, head);
		if (wait_queue_head(queue) != NULL &&
			!wait_queue_head(queue)->is_shared)
			break;
	}
	if (wakes_normal && queue->waiters.n > 0)
	{
		heap_remove(&wait->notifies, &queue->notify);
		queue->notify_us = now_us + wait->config.wake_up_delay_us;
		heap_push(&wait->notifies, &queue->notify);
	}
	wait_queue_drop_if_empty(wait, queue);
}

/*
 * Those who were queued when the last wake-up in normal mode happened.  The
 * walk ends at the first who came later, and at one that is resumed, since
 * that one takes the lock.
 */
static void
notify_all(LockWait *wait, WaitQueue *queue)
{
	Waiter *head;

	heap_remove(&wait->notifies, &queue->notify);
	while ((head = wait_queue_head(queue)) != NULL &&
		   head->wake_ups_seen < queue->wake_ups)
	{
		wake(wait, queue, head);
		if (head->allow_conflict)
			break;
	}
	wait_queue_drop_if_empty(wait, queue);
}

/*
 * A waiter learns of the new holder; a report if that closes a cycle.  A lock
 * that its holder rewrites (heartbeat, prewrite, a pushed min_commit_ts) is no
 * news: clients take a recent change for a holder that need not be asked about.
 */
static Report *
change_blocker(LockWait *wait, Waiter *waiter, const Lock *lock, int64_t now_us)
{
	if (waiter_has_blockers(waiter, lock))
		return NULL;
	waiter->updated_us = now_us;
	waiter_forget_edges(wait, waiter);
	waiter_set_blockers(waiter, lock);

	/* Others find out when they are woken and try again. */
	return waiter->allow_conflict ? waiter_detect(wait, waiter, now_us) : NULL;
}

void
lock_wait_acquired(LockWait *wait, const LockInfo *lock, int64_t now_us)
{
	WaitQueue *queue = wait_queue_find(wait, lock->key);
	size_t n;
	Waiter **list;

	if (queue == NULL)
		return;
	forget_handed_out(wait);
	wait_queue_note_lock(wait, queue, lock);
	n = queue->waiters.n;
	list = arena_alloc(&wait->arena, n * sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = CHAIN_OWNER(Waiter, in_queue, queue->waiters.nodes[i]);
	for (size_t i = 0; i < n; i++)
	{
		list[i]->report = change_blocker(wait, list[i], &lock->lock, now_us);
		if (list[i]->report != NULL)
			waiter_make_ready(wait, list[i], LOCK_WAIT_DEADLOCK);
	}
	wait_queue_drop_if_empty(wait, queue);
}

void
lock_wait_deadlock(LockWait *wait, const WaitForEntry *entry,
				   const DeadlockFound *found)
{
	WaitQueue *queue = wait_queue_find(wait, entry->key);

	for (size_t i = 0; queue != NULL && i < queue->waiters.n; i++)
	{
		Waiter *waiter = CHAIN_OWNER(Waiter, in_queue, queue->waiters.nodes[i]);

		if (waiter->start_ts != entry->txn ||
			!waiter_waits_for(waiter, entry->wait_for_txn))
			continue;
		waiter->report = wait_report_make(entry, found);
		waiter_make_ready(wait, waiter, LOCK_WAIT_DEADLOCK);
		wait_queue_drop_if_empty(wait, queue);
		break;
	}
}

void
lock_wait_cancel(LockWait *wait, void *token)
{
	Waiter *waiter = waiter_find(wait, token);

	if (waiter == NULL)
		return;
	if (waiter->queue != NULL)
	{
		WaitQueue *queue = waiter->queue;

		waiter_leave(wait, waiter);
		wait_queue_drop_if_empty(wait, queue);
	}
	else
	{
		Waiter **at = &wait->ready;

		while (*at != waiter)
			at = &(*at)->next_ready;
		*at = waiter->next_ready;
		if (wait->ready_end == &waiter->next_ready)
			wait->ready_end = at;
	}
	waiter_free(wait, waiter);
}

/* ----------------------------------------------------------- what is due */

/* The newest known lock on the key, and how long it has been there. */
static void
fill_blocker(LockWait *wait, const Waiter *waiter, const WaitQueue *queue,
			 int64_t now_us, LockInfo *blocker)
{
	Bytes bytes = bytes_make(queue->lock, queue->lock_len);
	int64_t ms = (now_us - waiter->updated_us) / 1000;

	blocker->key =
		arena_copy(&wait->arena, bytes_make(queue->key, queue->key_len));
	CHECK(lock_decode(arena_copy(&wait->arena, bytes), &wait->arena,
					  &blocker->lock) == STATUS_OK);
	blocker->ttl_ms = queue->lock_ttl_ms;
	if (waiter->updated_us != 0)
		blocker->duration_to_last_update_ms = ms > 0 ? (uint64_t) ms : 1;
}

static void
time_out(LockWait *wait, Waiter *waiter, int64_t now_us, LockWaitEvent *event)
{
	WaitQueue *queue = waiter->queue;

	event->kind = LOCK_WAIT_TIMEOUT;
	event->token = waiter->token;
	fill_blocker(wait, waiter, queue, now_us, &event->blocker);
	waiter_leave(wait, waiter);
	wait_queue_drop_if_empty(wait, queue);
	waiter_free(wait, waiter);
}

static void
take_ready(LockWait *wait, LockWaitEvent *event)
{
	Waiter *waiter = wait->ready;

	wait->ready = waiter->next_ready;
	if (wait->ready == NULL)
		wait->ready_end = &wait->ready;
	event->kind = waiter->kind;
	event->token = waiter->token;
	event->deadline_us = waiter->deadline_us;
	event->conflict_ts = waiter->conflict_ts;
	event->conflict_commit_ts = waiter->conflict_commit_ts;
	if (waiter->kind == LOCK_WAIT_DEADLOCK)
		hand_out_deadlock(wait, waiter, event);
	waiter_free(wait, waiter);
}

static Waiter *
first_deadline(const LockWait *wait)
{
	HeapNode *node = heap_first(&wait->deadlines);

	return node == NULL ? NULL : CHAIN_OWNER(Waiter, in_deadlines, node);
}

static WaitQueue *
first_notify(const LockWait *wait)
{
	HeapNode *node = heap_first(&wait->notifies);

	return node == NULL ? NULL : CHAIN_OWNER(WaitQueue, notify, node);
}

bool
lock_wait_next(LockWait *wait, int64_t now_us, LockWaitEvent *event)
{
	WaitQueue *queue;
	Waiter *waiter;

	forget_handed_out(wait);
	memset(event, 0, sizeof(*event));
	while (wait->ready == NULL && (queue = first_notify(wait)) != NULL &&
		   queue->notify_us <= now_us)
		notify_all(wait, queue);
	if (wait->ready != NULL)
	{
		take_ready(wait, event);
		return true;
	}
	waiter = first_deadline(wait);
	if (waiter == NULL || waiter->deadline_us > now_us)
		return false;
	time_out(wait, waiter, now_us, event);
	return true;
}

int64_t
lock_wait_deadline(const LockWait *wait)
{
	Waiter *waiter = first_deadline(wait);
	WaitQueue *queue = first_notify(wait);
	int64_t due = waiter == NULL ? INT64_MAX : waiter->deadline_us;

	if (wait->ready != NULL)
		return 0;
	return queue != NULL && queue->notify_us < due ? queue->notify_us : due;
}

size_t
lock_wait_count(const LockWait *wait)
{
	return wait->waiters.n;
}

void
lock_wait_each(const LockWait *wait,
			   void (*emit)(void *arg, const LockWaitView *view), void *arg)
{
	for (size_t i = 0; i < wait->waiters.n_buckets; i++)
		for (ChainLink *link = wait->waiters.buckets[i]; link != NULL;
			 link = link->next)
		{
			const Waiter *waiter = CHAIN_OWNER(const Waiter, link, link);
			LockWaitView view = {.txn = waiter->start_ts,
								 .since_us = waiter->since_us};

			if (waiter->queue == NULL)
				continue;
			if (waiter->n_wait_for > 0)
				view.wait_for_txn = waiter->wait_for[0];
			view.key = bytes_make(waiter->queue->key, waiter->queue->key_len);
			view.key_hash = waiter->queue->key_hash;
			view.resource_group_tag = bytes_make(waiter->tag, waiter->tag_len);
			emit(arg, &view);
		}
}
