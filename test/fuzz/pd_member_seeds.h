/*
 * pd_member_seeds.h
 *	  Seeds of fuzz_pd_member.c: how it follows, leads, joins and passes on.
 */
#ifndef TIKV_FUZZ_PD_MEMBER_SEEDS_H
#define TIKV_FUZZ_PD_MEMBER_SEEDS_H

static void
seed_wait(FuzzSeed *seed, int n)
{
	seed_u8(seed, STEP_WAIT);
	seed_u8(seed, n);
}

/* A message of member 2, at the end of the log, of this term or a later one. */
static void
seed_message(FuzzSeed *seed, RaftMessageType type, int later, int how,
			 int commit)
{
	seed_u8(seed, STEP_MESSAGE | THEN_A_ROUND);
	seed_u8(seed, type);
	seed_u8(seed, 0);
	seed_u8(seed, later);
	seed_u8(seed, how);
	seed_u8(seed, 0);
	seed_u8(seed, commit);
}

static void
seed_append(FuzzSeed *seed, int later, Bytes data)
{
	seed_message(seed, RAFT_MSG_APPEND, later, 0, 1);
	seed_u8(seed, 1);
	seed_u8(seed, 2);
	seed_piece(seed, data);
}

static void
seed_snapshot(FuzzSeed *seed, int later, int ahead, int voters, Bytes data)
{
	seed_message(seed, RAFT_MSG_SNAPSHOT, later, 0, 0);
	seed_u8(seed, 2);
	seed_u8(seed, ahead);
	if (ahead == 255)
		seed_u8(seed, 1);
	seed_u8(seed, voters);
	seed_u8(seed, 1);
	seed_piece(seed, data);
}

/* It wins an election, and what it proposes is taken. */
static void
seed_lead(FuzzSeed *seed)
{
	seed_wait(seed, 63);
	seed_wait(seed, 30);
	for (int i = 0; i < 8; i++)
		seed_u8(seed, STEP_HELP | THEN_A_ROUND);
}

static Bytes
all_records(Arena *arena)
{
	PdRecord id = {.kind = PD_RECORD_CLUSTER_ID, .number = FUZZ_CLUSTER};
	ProposalItem item = record_encode(&id, FUZZ_CLUSTER, arena);
	Proposal proposal;

	proposal_init(&proposal, arena);
	proposal_add(&proposal, &item);
	CHECK(proposal_decode(&proposal, member_records(3, 1)) == STATUS_OK);
	return proposal_encode(&proposal);
}

static Bytes
one_record(ProposalItem item, Bytes others, Arena *arena)
{
	Proposal proposal;

	proposal_init(&proposal, arena);
	CHECK(proposal_decode(&proposal, others) == STATUS_OK);
	proposal_add(&proposal, &item);
	return proposal_encode(&proposal);
}

/* What fits into no place for it, and numbers that have no next. */
static void
seed_large(Arena *arena)
{
	char *url = arena_zalloc(arena, 301);
	PdMember member = {.id = 2, .name = "pd", .version = "8.5.0"};
	PdRecord record = {.kind = PD_RECORD_PEER, .member = &member};
	FuzzSeed seed = {0};

	member.client_url = member.peer_url = memset(url, 'a', 300);
	seed_u8(&seed, AMONG_THREE);
	seed_wait(&seed, 1);
	seed_append(&seed, 1,
				one_record(record_encode(&record, FUZZ_CLUSTER, arena),
						   bytes_empty(), arena));
	seed_wait(&seed, 2);
	fuzz_seed(&seed);

	record = (PdRecord){.kind = PD_RECORD_KV_REVISION, .number = INT64_MAX};
	seed_u8(&seed, AMONG_THREE);
	seed_wait(&seed, 1);
	seed_snapshot(&seed, 1, 9, 7,
				  one_record(record_encode(&record, FUZZ_CLUSTER, arena),
							 all_records(arena), arena));
	fuzz_seed(&seed);
}

static void
seed_follower(Arena *arena)
{
	RaftMessage m = {.type = RAFT_MSG_HEARTBEAT, .to = 1, .from = 2, .term = 6};
	PeerMessage peer = {.region_id = 1,
						.from = {.id = 2, .store_id = 2},
						.to = {.id = 1, .store_id = 1},
						.extra = EXTRA_NONE,
						.has_raft = true};
	FuzzSeed seed = {0};

	for (int type = 3; type < 19; type++)
	{
		seed_u8(&seed, AMONG_THREE);
		seed_wait(&seed, 1);
		seed_message(&seed, (RaftMessageType) type, 1, 0, 0);
		m.type = (RaftMessageType) type;
		peer.raft = m;
		seed_u8(&seed, STEP_BYTES | THEN_A_ROUND);
		seed_piece(&seed, peer_message_encode(&peer, arena));
		fuzz_seed(&seed);
	}
	seed_u8(&seed, AMONG_THREE);
	seed_wait(&seed, 1);
	seed_append(&seed, 1, member_records(2, 4));
	seed_append(&seed, 0, all_records(arena));
	seed_snapshot(&seed, 0, 9, 7, all_records(arena));
	seed_u8(&seed, STEP_AGAIN);
	seed_wait(&seed, 2);
	fuzz_seed(&seed);

	/* Streams that fail, are refused, and look for addresses. */
	for (int what = 0; what < 8; what++)
	{
		seed_u8(&seed, AMONG_THREE);
		seed_wait(&seed, 1);
		seed_u8(&seed, STEP_TABLES);
		seed_u8(&seed, 1 + what % 4);
		seed_append(&seed, 1, member_records(2, 4));
		seed_u8(&seed, STEP_TROUBLE | THEN_A_ROUND);
		seed_u8(&seed, 16 + what);
		seed_piece(&seed, bytes_cstr("no"));
		seed_wait(&seed, 2);
		fuzz_seed(&seed);
	}

	/* So many members in all. */
	for (int n = 13; n < 18; n += 4)
	{
		seed_u8(&seed, AMONG_THREE);
		seed_wait(&seed, 1);
		seed_append(&seed, 1, member_records(n, 4));
		seed_snapshot(&seed, 0, 9, 7, member_records(n, 1));
		fuzz_seed(&seed);
	}

	/* A snapshot at the end of all numbers, of which it is the sole voter. */
	seed_u8(&seed, AMONG_THREE);
	seed_wait(&seed, 1);
	seed_snapshot(&seed, 1, 255, 1, all_records(arena));
	seed_wait(&seed, 63);
	seed_wait(&seed, 63);
	fuzz_seed(&seed);
}

static void
seed_leader(Arena *arena)
{
	Example example = {.arena = arena, .n_repeated = 1};
	FuzzSeed seed = {0};

	for (int method = 0; method < 24; method++)
	{
		const PdMethod *of = pd_bus_method(METHOD_PD_FIRST + method);

		if (of == NULL)
			continue;
		seed_u8(&seed, AMONG_THREE);
		seed_lead(&seed);
		seed_u8(&seed, STEP_BUS | THEN_A_ROUND);
		seed_u8(&seed, 0);
		seed_u8(&seed, method);
		seed_piece(&seed, example_packed(&example, of->request));
		seed_u8(&seed, STEP_HELP | THEN_A_ROUND);
		seed_message(&seed, RAFT_MSG_HEARTBEAT, 1, 0, 0);
		fuzz_seed(&seed);
	}
}

/* A fourth member is taken in, and needs what the log does not have any more. */
static void
seed_fourth(Arena *arena)
{
	Pdpb__GetMembersResponse in = PDPB__GET_MEMBERS_RESPONSE__INIT;
	PdMember member = {.id = 4, .name = "pd", .version = "8.5.0"};
	Pdpb__Member *members;
	FuzzSeed seed = {0};
	int method = 0;

	while (strcmp(pd_methods[method].path, PD_OWN_SERVICE "Join") != 0)
		method++;
	member.client_url = member.peer_url = "http://127.0.0.1:4";
	members = to_member(&member, arena);
	in.members = &members;
	in.n_members = 1;
	seed_u8(&seed, AMONG_THREE);
	seed_lead(&seed);
	seed_u8(&seed, STEP_CALL | THEN_A_ROUND);
	seed_u8(&seed, 0);
	seed_u8(&seed, 0);
	seed_u8(&seed, method);
	seed_piece(&seed, pack_message(&in.base, arena));
	for (int i = 0; i < 6; i++)
	{
		seed_u8(&seed, STEP_HELP | THEN_A_ROUND);
		seed_wait(&seed, 1);
	}
	for (int i = 0; i < 2; i++)
	{
		seed_u8(&seed, STEP_MESSAGE | THEN_A_ROUND);
		seed_u8(&seed, RAFT_MSG_APPEND_RESPONSE);
		seed_u8(&seed, 2);
		seed_u8(&seed, 0);
		seed_u8(&seed, 4);
		seed_u8(&seed, 0);
		seed_u8(&seed, 0);
		seed_u8(&seed, 250);
		seed_u8(&seed, STEP_HELP | THEN_A_ROUND);
	}
	fuzz_seed(&seed);
}

/* GetMembers and Join are answered: so many members, how else. */
static void
seed_members(FuzzSeed *seed, int which, int how)
{
	seed_u8(seed, STEP_ANSWER | THEN_A_ROUND);
	seed_u8(seed, which);
	seed_u8(seed, 2);
	seed_u8(seed, how);
	if (how % 32 > 3)
		seed_u8(seed, 3);
	if ((how & 32) != 0)
		seed_u8(seed, 0);
	seed_u8(seed, 1);
}

static void
seed_joining(void)
{
	static const int hows[] = {3, 5, 31, 32 + 3, 64 + 3, 128 + 3};
	FuzzSeed seed = {0};

	for (size_t i = 0; i < lengthof(hows); i++)
		for (int beginning = JOINS; beginning < BEGINNINGS; beginning++)
		{
			seed_u8(&seed, beginning);
			seed_wait(&seed, 6);
			seed_members(&seed, 0, hows[i]);
			seed_members(&seed, 1, hows[i]);
			seed_wait(&seed, 6);
			fuzz_seed(&seed);
		}

	/* It names a member without an id. */
	seed_u8(&seed, JOINS);
	seed_wait(&seed, 6);
	for (int i = 0; i < 2; i++)
	{
		seed_u8(&seed, STEP_ANSWER | THEN_A_ROUND);
		seed_u8(&seed, i);
		seed_u8(&seed, 2);
		seed_u8(&seed, 4);
		seed_u8(&seed, 129);
		seed_u8(&seed, 1);
	}
	fuzz_seed(&seed);
}

/* Requests of every kind to a leader that answers. */
static void
seed_passing_on(Arena *arena)
{
	Example example = {.arena = arena, .n_repeated = 1};
	FuzzSeed seed = {0};

	for (int method = 0; method < pd_n_methods; method++)
	{
		if (pd_methods[method].request == NULL)
			continue;
		seed_u8(&seed, PASSES_ON);
		seed_wait(&seed, 6);
		seed_members(&seed, 0, 3);
		seed_u8(&seed, STEP_CALL | THEN_A_ROUND);
		seed_u8(&seed, 0);
		seed_u8(&seed, 2);
		seed_u8(&seed, method);
		seed_piece(&seed, example_packed(&example, pd_methods[method].request));
		seed_u8(&seed, STEP_BUS | THEN_A_ROUND);
		seed_u8(&seed, 0);
		seed_u8(&seed, METHOD_PD_TSO - METHOD_PD_FIRST);
		seed_piece(&seed,
				   example_packed(&example, &pdpb__tso_request__descriptor));
		for (int i = 0; i < 2; i++)
		{
			seed_u8(&seed, STEP_ANSWER | THEN_A_ROUND);
			seed_u8(&seed, i);
			seed_u8(&seed, 4 + i);
			if (i == 1)
				seed_piece(&seed,
						   example_packed(&example,
										  pd_methods[method].response));
			else
				for (int k = 0; k < 3; k++)
					seed_u8(&seed, 0);
		}
		fuzz_seed(&seed);
	}
}

static void
write_seeds(void)
{
	Arena arena;

	arena_init(&arena);
	arena_init(&words);
	seed_follower(&arena);
	seed_large(&arena);
	seed_leader(&arena);
	seed_fourth(&arena);
	seed_joining();
	seed_passing_on(&arena);
	arena_free(&words);
	arena_free(&arena);
}

#endif /* TIKV_FUZZ_PD_MEMBER_SEEDS_H */
