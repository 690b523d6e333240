/*
 * room.c
 *	  How much memory a round, an answer and a client may take.
 *
 * Of tikv.memory_limit a round takes a quarter at most, in which requests and
 * their answers live, and one answer another one, in two forms while it is
 * packed, or copied for the library that sends it over HTTP.  What outlives
 * the round is charged to the connection that it is for, and who has its share
 * there is refused.
 */
#include "postgres.h"

#include "pd/pd.h"

/*
 * What requests and their answers may take together before a round ends; one
 * alone may take more.
 */
#define MAX_ROUND_BYTES ((size_t) 64 << 20)

/* Of keys, values and what else one answer holds before it is packed. */
#define MAX_ANSWER_BYTES ((size_t) 256 << 20)

/* What is kept of the buckets that leaders report of their regions. */
#define MAX_BUCKET_BYTES ((size_t) 64 << 20)

/* Each no more than this part of the memory that all may hold. */
#define PART_OF_MEMORY 4

/*
 * What a stream of PD_WHILE_READ, or one that is passed on, may owe to a client
 * that has its share of the memory: some answers are on their way.
 */
#define LITTLE_UNREAD 1024

void
pd_set_bounds(Pd *pd, size_t limit)
{
	pd->max_answer = MAX_ANSWER_BYTES;
	pd->max_round = MAX_ROUND_BYTES;
	pd->max_buckets = MAX_BUCKET_BYTES;
	if (limit == 0)
		return;
	pd->max_answer = Min(pd->max_answer, limit / PART_OF_MEMORY);
	pd->max_round = Min(pd->max_round, limit / PART_OF_MEMORY);
	pd->max_buckets = Min(pd->max_buckets, limit / PART_OF_MEMORY);
}

size_t
pd_http_bound(size_t most, size_t limit)
{
	return limit == 0 ? most : Min(most, limit / PART_OF_MEMORY);
}

bool
pd_round_is_full(const Pd *pd)
{
	return pd->arena.allocated > pd->max_round;
}

/* ---- one answer ---- */

KvError
pd_check_room(const PdAsk *ask)
{
	if (ask->arena->allocated <= ask->most)
		return kv_ok();
	return kv_error(RPC_RESOURCE_EXHAUSTED, PD_ANSWER_TOO_LARGE);
}

KvError
pd_check_size(const PdAsk *ask, const ProtobufCMessage *response)
{
	if (ask->changes.n > 0 ||
		protobuf_c_message_get_packed_size(response) <= ask->pd->max_answer)
		return kv_ok();
	return kv_error(RPC_RESOURCE_EXHAUSTED, PD_ANSWER_TOO_LARGE);
}

/* ---- one client ---- */

bool
pd_admits(const Call *call, const PdMethod *method)
{
	return method->kind != RPC_STREAM || call_admits(call) ||
		((method->flags & PD_WHILE_READ) &&
		 call_send_queued(call) <= LITTLE_UNREAD);
}

bool
pd_may_pass_on(const Call *call, size_t len)
{
	return call_admits_unasked(call) ||
		call_send_queued(call) + len <= LITTLE_UNREAD;
}

void
pd_charge(const ReplyTo *to, size_t n)
{
	if (to->call != NULL)
		call_charge(to->call, n);
	else
		account_add(server_memory_account(), n);
}

void
pd_uncharge(const ReplyTo *to, size_t n)
{
	if (to->call != NULL)
		call_uncharge(to->call, n);
	else
		account_sub(server_memory_account(), n);
}
