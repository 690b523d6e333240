/*
 * test_pd_members.c
 *	  Who of the Placement Driver's members votes, and the way there.
 */
#include "pd/core/members.h"

#include <inttypes.h>

#include "pd/core/state.h"
#include "unit.h"

static Arena arena;
static Members members;
static RaftConfState conf;
static MemberView views[PD_MAX_MEMBERS];
static size_t n_views;

static PdMember
member(uint64_t id)
{
	PdMember m = {.id = id, .name = "pd", .version = "8.5.0"};

	m.client_url = m.peer_url =
		arena_printf(&arena, "http://127.0.0.1:%" PRIu64, id);
	return m;
}

static void
put(uint64_t id, bool leaving)
{
	PdMember m = member(id);

	m.leaving = leaving;
	members_put(&members, &m);
}

/* Members as letters: v voter, l learner, n new, d dead voter, b behind. */
static void
begin(const char *letters)
{
	members_free(&members);
	memset(&conf, 0, sizeof(conf));
	n_views = 0;
	for (uint64_t id = 1; letters[id - 1] != '\0'; id++)
	{
		char c = letters[id - 1];

		put(id, false);
		if (c == 'v' || c == 'd')
			conf.voters.id[conf.voters.n++] = id;
		if (c == 'l' || c == 'b')
			conf.learners.id[conf.learners.n++] = id;
		views[n_views++] = (MemberView){.id = id,
										.active = c == 'v' || c == 'l',
										.lost = c == 'd',
										.caught_up = c != 'b' && c != 'n'};
	}
}

static const char *
next(uint64_t leader)
{
	MemberStep step =
		members_next_step(&members, &conf, leader, 3, views, n_views);
	const char *out = "";
	static const char *const types[] = {"vote", "remove", "learn"};

	if (step.kind == MEMBERS_AT_REST)
		return "rest";
	if (step.kind == MEMBERS_TRANSFER)
		return arena_printf(&arena, "transfer %" PRIu64, step.id);
	if (step.kind == MEMBERS_FORGET)
		return arena_printf(&arena, "forget %" PRIu64, step.id);
	for (int i = 0; i < step.change.n; i++)
		out = arena_printf(&arena, "%s%s%s %" PRIu64, out, i == 0 ? "" : ", ",
						   types[step.change.changes[i].type],
						   step.change.changes[i].id);
	return out;
}

static const char *
next_of(const char *letters, uint64_t leader)
{
	begin(letters);
	return next(leader);
}

static void
test_joining(void)
{
	EQ_STR(next_of("v", 1), "rest", "one");
	EQ_STR(next_of("vn", 1), "learn 2", "a second one is a learner");
	EQ_STR(next_of("vl", 1), "rest", "and stays one");
	EQ_STR(next_of("vln", 1), "learn 3", "a third one, too");
	EQ_STR(next_of("vlb", 1), "rest", "until it has caught up");
	EQ_STR(next_of("vll", 1), "vote 2, vote 3", "then both vote");
	EQ_STR(next_of("vvv", 2), "rest", "three");
	EQ_STR(next_of("vvvl", 2), "rest", "a fourth one stands by");
}

static void
test_loss(void)
{
	EQ_STR(next_of("vvd", 1), "rest", "nobody takes its place");
	EQ_STR(next_of("vvdl", 1), "vote 4, learn 3", "a learner does");
	EQ_STR(next_of("vddll", 1), "vote 4, vote 5, learn 2, learn 3",
		   "both are replaced");
}

/* Who is deleted votes on until somebody stands in: a majority is two disks. */
static void
test_replacing(void)
{
	begin("vvdb");
	put(3, true);
	EQ_STR(next(1), "rest", "its replacement has not caught up");
	begin("vvvb");
	put(3, true);
	EQ_STR(next(1), "rest", "nor does one that is well go before");
	begin("vvdl");
	put(3, true);
	EQ_STR(next(1), "vote 4, learn 3", "when it has, they change places");
	begin("vvdb");
	put(3, true);
	put(4, true);
	EQ_STR(next(1), "remove 4", "unless it is sent away as well");
	conf.learners.n = 0;
	EQ_STR(next(1), "forget 4", "with its record");
	members_remove(&members, 4);
	EQ_STR(next(1), "learn 2, learn 3", "then one votes");
}

static void
test_leaving(void)
{
	begin("vvv");
	put(3, true);
	EQ_STR(next(1), "learn 2, learn 3", "three to two: one votes");
	EQ_STR(next(3), "transfer 1", "the leader hands over first");
	begin("vll");
	put(3, true);
	EQ_STR(next(1), "remove 3", "a learner is removed");
	conf.learners.n = 1;
	EQ_STR(next(1), "forget 3", "then its record");
	begin("vl");
	put(1, true);
	EQ_STR(next(1), "vote 2, learn 1", "the only voter makes an heir");
	begin("vvvl");
	put(1, true);
	EQ_STR(next(2), "vote 4, learn 1", "who stands by takes over");
	begin("vlll");
	members_remove(&members, 4);
	EQ_STR(next(1), "remove 4", "a peer without a record goes");
	begin("vll");
	conf.voters_outgoing = conf.voters;
	EQ_STR(next(1), "rest", "in between two configurations nothing begins");
}

static void
test_records(void)
{
	PdState state;
	PdChanges changes;
	PdMember m;

	pd_state_init(&state);
	for (uint64_t id = 1; id <= PD_MAX_MEMBERS; id++)
	{
		m = member(id);
		pd_changes_init(&changes, &arena);
		EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_OK, "joins");
		pd_state_apply_all(&state, &changes);
	}
	m = member(99);
	EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_UNKNOWN,
		   "too many");
	members_put(&state.members, &m);
	EQ_U64(state.members.n, PD_MAX_MEMBERS, "one that is told is not kept");
	m = member(4);
	pd_changes_init(&changes, &arena);
	EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_OK, "again");
	EQ_U64(changes.n, 0, "changes nothing");
	m.client_url = "http://127.0.0.1:5";
	EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_UNKNOWN,
		   "another one's URL");
	pd_state_forget_member(5, &changes);
	pd_state_apply_all(&state, &changes);
	OK(members_find(&state.members, 5) == NULL, "forgotten");
	pd_changes_init(&changes, &arena);
	EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_OK,
		   "its URL is free now");
	m.name = "\xff";
	EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_INVALID_VALUE,
		   "a name that is no text");
	m.name = "pd";
	m.id = 0;
	EQ_U64(pd_state_put_member(&state, &m, &changes).type, PD_INVALID_VALUE,
		   "no id");
	pd_state_free(&state);
}

int
main(void)
{
	arena_init(&arena);
	members_init(&members);
	test_joining();
	test_loss();
	test_replacing();
	test_leaving();
	test_records();
	members_free(&members);
	arena_free(&arena);
	return unit_done();
}
