/*
 * batch_queue.h
 *	  Messages that wait for one node, already in the form in which they leave.
 *
 * A BatchRaftMessage is a list of messages in field 1, so each message is kept
 * with its tag and length in front, and any run of them is a BatchRaftMessage.
 * What the sender's clock shows is added when it leaves.
 */
#ifndef TIKV_TRANSPORT_BATCH_QUEUE_H
#define TIKV_TRANSPORT_BATCH_QUEUE_H

#include "core/base/bytes.h"

typedef struct MessageBatch
{
	struct MessageBatch *next;
	size_t len;
	size_t room;
	int n_messages;
	uint8_t bytes[];
} MessageBatch;

typedef struct BatchQueue
{
	MessageBatch *first;
	MessageBatch **tail;
	MessageBatch *last; /* still being filled; NULL if empty */
	size_t bytes;
	size_t max_bytes; /* of all */
	size_t max_batch; /* a larger message is a batch of its own */
} BatchQueue;

extern void batch_queue_init(BatchQueue *q, size_t max_bytes, size_t max_batch);

/* False if it does not fit; an empty queue takes one of any size. */
extern bool batch_queue_push(BatchQueue *q, Bytes message);

/* The oldest batch, for the caller to free(); NULL if there is none. */
extern MessageBatch *batch_queue_take(BatchQueue *q);

/* The batch, which may have moved, with its last_observed_time. */
extern MessageBatch *batch_stamp(MessageBatch *batch, uint64_t wall_ms);

/* Forget everything; returns how many messages that were. */
extern int batch_queue_clear(BatchQueue *q);

/*
 * The messages of a BatchRaftMessage, one by one; false if the bytes are none,
 * in which case some of them may have been told already.  *wall_ms is what it
 * was stamped with, 0: nothing.
 */
extern bool batch_each(Bytes batch, void (*tell)(void *arg, Bytes message),
					   void *arg, uint64_t *wall_ms);

#endif /* TIKV_TRANSPORT_BATCH_QUEUE_H */
