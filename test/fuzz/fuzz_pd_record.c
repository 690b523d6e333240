/*
 * fuzz_pd_record.c
 *	  Entries of PD's log and rows of its tables: keys and values that name
 *	  records, taken over into the state.
 */
#include "pd_world.h"

static void
take_over(const ProposalItem *item, Arena *arena)
{
	PdRecord record;
	PdRecord same;
	ProposalItem saved;
	ProposalItem again;

	if (item->removed ||
		record_decode(item->key, item->value, arena, &record) != STATUS_OK)
		return;
	saved = record_encode(&record, FUZZ_CLUSTER, arena);
	CHECK(record_decode(saved.key, saved.value, arena, &same) == STATUS_OK);
	again = record_encode(&same, FUZZ_CLUSTER, arena);
	CHECK(bytes_eq(again.key, saved.key) && bytes_eq(again.value, saved.value));
	pd_state_apply(&world.state, &record);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes bytes = fuzz_own(bytes_make(data, size));
	Proposal proposal;
	Arena arena;

	world_begin(false);
	arena_init(&arena);
	proposal_init(&proposal, &arena);
	if (proposal_decode(&proposal, bytes) == STATUS_OK)
		for (size_t i = 0; i < proposal.n; i++)
			take_over(&proposal.items[i], &arena);
	pd_state_loaded(&world.state);
	arena_free(&arena);
	fuzz_disown(bytes);
	world_end();
	return 0;
}

static void
seed_item(Bytes key, Bytes value, Arena *arena)
{
	ProposalItem item = {key, value, false};
	Proposal proposal;

	proposal_init(&proposal, arena);
	proposal_add(&proposal, &item);
	fuzz_seed_bytes(proposal_encode(&proposal));
}

/* All that a new cluster saves, and something under each prefix. */
static void
write_seeds(void)
{
	/* an id that ends where it begins */
	static const char zero_byte[] = "gc/safe_point/service/\0name";
	static const char *const prefixes[] = {"raft/s/00000000000000000001",
										   "raft/r/00000000000000000001",
										   "gc/safe_point/service/name",
										   "gc/global_gc_barriers/name",
										   "keyspaces/meta/00000001",
										   "kv/key/name",
										   "kv/lease/1",
										   "kv/revision",
										   "raft",
										   "leader"};
	static const char *const values[] = {"1", "\x08\x01\x12\x04name", "1 9",
										 "9223372036854775807",
										 "{\"service_id\":\"name\","
										 "\"expired_at\":9,\"safe_point\":1}"};
	Arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
			seed_item(bytes_cstr(prefixes[i]), bytes_cstr(values[k]), &arena);
	seed_item(bytes_make(zero_byte, sizeof(zero_byte) - 1), bytes_cstr("1 9"),
			  &arena);
	arena_free(&arena);
}
