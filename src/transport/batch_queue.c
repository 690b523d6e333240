/*
 * batch_queue.c
 *	  Messages that wait for one node, already in the form in which they leave.
 */
#include "transport/batch_queue.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "service/wire.h"

#define FIELD_MSGS 1
#define FIELD_LAST_OBSERVED_TIME 13

/* A batch begins small and grows: most rounds have few messages. */
#define ROOM_AT_FIRST ((size_t) 1024)

void
batch_queue_init(BatchQueue *q, size_t max_bytes, size_t max_batch)
{
	memset(q, 0, sizeof(*q));
	q->tail = &q->first;
	q->max_bytes = max_bytes;
	q->max_batch = max_batch;
}

static void
add_batch(BatchQueue *q, size_t need)
{
	size_t room = need > ROOM_AT_FIRST ? need : ROOM_AT_FIRST;
	MessageBatch *batch = malloc(sizeof(*batch) + room);

	CHECK(batch != NULL);
	batch->next = NULL;
	batch->len = 0;
	batch->room = room;
	batch->n_messages = 0;
	*q->tail = batch;
	q->last = batch;
}

/* Room for so much more in the last batch, which may move. */
static void
grow_last(BatchQueue *q, size_t need)
{
	MessageBatch *batch = q->last;
	size_t room = 2 * batch->room;

	if (batch->len + need <= batch->room)
		return;
	if (room < batch->len + need)
		room = batch->len + need;
	batch = realloc(batch, sizeof(*batch) + room);
	CHECK(batch != NULL);
	batch->room = room;
	*q->tail = batch;
	q->last = batch;
}

/* `tail` is where the last batch hangs; a new one hangs on its end. */
static void
make_room(BatchQueue *q, size_t need)
{
	if (q->last != NULL && q->last->len + need <= q->max_batch)
	{
		grow_last(q, need);
		return;
	}
	if (q->last != NULL)
		q->tail = &q->last->next;
	add_batch(q, need);
}

bool
batch_queue_push(BatchQueue *q, Bytes message)
{
	uint64_t tag = wire_key(FIELD_MSGS, WIRE_BYTES);
	size_t need =
		wire_varint_len(tag) + wire_varint_len(message.len) + message.len;
	uint8_t *p;

	if (q->first != NULL && q->bytes + need > q->max_bytes)
		return false;
	make_room(q, need);
	p = q->last->bytes + q->last->len;
	p = wire_write_varint(p, tag);
	p = wire_write_varint(p, message.len);
	if (message.len > 0)
		memcpy(p, message.data, message.len);
	q->last->len += need;
	q->last->n_messages++;
	q->bytes += need;
	return true;
}

MessageBatch *
batch_queue_take(BatchQueue *q)
{
	MessageBatch *batch = q->first;

	if (batch == NULL)
		return NULL;
	q->bytes -= batch->len;
	q->first = batch->next;
	if (q->first == NULL)
		q->last = NULL;
	if (q->first == NULL || q->tail == &batch->next)
		q->tail = &q->first;
	return batch;
}

MessageBatch *
batch_stamp(MessageBatch *batch, uint64_t wall_ms)
{
	uint64_t tag = wire_key(FIELD_LAST_OBSERVED_TIME, WIRE_VARINT);
	size_t need = wire_varint_len(tag) + wire_varint_len(wall_ms);
	uint8_t *p;

	if (batch->len + need > batch->room)
	{
		batch = realloc(batch, sizeof(*batch) + batch->len + need);
		CHECK(batch != NULL);
		batch->room = batch->len + need;
	}
	p = wire_write_varint(batch->bytes + batch->len, tag);
	(void) wire_write_varint(p, wall_ms);
	batch->len += need;
	return batch;
}

int
batch_queue_clear(BatchQueue *q)
{
	MessageBatch *batch;
	int n = 0;

	while ((batch = batch_queue_take(q)) != NULL)
	{
		n += batch->n_messages;
		free(batch);
	}
	return n;
}

bool
batch_each(Bytes batch, void (*tell)(void *arg, Bytes message), void *arg,
		   uint64_t *wall_ms)
{
	WireReader r = wire_reader(batch);
	WireField f;

	*wall_ms = 0;
	while (wire_read_field(&r, &f))
	{
		if (f.number == FIELD_LAST_OBSERVED_TIME && f.type == WIRE_VARINT)
			*wall_ms = f.value;
		if (f.number != FIELD_MSGS)
			continue;
		if (f.type != WIRE_BYTES)
			return false;
		tell(arg, f.bytes);
	}
	return !r.bad;
}
