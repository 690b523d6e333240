/*
 * test_cmd_codec.c
 *	  What stands in the log and goes between stores: byte for byte, there and
 *	  back, and what no honest store sends.
 *
 * The golden bytes were made by hand from the field numbers of
 * raft_cmdpb.proto, eraftpb.proto and raft_serverpb.proto.
 */
#include <stdlib.h>

#include "codec_case.h"
#include "core/cmd/log_ends.h"
#include "core/cmd/peer_message.h"
#include "core/cmd/raft_codec.h"
#include "core/cmd/read_context.h"

static const CmdHeader header = {.region_id = 2,
								 .peer = {.id = 3, .store_id = 1},
								 .epoch = {.conf_ver = 1, .version = 4},
								 .term = 6};

/* The header above, with the tag and length of field 1. */
#define HEADER "0a 10 0802 1204 0803 1001 2a04 0801 1004 3006"
#define RAW_HEADER "0a 13 0802 1204 0803 1001 2a04 0801 1004 3006 508002"

/* ------------------------------------------------------------------ golden */

static void
raw_golden(void)
{
	RawModify modifies[] = {{.kind = RAW_PUT,
							 .cf = RAW_CF_DEFAULT,
							 .key = bytes_cstr("k"),
							 .value = bytes_cstr("v"),
							 .expires_at = 5},
							{.kind = RAW_DELETE,
							 .cf = RAW_CF_LOCK,
							 .key = bytes_cstr("d")}};
	CmdRange range = {.cf = RAW_CF_DEFAULT, .lower = bytes_cstr("a")};

	EQ_BYTES(cmd_encode_raw(&header, modifies, 2, API_V1, &arena),
			 hex(RAW_HEADER "12 0a 0803 2206 12016b 1a0176"
							"12 0d 0804 2a09 0a046c6f636b 120164"),
			 "raw V1: key and value as they are");
	EQ_BYTES(cmd_encode_raw(&header, modifies, 1, API_V1TTL, &arena),
			 hex(RAW_HEADER "12 12 0803 220e 12016b 1a09 76 0000000000000005"),
			 "raw V1 with TTL: the expiry is behind the value");
	EQ_BYTES(cmd_encode_raw(&header, modifies, 1, API_V2, &arena),
			 hex(RAW_HEADER "12 1b 0803 2217 1209 6b00000000000000f8"
							"1a0a 76 0000000000000005 01"),
			 "raw V2: the key is encoded, flags are behind the value");
	EQ_BYTES(cmd_encode_raw_range(&header, &range, API_V1, &arena),
			 hex(RAW_HEADER "12 07 0807 4203 120161"),
			 "a range without an end");
	EQ_BYTES(cmd_encode_raw(&header, NULL, 0, API_V1, &arena), hex(RAW_HEADER),
			 "a command without effects");
}

/* What is counted for an entry, before it is made, is never too little. */
static void
raw_rooms(void)
{
	static const ApiVersion apis[] = {API_V1, API_V1TTL, API_V2};
	static const RawCf families[] = {RAW_CF_DEFAULT, RAW_CF_LOCK, RAW_CF_WRITE};
	static const size_t sizes[] = {0,	1,	  7,	8,	   9,	   127,
								   128, 8192, 9000, 16383, 300000, 3000000};
	uint8_t *data = arena_zalloc(&arena, 3000000);
	size_t empty = cmd_encode_raw(&header, NULL, 0, API_V1, &arena).len;
	bool enough = true;
	bool fits = true;

	for (int i = 0; i < 12 * 9 * 2; i++)
	{
		ApiVersion api = apis[i / 12 % 3];
		RawModify modify = {.kind = i >= 12 * 9 ? RAW_DELETE : RAW_PUT,
							.cf = families[i / 36 % 3],
							.key = bytes_make(data, sizes[i % 9]),
							.expires_at = INT64_MAX};
		size_t room;
		size_t len;

		if (modify.kind == RAW_PUT)
			modify.value = bytes_make(data, sizes[i % 12]);
		room = cmd_raw_room(&modify, api);
		len = cmd_encode_raw(&header, &modify, 1, api, &arena).len - empty;
		enough = enough && len <= room;
		fits = fits && room - len <= CMD_REQUEST_ROOM;
	}
	OK(enough, "no modification takes more than its room");
	OK(fits, "nor much less");
}

static void
txn_golden(void)
{
	TxnModify modifies[] = {{.cf = TXN_CF_WRITE,
							 .key = bytes_cstr("a"),
							 .ts = 5,
							 .bytes = hex("5003")},
							{.cf = TXN_CF_LOCK,
							 .memory_only = true,
							 .key = bytes_cstr("m"),
							 .bytes = hex("00")},
							{.cf = TXN_CF_LOCK,
							 .is_delete = true,
							 .key = bytes_cstr("a")}};

	EQ_BYTES(cmd_encode_txn(&header, modifies, 3, &arena),
			 hex(HEADER "12 22 0803 221e 0a057772697465"
						"1211 6100000000000000f8 fffffffffffffffa 1a02 5003"
						"12 15 0804 2a11 0a046c6f636b"
						"1209 6100000000000000f8"),
			 "a commit: the record at enc(key) + desc(ts), the lock deleted");
}

static void
admin_golden(void)
{
	CmdAdmin admin = {.type = CMD_ADMIN_CHANGE_PEER, .n_changes = 1};
	CmdAdmin compact = {.type = CMD_ADMIN_COMPACT_LOG,
						.compact_index = 9,
						.compact_term = 6};
	CmdAdmin leave = {.type = CMD_ADMIN_CHANGE_PEER_V2};
	CmdAdmin prepare = {.type = CMD_ADMIN_PREPARE_FLASHBACK,
						.flashback_start_ts = 9};
	CmdAdmin finish = {.type = CMD_ADMIN_FINISH_FLASHBACK};
	CmdAdmin nothing = {.type = CMD_ADMIN_PREPARE_FLASHBACK};
	Region region = {.id = 3, .flashback_start_ts = 300};
	Command command;
	Region again;
	ProtoWriter w;

	admin.changes[0] =
		(CmdChangePeer){RAFT_CONF_ADD_LEARNER, {7, 8, PEER_LEARNER}};
	EQ_BYTES(cmd_encode_admin(&header, &admin, &arena),
			 hex(HEADER "1a 0e 0801 120a 0802 1206 0807 1008 1801"),
			 "ChangePeer");
	EQ_BYTES(cmd_encode_admin(&header, &compact, &arena),
			 hex(HEADER "1a 08 0803 2204 0809 1006"), "CompactLog");
	EQ_BYTES(cmd_encode_admin(&header, &leave, &arena),
			 hex(HEADER "1a 04 080b 5a00"), "ChangePeerV2 that leaves");
	EQ_BYTES(cmd_encode_admin(&header, &prepare, &arena),
			 hex(HEADER "1a 06 080c 6a02 0809"), "PrepareFlashback");
	EQ_BYTES(cmd_encode_admin(&header, &finish, &arena),
			 hex(HEADER "1a 04 080d 7200"), "FinishFlashback");
	OK(cmd_decode(cmd_encode_admin(&header, &prepare, &arena), API_V1, &arena,
				  &command) == STATUS_OK &&
		   command.admin->flashback_start_ts == 9 &&
		   cmd_epoch_rule(&command) == EPOCH_RANGE_CHANGE,
	   "PrepareFlashback is read back, and compares both halves");
	OK(cmd_decode(cmd_encode_admin(&header, &finish, &arena), API_V1, &arena,
				  &command) == STATUS_OK &&
		   command.admin->type == CMD_ADMIN_FINISH_FLASHBACK &&
		   cmd_epoch_rule(&command) == EPOCH_RANGE_CHANGE,
	   "and FinishFlashback");
	OK(cmd_decode(cmd_encode_admin(&header, &nothing, &arena), API_V1, &arena,
				  &command) == STATUS_INVALID,
	   "a flashback begins at a timestamp");
	proto_writer_init(&w, &arena, 64);
	cmd_region_put(&w, 1, &region);
	EQ_BYTES(proto_written(&w), hex("0a 09 0803 2200 3801 40ac02"),
			 "a region that is being set back");
	OK(cmd_region_decode(hex("0803 2200 3801 40ac02"), &again) == STATUS_OK &&
		   again.flashback_start_ts == 300,
	   "is read back");
}

static void
message_golden(void)
{
	RaftEntry entry = {.term = 6, .index = 7, .data = bytes_cstr("x")};
	RaftMessage raft = {.type = RAFT_MSG_APPEND,
						.to = 5,
						.from = 3,
						.term = 6,
						.log_term = 6,
						.index = 6,
						.commit = 6,
						.commit_term = 6,
						.entries = &entry,
						.n_entries = 1};
	PeerMessage m = {.region_id = 2,
					 .from = {.id = 3, .store_id = 1},
					 .to = {.id = 5, .store_id = 4, .role = PEER_LEARNER},
					 .epoch = {1, 1},
					 .extra = EXTRA_NONE,
					 .has_raft = true};

	EQ_BYTES(raft_message_encode(&raft, &arena),
			 hex("0803 1005 1803 2006 2806 3006 3a07 1006 1807 220178"
				 "4006 7806"),
			 "eraftpb.Message of an append");
	m.raft = raft;
	EQ_BYTES(peer_message_encode(&m, &arena),
			 hex("0802 1204 0803 1001 1a06 0805 1004 1801"
				 "2219 0803 1005 1803 2006 2806 3006 3a07 1006 1807 220178"
				 "4006 7806 2a04 0801 1001"),
			 "raft_serverpb.RaftMessage around it");
	m.has_raft = false;
	m.extra = EXTRA_CHECK_STALE_PEER;
	m.is_tombstone = true;
	EQ_BYTES(peer_message_encode(&m, &arena),
			 hex("0802 1204 0803 1001 1a06 0805 1004 1801 2a04 0801 1001"
				 "3001 5202 0802"),
			 "a message of the stores' own");
	m.disk_usage = DISK_ALREADY_FULL;
	EQ_BYTES(peer_message_encode(&m, &arena),
			 hex("0802 1204 0803 1001 1a06 0805 1004 1801 2a04 0801 1001"
				 "3001 5202 0802 6002"),
			 "of one whose disk is full");
}

static void
log_ends_golden(void)
{
	LogEnds ends = {.question = 7,
					.ts = 300,
					.n = 2,
					.ends = {{.region_id = 2, .epoch = {3, 1}, .index = 6},
							 {9, {1, 4}, 1000, true}}};
	PeerMessage m = {.region_id = 2,
					 .from = {.id = 3, .store_id = 1},
					 .to = {.id = 5, .store_id = 4},
					 .extra = EXTRA_LOG_ENDS_REQUEST};

	m.extra_context = log_ends_encode(&ends, &arena);
	EQ_BYTES(m.extra_context,
			 hex("0807 10ac02 1a08 0802 1006 1803 2001"
				 "1a0b 0809 10e807 1801 2004 2801"),
			 "where logs end");
	EQ_BYTES(peer_message_encode(&m, &arena),
			 hex("0802 1204 0803 1001 1a04 0805 1004 2a00"
				 "5222 08ea07 c23e 1c"
				 "0807 10ac02 1a08 0802 1006 1803 2001"
				 "1a0b 0809 10e807 1801 2004 2801"),
			 "raft_serverpb.RaftMessage around them");
}

static bool
log_ends_roundtrip(void)
{
	LogEnds in = {.question = rnd(), .ts = rnd()};
	PeerMessage m = {.region_id = 1,
					 .from = {1, 1, PEER_VOTER},
					 .to = {1, 2, PEER_VOTER},
					 .extra = EXTRA_LOG_ENDS_RESPONSE};
	PeerMessage got;
	LogEnds out;

	in.n = (int) rnd() % (LOG_ENDS_MAX + 1);
	for (int i = 0; i < in.n; i++)
		in.ends[i] = (LogEnd){rnd(), {rnd(), rnd()}, rnd(), (rnd() & 1) != 0};
	m.extra_context = log_ends_encode(&in, &arena);
	return peer_message_decode(peer_message_encode(&m, &arena), &arena, &got) ==
		STATUS_OK &&
		got.extra == m.extra &&
		log_ends_decode(got.extra_context, &out) == STATUS_OK &&
		bytes_eq(log_ends_encode(&out, &arena), m.extra_context);
}

/* One more than a question has. */
static void
too_many_log_ends(void)
{
	LogEnds ends = {.n = LOG_ENDS_MAX};
	Bytes most = log_ends_encode(&ends, &arena);
	uint8_t *more = arena_alloc(&arena, most.len + 2);

	OK(log_ends_decode(most, &ends) == STATUS_OK, "as many regions as it has");
	memcpy(more, most.data, most.len);
	memcpy(more + most.len, "\x1a", 2);
	OK(log_ends_decode(bytes_make(more, most.len + 2), &ends) == STATUS_INVALID,
	   "one more");
	OK(log_ends_decode(hex("1a03 0802"), &ends) == STATUS_INVALID, "cut off");
}

static void
change_golden(void)
{
	RaftConfChange one = {.n = 1, .changes = {{RAFT_CONF_REMOVE_NODE, 9}}};
	RaftConfChange two = {.transition = RAFT_CONF_EXPLICIT,
						  .n = 2,
						  .changes = {{RAFT_CONF_ADD_NODE, 4},
									  {RAFT_CONF_ADD_LEARNER, 5}}};
	RaftConfChange leave = {.n = 0};
	RaftConfChange back;
	RaftEntryType type;
	Bytes context;

	EQ_BYTES(raft_conf_change_encode(&one, bytes_cstr("c"), &arena, &type),
			 hex("1001 1809 220163"), "ConfChange");
	EQ_U64(type, RAFT_ENTRY_CONF_CHANGE, "of one peer");
	EQ_BYTES(raft_conf_change_encode(&two, bytes_cstr("c"), &arena, &type),
			 hex("0802 1202 1004 1204 0802 1005 1a0163"), "ConfChangeV2");
	EQ_U64(type, RAFT_ENTRY_CONF_CHANGE_V2, "of several");
	OK(raft_conf_change_decode(type, hex("0802 1202 1004 1204 0802 1005"),
							   &back, &context) == STATUS_OK &&
		   back.n == 2 && back.transition == RAFT_CONF_EXPLICIT &&
		   back.changes[1].type == RAFT_CONF_ADD_LEARNER &&
		   back.changes[1].id == 5 && context.len == 0,
	   "and back");
	EQ_BYTES(raft_conf_change_encode(&leave, bytes_empty(), &arena, &type),
			 bytes_empty(), "leaving is empty");
	OK(raft_conf_change_decode(type, bytes_empty(), &back, &context) ==
			   STATUS_OK &&
		   back.n == 0 && back.transition == RAFT_CONF_AUTO,
	   "and back");
}

/* --------------------------------------------------------------- roundtrip */

static uint64_t
below(uint64_t n)
{
	return rnd() % n;
}

static Bytes
rnd_bytes(size_t max)
{
	size_t len = (size_t) below(max + 1);
	uint8_t *p = arena_alloc(&arena, len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t) below(256);
	return bytes_make(p, len);
}

static const char cfs[] = {RAW_CF_DEFAULT, RAW_CF_LOCK, RAW_CF_WRITE};

static bool
raw_roundtrip(ApiVersion api)
{
	size_t n = (size_t) below(20);
	RawModify *in = arena_zalloc(&arena, n * sizeof(*in) + 1);
	Command out;

	for (size_t i = 0; i < n; i++)
	{
		in[i].kind = below(3) == 0 ? RAW_DELETE : RAW_PUT;
		in[i].cf = (RawCf) cfs[below(3)];
		in[i].key = rnd_bytes(40);
		if (in[i].kind == RAW_DELETE)
			continue;
		in[i].value = rnd_bytes(below(10) == 0 ? 40000 : 300);
		if (api != API_V1 && below(2) == 0)
			in[i].expires_at = (int64_t) below(1 << 30);
	}
	if (cmd_decode(cmd_encode_raw(&header, in, n, api, &arena), api, &arena,
				   &out) != STATUS_OK ||
		out.n_raw != n || out.header.flags != CMD_FLAG_RAW ||
		out.header.epoch.version != 4 || out.header.peer.id != 3 ||
		out.header.term != 6 || out.admin != NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		if (in[i].kind != out.raw[i].kind || in[i].cf != out.raw[i].cf ||
			!bytes_eq(in[i].key, out.raw[i].key) ||
			!bytes_eq(in[i].value, out.raw[i].value) ||
			in[i].expires_at != out.raw[i].expires_at)
			return false;
	return true;
}

static void
rnd_txn(TxnModify *m)
{
	Lock *lock = arena_zalloc(&arena, sizeof(Lock));

	memset(m, 0, sizeof(*m));
	m->cf = (TxnCf) below(3);
	m->is_delete = below(3) == 0;
	m->key = rnd_bytes(30);
	if (m->cf != TXN_CF_LOCK)
		m->ts = below(UINT64_MAX);
	if (m->is_delete)
		return;
	lock->type = LOCK_TYPE_PUT;
	lock->primary = rnd_bytes(10);
	lock->start_ts = below(1000);
	if (m->cf == TXN_CF_LOCK)
		m->bytes = lock_encode(lock, &arena);
	else if (m->cf == TXN_CF_WRITE)
	{
		WriteRecord write = {.type = WRITE_TYPE_PUT, .start_ts = below(1000)};

		m->bytes = write_encode(&write, &arena);
	}
	else
		m->bytes = rnd_bytes(500);
}

static void
gc_golden(void)
{
	CmdHeader gc = header;
	TxnModify dead = {.cf = TXN_CF_WRITE,
					  .is_delete = true,
					  .key = bytes_cstr("a"),
					  .ts = 5};
	Command out;
	Bytes bytes;

	gc.gc_safe_point = 300;
	bytes = cmd_encode_txn(&gc, &dead, 1, &arena);
	OK(cmd_decode(bytes, API_V1, &arena, &out) == STATUS_OK &&
		   out.header.gc_safe_point == 300 &&
		   out.header.flags == (header.flags | CMD_FLAG_GC) && out.n_txn == 1,
	   "a removal of versions says up to when");
	EQ_BYTES(bytes_make(bytes.data, 26),
			 hex("0a 18 0802 1204 0803 1001 2a04 0801 1004 3006"
				 "508004 5a03 08ac02"),
			 "in flag_data, which other versions look over");
	bytes = cmd_encode_txn(&header, &dead, 1, &arena);
	OK(cmd_decode(bytes, API_V1, &arena, &out) == STATUS_OK &&
		   out.header.gc_safe_point == 0,
	   "others say nothing of it");
}

static bool
txn_roundtrip(void)
{
	size_t n = (size_t) below(20);
	TxnModify *in = arena_zalloc(&arena, n * sizeof(*in) + 1);
	Command out;

	for (size_t i = 0; i < n; i++)
		rnd_txn(&in[i]);
	if (cmd_decode(cmd_encode_txn(&header, in, n, &arena), API_V1, &arena,
				   &out) != STATUS_OK ||
		out.n_txn != n)
		return false;
	for (size_t i = 0; i < n; i++)
	{
		const TxnModify *t = &out.txn[i];

		if (in[i].cf != t->cf || in[i].is_delete != t->is_delete ||
			in[i].ts != t->ts || !bytes_eq(in[i].key, t->key) ||
			!bytes_eq(in[i].bytes, t->bytes))
			return false;
		if (t->cf == TXN_CF_LOCK && !t->is_delete && t->lock == NULL)
			return false;
	}
	return true;
}

static bool
same_message(const RaftMessage *a, const RaftMessage *b)
{
	if (a->type != b->type || a->to != b->to || a->from != b->from ||
		a->term != b->term || a->log_term != b->log_term ||
		a->index != b->index || a->commit != b->commit ||
		a->commit_term != b->commit_term || a->reject != b->reject ||
		a->reject_hint != b->reject_hint || a->priority != b->priority ||
		a->request_snapshot != b->request_snapshot ||
		!bytes_eq(a->context, b->context) || a->n_entries != b->n_entries ||
		(a->snapshot == NULL) != (b->snapshot == NULL))
		return false;
	for (int i = 0; i < a->n_entries; i++)
	{
		const RaftEntry *x = &a->entries[i];
		const RaftEntry *y = &b->entries[i];

		if (x->type != y->type || x->term != y->term || x->index != y->index ||
			!bytes_eq(x->data, y->data) || !bytes_eq(x->context, y->context))
			return false;
	}
	return a->snapshot == NULL ||
		(a->snapshot->meta.index == b->snapshot->meta.index &&
		 a->snapshot->meta.term == b->snapshot->meta.term &&
		 memcmp(&a->snapshot->meta.conf, &b->snapshot->meta.conf,
				sizeof(RaftConfState)) == 0 &&
		 bytes_eq(a->snapshot->data, b->snapshot->data));
}

static RaftMessage
rnd_message(void)
{
	int n = (int) below(5);
	RaftEntry *entries =
		arena_zalloc(&arena, (size_t) n * sizeof(*entries) + 1);
	RaftMessage m = {.type = (RaftMessageType) below(19),
					 .to = below(100) + 1,
					 .from = below(100) + 1,
					 .term = below(UINT64_MAX),
					 .log_term = below(100),
					 .index = below(100000),
					 .commit = below(100000),
					 .commit_term = below(100),
					 .entries = entries,
					 .n_entries = n,
					 .request_snapshot = below(10),
					 .reject = below(2) == 0,
					 .reject_hint = below(100),
					 .context = rnd_bytes(20),
					 .priority = (int64_t) below(5) - 2};

	for (int i = 0; i < n; i++)
		entries[i] = (RaftEntry){.type = (RaftEntryType) below(3),
								 .term = below(10),
								 .index = below(1000),
								 .data = rnd_bytes(1000),
								 .context = rnd_bytes(3)};
	if (below(3) == 0)
	{
		RaftSnapshot *s = arena_zalloc(&arena, sizeof(*s));

		s->meta.index = below(1000);
		s->meta.term = below(10);
		s->meta.conf.voters = (RaftIdSet){.n = 2, .id = {2, 300}};
		s->meta.conf.learners = (RaftIdSet){.n = 1, .id = {7}};
		s->meta.conf.auto_leave = below(2) == 0;
		s->data = rnd_bytes(1000);
		m.snapshot = s;
	}
	return m;
}

static bool
message_roundtrip(void)
{
	PeerMessage in = {.region_id = below(100) + 1,
					  .from = {below(100) + 1, below(9) + 1, PEER_VOTER},
					  .to = {below(100) + 1, below(9) + 1, PEER_LEARNER},
					  .epoch = {below(9), below(9)},
					  .start_key = rnd_bytes(20),
					  .end_key = rnd_bytes(20),
					  .extra = EXTRA_NONE,
					  .disk_usage = (DiskUsage) below(3),
					  .has_raft = true,
					  .raft = rnd_message()};
	PeerMessage out;

	in.raft.from = in.from.id;
	in.raft.to = in.to.id;
	return peer_message_decode(peer_message_encode(&in, &arena), &arena,
							   &out) == STATUS_OK &&
		out.region_id == in.region_id &&
		memcmp(&out.from, &in.from, sizeof(in.from)) == 0 &&
		memcmp(&out.to, &in.to, sizeof(in.to)) == 0 &&
		out.epoch.conf_ver == in.epoch.conf_ver &&
		out.disk_usage == in.disk_usage &&
		bytes_eq(out.start_key, in.start_key) &&
		bytes_eq(out.end_key, in.end_key) && out.has_raft &&
		same_message(&in.raft, &out.raft);
}

static bool
admin_roundtrip(void)
{
	CmdSplit splits[2] = {{.split_key = rnd_bytes(200),
						   .region_id = below(1000),
						   .n_peers = 3,
						   .peer_ids = {1, 200, 30000}},
						  {.split_key = rnd_bytes(20),
						   .region_id = 1,
						   .n_peers = 1,
						   .peer_ids = {4}}};
	CmdAdmin in = {.type = CMD_ADMIN_BATCH_SPLIT,
				   .splits = splits,
				   .n_splits = 2,
				   .right_derive = below(2) == 0};
	Command out;

	return cmd_decode(cmd_encode_admin(&header, &in, &arena), API_V1, &arena,
					  &out) == STATUS_OK &&
		out.admin != NULL && out.admin->type == in.type &&
		out.admin->n_splits == 2 &&
		out.admin->right_derive == in.right_derive &&
		bytes_eq(out.admin->splits[0].split_key, splits[0].split_key) &&
		out.admin->splits[0].peer_ids[2] == 30000 &&
		out.admin->splits[1].region_id == 1 &&
		cmd_epoch_rule(&out) == EPOCH_RANGE_CHANGE;
}

static void
roundtrips(void)
{
	int failed = 0;

	for (int i = 0; i < 3000; i++)
	{
		failed += !raw_roundtrip(API_V1) + !raw_roundtrip(API_V1TTL) +
			!raw_roundtrip(API_V2) + !txn_roundtrip() + !message_roundtrip() +
			!log_ends_roundtrip() + !admin_roundtrip();
		arena_reset(&arena);
	}
	EQ_U64(failed, 0, "random commands and messages come back as they were");
}

/* ------------------------------------------------------------------ hostile */

/* Decoded from a block of exactly that size: ASan sees what reads past it. */
static void
decode_all(Bytes bytes)
{
	Bytes tight = tight_copy(bytes);
	RaftConfChange cc;
	PeerMessage message;
	RaftMessage raft;
	Command command;
	RaftEntry entry;
	Bytes context;
	Region region;

	(void) !cmd_decode(tight, API_V1, &arena, &command);
	(void) !cmd_decode(tight, API_V2, &arena, &command);
	(void) !peer_message_decode(tight, &arena, &message);
	(void) !raft_message_decode(tight, &arena, &raft);
	(void) !raft_entry_decode(tight, &entry);
	(void) !cmd_region_decode(tight, &region);
	(void) !raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE, tight, &cc,
									&context);
	(void) !raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, tight, &cc,
									&context);
	tight_free(tight);
}

static Bytes
spoil(Bytes bytes)
{
	Bytes copy = arena_copy(&arena, bytes);
	uint8_t *p = (uint8_t *) (uintptr_t) copy.data;

	for (uint64_t i = below(4) + 1; i > 0 && copy.len > 0; i--)
		p[below(copy.len)] = (uint8_t) below(256);
	if (below(3) == 0)
		copy.len = (size_t) below(copy.len + 1);
	return copy;
}

static void
hostile(void)
{
	for (int i = 0; i < 20000; i++)
	{
		TxnModify txn[3];
		RawModify raw = {.key = rnd_bytes(10), .value = rnd_bytes(10)};
		RaftMessage message = rnd_message();
		CmdAdmin admin = {.type = CMD_ADMIN_CHANGE_PEER_V2, .n_changes = 3};

		for (int k = 0; k < 3; k++)
			rnd_txn(&txn[k]);
		decode_all(rnd_bytes(100));
		decode_all(spoil(cmd_encode_txn(&header, txn, 3, &arena)));
		decode_all(spoil(cmd_encode_raw(&header, &raw, 1, API_V2, &arena)));
		decode_all(spoil(cmd_encode_admin(&header, &admin, &arena)));
		decode_all(spoil(raft_message_encode(&message, &arena)));
		arena_reset(&arena);
	}
	OK(true, "random and spoilt bytes are read within their bounds");
}

static Status
decode_command(const char *text)
{
	Command command;

	return cmd_decode(hex(text), API_V1, &arena, &command);
}

static Status
decode_message(const char *text)
{
	PeerMessage m;

	return peer_message_decode(hex(text), &arena, &m);
}

static Status
decode_region(const char *text)
{
	Region region;

	return cmd_region_decode(hex(text), &region);
}

/* 2^63, as a varint. */
#define TOO_LARGE "8080 8080 8080 8080 8001"

static void
refused_numbers(void)
{
	OK(decode_message("0802 120d 08" TOO_LARGE "1001 1a04 0805 1004") ==
		   STATUS_INVALID,
	   "a message from a peer whose id no table can hold");
	OK(decode_message("08" TOO_LARGE "1204 0803 1001 1a04 0805 1004") ==
		   STATUS_INVALID,
	   "one of such a region");
	OK(decode_region("0803 2204 0801 1002 2a04 0805 1004") == STATUS_OK,
	   "a region is taken");
	OK(decode_region("08" TOO_LARGE "2204 0801 1002") == STATUS_INVALID,
	   "and refused where no table can hold its id");
	OK(decode_region("0803 220d 08" TOO_LARGE "1002") == STATUS_INVALID,
	   "its epoch");
	OK(decode_region("0803 2a0d 0805 10" TOO_LARGE) == STATUS_INVALID,
	   "the store of a peer");
	OK(decode_region("0803 40" TOO_LARGE) == STATUS_INVALID,
	   "or the time that it is set back to");
	OK(decode_region("0803 2a02 0805") == STATUS_INVALID,
	   "a peer is on a store");
}

static void
refused(void)
{
	OK(decode_command(HEADER "12 04 0805 2200") == STATUS_INVALID,
	   "a read does not belong in the log");
	OK(decode_command(HEADER "12 0a 0803 2206 0a0178 12016b") == STATUS_INVALID,
	   "an unknown column family");
	OK(decode_command(RAW_HEADER "12 05 0804 2a01 6b") == STATUS_INVALID,
	   "a truncated request");
	OK(decode_command(HEADER "12 09 0804 2a05 1203 610000") == STATUS_INVALID,
	   "a transactional key that is not memcomparable");
	OK(decode_command(HEADER "1a02 0863") == STATUS_INVALID,
	   "an unknown administrative command");
	OK(decode_command(RAW_HEADER "12 07 0804 2a03 12016b"
								 "1a 04 080b 5a00") == STATUS_INVALID,
	   "data and administration in one command");
	OK(decode_message("0802 1204 0803 1001 1a04 0805 1004"
					  "2206 0803 1006 1803") == STATUS_INVALID,
	   "a Raft message for another peer than its envelope names");
	OK(decode_message("0802 1204 0803 1001") == STATUS_INVALID,
	   "a message to nobody");
}

/* They would take forty times the message's memory. */
static void
too_many_entries(void)
{
	size_t n = ((size_t) 1 << 18) + 1;
	uint8_t *bytes = arena_alloc(&arena, 2 * n);
	size_t before = arena.allocated;
	RaftMessage m;

	for (size_t i = 0; i < n; i++)
	{
		bytes[2 * i] = 7 << 3 | 2;
		bytes[2 * i + 1] = 0;
	}
	OK(raft_message_decode(bytes_make(bytes, 2 * n), &arena, &m) ==
			   STATUS_INVALID &&
		   arena.allocated == before,
	   "more entries than a leader sends at once");
	OK(raft_message_decode(bytes_make(bytes, 2 * n - 2), &arena, &m) ==
			   STATUS_OK &&
		   m.n_entries == (int) n - 1,
	   "as many as that");
}

static void
regions(void)
{
	Region region = {.id = 1,
					 .start_key = hex("6200000000000000f8"),
					 .end_key = hex("6400000000000000f8")};
	RawModify raw = {.key = bytes_cstr("c")};
	Command command = {.raw = &raw, .n_raw = 1};
	CmdRange range = {.lower = bytes_cstr("c"), .upper = bytes_cstr("d")};
	Command ranged = {.ranges = &range, .n_ranges = 1};
	Bytes outside;

	OK(cmd_in_region(&command, &region, API_V2, &outside), "a key inside");
	raw.key = bytes_cstr("d");
	OK(!cmd_in_region(&command, &region, API_V2, &outside) &&
		   bytes_eq(outside, raw.key),
	   "the end is not inside");
	OK(cmd_in_region(&ranged, &region, API_V2, &outside),
	   "but a range may end there");
	range.upper = bytes_empty();
	OK(!cmd_in_region(&ranged, &region, API_V2, &outside),
	   "an endless range leaves the region");
}

static void
read_contexts(void)
{
	ReadIndexContext in = {.asker = 3,
						   .id = 7,
						   .has_ts = true,
						   .start_ts = 300};
	ReadIndexContext out;

	EQ_BYTES(read_context_encode(&in, &arena),
			 hex("0000000000000003 0000000000000007 72 03 08ac02"),
			 "a question with a timestamp");
	OK(read_context_decode(read_context_encode(&in, &arena), &out) ==
			   STATUS_OK &&
		   out.asker == 3 && out.id == 7 && out.has_ts && out.start_ts == 300,
	   "and back");
	in.has_ts = false;
	OK(read_context_decode(read_context_encode(&in, &arena), &out) ==
			   STATUS_OK &&
		   !out.has_ts && out.id == 7,
	   "one without");
	OK(read_context_decode(hex("00000000000000030000000000000007 72 04 08ac02"),
						   &out) == STATUS_INVALID &&
		   read_context_decode(hex("0003"), &out) == STATUS_INVALID,
	   "and what is none");
	for (int i = 0; i < 20000; i++)
	{
		Bytes tight = tight_copy(rnd_bytes(40));

		(void) !read_context_decode(tight, &out);
		tight_free(tight);
		arena_reset(&arena);
	}
}

int
main(void)
{
	arena_init(&arena);
	raw_golden();
	raw_rooms();
	txn_golden();
	gc_golden();
	admin_golden();
	message_golden();
	log_ends_golden();
	too_many_log_ends();
	change_golden();
	refused();
	refused_numbers();
	too_many_entries();
	read_contexts();
	regions();
	roundtrips();
	hostile();
	arena_free(&arena);
	return unit_done();
}
