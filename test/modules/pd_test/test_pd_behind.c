/*
 * test_pd_behind.c
 *	  A member of PD that needs a snapshot, and whose answer to it is lost.  And
 *	  whom the leader calls well, and hands over to, until it comes back.
 *
 * The leader is PD's own code; what it hears of the others is said here.
 */
#include "pd_group_kit.h"

static void
hear(RaftMessage raft)
{
	PeerMessage m = {.region_id = 1, .extra = EXTRA_NONE, .has_raft = true};

	if (raft.term == 0)
		raft.term = raft_term(world.raft);
	raft.to = world.saved.member_id;
	m.from.id = m.from.store_id = raft.from;
	m.to.id = m.to.store_id = raft.to;
	m.raft = raft;
	transport.config.on_message(transport.config.arg,
								peer_message_encode(&m, &words));
}

static void
hear_beat(uint64_t from)
{
	hear((RaftMessage){.type = RAFT_MSG_HEARTBEAT_RESPONSE,
					   .from = from,
					   .context =
						   bytes_make(transport.beat, sizeof(transport.beat))});
}

static uint64_t
last_index(void)
{
	RaftStatus status;

	raft_status(world.raft, &status);
	return status.last_index;
}

/* This member has all there is. */
static void
acknowledge(uint64_t from)
{
	hear((RaftMessage){.type = RAFT_MSG_APPEND_RESPONSE,
					   .from = from,
					   .index = last_index()});
}

/* Member 3 votes for this one, and says that it has everything. */
static void
lead(void)
{
	for (int i = 0; i < 200 && !world.leading; i++)
	{
		RaftMessage vote = {.from = 3};

		tick();
		vote.term = raft_term(world.raft);
		if (raft_role(world.raft) == RAFT_PRE_CANDIDATE)
		{
			vote.type = RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE;
			vote.term++;
			hear(vote);
		}
		else if (raft_role(world.raft) == RAFT_CANDIDATE)
		{
			vote.type = RAFT_MSG_REQUEST_VOTE_RESPONSE;
			hear(vote);
		}
		else if (raft_role(world.raft) == RAFT_LEADER)
		{
			hear_beat(3);
			acknowledge(3);
		}
	}
	OK(world.leading, "a member leads");
}

/* ---- what people are told */

/* Only the third answers, through a round or two. */
static void
tick_with_third(void)
{
	hear_beat(3);
	acknowledge(3);
	tick();
}

static const HttpRequest *
ask_page(const char *method, const char *uri)
{
	static HttpRequest request;

	memset(&request, 0, sizeof(request));
	request.method = method;
	request.uri = uri;
	http_serve(&world, &request);
	for (int i = 0; i < 10 && request.answers == 0; i++)
		tick_with_third();
	EQ_U64(request.status, 200, uri);
	return &request;
}

static bool
is_called_well(const char *page, int id)
{
	const char *at =
		strstr(page, arena_printf(&words, "\"member_id\":%d,", id));

	CHECK(at != NULL);
	at = strstr(at, "\"health\":");
	CHECK(at != NULL);
	return strncmp(at, "\"health\":true", strlen("\"health\":true")) == 0;
}

/* Also just behind the tick that asks whether a quorum was heard. */
static void
test_health(void)
{
	int well[4] = {0};
	int n = 45;

	for (int i = 0; i < n; i++)
	{
		const char *page = ask_page("GET", "/pd/api/v1/health")->text;

		for (int id = 1; id <= 3; id++)
			well[id] += is_called_well(page, id);
		tick_with_third();
	}
	EQ_U64(well[1], n, "the leader is well");
	EQ_U64(well[2], 0, "who never answered is not");
	EQ_U64(well[3], n, "who answers is, whenever somebody asks");
}

static uint64_t
transferee(void)
{
	RaftStatus status;

	raft_status(world.raft, &status);
	return status.transferee;
}

/* The second is the first that votes, and does not answer. */
static void
test_resign(void)
{
	(void) ask_page("POST", "/pd/api/v1/leader/resign");
	EQ_U64(transferee(), 3, "it resigns for the benefit of who is well");
	for (int i = 0; i < 40 && transferee() != 0; i++)
		tick_with_third();
	EQ_U64(transferee(), 0, "and goes on if that comes to nothing");
}

static int
sent(RaftMessageType type)
{
	return transport.n_sent[2][type];
}

/* Its log ends long before the leader's begins. */
static void
come_back_empty(void)
{
	for (int i = 0; i < 50 && sent(RAFT_MSG_SNAPSHOT) == 0; i++)
	{
		RaftStatus status;

		hear_beat(2);
		hear_beat(3);
		acknowledge(3);
		raft_status(world.raft, &status);
		for (int p = 0; p < status.n_peers; p++)
			if (status.peers[p].id == 2 &&
				status.peers[p].state == RAFT_PROBE && status.peers[p].next > 1)
				hear((RaftMessage){.type = RAFT_MSG_APPEND_RESPONSE,
								   .from = 2,
								   .index = status.peers[p].next - 1,
								   .reject = true});
		tick();
	}
	EQ_U64(sent(RAFT_MSG_SNAPSHOT), 1, "another one is sent a snapshot");
}

/* As a greater bound of timestamps does. */
static void
decide(void)
{
	PdChanges changes;
	const char *why;

	pd_changes_init(&changes, &world.arena);
	pd_changes_number(&changes, PD_RECORD_TIMESTAMP,
					  world.state.tso_saved_ms + 1000);
	CHECK(pd_change(&world, &changes, &why));
}

/* As large a value as etcd's clients may put. */
static void
decide_large(void)
{
	KvPut put = {.key = bytes_cstr("large")};
	PdChanges changes;
	const KvItem *prev;
	const char *why;
	KvTxn txn;

	pd_changes_init(&changes, &world.arena);
	put.value.len = KV_MAX_REQUEST_BYTES - put.key.len;
	put.value.data = arena_zalloc(&world.arena, put.value.len);
	kv_begin(&txn, &world.state.kv, &world.state.leases, &changes);
	CHECK(kv_put(&txn, &put, &prev).code == RPC_OK);
	kv_end(&txn);
	CHECK(pd_change(&world, &changes, &why));
}

/* More than the group keeps of its log in memory: it is sent all the same. */
static void
test_large(void)
{
	uint64_t before = world.saved.applied_index;
	int appends = transport.n_sent[3][RAFT_MSG_APPEND];

	decide_large();
	for (int i = 0; i < 50 && world.saved.applied_index == before; i++)
		tick_with_third();
	OK(transport.n_sent[3][RAFT_MSG_APPEND] > appends, "a large value is sent");
	EQ_U64(world.saved.applied_index, last_index(), "and committed");
}

/*
 * It has taken the snapshot, and its answer was lost: the stream to the leader
 * was cut just then.  Since then it answers heartbeats, but nothing else, since
 * nothing else comes; and member 3 is gone.
 */
static bool
lose_the_answer(void)
{
	int appends = sent(RAFT_MSG_APPEND);
	int snapshots = sent(RAFT_MSG_SNAPSHOT);

	decide();
	for (int i = 0; i < 300; i++)
	{
		hear_beat(2);
		tick();
	}
	appends = sent(RAFT_MSG_APPEND) - appends;
	snapshots = sent(RAFT_MSG_SNAPSHOT) - snapshots;
	OK(world.leading, "it still leads");
	OK(appends + snapshots > 0,
	   "and has asked within half a minute how far the other one is");
	return appends + snapshots > 0;
}

/* Then what the leader decides is committed again: timestamps go on. */
static void
commit_with_it(bool asked_for)
{
	uint64_t before = world.saved.applied_index;

	for (int i = 0; i < 50 && world.saved.applied_index < last_index(); i++)
	{
		hear_beat(2);
		if (asked_for)
			acknowledge(2);
		tick();
	}
	OK(world.saved.applied_index > before &&
		   world.saved.applied_index == last_index(),
	   "the two commit what was waiting");
}

int
main(void)
{
	PG_exception_stack = &member_end;
	if (sigsetjmp(member_end, 0) != 0)
		return 1;
	arena_init(&table_arena);
	arena_init(&words);
	world_us = 1000000;
	table_mood = TABLES_FINE;
	tikv_fdw_settings.pd_addr = "127.0.0.1:1";
	tikv_fdw_settings.join = "";
	tikv_fdw_settings.pd_endpoints = "";
	found_group();
	CHECK(life_begin());
	lead();
	test_health();
	test_resign();
	test_large();
	come_back_empty();
	commit_with_it(lose_the_answer());
	life_end();
	arena_free(&table_arena);
	arena_free(&words);
	return unit_done();
}
