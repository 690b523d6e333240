/*
 * fuzz_pd_member.c
 *	  What a member of PD takes from others: messages of its group with entries
 *	  and snapshots of its records, answers of a leader to what it passes on,
 *	  answers to one that joins, refusals; and clients that want to be passed on.
 *
 * An input is: a byte that says how the member begins, then steps.  Whatever
 * was said to it, what it saved is what it can start from.
 */
#include "pd_member.h"
#include "pd_member_says.h"

#define MAX_STEPS 300
#define MAX_ROUNDS 1500

/* Of the first byte, what the member is. */
typedef enum Beginning
{
	AMONG_THREE,
	JOINS,
	ALONE_AND_JOINS, /* it has a cluster, and asks whether it is the right one */
	PASSES_ON,		 /* to an external PD */
	BEGINNINGS
} Beginning;

static int rounds;
static bool over; /* it does not start any more now */

/* ------------------------------------------------------------------ rounds */

static void
next_life(void)
{
	life_end();
	over = !life_begin();
}

static void
round_of(int64 us)
{
	world_us += us;
	if (!over && rounds++ < MAX_ROUNDS && !life_round())
		next_life();
}

static void
wait_a_while(FuzzInput *in)
{
	for (int n = fuzz_u8(in) % 64; n >= 0; n--)
		round_of(GROUP_TICK_US);
}

/* ----------------------------------------------------- messages of the group */

static void
hear(const RaftMessage *raft)
{
	PeerMessage m = {.region_id = 1,
					 .from = {.id = raft->from, .store_id = raft->from},
					 .extra = EXTRA_NONE,
					 .has_raft = true,
					 .raft = *raft};
	Bytes bytes;

	m.to.id = m.to.store_id = m.raft.to = world.saved.member_id;
	bytes = fuzz_own(peer_message_encode(&m, &words));
	if (!over && transport.running)
		transport.config.on_message(transport.config.arg, bytes);
	fuzz_disown(bytes);
}

static void
hear_bytes(FuzzInput *in)
{
	Bytes bytes = fuzz_own(fuzz_piece(in));

	if (!over && transport.running)
		transport.config.on_message(transport.config.arg, bytes);
	fuzz_disown(bytes);
}

static void
hear_message(FuzzInput *in)
{
	RaftMessage m = {.type = (RaftMessageType) (fuzz_u8(in) % 20)};
	RaftStatus st;
	uint8_t how;

	if (over || world.raft == NULL)
		return;
	raft_status(world.raft, &st);
	m.from = 2 + fuzz_u8(in) % 4;
	m.term = near(in, st.hard_state.term);
	how = fuzz_u8(in);
	m.index = near(in, (how & 1) != 0 ? st.hard_state.commit : st.last_index);
	m.commit = near(in, st.hard_state.commit);
	if ((how & 2) != 0 ||
		raft_term_at(world.raft, m.index, &m.log_term) != STATUS_OK)
		m.log_term = near(in, st.last_term);
	m.reject = (how & 4) != 0;
	m.reject_hint = m.reject ? near(in, st.last_index) : 0;
	if ((how & 8) != 0)
		m.commit_term = near(in, m.term);
	if ((how & 16) != 0)
		m.context = fuzz_bytes(in, fuzz_u8(in) % 40);
	if ((how & 32) != 0)
		m.request_snapshot = near(in, st.last_index);
	if (m.type == RAFT_MSG_APPEND || (how & 64) != 0)
		some_entries(in, &m);
	if (m.type == RAFT_MSG_SNAPSHOT)
		some_snapshot(in, &m, st.hard_state.commit);
	hear(&m);
}

/* The votes that it asks for, and the entries that it sends acknowledged. */
static void
help(void)
{
	RaftStatus st;

	if (over || world.raft == NULL)
		return;
	raft_status(world.raft, &st);
	for (uint64_t from = 2; from <= 3; from++)
	{
		RaftMessage m = {.from = from, .term = raft_term(world.raft)};

		if (raft_role(world.raft) == RAFT_PRE_CANDIDATE)
		{
			m.type = RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE;
			m.term++;
		}
		else if (raft_role(world.raft) == RAFT_CANDIDATE)
			m.type = RAFT_MSG_REQUEST_VOTE_RESPONSE;
		else
		{
			m.type = RAFT_MSG_APPEND_RESPONSE;
			m.index = st.last_index;
		}
		hear(&m);
		m.type = RAFT_MSG_HEARTBEAT_RESPONSE;
		m.context = bytes_make(transport.beat, sizeof(transport.beat));
		if (raft_role(world.raft) == RAFT_LEADER)
			hear(&m);
	}
}

/* -------------------------------------------------------------- the streams */

static void
trouble(FuzzInput *in)
{
	const TransportConfig *to = &transport.config;
	uint8_t what = fuzz_u8(in);
	uint64_t id = what / 8 % 8;

	if (over || !transport.running)
		return;
	if (what % 8 == 0)
		to->on_unreachable(to->arg, id);
	else if (what % 8 == 1)
		to->resolve(to->arg, id);
	else if (what % 8 == 2)
		transport.deaf = true;
	else if (what % 8 == 3)
	{
		Bytes text = fuzz_piece(in);

		to->on_refused(to->arg, id,
					   arena_printf(&words, "%.*s%s", (int) text.len, text.data,
									id % 2 == 0 ? FENCE_SEEN : ""));
	}
	else
		transport.seen[id] = FENCE_START(fuzz_u8(in), what);
}

/* ----------------------------------------------------- answers to this member */

static void
say(ClientCall *call, Bytes words_said)
{
	ClientResult result = {.code = RPC_OK, .text = "", .has_reply = true};

	result.reply = fuzz_own(words_said);
	if (call->done != NULL)
		end_asked(call, &result);
	else
		call->handler->message(call, result.reply);
	fuzz_disown(result.reply);
}

static void
answer_member(FuzzInput *in)
{
	ClientResult result = {.text = ""};
	ClientCall *call = asked;
	uint8_t how;

	for (int n = fuzz_u8(in) % 8; call != NULL && n > 0 && call->next != NULL;
		 n--)
		call = call->next;
	how = fuzz_u8(in);
	if (over || call == NULL)
		return;
	switch (how % 8)
	{
		case 0:
			result.code = (RpcCode) (1 + fuzz_u8(in) % 16);
			result.text = (const char *) arena_strdup(&words, "refused");
			end_asked(call, &result);
			break;
		case 1:
			if (call->done == NULL)
				end_asked(call, &result);
			break;
		case 2:
		case 3:
			say(call, members_answer(in, call));
			break;
		case 4:
			say(call, timestamps(in));
			break;
		default:
			say(call, fuzz_piece(in));
			break;
	}
}

/* ----------------------------------------------------- who asks this member */

static void
ask_over_bus(FuzzInput *in)
{
	uint32 slot = fuzz_u8(in) % BUS_ASKS;
	const PdMethod *method = pd_bus_method(METHOD_PD_FIRST + fuzz_u8(in) % 24);
	ReplyTo to = {.bus = {.slot = slot}};
	Bytes bytes = fuzz_own(fuzz_piece(in));

	if (!over && !bus_asks[slot])
	{
		bus_asks[slot] = true;
		if (method == NULL)
			pd_fail(&world, &to, RPC_UNIMPLEMENTED, "no such method");
		else
			pd_serve(&world, method, bytes, &to);
	}
	fuzz_disown(bytes);
}

static bool call_closed[WORLD_CALLS];

static void
close_call(Call *call)
{
	const RpcMethod *method = &pd_rpc_methods()[call->method];

	call->over = true;
	if (!call_closed[call - world_calls] && method->handler->closed != NULL)
		method->handler->closed(call);
	call_closed[call - world_calls] = true;
}

/* An open call; NULL: that one is on its way, or the method is not built. */
static Call *
open_call(FuzzInput *in, uint8_t which)
{
	Call *call = &world_calls[which % WORLD_CALLS];
	uint8_t says = fuzz_u8(in);
	uint8_t method = fuzz_u8(in);

	if (call->over)
	{
		close_call(call);
		if (call->holds > 0)
			return NULL;
		memset(call, 0, sizeof(*call));
	}
	if (call->ended || call->holds > 0 || call->answers > 0)
		return call->ended ? NULL : call;
	call->method = method % pd_n_methods;
	call_closed[call - world_calls] = false;
	call_says[call - world_calls] = says % 4;
	return pd_rpc_methods()[call->method].handler != NULL ? call : NULL;
}

#define HALF_CLOSE 0x80

static void
ask_by_call(FuzzInput *in)
{
	uint8_t which = fuzz_u8(in);
	Call *call = over ? NULL : open_call(in, which);
	Bytes bytes = fuzz_own(fuzz_piece(in));

	if (call != NULL)
	{
		const CallHandler *handler = pd_rpc_methods()[call->method].handler;

		call->ended = pd_methods[call->method].kind == RPC_UNARY ||
			(which & HALF_CLOSE) != 0;
		handler->message(call, bytes);
		if (call->ended && !call->over && handler->half_close != NULL)
			handler->half_close(call);
	}
	fuzz_disown(bytes);
}

static void
hang_up(FuzzInput *in)
{
	Call *call = &world_calls[fuzz_u8(in) % WORLD_CALLS];

	if (!over && (call->ended || call->answers > 0 || call->holds > 0))
		close_call(call);
}

/* ------------------------------------------------------------------- steps */

#define THEN_A_ROUND 0x80

enum
{
	STEP_WAIT,
	STEP_MESSAGE,
	STEP_BYTES,
	STEP_HELP,
	STEP_TROUBLE,
	STEP_ANSWER,
	STEP_BUS,
	STEP_CALL,
	STEP_HANG_UP,
	STEP_TABLES,
	STEP_AGAIN,
	STEPS
};

static void
take_step(FuzzInput *in)
{
	uint8_t what = fuzz_u8(in);

	switch ((what & ~THEN_A_ROUND) % STEPS)
	{
		case STEP_WAIT:
			wait_a_while(in);
			break;
		case STEP_MESSAGE:
			hear_message(in);
			break;
		case STEP_BYTES:
			hear_bytes(in);
			break;
		case STEP_HELP:
			help();
			break;
		case STEP_TROUBLE:
			trouble(in);
			break;
		case STEP_ANSWER:
			answer_member(in);
			break;
		case STEP_BUS:
			ask_over_bus(in);
			break;
		case STEP_CALL:
			ask_by_call(in);
			break;
		case STEP_HANG_UP:
			hang_up(in);
			break;
		case STEP_TABLES:
			table_mood = (TableMood) (fuzz_u8(in) % TABLE_MOODS);
			break;
		case STEP_AGAIN:
			if (over)
				over = !life_begin();
			else
				next_life();
			break;
	}
	if ((what & THEN_A_ROUND) != 0)
		round_of(1000);
}

/* -------------------------------------------------------- begin and end */

/* What a group of three has saved, of which this is member 1. */
static void
found_group(void)
{
	PdRecord id = {.kind = PD_RECORD_CLUSTER_ID, .number = FUZZ_CLUSTER};
	ProposalItem item = record_encode(&id, FUZZ_CLUSTER, &words);
	GroupRow row = {.member_id = 1, .hard = {.term = 5, .commit = 5}};
	Proposal members;

	row.applied_index = row.applied_term = 5;
	row.truncated_index = row.truncated_term = 5;
	some_ids(7, &row.conf.voters);
	proposal_init(&members, &words);
	CHECK(proposal_decode(&members, member_records(3, 1)) == STATUS_OK);
	tables_begin();
	group_table_write_row(&row, false);
	group_table_write_item(&item);
	for (size_t i = 0; i < members.n; i++)
		group_table_write_item(&members.items[i]);
	group_table_end();
}

static void
begin(uint8_t how)
{
	Beginning beginning = (Beginning) (how % BEGINNINGS);

	memset(&saved_tables, 0, sizeof(saved_tables));
	memset(&world_tso, 0, sizeof(world_tso));
	memset(world_calls, 0, sizeof(world_calls));
	memset(call_closed, 0, sizeof(call_closed));
	memset(&transport, 0, sizeof(transport));
	arena_init(&table_arena);
	arena_init(&words);
	world_us = 1000000;
	world_passes_on = true;
	table_mood = TABLES_FINE;
	tables_open = over = false;
	rounds = 0;
	tikv_fdw_settings.pd_addr = "127.0.0.1:1";
	tikv_fdw_settings.join = "";
	tikv_fdw_settings.pd_endpoints = "";
	adopt_answer = (AdoptAnswer) (how / BEGINNINGS % 3);
	if (beginning == AMONG_THREE)
		found_group();
	if (beginning == ALONE_AND_JOINS)
	{
		CHECK(life_begin() && life_round());
		life_end();
	}
	if (beginning == JOINS || beginning == ALONE_AND_JOINS)
		tikv_fdw_settings.join = "127.0.0.1:2, 127.0.0.1:3";
	if (beginning == PASSES_ON)
		tikv_fdw_settings.pd_endpoints = "http://127.0.0.1:2,127.0.0.1:3";
	CHECK(life_begin());
}

/* Nothing is looked for again and again while nothing happens. */
static void
check_rest(FuzzInput *in)
{
	int opened;
	int life;

	(void) in;
	table_mood = TABLES_FINE;
	rounds = 0;
	for (int i = 0; i < 10; i++)
		round_of(0);
	opened = channels_opened;
	life = lives;
	round_of(0);
	CHECK(life != lives || opened == channels_opened);
}

/* What was saved can be started from. */
static void
check_start(void)
{
	table_mood = TABLES_FINE;
	if (sigsetjmp(member_end, 0) != 0)
		CHECK(!"what was saved cannot be read");
	if (!life_begin())
		return;
	(void) life_round();
	CHECK(world.raft == NULL || world.state.cluster_id != 0);
	life_end();
}

static void
end(void)
{
	if (!over)
		life_end();
	end_cancelled();
	for (int i = 0; i < WORLD_CALLS; i++)
		CHECK(world_calls[i].holds == 0);
	check_start();
	end_cancelled();
	CHECK(asked == NULL);
	while (channels != NULL)
	{
		ClientChannel *channel = channels;

		CHECK(channel->closed);
		channels = channel->next;
		free(channel);
	}
	arena_free(&table_arena);
	arena_free(&words);
}

/* False: an error ended the life under way. */
static bool
unharmed(void (*what)(FuzzInput *), FuzzInput *in)
{
	PG_exception_stack = &member_end;
	if (sigsetjmp(member_end, 0) == 0)
	{
		what(in);
		return true;
	}
	PG_exception_stack = &member_end;
	return false;
}

static void
start_again(FuzzInput *in)
{
	(void) in;
	over = !life_begin();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FuzzInput in = fuzz_input(data, size);

	PG_exception_stack = &member_end;
	begin(fuzz_u8(&in));
	for (int i = 0; i <= MAX_STEPS; i++)
	{
		bool last = in.left == 0 || i == MAX_STEPS;

		if (!unharmed(last ? check_rest : take_step, &in))
		{
			life_lost();
			CHECK(unharmed(start_again, &in));
		}
		if (last)
			break;
	}
	end();
	return 0;
}

#include "pd_member_seeds.h"
