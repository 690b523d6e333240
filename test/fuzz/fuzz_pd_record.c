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
	arena_free(&arena);
	fuzz_disown(bytes);
	world_end();
	return 0;
}

/* All that a new cluster saves, and something under each prefix. */
static void
write_seeds(void)
{
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
	static const char *const values[] = {"1", "\x08\x01\x12\x04name",
										 "{\"service_id\":\"name\","
										 "\"expired_at\":9,\"safe_point\":1}"};
	Arena arena;
	Proposal proposal;

	arena_init(&arena);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		for (int k = 0; k < 3; k++)
		{
			ProposalItem item = {bytes_cstr(prefixes[i]), bytes_cstr(values[k]),
								 false};

			proposal_init(&proposal, &arena);
			proposal_add(&proposal, &item);
			fuzz_seed_bytes(proposal_encode(&proposal));
		}
	arena_free(&arena);
}
