/*
 * queue.c
 *	  The list of writes: first in, first out, counted.
 */
#include "store/store.h"

void
write_queue_init(WriteQueue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->tail = &queue->head;
}

void
write_queue_push(WriteQueue *queue, Write *write)
{
	write->next = NULL;
	*queue->tail = write;
	queue->tail = &write->next;
	queue->n++;
	queue->bytes += write->bytes;
}

Write *
write_queue_pop(WriteQueue *queue)
{
	Write *write = queue->head;

	if (write == NULL)
		return NULL;
	queue->head = write->next;
	if (queue->head == NULL)
		queue->tail = &queue->head;
	queue->n--;
	queue->bytes -= write->bytes;
	return write;
}

void
write_queue_unpop(WriteQueue *queue, WriteQueue *from)
{
	WriteQueue rest = *queue;
	Write *write;

	if (rest.head == NULL)
		rest.tail = &rest.head;
	write_queue_init(queue);
	while ((write = write_queue_pop(from)) != NULL)
		write_queue_push(queue, write);
	while ((write = write_queue_pop(&rest)) != NULL)
		write_queue_push(queue, write);
}
