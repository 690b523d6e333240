/*
 * test_pd_leaving.c
 *	  Who may be taken away without lowering how many have to keep a write.
 */
#include "pd/core/leaving.h"

#include "schedule_kit.h"
#include "unit.h"

static Cluster cluster;
static RegionTree *regions;
static const PlacementClock clock = {.now_us = 100 * SECOND,
									 .since_us = 10 * SECOND,
									 .disconnect_us = 20 * SECOND,
									 .max_down_us = 30 * MINUTE};

/* Stores 1, 2 ... as letters: u up, d silent, o offline. */
static void
begin(const char *stores, const char *region)
{
	PdRegion r = kit_region(1, region, 1);

	cluster_free(&cluster);
	cluster_init(&cluster);
	cluster.max_peer_count = 3;
	for (uint64_t id = 1; stores[id - 1] != '\0'; id++)
		kit_store(&cluster, id,
				  stores[id - 1] == 'o' ? STORE_OFFLINE : STORE_UP,
				  stores[id - 1] == 'u' ? 95 * SECOND : 40 * SECOND);
	region_tree_put(regions, &r);
}

/* "" or why store `id` may not go. */
static const char *
refusal(uint64_t id, bool asks)
{
	PdError error = leaving_check_store(&cluster, id, asks, &clock, &kit_arena);

	return error.type == PD_OK ? "" : error.text;
}

#define WORDS(what, silent, now, then)                                      \
	what " " silent " does not answer, and of " now " voters " then         \
		 " would stay: have its replacement join first, or delete it with " \
		 "force=true"

static void
test_stores(void)
{
	begin("uuu", "1v 2v 3v");
	EQ_STR(refusal(3, true), "", "one of three that are well leaves");
	EQ_STR(refusal(3, false), "", "or is sent away");
	begin("uud", "1v 2v 3v");
	EQ_STR(refusal(3, false), WORDS("store", "3", "3", "1"),
		   "a dead one would leave one voter");
	EQ_STR(refusal(2, true), WORDS("store", "3", "3", "1"),
		   "so would one that leaves beside it");
	EQ_STR(refusal(2, false), WORDS("store", "3", "3", "1"), "however");
	begin("uudu", "1v 2v 3v");
	EQ_STR(refusal(3, false), "", "it has a replacement");
	begin("uudo", "1v 2v 3v");
	EQ_STR(refusal(3, false), WORDS("store", "3", "3", "1"),
		   "one that leaves is none");
	EQ_STR(refusal(4, false), "", "and may be asked again");
	EQ_STR(refusal(9, false), "", "one that is not there is others' matter");
	begin("uud", "1v 2l");
	EQ_STR(refusal(3, false), "", "it has never voted");
	begin("ud", "1v 2l");
	EQ_STR(refusal(2, false), "", "a learner does not keep anything");
	begin("uuud", "1v 2v 3v");
	EQ_STR(refusal(4, false), "", "one too many");
	begin("u", "1v");
	EQ_STR(refusal(1, true), "", "the last one is others' matter");
}

/* Five to four is three voters of five. */
static void
test_five(void)
{
	begin("uuuud", "1v 2v 3v 4v 5v");
	EQ_STR(refusal(5, false), WORDS("store", "5", "5", "3"),
		   "more than three are dear, too");
}

/* This leader has begun a moment ago: nobody has been heard yet. */
static void
test_new_leader(void)
{
	PlacementClock early = clock;
	PdError error;

	early.since_us = 99 * SECOND;
	begin("uuu", "1v 2v 3v");
	error = leaving_check_store(&cluster, 3, false, &early, &kit_arena);
	EQ_U64(error.type, PD_UNKNOWN, "who was not heard may be dead");
	error = leaving_check_store(&cluster, 3, true, &early, &kit_arena);
	EQ_U64(error.type, PD_OK, "who asks is not");
}

/* ---- members ---- */

static Members members;
static RaftConfState conf;
static MemberView views[PD_MAX_MEMBERS];
static MemberGroup group = {.members = &members,
							.conf = &conf,
							.leader = 1,
							.max_replicas = 3,
							.views = views};

/* v voter, l learner, d dead voter, s one silent for an election timeout; 1 leads. */
static void
begin_members(const char *letters)
{
	members_free(&members);
	memset(&conf, 0, sizeof(conf));
	group.n_views = 0;
	for (uint64_t id = 1; letters[id - 1] != '\0'; id++)
	{
		char c = letters[id - 1];
		PdMember m = {.id = id,
					  .name = "pd",
					  .client_url = "",
					  .peer_url = "",
					  .version = ""};

		members_put(&members, &m);
		if (c == 'l')
			conf.learners.id[conf.learners.n++] = id;
		else
			conf.voters.id[conf.voters.n++] = id;
		views[group.n_views++] = (MemberView){.id = id,
											  .active = c == 'v' || c == 'l',
											  .lost = c == 'd',
											  .caught_up = true};
	}
}

static const char *
member_refusal(uint64_t id, bool asks)
{
	PdError error = leaving_check_member(&group, id, asks, &kit_arena);

	return error.type == PD_OK ? "" : error.text;
}

static void
test_members(void)
{
	begin_members("vvv");
	EQ_STR(member_refusal(3, true), "", "one of three that are well leaves");
	EQ_STR(member_refusal(1, false), "", "the leader answers itself");
	begin_members("vvd");
	EQ_STR(member_refusal(3, false), WORDS("member", "3", "3", "1"),
		   "a dead one would leave one voter");
	EQ_STR(member_refusal(2, true), WORDS("member", "3", "3", "1"),
		   "so would one that leaves beside it");
	begin_members("vvs");
	EQ_STR(member_refusal(3, false), WORDS("member", "3", "3", "1"),
		   "silent is silent");
	EQ_STR(member_refusal(2, true), WORDS("member", "3", "3", "1"),
		   "for others, too, long before it is replaced");
	begin_members("vvdl");
	EQ_STR(member_refusal(3, false), "", "it has a replacement");
	begin_members("vld");
	conf.voters.n = 1;
	EQ_STR(member_refusal(3, false), "", "it has never voted");
	EQ_STR(member_refusal(9, false), "", "one that is not there");
}

int
main(void)
{
	arena_init(&kit_arena);
	cluster_init(&cluster);
	regions = &cluster.regions;
	members_init(&members);
	test_stores();
	test_five();
	test_new_leader();
	test_members();
	members_free(&members);
	cluster_free(&cluster);
	arena_free(&kit_arena);
	return unit_done();
}
