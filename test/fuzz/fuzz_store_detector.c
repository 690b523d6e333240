/*
 * fuzz_store_detector.c
 *	  deadlock.Deadlock between stores: requests of others to the one that
 *	  detects, its answers to one that asks, and the waits that they end.
 *
 * src/store/detector.c over the core's graph and queue of waiters; in place of
 * Postgres, of gRPC and of the search for the first region's leader are a few
 * functions.  What is sent must be what its reader understands.
 */
#include "postgres.h"

#include "store/detector.c"

#include "messages.h"
#include "pg_errors.h"

#define CALLS 3
#define WAITERS 16
#define MAX_GRAPH 4096 /* bytes */

struct ClientCall
{
	Detector *detector;
};

struct Call
{
	bool over;
};

static Store store;
static Dispatch dispatch = {.arg = &store};
static Call calls[CALLS];
static ClientCall out_call;
static int64 now_us;
static bool leading;
static uint64 term;
static bool waiting[WAITERS];
static WhereaboutsDone found_done; /* NULL: nobody looks */
static void *found_arg;
static int choice;

/* ---------------------------------------------------- what the store is told */

int64
dispatch_now_us(void)
{
	return now_us;
}

static Peer first_peer;

Peer *
store_find_peer_of_key(Store *of, Bytes bound)
{
	(void) of;
	CHECK(bound.len == 0);
	return choice % 8 == 7 ? NULL : &first_peer;
}

bool
peer_is_leader(const Peer *peer)
{
	(void) peer;
	return leading;
}

uint64_t
raft_term(const Raft *raft)
{
	(void) raft;
	return term;
}

bool
elsewhere_find(Store *of, Bytes bound, WhereaboutsDone done, void *arg)
{
	(void) of;
	(void) bound;
	CHECK(found_done == NULL);
	if (choice++ % 5 == 4)
		return false;
	found_done = done;
	found_arg = arg;
	return true;
}

/* ------------------------------------------------------------- what leaves */

static const ProtobufCMessage *
understood(const ProtobufCMessageDescriptor *type, Bytes message, Arena *arena)
{
	const ProtobufCMessage *m = service_unpack(type, message, arena);

	CHECK(m != NULL);
	return m;
}

Server *
call_server(Call *call)
{
	(void) call;
	return NULL;
}

void *
server_arg(Server *server)
{
	(void) server;
	return &dispatch;
}

void
call_fail(Call *call, RpcCode code, const char *text)
{
	CHECK(!call->over && code != RPC_OK && text != NULL);
	call->over = true;
}

void
call_finish(Call *call, RpcCode code, const char *text)
{
	CHECK(!call->over && code == RPC_OK && text == NULL);
	call->over = true;
}

bool
call_send_bytes(Call *call, Bytes message)
{
	const Deadlock__DeadlockResponse *reply;
	Arena arena;

	CHECK(!call->over);
	arena_init(&arena);
	reply = (const void *) understood(&deadlock__deadlock_response__descriptor,
									  message, &arena);
	CHECK(reply->entry != NULL);
	arena_free(&arena);
	return true;
}

void
call_reply_bytes(Call *call, Bytes message)
{
	Arena arena;

	(void) call;
	arena_init(&arena);
	(void) understood(&deadlock__wait_for_entries_response__descriptor, message,
					  &arena);
	arena_free(&arena);
}

void *
client_user(const ClientCall *call)
{
	return call->detector;
}

ClientChannel *
client_open(Server *server, const char *addr)
{
	(void) server;
	CHECK(addr != NULL && addr[0] != '\0');
	return (ClientChannel *) &out_call;
}

void
client_close(ClientChannel *channel)
{
	CHECK(channel == (ClientChannel *) &out_call);
}

ClientCall *
client_stream(ClientChannel *channel, const char *path,
			  const ClientOptions *options, const ClientHandler *handlers,
			  void *user)
{
	(void) channel;
	(void) path;
	(void) options;
	(void) handlers;
	out_call.detector = user;
	return &out_call;
}

bool
client_send_bytes(ClientCall *call, Bytes message)
{
	const Deadlock__DeadlockRequest *request;
	Arena arena;

	CHECK(call == &out_call);
	arena_init(&arena);
	request = (const void *) understood(&deadlock__deadlock_request__descriptor,
										message, &arena);
	CHECK(request->entry != NULL);
	arena_free(&arena);
	return true;
}

void
client_drop(ClientCall *call)
{
	CHECK(call == &out_call);
}

/* ---------------------------------------------------------------- Postgres */

void *
palloc(Size size)
{
	void *p = malloc(size > 0 ? size : 1);

	CHECK(p != NULL);
	return p;
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	(void) context;
	return palloc(size);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return memset(MemoryContextAlloc(context, size), 0, size);
}

char *
MemoryContextStrdup(MemoryContext context, const char *text)
{
	return strcpy(MemoryContextAlloc(context, strlen(text) + 1), text);
}

void
pfree(void *p)
{
	free(p);
}

/* ------------------------------------------------------------------- steps */

static void
take_events(void)
{
	LockWaitEvent event;

	while (lock_wait_next(store.waits, now_us, &event))
	{
		CHECK(waiting[(uintptr_t) event.token - 1]);
		waiting[(uintptr_t) event.token - 1] = false;
		if (event.kind == LOCK_WAIT_DEADLOCK)
			CHECK(event.error.kind == TXN_DEADLOCK);
	}
}

static void
park(FuzzInput *in)
{
	uintptr_t token = (uintptr_t) fuzz_u8(in) % WAITERS + 1;
	LockWaitRequest request = {.token = (void *) token};
	LockWaitEvent event;
	Bytes key = fuzz_bytes(in, fuzz_u8(in) % 4);

	if (waiting[token - 1])
	{
		lock_wait_cancel(store.waits, request.token);
		waiting[token - 1] = false;
		return;
	}
	request.key = request.blocker.key = key;
	request.start_ts = request.for_update_ts = fuzz_u8(in);
	request.blocker.lock.start_ts = fuzz_u8(in);
	request.blocker.lock.type = LOCK_TYPE_PESSIMISTIC;
	request.blocker.lock.primary = key;
	request.resource_group_tag = fuzz_bytes(in, fuzz_u8(in) % 4);
	if (lock_wait_park(store.waits, &request, now_us, &event) ==
		LOCK_WAIT_PARKED)
		waiting[token - 1] = true;
}

static void
answer_whereabouts(FuzzInput *in)
{
	Whereabouts where = {.leader = {.id = 2, .store_id = fuzz_u8(in) % 4},
						 .peer_address = "127.0.0.1:1"};
	WhereaboutsDone done = found_done;

	found_done = NULL;
	if (fuzz_u8(in) % 2 == 0)
		where.peer_address = "127.0.0.1:2";
	if (done != NULL)
		done(found_arg, fuzz_u8(in) % 4 == 0 ? NULL : &where);
}

static void
hear(FuzzInput *in, Call *call)
{
	Bytes bytes = fuzz_own(fuzz_piece(in));

	if (call->over)
		call->over = false; /* another stream */
	if (call == &calls[0] && store.detector->stream != NULL)
		on_found(store.detector->stream, bytes);
	else
		on_request(call, bytes);
	fuzz_disown(bytes);
}

static void
take_step(FuzzInput *in)
{
	ClientResult ended = {.code = RPC_UNAVAILABLE, .text = "gone"};
	uint8_t what = fuzz_u8(in);
	Call *call = &calls[what / 8 % CALLS];

	switch (what % 8)
	{
		case 0:
			now_us += (int64) fuzz_u8(in) * 10000;
			break;
		case 1:
			leading = (what & 8) != 0;
			term += (what & 16) != 0;
			(void) detector_update(&store);
			break;
		case 2:
			answer_whereabouts(in);
			break;
		case 3:
			if (store.detector->stream != NULL)
				on_closed(store.detector->stream, &ended);
			break;
		case 4:
			on_get_entries(call, bytes_empty());
			break;
		case 5:
			park(in);
			break;
		default:
			hear(in, call);
			break;
	}
	take_events();
}

static void
end(void)
{
	Detector *detector = store.detector;
	char *address = detector->address;

	for (uintptr_t i = 0; i < WAITERS; i++)
		if (waiting[i])
			lock_wait_cancel(store.waits, (void *) (i + 1));
	CHECK(lock_wait_count(store.waits) == 0);
	detector_stop(&store);
	lock_wait_free(store.waits);
	free(address);
	free(detector);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LockWaitConfig config = {20000, 1000000, WAITERS, MAX_GRAPH};
	FuzzInput in = fuzz_input(data, size);

	memset(&store, 0, sizeof(store));
	memset(calls, 0, sizeof(calls));
	memset(waiting, 0, sizeof(waiting));
	store.meta.store_id = 1;
	store.waits = lock_wait_new(&config);
	now_us = 1000000;
	term = 5;
	choice = fuzz_u8(&in);
	leading = choice % 2 == 0;
	found_done = NULL;
	detector_start(&store);
	while (in.left > 0)
		take_step(&in);
	end();
	return 0;
}

/* ------------------------------------------------------------------- seeds */

#define PARK 5
#define HEAR 6

static void
seed_entry(FuzzSeed *seed, int call, Deadlock__DeadlockRequestType type,
		   uint64_t txn, uint64_t other, Arena *arena)
{
	Deadlock__DeadlockRequest request = DEADLOCK__DEADLOCK_REQUEST__INIT;
	Deadlock__WaitForEntry edge = DEADLOCK__WAIT_FOR_ENTRY__INIT;
	uint8_t *bytes;
	size_t len;

	edge.txn = txn;
	edge.wait_for_txn = other;
	edge.key_hash = txn;
	edge.key = to_wire(bytes_cstr("k"));
	edge.resource_group_tag = to_wire(bytes_cstr("t"));
	request.tp = type;
	request.entry = &edge;
	len = deadlock__deadlock_request__get_packed_size(&request);
	bytes = arena_alloc(arena, len);
	deadlock__deadlock_request__pack(&request, bytes);
	seed_u8(seed, HEAR + 8 * call);
	seed_piece(seed, bytes_make(bytes, len));
}

/* A ring of so many transactions, then one edge taken away. */
static void
seed_ring(uint64_t n, Arena *arena)
{
	FuzzSeed seed = {0};

	seed_u8(&seed, 0);
	for (uint64_t i = 1; i <= n; i++)
		seed_entry(&seed, 1 + (int) (i % 2),
				   DEADLOCK__DEADLOCK_REQUEST_TYPE__Detect, i, i % n + 1,
				   arena);
	seed_u8(&seed, 4);
	seed_entry(&seed, 1, DEADLOCK__DEADLOCK_REQUEST_TYPE__CleanUpWaitFor, 1, 2,
			   arena);
	seed_entry(&seed, 2, DEADLOCK__DEADLOCK_REQUEST_TYPE__CleanUp, 2, 0, arena);
	fuzz_seed(&seed);
}

/* Not the one that detects: it waits, finds who does, and is answered. */
static void
seed_asking(Arena *arena)
{
	Example example = {.arena = arena, .n_repeated = 2};
	FuzzSeed seed = {0};

	seed_u8(&seed, 1);
	for (int i = 0; i < 2; i++)
	{
		seed_u8(&seed, PARK);
		seed_u8(&seed, i);
		seed_u8(&seed, 1);
		seed_u8(&seed, 'a');
		seed_u8(&seed, 1);
		seed_u8(&seed, 2);
		seed_u8(&seed, 0);
		seed_u8(&seed, 2);
		seed_u8(&seed, 2);
		seed_u8(&seed, 1);
		seed_u8(&seed, 1);
	}
	seed_u8(&seed, HEAR);
	seed_piece(&seed,
			   example_packed(&example,
							  &deadlock__deadlock_response__descriptor));
	fuzz_seed(&seed);
}

static void
write_seeds(void)
{
	Arena arena;

	arena_init(&arena);
	for (uint64_t n = 1; n < 5; n++)
		seed_ring(n, &arena);
	seed_asking(&arena);
	arena_free(&arena);
}
