/*
 * fuzz_txn.c
 *	  Transactional requests from bytes to answers, over column families in
 *	  memory.
 *
 * Whatever comes, each request is answered once, and every row decodes.
 * test_txn_wild does the same with plausible commands from a seed.
 */
#include "requests.h"

#include "txn_kit.h"

/* Slices of a command over a range; there are few rows. */
#define MAX_SLICES 64

static Kit kit;

static void
rows_must_decode(Arena *arena)
{
	for (size_t i = 0; i < kit.m.n_rows; i++)
	{
		const MemoryRow *row = &kit.m.rows[i];
		WriteRecord write;
		Lock lock;

		if (row->cf == TXN_CF_WRITE)
			CHECK(write_decode(row->bytes, &write) == STATUS_OK);
		else if (row->cf == TXN_CF_LOCK)
			CHECK(lock_decode(row->bytes, arena, &lock) == STATUS_OK);
	}
}

static void
retract_guards(void)
{
	for (size_t i = 0; i < kit.effects.n_guards; i++)
		kit.m.cm.retract(&kit.m.cm, kit.effects.guards[i].key,
						 kit.effects.guards[i].start_ts);
	CHECK(kit.m.n_guards == 0);
}

static void
write_command(Request *request, TxnRequest *txn, const Region *region)
{
	for (int i = 0; i < MAX_SLICES; i++)
	{
		kit_next(&kit);
		kit.env.txn_source = txn->txn_source;
		kit.env.is_retry_request = txn->is_retry_request;
		kit.env.max_key_size = 64;
		kit.env.max_memory = kit.arena.allocated + (8 << 20);
		kit.env.region = txn_region_range(region, request->arena);
		txn_execute(&kit.env, &txn->command, &kit.answer);
		kit_apply(&kit);
		retract_guards();
		if (!kit.answer.more)
			break;
		/* What it goes on with may lie in the memory of the slice. */
		txn_command_keep(&txn->command, request->arena);
	}
	txn_answer(request, txn, &kit.answer);
}

static void
serve(Request *request, const RawLimits *limits, const Region *region)
{
	TxnRequest *txn = txn_decode(request, limits);
	TxnLook look = {0};
	RegionError error = {0};

	if (txn == NULL)
		return;
	CHECK(fuzz_answers == 0);
	if (!fuzz_context_is_good(&txn->context, region, &error) ||
		!txn_check_range(txn, request->method->id, region, &error))
		service_region_error(request, &error);
	else if (request->method->kind == SERVICE_READ)
		txn_read(request, txn, &look, region, &kit.m.reader, limits);
	else
		write_command(request, txn, region);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);
	uint8_t settings = fuzz_u8(&in);
	RawLimits limits = fuzz_limits(settings);
	Region region = fuzz_region(settings);
	Arena arena;

	kit_init(&kit);
	kit.env.memory_locks = (settings & 16) != 0;
	arena_init(&arena);
	while (in.left > 0)
	{
		const ServiceMethod *method = fuzz_method(fuzz_u8(&in), true);
		Bytes bytes = fuzz_own(fuzz_piece(&in));
		Request request =
			fuzz_request(method, service_unpack(method->request, bytes, &arena),
						 &arena);

		if (request.message != NULL)
		{
			serve(&request, &limits, &region);
			CHECK(fuzz_answers == 1);
			rows_must_decode(&arena);
		}
		arena_reset(&arena);
		fuzz_disown(bytes);
	}
	arena_free(&arena);
	kit_free(&kit);
	return 0;
}

static void
write_seeds(void)
{
	request_seeds(true, 24);
}
