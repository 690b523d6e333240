/*
 * fuzz_codec.c
 *	  What rows, slots and encoded keys are made of: Lock and Write records,
 *	  memcomparable keys, numbers, bytes of a log entry of PD.
 *
 * Decoders must agree with their encoders: what was decoded, encoded and
 * decoded again, is the same.
 */
#include "fuzz.h"

#include "core/codec/memcomparable.h"
#include "core/codec/number.h"
#include "core/codec/write.h"
#include "pd/core/proposal.h"

/* Encoded once more it must not change any more. */
static void
lock_record(Bytes bytes, Arena *arena)
{
	Lock lock;
	Bytes first;

	if (lock_decode(bytes, arena, &lock) != STATUS_OK)
		return;
	first = lock_encode(&lock, arena);
	CHECK(lock_decode(first, arena, &lock) == STATUS_OK);
	CHECK(bytes_eq(first, lock_encode(&lock, arena)));
}

static void
write_record(Bytes bytes, Arena *arena)
{
	WriteRecord write;
	Bytes first;

	if (write_decode(bytes, &write) != STATUS_OK)
		return;
	first = write_encode(&write, arena);
	CHECK(write_decode(first, &write) == STATUS_OK);
	CHECK(bytes_eq(first, write_encode(&write, arena)));
}

/* A slot holds the key, then the lock (storage/lock_pool.c). */
static void
lock_slot(Bytes bytes, Arena *arena)
{
	NumberReader reader = number_reader(bytes);
	Bytes key;

	if (get_compact_bytes(&reader, &key))
		lock_record(bytes_make(reader.next, number_left(&reader)), arena);
}

static void
encoded_key(Bytes bytes, Arena *arena)
{
	Bytes key;
	Bytes rest;
	Bytes again;

	(void) memcomparable_cmp(bytes, bytes);
	if (memcomparable_decode(bytes, arena, &key, &rest) != STATUS_OK)
		return;
	again = memcomparable_encode(key, arena);
	CHECK(again.len + rest.len == bytes.len);
	CHECK(bytes_eq(again, bytes_make(bytes.data, again.len)));
	CHECK(memcomparable_cmp(key, again) == 0);
}

/* Order of encoded keys is the order of keys, encoded or not. */
static void
order_of_keys(Bytes bytes, Arena *arena)
{
	FuzzInput in = fuzz_input(bytes.data, bytes.len);
	Bytes a = fuzz_bytes(&in, fuzz_u8(&in));
	Bytes b = fuzz_rest(&in);
	int want = bytes_cmp(a, b);
	int got = bytes_cmp(memcomparable_encode(a, arena),
						memcomparable_encode(b, arena));
	int mixed = memcomparable_cmp(a, memcomparable_encode(b, arena));

	CHECK((want < 0) == (got < 0) && (want > 0) == (got > 0));
	CHECK((want < 0) == (mixed < 0) && (want > 0) == (mixed > 0));
}

static void
proposal(Bytes bytes, Arena *arena)
{
	Proposal proposal;
	Bytes again;

	proposal_init(&proposal, arena);
	if (proposal_decode(&proposal, bytes) != STATUS_OK)
		return;
	again = proposal_encode(&proposal);
	CHECK(again.len <= bytes.len);
	proposal_init(&proposal, arena);
	CHECK(proposal_decode(&proposal, again) == STATUS_OK);
}

static const FuzzDecoder decoders[] = {lock_record, write_record,  lock_slot,
									   encoded_key, order_of_keys, proposal};

#define N_DECODERS (sizeof(decoders) / sizeof(decoders[0]))

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode(decoders, N_DECODERS, data, size);
	return 0;
}

/* ----------------------------------------------------------------- seeds */

static void
seed_locks(Arena *arena)
{
	static const uint64_t rollbacks[] = {1, 2};
	Bytes secondaries[] = {bytes_cstr("s1"), bytes_cstr("s2")};
	Lock member = {.type = LOCK_TYPE_PESSIMISTIC,
				   .primary = bytes_cstr("p"),
				   .start_ts = 3};
	Lock shared = {.type = LOCK_TYPE_SHARED,
				   .members = &member,
				   .n_members = 1};
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = bytes_cstr("p"),
				 .start_ts = 10,
				 .ttl_ms = 3000,
				 .has_short_value = true,
				 .short_value = bytes_cstr("v"),
				 .for_update_ts = 11,
				 .txn_size = 3,
				 .min_commit_ts = 12,
				 .use_async_commit = true,
				 .secondaries = secondaries,
				 .n_secondaries = 2,
				 .rollback_ts = rollbacks,
				 .n_rollback_ts = 2,
				 .last_change = {5, 1},
				 .txn_source = 1,
				 .locked_with_conflict = true,
				 .generation = 4};
	Bytes record = lock_encode(&lock, arena);
	uint8_t *slot = arena_alloc(arena, 1 + 16 + record.len);
	uint8_t *end = put_compact_bytes(slot, bytes_cstr("key"));

	memcpy(end, record.data, record.len);
	fuzz_seed_for(0, record);
	fuzz_seed_for(0, lock_encode(&shared, arena));
	fuzz_seed_for(0, lock_encode(&member, arena));
	fuzz_seed_for(2, bytes_make(slot, (size_t) (end - slot) + record.len));
}

static void
write_seeds(void)
{
	WriteRecord write = {.type = WRITE_TYPE_PUT,
						 .start_ts = 10,
						 .has_short_value = true,
						 .short_value = bytes_cstr("v"),
						 .has_overlapped_rollback = true,
						 .has_gc_fence = true,
						 .gc_fence = 3,
						 .last_change = {5, 1},
						 .txn_source = 1};
	ProposalItem items[] = {{bytes_cstr("key"), bytes_cstr("value"), false},
							{bytes_cstr("gone"), bytes_empty(), true}};
	Proposal proposal;
	Arena arena;

	arena_init(&arena);
	seed_locks(&arena);
	fuzz_seed_for(1, write_encode(&write, &arena));
	fuzz_seed_for(3, memcomparable_encode(bytes_cstr("a longer key"), &arena));
	fuzz_seed_for(4, bytes_make("\3abcabd", 7));
	proposal_init(&proposal, &arena);
	proposal_add(&proposal, &items[0]);
	proposal_add(&proposal, &items[1]);
	fuzz_seed_for(5, proposal_encode(&proposal));
	arena_free(&arena);
}
