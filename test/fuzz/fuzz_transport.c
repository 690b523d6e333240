/*
 * fuzz_transport.c
 *	  Streams of other stores: who they say they are, batches of messages,
 *	  chunks of snapshots, in any order, and their ends.
 *
 * src/transport without the streams that this store opens: in place of
 * src/server are a few calls, which a step opens, feeds, closes.  A snapshot
 * that was begun is ended once, whatever happens; a call is failed or finished
 * once.
 */
#include "fuzz.h"

#include "core/cmd/peer_message.h"
#include "core/snapshot/snapshot_info.h"
#include "transport/transport_internal.h"

#define SELF 1
#define CLUSTER 7
#define CALLS 4

/* As src/transport/inbound.c numbers them. */
#define N_METHODS 3

struct Server
{
	Transport *attached;
};

struct Call
{
	int method; /* index of transport_methods; -1: the call is not open */
	bool over;	/* it was failed or finished */
	void *user;
	Bytes metadata[ENVELOPE_HEADERS]; /* own blocks */
};

static Server server;
static Transport transport;
static Call calls[CALLS];
static Arena arena;
static int snapshots_open;
static int choice; /* of what the owner of snapshots answers */

/* -------------------------------------------------------------- the calls */

Server *
call_server(Call *call)
{
	(void) call;
	return &server;
}

void *
server_attached(Server *of)
{
	return of->attached;
}

int
call_method(Call *call)
{
	return transport_methods[call->method].id;
}

void *
call_user(Call *call)
{
	return call->user;
}

void
call_set_user(Call *call, void *user)
{
	call->user = user;
}

Bytes
call_metadata(Call *call, const char *key)
{
	static const char *const keys[] = {ENVELOPE_CLUSTER, ENVELOPE_FROM,
									   ENVELOPE_TO, ENVELOPE_START};

	for (int i = 0; i < ENVELOPE_HEADERS; i++)
		if (strcmp(key, keys[i]) == 0)
			return call->metadata[i];
	CHECK(false);
	return bytes_empty();
}

/* A stream is failed again where another start of its sender is heard of. */
void
call_fail(Call *call, RpcCode code, const char *text)
{
	CHECK(call->method >= 0 && code != RPC_OK && text != NULL);
	call->over = true;
}

void
call_finish(Call *call, RpcCode code, const char *text)
{
	CHECK(call->method >= 0 && !call->over);
	CHECK(code == RPC_OK || text != NULL);
	call->over = true;
}

bool
call_send_bytes(Call *call, Bytes message)
{
	CHECK(!call->over && message.len == 0);
	return true;
}

void
call_pause(Call *call, bool pause)
{
	CHECK(call->method >= 0);
	(void) pause;
}

/* -------------------------------------------------------------- the owner */

static void
on_message(void *arg, Bytes message)
{
	PeerMessage m;

	(void) arg;
	(void) !peer_message_decode(message, &arena, &m);
}

static void *
snapshot_begin(void *arg, uint64_t from_id, Bytes message, const char **why)
{
	PeerMessage m;
	SnapshotInfo info;

	(void) arg;
	(void) from_id;
	if (peer_message_decode(message, &arena, &m) == STATUS_OK && m.has_raft &&
		m.raft.snapshot != NULL)
		(void) !snapshot_info_decode(m.raft.snapshot->data, &info);
	*why = "by chance";
	if (choice++ % 5 == 4)
		return NULL;
	snapshots_open++;
	return malloc(1);
}

static bool
snapshot_data(void *snapshot, Bytes data)
{
	CHECK(snapshot != NULL && data.len > 0);
	return choice++ % 7 != 6;
}

static bool
snapshot_end(void *snapshot, bool complete)
{
	free(snapshot);
	snapshots_open--;
	return complete && choice++ % 3 != 2;
}

/* --------------------------------------------------------------- the steps */

static void
set_metadata(Call *call, FuzzInput *in, uint8_t how)
{
	static const char *const usual[] = {"7", "2", "1", "65536"};

	for (int i = 0; i < ENVELOPE_HEADERS; i++)
		call->metadata[i] =
			fuzz_own((how & (1 << i)) == 0 ? bytes_cstr(usual[i]) :
											 fuzz_bytes(in, fuzz_u8(in) % 24));
}

static void
open_call(Call *call, FuzzInput *in)
{
	uint8_t how = fuzz_u8(in);

	call->method = how % N_METHODS;
	call->over = false;
	call->user = NULL;
	set_metadata(call, in, fuzz_u8(in));
}

static void
close_call(Call *call)
{
	if (call->method < 0)
		return;
	transport_methods[call->method].handler->closed(call);
	CHECK(call->user == NULL);
	for (int i = 0; i < ENVELOPE_HEADERS; i++)
		fuzz_disown(call->metadata[i]);
	call->method = -1;
}

static void
take_message(Call *call, FuzzInput *in)
{
	Bytes message = fuzz_own(fuzz_piece(in));

	if (call->method >= 0 && !call->over)
		transport_methods[call->method].handler->message(call, message);
	fuzz_disown(message);
}

static void
stop(void)
{
	server.attached = NULL;
	inbound_stop(&transport);
	snapshot_in_stop(&transport);
	CHECK(snapshots_open == 0);
}

static void
take_step(FuzzInput *in)
{
	uint8_t what = fuzz_u8(in);
	Call *call = &calls[what % CALLS];

	switch (what / CALLS % 8)
	{
		case 0:
		case 1:
			close_call(call);
			open_call(call, in);
			break;
		case 2:
			if (call->method >= 0 && !call->over)
				transport_methods[call->method].handler->half_close(call);
			break;
		case 3:
			if (what == 255)
				stop();
			else
				close_call(call);
			break;
		case 4:
			if (server.attached != NULL)
				transport_pause(&transport, (what & 32) != 0);
			break;
		default:
			take_message(call, in);
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);

	arena_init(&arena);
	memset(&transport, 0, sizeof(transport));
	transport.config = (TransportConfig){.server = &server,
										 .cluster_id = CLUSTER,
										 .self_id = SELF,
										 .on_message = on_message,
										 .snapshot_begin = snapshot_begin,
										 .snapshot_data = snapshot_data,
										 .snapshot_end = snapshot_end};
	inbound_init(&transport);
	server.attached = &transport;
	choice = fuzz_u8(&in);
	for (int i = 0; i < CALLS; i++)
		calls[i].method = -1;
	while (in.left > 0)
		take_step(&in);
	if (server.attached != NULL)
		stop();
	for (int i = 0; i < CALLS; i++)
		close_call(&calls[i]);
	fence_free(&transport.fence);
	arena_free(&arena);
	return 0;
}

/* ------------------------------------------------------------------- seeds */

#define OPEN 0
#define HALF_CLOSE (2 * CALLS)
#define MESSAGE (5 * CALLS)

static Bytes
some_message(bool snapshot)
{
	SnapshotInfo info = {.region = {.id = 1, .epoch = {1, 1}}, .size = 5};
	RaftSnapshot of = {.meta = {.index = 9, .term = 6},
					   .data = snapshot_info_encode(&info, &arena)};
	PeerMessage m = {.region_id = 1,
					 .from = {.id = 2, .store_id = 2},
					 .to = {.id = 1, .store_id = 1},
					 .epoch = {1, 1},
					 .extra = EXTRA_NONE,
					 .has_raft = true,
					 .raft = {.type = snapshot ? RAFT_MSG_SNAPSHOT :
												 RAFT_MSG_APPEND,
							  .from = 2,
							  .to = 1,
							  .term = 6}};

	of.meta.conf.voters.n = 1;
	of.meta.conf.voters.id[0] = 1;
	if (snapshot)
		m.raft.snapshot = &of;
	return peer_message_encode(&m, &arena);
}

/* A field of bytes; none of ours is longer than two bytes can say. */
static Bytes
field(int number, Bytes value)
{
	uint8_t *p = arena_alloc(&arena, value.len + 4);
	size_t n = 0;

	p[n++] = (uint8_t) (number << 3 | 2);
	if (value.len >= 128)
		p[n++] = (uint8_t) (value.len | 128);
	p[n++] = (uint8_t) (value.len >= 128 ? value.len >> 7 : value.len);
	memcpy(p + n, value.data, value.len);
	return bytes_make(p, n + value.len);
}

static void
seed_open(FuzzSeed *seed, int method, int how)
{
	seed_u8(seed, OPEN);
	seed_u8(seed, method);
	seed_u8(seed, how);
}

static void
seed_message(FuzzSeed *seed, Bytes message)
{
	seed_u8(seed, MESSAGE);
	seed_piece(seed, message);
}

static void
write_seeds(void)
{
	FuzzSeed seed = {0};

	arena_init(&arena);
	for (int method = 0; method < N_METHODS; method++)
		for (int how = 0; how < 16; how += 15)
		{
			seed_u8(&seed, 0);
			seed_open(&seed, method, how);
			for (int i = 0; how != 0 && i < ENVELOPE_HEADERS; i++)
			{
				seed_u8(&seed, 1);
				seed_u8(&seed, '7');
			}
			if (method == 0)
				seed_message(&seed, some_message(false));
			else if (method == 1)
				seed_message(&seed, field(1, some_message(false)));
			else
			{
				seed_message(&seed, field(1, some_message(true)));
				seed_message(&seed, field(2, bytes_cstr("hello")));
			}
			seed_u8(&seed, HALF_CLOSE);
			fuzz_seed(&seed);
		}
	arena_free(&arena);
}
