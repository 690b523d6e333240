/*
 * fuzz_pd_rpc.c
 *	  Every RPC on PD's port, pdpb and etcd's among them, from bytes to
 *	  answers and to what is proposed.
 *
 * An input is: a byte of settings, then steps.  A step is a byte for the call,
 * a byte for the method if that call is new, and a piece with its message.
 */
#include "pd_world.h"

#include "service/wire.h"

#define HALF_CLOSE 0x80
#define NEW_ROUND 0x40

static void
close_call(Call *call)
{
	const RpcMethod *method = &pd_rpc_methods()[call->method];

	if (method->handler->closed != NULL)
		method->handler->closed(call);
	memset(call, 0, sizeof(*call));
}

/* The call of the step, opened if it is not; NULL: the method is not built. */
static Call *
call_of(FuzzInput *in, uint8_t which)
{
	Call *call = &world_calls[which % WORLD_CALLS];

	if (call->over && call->holds == 0)
		close_call(call);
	if (call->over || call->ended || call->holds > 0 || call->answers > 0)
		return call;
	call->method = fuzz_u8(in) % pd_n_methods;
	return pd_rpc_methods()[call->method].handler != NULL ? call : NULL;
}

static void
step(FuzzInput *in)
{
	uint8_t which = fuzz_u8(in);
	Call *call = call_of(in, which);
	Bytes bytes = fuzz_own(fuzz_piece(in));
	const CallHandler *handler;

	world_us += 1000;
	if (call != NULL && !call->over && !call->ended)
	{
		handler = pd_rpc_methods()[call->method].handler;
		call->ended = pd_methods[call->method].kind == RPC_UNARY ||
			(which & HALF_CLOSE) != 0;
		handler->message(call, bytes);
		if (call->ended && !call->over && handler->half_close != NULL)
			handler->half_close(call);
	}
	if (which & NEW_ROUND)
		world_round();
	fuzz_disown(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);

	world_begin((fuzz_u8(&in) & 1) == 0);
	while (in.left > 0)
		step(&in);
	world_round();
	for (int i = 0; i < WORLD_CALLS; i++)
	{
		CHECK(world_calls[i].method < pd_n_methods);
		if (pd_rpc_methods()[world_calls[i].method].kind == RPC_STREAM)
			watch_forget(&world, &world_calls[i]);
	}
	world_end();
	return 0;
}

static void
seed_step(FuzzSeed *seed, Example *example, int call, int method)
{
	seed_u8(seed, call | NEW_ROUND);
	seed_u8(seed, method);
	seed_piece(seed, example_packed(example, pd_methods[method].request));
}

/* A transaction of etcd in a transaction in a transaction ... */
static void
seed_nested(int depth)
{
	static const uint8_t members[] = {2 << 3 | WIRE_BYTES, 4 << 3 | WIRE_BYTES};
	uint8_t bytes[4000];
	size_t at = sizeof(bytes);
	FuzzSeed seed = {0};

	for (int i = 0; i < 2 * depth; i++)
	{
		size_t len = sizeof(bytes) - at;

		at -= wire_varint_len(len);
		wire_write_varint(&bytes[at], len);
		bytes[--at] = members[(i + 1) % 2];
	}
	seed_u8(&seed, 0);
	seed_u8(&seed, 0);
	seed_u8(&seed, method_of("/etcdserverpb.KV/Txn"));
	seed_piece(&seed, bytes_make(&bytes[at], sizeof(bytes) - at));
	fuzz_seed(&seed);
}

/* Each method alone, twice, and after some others. */
static void
write_seeds(void)
{
	FuzzSeed seed = {0};
	Arena arena;

	seed_nested(3);
	seed_nested(600);
	arena_init(&arena);
	for (int first = 0; first < pd_n_methods; first++)
		for (unsigned int member = 0; member < 6; member++)
		{
			Example example = {.arena = &arena,
							   .member = member,
							   .n_repeated = 1 + member % 2};

			seed_u8(&seed, member == 5);
			for (int i = 0; i < 8; i++)
			{
				int method = (first + i * (int) member * 7) % pd_n_methods;

				if (pd_methods[method].request != NULL)
					seed_step(&seed, &example, i, method);
			}
			fuzz_seed(&seed);
		}
	arena_free(&arena);
}
