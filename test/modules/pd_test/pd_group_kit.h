/*
 * pd_group_kit.h
 *	  A member of PD, of three, in a world of messages: what it has saved, and
 *	  how its time goes by.
 */
#ifndef TIKV_TEST_PD_GROUP_KIT_H
#define TIKV_TEST_PD_GROUP_KIT_H

#include "pd_member.h"

#include "unit.h"

static Arena words;

/* fuzz.h wants it. */
static void
write_seeds(void)
{
}

/* What members 1 to 3 have saved, of which this is the first. */
static void
found_group(void)
{
	PdRecord id = {.kind = PD_RECORD_CLUSTER_ID, .number = FUZZ_CLUSTER};
	ProposalItem item = record_encode(&id, FUZZ_CLUSTER, &words);
	GroupRow row = {.member_id = 1, .hard = {.term = 5, .commit = 5}};

	row.applied_index = row.applied_term = 5;
	row.truncated_index = row.truncated_term = 5;
	row.conf.voters = (RaftIdSet){3, {1, 2, 3}};
	tables_begin();
	group_table_write_row(&row, false);
	group_table_write_item(&item);
	for (uint64_t i = 1; i <= 3; i++)
	{
		PdMember member = {.id = i, .name = "pd", .version = "8.5.0"};
		PdRecord record = {.kind = PD_RECORD_PEER, .member = &member};

		member.client_url = member.peer_url =
			arena_printf(&words, "http://127.0.0.1:%d", (int) i);
		item = record_encode(&record, FUZZ_CLUSTER, &words);
		group_table_write_item(&item);
	}
	group_table_end();
}

static void
tick(void)
{
	world_us += GROUP_TICK_US;
	CHECK(life_round());
}

#endif /* TIKV_TEST_PD_GROUP_KIT_H */
