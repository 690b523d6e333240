/*
 * fuzz_raw.c
 *	  Raw requests from bytes to answers, over an array of pairs.
 */
#include "requests.h"

#include "core/kv/expiry.h"

#define MAX_PAIRS 256

/* ------------------------------------------------------------- the pairs */

typedef struct Pairs
{
	RawReader reader;
	RawModify rows[MAX_PAIRS]; /* by cf and key; RAW_PUT, bytes are malloc'd */
	size_t n;
} Pairs;

static int
pairs_cmp(const RawModify *row, RawCf cf, Bytes key)
{
	if (row->cf != cf)
		return row->cf < cf ? -1 : 1;
	return bytes_cmp(row->key, key);
}

/* The first row that is not before (cf, key). */
static size_t
pairs_seek(const Pairs *pairs, RawCf cf, Bytes key)
{
	size_t at = 0;

	while (at < pairs->n && pairs_cmp(&pairs->rows[at], cf, key) < 0)
		at++;
	return at;
}

static RawPair
pair_of(const RawModify *row, Arena *arena)
{
	RawPair pair = {.key = row->key,
					.value = arena_copy(arena, row->value),
					.expires_at = row->expires_at};

	return pair;
}

static bool
pairs_get(RawReader *reader, RawCf cf, Bytes key, Arena *arena, RawPair *out)
{
	Pairs *pairs = (Pairs *) reader;
	size_t at = pairs_seek(pairs, cf, key);

	if (at == pairs->n || pairs_cmp(&pairs->rows[at], cf, key) != 0 ||
		expiry_passed(pairs->rows[at].expires_at, FUZZ_NOW))
		return false;
	*out = pair_of(&pairs->rows[at], arena);
	return true;
}

static void
pairs_scan(RawReader *reader, const RawScan *scan,
		   bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	Pairs *pairs = (Pairs *) reader;
	uint32_t left = scan->limit;
	Arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < pairs->n && left > 0; i++)
	{
		const RawModify *row =
			&pairs->rows[scan->reverse ? pairs->n - 1 - i : i];
		RawPair pair = pair_of(row, &arena);

		if (row->cf != scan->cf || bytes_cmp(row->key, scan->lower) < 0 ||
			(scan->upper.len > 0 && bytes_cmp(row->key, scan->upper) >= 0) ||
			expiry_passed(row->expires_at, FUZZ_NOW))
			continue;
		if (scan->key_only)
			pair.value = bytes_empty();
		if (!emit(arg, &pair))
			break;
		left--;
	}
	arena_free(&arena);
}

static void
pairs_remove(Pairs *pairs, size_t at)
{
	fuzz_disown(pairs->rows[at].key);
	fuzz_disown(pairs->rows[at].value);
	pairs->n--;
	memmove(&pairs->rows[at], &pairs->rows[at + 1],
			(pairs->n - at) * sizeof(pairs->rows[0]));
}

static void
pairs_apply(Pairs *pairs, const RawModify *modify)
{
	size_t at = pairs_seek(pairs, modify->cf, modify->key);

	if (at < pairs->n &&
		pairs_cmp(&pairs->rows[at], modify->cf, modify->key) == 0)
		pairs_remove(pairs, at);
	if (modify->kind != RAW_PUT || pairs->n == MAX_PAIRS)
		return;
	memmove(&pairs->rows[at + 1], &pairs->rows[at],
			(pairs->n - at) * sizeof(pairs->rows[0]));
	pairs->n++;
	pairs->rows[at] = *modify;
	pairs->rows[at].key = fuzz_own(modify->key);
	pairs->rows[at].value = fuzz_own(modify->value);
}

/* -------------------------------------------------------------- requests */

static void
compare_and_swap(Request *request, const RawCommand *command, Pairs *pairs)
{
	RawCasResult result;
	RawPair pair;
	bool exists = pairs_get(&pairs->reader, command->cf, command->cas->swap.key,
							request->arena, &pair);

	raw_cas_decide(command->cas, exists ? &pair : NULL, &result);
	if (result.writes)
		pairs_apply(pairs, &command->cas->swap);
	raw_cas_done(request, &result);
}

static void
write_command(Request *request, const RawCommand *command, Pairs *pairs)
{
	for (size_t i = 0; i < command->n_modifies; i++)
		pairs_apply(pairs, &command->modifies[i]);
	for (size_t i = 0; command->deletes_range && i < pairs->n;)
	{
		Bytes key = pairs->rows[i].key;

		if (pairs->rows[i].cf == command->cf &&
			bytes_cmp(key, command->lower) >= 0 &&
			(command->upper.len == 0 || bytes_cmp(key, command->upper) < 0))
			pairs_remove(pairs, i);
		else
			i++;
	}
	raw_write_done(request);
}

static void
serve(Request *request, const RawLimits *limits, const Region *region,
	  Pairs *pairs)
{
	RawCommand command;
	RegionError error = {0};

	if (!raw_decode(request, limits, &command))
		return;
	CHECK(fuzz_answers == 0);
	if (!fuzz_context_is_good(&command.context, region, &error) ||
		!raw_check_range(&command, request->method->id, region, &error))
		service_region_error(request, &error);
	else if (request->method->kind == SERVICE_READ)
		raw_read(request, &command, region, &pairs->reader, limits);
	else if (command.cas != NULL)
		compare_and_swap(request, &command, pairs);
	else
		write_command(request, &command, pairs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);
	uint8_t settings = fuzz_u8(&in);
	RawLimits limits = fuzz_limits(settings);
	Region region = fuzz_region(settings);
	Pairs pairs = {.reader = {pairs_get, pairs_scan, NULL}};

	while (in.left > 0)
	{
		const ServiceMethod *method = fuzz_method(fuzz_u8(&in), false);
		Bytes bytes = fuzz_own(fuzz_piece(&in));
		Arena arena;
		Request request;

		arena_init(&arena);
		request =
			fuzz_request(method, service_unpack(method->request, bytes, &arena),
						 &arena);
		if (request.message != NULL)
		{
			serve(&request, &limits, &region, &pairs);
			CHECK(fuzz_answers == 1);
		}
		arena_free(&arena);
		fuzz_disown(bytes);
	}
	while (pairs.n > 0)
		pairs_remove(&pairs, pairs.n - 1);
	return 0;
}

static void
write_seeds(void)
{
	request_seeds(false, 16);
}
