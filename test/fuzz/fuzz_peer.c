/*
 * fuzz_peer.c
 *	  What stores send each other and keep in their logs: RaftMessage, entries,
 *	  changes of the configuration, commands; and what comes of them.
 *
 * Decoders must agree with their encoders.  A message that can be read is
 * stepped into a peer; an administrative command is tried on a region.
 */
#include "fuzz.h"

#include "core/cmd/log_ends.h"
#include "core/cmd/peer_message.h"
#include "core/cmd/raft_codec.h"
#include "core/cmd/read_context.h"
#include "core/cmd/region_change.h"

static uint64_t
rnd(uint64_t n)
{
	return 0 % n;
}

#include "raft_wild.h"

/* Encoded once more it must not change any more. */
static void
message(Bytes bytes, Arena *arena)
{
	PeerMessage m;
	LogEnds ends;
	Bytes first;

	if (peer_message_decode(bytes, arena, &m) != STATUS_OK)
		return;
	if (log_ends_decode(m.extra_context, &ends) == STATUS_OK)
		(void) log_ends_encode(&ends, arena);
	first = peer_message_encode(&m, arena);
	CHECK(peer_message_decode(first, arena, &m) == STATUS_OK);
	CHECK(bytes_eq(first, peer_message_encode(&m, arena)));
	(void) peer_message_is_initial(&m);
}

/* Pieces, each a message to peer 1 of three. */
static void
conversation(Bytes bytes, Arena *arena)
{
	static Fixture f;
	FuzzInput in = fuzz_input(bytes.data, bytes.len);

	fixture_init(&f, 1, 3);
	f.snapshot_ready = true;
	stage = 0;
	while (in.left > 0 && f.last < FIXTURE_MAX - 100)
	{
		PeerMessage m;

		if (peer_message_decode(fuzz_piece(&in), arena, &m) == STATUS_OK &&
			m.has_raft)
			(void) !raft_step(f.raft, &m.raft, f.now_us);
		for (int i = 0; i < 4; i++)
			turn(&f);
		f.now_us += 10000;
		raft_tick(f.raft, f.now_us);
	}
	fixture_free(&f);
}

static void
entry(Bytes bytes, Arena *arena)
{
	RaftEntry e;
	RaftConfChange cc;
	Bytes context;

	if (raft_entry_decode(bytes, &e) != STATUS_OK)
		return;
	CHECK(raft_entry_decode(raft_entry_encode(&e, arena), &e) == STATUS_OK);
	if (raft_conf_change_decode(e.type, e.data, &cc, &context) == STATUS_OK)
		(void) raft_conf_change_encode(&cc, context, arena, &e.type);
}

static void
conf_state(Bytes bytes, Arena *arena)
{
	RaftConfState conf;

	(void) arena;
	(void) !raft_conf_state_decode(bytes, &conf);
}

static void
administer(const CmdAdmin *admin, Arena *arena)
{
	Region region = {.id = 1,
					 .epoch = {1, 1},
					 .n_peers = 3,
					 .peers = {{.id = 1, .store_id = 1},
							   {.id = 2, .store_id = 2},
							   {.id = 3, .store_id = 3}}};
	Region changed;
	Region *pieces;
	RaftConfChange cc;
	const char *why;
	int derived;

	(void) !region_leader_may_change(&region, 1, admin, &why);
	if (region_change_peers(&region, admin, &changed, &cc, &why) == STATUS_OK)
		CHECK(changed.n_peers <= REGION_MAX_PEERS);
	if (region_split(&region, admin, arena, &pieces, &derived, &why) ==
		STATUS_OK)
		CHECK(derived >= 0 && derived <= admin->n_splits);
}

static void
command(Bytes bytes, Arena *arena)
{
	static const ApiVersion apis[] = {API_V1, API_V1TTL, API_V2};
	Region region = {.id = 1};
	Command c;
	Bytes outside;

	for (size_t i = 0; i < sizeof(apis) / sizeof(apis[0]); i++)
	{
		if (cmd_decode(bytes, apis[i], arena, &c) != STATUS_OK)
			continue;
		(void) cmd_epoch_rule(&c);
		(void) cmd_in_region(&c, &region, apis[i], &outside);
		if (c.admin == NULL)
			continue;
		administer(c.admin, arena);
		CHECK(cmd_decode(cmd_encode_admin(&c.header, c.admin, arena), apis[i],
						 arena, &c) == STATUS_OK);
	}
}

/* What a replica asks its leader for an index with. */
static void
question(Bytes bytes, Arena *arena)
{
	ReadIndexContext asked;
	ReadIndexContext again;

	if (read_context_decode(bytes, &asked) != STATUS_OK)
		return;
	CHECK(read_context_decode(read_context_encode(&asked, arena), &again) ==
		  STATUS_OK);
	CHECK(again.asker == asked.asker && again.id == asked.id &&
		  again.has_ts == asked.has_ts && again.start_ts == asked.start_ts);
}

static const FuzzDecoder decoders[] = {message,	   conversation, entry,
									   conf_state, command,		 question};

#define N_DECODERS (sizeof(decoders) / sizeof(decoders[0]))

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode(decoders, N_DECODERS, data, size);
	return 0;
}

/* ----------------------------------------------------------------- seeds */

/* A message of each type, alone and after a vote request. */
static void
seed_messages(Arena *arena)
{
	RaftEntry e = {.index = 6, .term = 6, .data = bytes_cstr("data")};
	RaftSnapshot snapshot = {.meta = {.index = 9, .term = 6}};
	LogEnds ends = {.question = 1,
					.ts = 2,
					.n = 2,
					.ends = {{1, {1, 1}, 6, false}, {2, {1, 1}, 7, true}}};
	PeerMessage m = {.region_id = 1,
					 .from = {.id = 2, .store_id = 2},
					 .to = {.id = 1, .store_id = 1},
					 .epoch = {1, 1},
					 .extra = EXTRA_NONE,
					 .has_raft = true};

	snapshot.meta.conf.voters.n = 3;
	for (int i = 0; i < 3; i++)
		snapshot.meta.conf.voters.id[i] = (uint64_t) i + 1;
	for (int type = 0; type < 20; type++)
	{
		FuzzSeed s = {0};

		m.raft = (RaftMessage){.type = (RaftMessageType) type,
							   .from = 2,
							   .to = 1,
							   .term = 6,
							   .log_term = FIXTURE_START,
							   .index = FIXTURE_START,
							   .commit = FIXTURE_START,
							   .context = bytes_cstr("context")};
		if (m.raft.type == RAFT_MSG_APPEND)
		{
			m.raft.entries = &e;
			m.raft.n_entries = 1;
		}
		if (m.raft.type == RAFT_MSG_SNAPSHOT)
			m.raft.snapshot = &snapshot;
		fuzz_seed_for(0, peer_message_encode(&m, arena));
		seed_u8(&s, 1);
		seed_piece(&s, peer_message_encode(&m, arena));
		m.raft.type = RAFT_MSG_APPEND;
		m.raft.entries = &e;
		m.raft.n_entries = 1;
		seed_piece(&s, peer_message_encode(&m, arena));
		fuzz_seed(&s);
	}
	m.has_raft = false;
	for (int extra = 0; extra < 6; extra++)
	{
		m.extra = (ExtraType) extra;
		fuzz_seed_for(0, peer_message_encode(&m, arena));
	}
	m.extra = EXTRA_LOG_ENDS_REQUEST;
	m.extra_context = log_ends_encode(&ends, arena);
	fuzz_seed_for(0, peer_message_encode(&m, arena));
}

static void
seed_commands(Arena *arena)
{
	CmdHeader header = {.region_id = 1,
						.peer = {.id = 1, .store_id = 1},
						.epoch = {1, 1},
						.term = 6};
	CmdSplit split = {.split_key = bytes_cstr("m"),
					  .region_id = 9,
					  .n_peers = 3,
					  .peer_ids = {10, 11, 12}};
	CmdAdmin admin = {.n_changes = 1,
					  .changes = {{RAFT_CONF_ADD_NODE,
								   {.id = 4, .store_id = 4}}},
					  .splits = &split,
					  .n_splits = 1,
					  .compact_index = 7,
					  .compact_term = 6,
					  .transfer_to = {.id = 2, .store_id = 2}};
	RawModify raw = {.kind = RAW_PUT,
					 .cf = RAW_CF_DEFAULT,
					 .key = bytes_cstr("k"),
					 .value = bytes_cstr("v")};
	CmdRange range = {RAW_CF_DEFAULT, bytes_cstr("a"), bytes_cstr("z")};

	for (int type = 1; type < 12; type++)
	{
		admin.type = (CmdAdminType) type;
		fuzz_seed_for(4, cmd_encode_admin(&header, &admin, arena));
	}
	header.flags = CMD_FLAG_RAW;
	fuzz_seed_for(4, cmd_encode_raw(&header, &raw, 1, API_V1, arena));
	fuzz_seed_for(4, cmd_encode_raw_range(&header, &range, API_V1, arena));
}

static void
write_seeds(void)
{
	RaftConfChange cc = {.n = 1, .changes = {{RAFT_CONF_ADD_NODE, 4}}};
	RaftEntry e = {.index = 6, .term = 6};
	ReadIndexContext asked = {.asker = 3, .id = 7, .has_ts = true};
	Arena arena;

	arena_init(&arena);
	seed_messages(&arena);
	seed_commands(&arena);
	e.data = raft_conf_change_encode(&cc, bytes_cstr("c"), &arena, &e.type);
	fuzz_seed_for(2, raft_entry_encode(&e, &arena));
	asked.start_ts = 300;
	fuzz_seed_for(5, read_context_encode(&asked, &arena));
	arena_free(&arena);
}
