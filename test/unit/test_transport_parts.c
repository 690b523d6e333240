/*
 * test_transport_parts.c
 *	  What the transport is made of: batches, reconnecting, fences, and bytes of
 *	  strangers.
 */
#include <stdlib.h>

#include "transport/reconnect.h"
#include "transport/batch_queue.h"
#include "transport/fence.h"

#include "tikvpb.pb-c.h"
#include "dice.h"
#include "unit.h"

/* ---- the queue ---- */

typedef struct Told
{
	int n;
	size_t bytes;
	uint32_t next; /* messages begin with a number that counts */
	bool disordered;
} Told;

static void
tell(void *arg, Bytes message)
{
	Told *told = arg;
	uint32_t number;

	told->n++;
	told->bytes += message.len;
	if (message.len < sizeof(number))
		return;
	memcpy(&number, message.data, sizeof(number));
	if (number != told->next++)
		told->disordered = true;
}

static uint64_t stamp; /* of the last batch */

static bool
tell_all(const MessageBatch *batch, Told *told)
{
	return batch_each(bytes_make(batch->bytes, batch->len), tell, told, &stamp);
}

/* Pushes and takes at random: nothing is lost, changed or reordered. */
static void
queue_at_random(void)
{
	BatchQueue q;
	Told told = {0};
	static uint8_t message[3000];
	uint32_t pushed = 0;
	bool bounded = true;
	bool batched = true;

	batch_queue_init(&q, 20000, 1500);
	for (int i = 0; i < 200000; i++)
	{
		size_t len = sizeof(pushed) + below(below(20) == 0 ? 2900 : 100);

		if (below(3) > 0)
		{
			memcpy(message, &pushed, sizeof(pushed));
			if (batch_queue_push(&q, bytes_make(message, len)))
				pushed++;
			else if (q.bytes + len < 20000 - 10)
				bounded = false;
			if (q.bytes > 20000)
				bounded = false;
		}
		else if (q.first != NULL)
		{
			MessageBatch *batch = batch_queue_take(&q);

			if (batch->n_messages > 1 && batch->len > 1500)
				batched = false;
			if (!tell_all(batch, &told))
				batched = false;
			free(batch);
		}
	}
	for (MessageBatch *batch; (batch = batch_queue_take(&q)) != NULL;)
	{
		(void) tell_all(batch, &told);
		free(batch);
	}
	OK(!told.disordered, "messages come in order");
	EQ_U64(told.n, pushed, "all that were taken in");
	OK(pushed > 10000, "many");
	OK(bounded, "the queue keeps its bound, and uses it");
	OK(batched, "a batch has its size, or one message");
	EQ_U64(q.bytes, 0, "nothing is left");
}

static void
queue_edges(void)
{
	BatchQueue q;
	uint8_t *large = calloc(1, 5000);
	MessageBatch *batch;

	batch_queue_init(&q, 1000, 100);
	OK(batch_queue_take(&q) == NULL, "an empty queue has nothing");
	OK(batch_queue_push(&q, bytes_make(large, 5000)),
	   "an empty queue takes what is larger than its bound");
	OK(!batch_queue_push(&q, bytes_make(large, 1)), "and nothing more");
	batch = batch_queue_take(&q);
	EQ_U64(batch->n_messages, 1, "it comes alone");
	free(batch);
	OK(batch_queue_push(&q, bytes_empty()), "an empty message");
	for (int i = 0; i < 10; i++)
		OK(batch_queue_push(&q, bytes_make(large, 10)), "a small one");
	EQ_U64(batch_queue_clear(&q), 11, "all can be forgotten");
	OK(batch_queue_push(&q, bytes_make(large, 10)) && q.first == q.last,
	   "and it goes on");
	batch_queue_clear(&q);
	free(large);
}

/* What is sent is what protobuf makes of it. */
static void
queue_speaks_protobuf(void)
{
	RaftServerpb__RaftMessage message = RAFT_SERVERPB__RAFT_MESSAGE__INIT;
	uint8_t bytes[100];
	size_t len;
	BatchQueue q;
	MessageBatch *batch;
	Tikvpb__BatchRaftMessage *decoded;
	Told told = {0};

	batch_queue_init(&q, 1000, 1000);
	for (uint64_t i = 1; i <= 3; i++)
	{
		message.region_id = i * 1000;
		len = raft_serverpb__raft_message__pack(&message, bytes);
		batch_queue_push(&q, bytes_make(bytes, len));
	}
	batch = batch_queue_take(&q);
	OK(tell_all(batch, &told) && stamp == 0, "with no time");
	batch = batch_stamp(batch, 1700000000123);
	decoded =
		tikvpb__batch_raft_message__unpack(NULL, batch->len, batch->bytes);
	OK(decoded != NULL && decoded->n_msgs == 3, "a BatchRaftMessage of three");
	EQ_U64(decoded->msgs[2]->region_id, 3000, "the third");
	EQ_U64(decoded->last_observed_time, 1700000000123, "and the time");
	OK(tell_all(batch, &told), "all of it is read");
	EQ_U64(told.n, 6, "with its messages");
	EQ_U64(stamp, 1700000000123, "and its time");
	tikvpb__batch_raft_message__free_unpacked(decoded, NULL);
	free(batch);
}

/* ---- strangers ---- */

static bool
each(const char *bytes, size_t len, Told *told)
{
	/* In memory of exactly that size, so that ASan sees one byte too much. */
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	bool good;

	memcpy(copy, bytes, len);
	good = batch_each(bytes_make(copy, len), tell, told, &stamp);
	free(copy);
	return good;
}

static void
strange_batches(void)
{
	Told told = {0};
	uint8_t random[64];
	int good = 0;
	int bad = 0;

	OK(each("", 0, &told) && told.n == 0, "nothing is a batch of none");
	OK(each("\x0a\x00\x0a\x00", 4, &told) && told.n == 2, "two empty ones");
	OK(each("\x12\x01x\x0a\x01y", 6, &told) && told.n == 3,
	   "an unknown field is passed over");
	OK(!each("\x0a\x05xy", 4, &told), "a length beyond the end");
	OK(!each("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &told),
	   "a length beyond all");
	OK(!each("\x0a", 1, &told), "no length");
	OK(!each("\x08\x01", 2, &told), "a number for a message");
	OK(!each("\x0b\x0c", 2, &told), "a group");
	for (int i = 0; i < 200000; i++)
	{
		size_t len = below(sizeof(random) + 1);

		for (size_t j = 0; j < len; j++)
			random[j] = below(3) == 0 ? 0x0a : (uint8_t) below(256);
		if (each((const char *) random, len, &told))
			good++;
		else
			bad++;
	}
	OK(good > 0 && bad > 0, "random bytes do no harm");
}

static void
numbers(void)
{
	static const char *const bad[] = {"",
									  "x",
									  "1x",
									  "-1",
									  "+1",
									  " 1",
									  "1 ",
									  "18446744073709551616",
									  "99999999999999999999",
									  "000000000000000000001"};
	uint64_t n = 7;

	OK(envelope_number(bytes_cstr("0"), &n) && n == 0, "0");
	OK(envelope_number(bytes_cstr("18446744073709551615"), &n) &&
		   n == UINT64_MAX,
	   "the largest");
	OK(envelope_number(bytes_cstr("00012"), &n) && n == 12, "zeros in front");
	n = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		OK(!envelope_number(bytes_cstr(bad[i]), &n) && n == 7, bad[i]);
	OK(!envelope_number(bytes_empty(), &n), "none at all");
}

/* ---- fences and reconnecting ---- */

static void
fences(void)
{
	Fence fence = {0};

	OK(fence_check(&fence, 1, FENCE_START(5, 7)) == FENCE_SAME,
	   "a node for the first time");
	OK(fence_check(&fence, 1, FENCE_START(5, 7)) == FENCE_SAME, "again");
	OK(fence_check(&fence, 1, FENCE_START(4, 9)) == FENCE_OLD,
	   "an older start is refused");
	OK(fence_check(&fence, 1, FENCE_START(5, 9)) == FENCE_OLD,
	   "and so is another one of the same number");
	OK(fence_check(&fence, 1, FENCE_START(5, 6)) == FENCE_OLD,
	   "whichever is greater");
	EQ_U64(FENCE_SEQ(fence_seen(&fence, 1)), 5, "the newer one is known");
	OK(fence_check(&fence, 1, FENCE_START(9, 1)) == FENCE_NEWER,
	   "a newer start");
	OK(fence_check(&fence, 1, FENCE_START(5, 7)) == FENCE_OLD,
	   "makes the earlier one old");
	OK(fence_check(&fence, 2, 1) == FENCE_SAME, "another node");
	EQ_U64(fence_seen(&fence, 3), 0, "one that never came");
	for (uint64_t i = 3; i <= FENCE_NODES; i++)
		fence_check(&fence, i, 1);
	OK(fence_check(&fence, FENCE_NODES + 1, 1) == FENCE_FULL,
	   "there is a bound");
	OK(fence_check(&fence, 1, FENCE_START(5, 7)) == FENCE_OLD,
	   "and no one is forgotten");
	fence_forget(&fence, 1);
	OK(fence_check(&fence, 1, FENCE_START(1, 1)) == FENCE_SAME,
	   "but who is no member any more may begin anew");
	fence_free(&fence);
}

static void
reconnects(void)
{
	Reconnect b;
	int64_t now = 1000000;
	int64_t longest = 0;
	bool differ = false;
	int64_t last = 0;

	reconnect_init(&b, 0);
	OK(reconnect_is_over(&b, 0), "at first it may be tried");
	reconnect_failed(&b, now);
	OK(b.until_us - now >= 25000 && b.until_us - now <= 50000,
	   "after one failure a moment");
	OK(!reconnect_is_over(&b, b.until_us - 1) &&
		   reconnect_is_over(&b, b.until_us),
	   "and no longer");
	for (int i = 0; i < 1000; i++)
	{
		reconnect_failed(&b, now);
		if (b.until_us - now > longest)
			longest = b.until_us - now;
		differ |= i > 10 && b.until_us - now != last;
		last = b.until_us - now;
	}
	OK(longest > 1000000 && longest <= 2000000, "two seconds at most");
	OK(differ, "by chance");
	reconnect_worked(&b);
	OK(reconnect_is_over(&b, 0), "forgiven");
	reconnect_failed(&b, now);
	OK(b.until_us - now <= 50000, "it begins anew");
}

int
main(void)
{
	queue_at_random();
	queue_edges();
	queue_speaks_protobuf();
	strange_batches();
	numbers();
	fences();
	reconnects();
	return unit_done();
}
