/*
 * queue.c
 *	  Lists of writes, and the store's queue, whose sources take turns.
 *
 * A client that keeps ten thousand writes in flight would hold up everybody
 * else's for as many; so connections (and, over the bus, processes) get their
 * turns in the queue, and none may fill more than its share of it.
 */
#include "guc.h"
#include "store/store.h"

/* What a write costs of its source's turn beside its keys and values. */
#define WRITE_COST 256

void
write_queue_init(WriteQueue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->tail = &queue->head;
}

static void
count(WriteQueue *queue, const Write *write)
{
	queue->n++;
	queue->bytes += write->bytes;
}

static void
push_list(WriteQueue *queue, Write *write)
{
	write->next = NULL;
	*queue->tail = write;
	queue->tail = &write->next;
}

void
write_queue_push(WriteQueue *queue, Write *write)
{
	count(queue, write);
	if (queue->fair == NULL)
		push_list(queue, write);
	else
		fair_push(queue->fair, write->request->source, &write->link,
				  write->bytes + WRITE_COST);
}

void
write_queue_push_ahead(WriteQueue *queue, Write *write)
{
	count(queue, write);
	push_list(queue, write);
}

static Write *
write_of(FairLink *link)
{
	return link == NULL ? NULL :
						  (Write *) ((char *) link - offsetof(Write, link));
}

Write *
write_queue_peek(WriteQueue *queue)
{
	if (queue->head != NULL || queue->fair == NULL)
		return queue->head;
	return write_of(fair_peek(queue->fair));
}

Write *
write_queue_pop(WriteQueue *queue)
{
	Write *write = queue->head;

	if (write == NULL && queue->fair != NULL)
		write = write_of(fair_pop(queue->fair));
	else if (write != NULL)
	{
		queue->head = write->next;
		if (queue->head == NULL)
			queue->tail = &queue->head;
	}
	if (write == NULL)
		return NULL;
	queue->n--;
	queue->bytes -= write->bytes;
	return write;
}

bool
write_queue_has_room(const WriteQueue *queue, size_t bytes)
{
	return queue->n < tikv_fdw_settings.max_pending_writes &&
		queue->bytes + bytes <=
		(size_t) tikv_fdw_settings.max_pending_kb * 1024;
}

bool
write_queue_admits(const WriteQueue *queue, uint64 source, size_t bytes)
{
	size_t max_n = (size_t) tikv_fdw_settings.max_pending_writes;
	size_t max_bytes = (size_t) tikv_fdw_settings.max_pending_kb * 1024;

	return write_queue_has_room(queue, bytes) &&
		fair_admits(queue->fair, source, bytes + WRITE_COST, max_n,
					max_bytes + max_n * WRITE_COST);
}

void
write_queue_unpop(WriteQueue *queue, WriteQueue *from)
{
	Write *rest = queue->head;
	Write *write;

	queue->head = NULL;
	queue->tail = &queue->head;
	while ((write = write_queue_pop(from)) != NULL)
		write_queue_push_ahead(queue, write);
	while ((write = rest) != NULL)
	{
		rest = write->next;
		push_list(queue, write);
	}
}
