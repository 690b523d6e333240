/*
 * raft_codec.c
 *	  core/raft's entries and messages as eraftpb's bytes, and back.
 */
#include "core/cmd/raft_codec.h"

/* What a message or entry has beside its byte strings, at most. */
#define FIXED_ROOM 128

/*
 * Entries of a message: each takes sizeof(RaftEntry) here, and may be two bytes
 * on the wire.  A leader sends a megabyte of them, counted as here.
 */
#define MAX_ENTRIES ((size_t) 1 << 18)

/* ----------------------------------------------------------------- entries */

static size_t
entry_room(const RaftEntry *e)
{
	return 48 + e->data.len + e->context.len;
}

static void
put_entry(ProtoWriter *w, const RaftEntry *e)
{
	proto_put_u64(w, 1, (uint64_t) e->type);
	proto_put_u64(w, 2, e->term);
	proto_put_u64(w, 3, e->index);
	proto_put_bytes(w, 4, e->data);
	proto_put_bytes(w, 6, e->context);
}

Bytes
raft_entry_encode(const RaftEntry *entry, Arena *arena)
{
	ProtoWriter w;

	proto_writer_init(&w, arena, entry_room(entry));
	put_entry(&w, entry);
	return proto_written(&w);
}

Status
raft_entry_decode(Bytes bytes, RaftEntry *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t type = 0;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				type = proto_get_u64(&r, &field);
				break;
			case 2:
				out->term = proto_get_u64(&r, &field);
				break;
			case 3:
				out->index = proto_get_u64(&r, &field);
				break;
			case 4:
				out->data = proto_get_bytes(&r, &field);
				break;
			case 6:
				out->context = proto_get_bytes(&r, &field);
				break;
		}
	if (type > RAFT_ENTRY_CONF_CHANGE_V2)
		return STATUS_INVALID;
	out->type = (RaftEntryType) type;
	return proto_status(&r);
}

/* ---------------------------------------------------------- configurations */

static void
put_set(ProtoWriter *w, uint32_t field, const RaftIdSet *set)
{
	ProtoMark mark;

	if (set->n == 0)
		return;
	mark = proto_begin(w, field, (size_t) set->n * VAR_U64_MAX_LEN);
	for (int i = 0; i < set->n; i++)
	{
		/* packed: no tags within */
		uint8_t bytes[VAR_U64_MAX_LEN];
		uint8_t *end = put_var_u64(bytes, set->id[i]);

		proto_put_raw(w, bytes_make(bytes, (size_t) (end - bytes)));
	}
	proto_end(w, mark);
}

void
raft_conf_state_put(ProtoWriter *w, const RaftConfState *conf)
{
	put_set(w, 1, &conf->voters);
	put_set(w, 2, &conf->learners);
	put_set(w, 3, &conf->voters_outgoing);
	put_set(w, 4, &conf->learners_next);
	proto_put_u64(w, 5, conf->auto_leave);
}

static bool
ascending(const RaftIdSet *set)
{
	for (int i = 0; i < set->n; i++)
		if (set->id[i] == 0 || (i > 0 && set->id[i] <= set->id[i - 1]))
			return false;
	return true;
}

/* TiKV does not order its sets. */
static void
sort_ids(RaftIdSet *set)
{
	for (int i = 1; i < set->n; i++)
		for (int j = i; j > 0 && set->id[j] < set->id[j - 1]; j--)
		{
			uint64_t id = set->id[j];

			set->id[j] = set->id[j - 1];
			set->id[j - 1] = id;
		}
}

Status
raft_conf_state_decode(Bytes bytes, RaftConfState *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	RaftIdSet *sets[] = {&out->voters, &out->learners, &out->voters_outgoing,
						 &out->learners_next};

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
	{
		if (field.number >= 1 && field.number <= 4)
		{
			RaftIdSet *set = sets[field.number - 1];

			proto_get_list(&r, &field, set->id, &set->n, RAFT_MAX_PEERS);
		}
		else if (field.number == 5)
			out->auto_leave = proto_get_u64(&r, &field) != 0;
	}
	for (int i = 0; i < 4; i++)
	{
		sort_ids(sets[i]);
		if (!ascending(sets[i]))
			return STATUS_INVALID;
	}
	return proto_status(&r);
}

/* --------------------------------------------------------------- snapshots */

static void
put_snapshot(ProtoWriter *w, const RaftSnapshot *snapshot)
{
	ProtoMark meta;
	ProtoMark conf;

	proto_put_bytes(w, 1, snapshot->data);
	meta = proto_begin(w, 2, FIXED_ROOM);
	conf = proto_begin(w, 1, FIXED_ROOM / 2);
	raft_conf_state_put(w, &snapshot->meta.conf);
	proto_end(w, conf);
	proto_put_u64(w, 2, snapshot->meta.index);
	proto_put_u64(w, 3, snapshot->meta.term);
	proto_end(w, meta);
}

static Status
get_snapshot_meta(Bytes bytes, RaftSnapshotMeta *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	while (s == STATUS_OK && proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				s = raft_conf_state_decode(proto_get_bytes(&r, &field),
										   &out->conf);
				break;
			case 2:
				out->index = proto_get_u64(&r, &field);
				break;
			case 3:
				out->term = proto_get_u64(&r, &field);
				break;
		}
	return s != STATUS_OK ? s : proto_status(&r);
}

static Status
get_snapshot(Bytes bytes, RaftSnapshot *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	memset(out, 0, sizeof(*out));
	while (s == STATUS_OK && proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				out->data = proto_get_bytes(&r, &field);
				break;
			case 2:
				s = get_snapshot_meta(proto_get_bytes(&r, &field), &out->meta);
				break;
		}
	return s != STATUS_OK ? s : proto_status(&r);
}

/* ---------------------------------------------------------------- messages */

size_t
raft_message_room(const RaftMessage *m)
{
	size_t room = FIXED_ROOM + m->context.len;

	for (int i = 0; i < m->n_entries; i++)
		room += entry_room(&m->entries[i]);
	if (m->snapshot != NULL)
		room += 2 * FIXED_ROOM + m->snapshot->data.len;
	return room;
}

void
raft_message_put(ProtoWriter *w, const RaftMessage *m)
{
	proto_put_u64(w, 1, (uint64_t) m->type);
	proto_put_u64(w, 2, m->to);
	proto_put_u64(w, 3, m->from);
	proto_put_u64(w, 4, m->term);
	proto_put_u64(w, 5, m->log_term);
	proto_put_u64(w, 6, m->index);
	for (int i = 0; i < m->n_entries; i++)
	{
		ProtoMark mark = proto_begin(w, 7, entry_room(&m->entries[i]));

		put_entry(w, &m->entries[i]);
		proto_end(w, mark);
	}
	proto_put_u64(w, 8, m->commit);
	if (m->snapshot != NULL)
	{
		ProtoMark mark = proto_begin(w, 9, m->snapshot->data.len + FIXED_ROOM);

		put_snapshot(w, m->snapshot);
		proto_end(w, mark);
	}
	proto_put_u64(w, 10, m->reject);
	proto_put_u64(w, 11, m->reject_hint);
	proto_put_bytes(w, 12, m->context);
	proto_put_u64(w, 13, m->request_snapshot);
	proto_put_u64(w, 15, m->commit_term);
	proto_put_u64(w, 16, (uint64_t) m->priority);
}

Bytes
raft_message_encode(const RaftMessage *m, Arena *arena)
{
	ProtoWriter w;

	proto_writer_init(&w, arena, raft_message_room(m));
	raft_message_put(&w, m);
	return proto_written(&w);
}

static void
get_scalar(ProtoReader *r, const ProtoField *field, RaftMessage *out)
{
	uint64_t value = proto_get_u64(r, field);

	switch (field->number)
	{
		case 2:
			out->to = value;
			break;
		case 3:
			out->from = value;
			break;
		case 4:
			out->term = value;
			break;
		case 5:
			out->log_term = value;
			break;
		case 6:
			out->index = value;
			break;
		case 8:
			out->commit = value;
			break;
		case 10:
			out->reject = value != 0;
			break;
		case 11:
			out->reject_hint = value;
			break;
		case 13:
			out->request_snapshot = value;
			break;
		case 15:
			out->commit_term = value;
			break;
		case 16:
			out->priority = (int64_t) value;
			break;
	}
}

/* The old field, in which TiKV before 6.1 sent it. */
static void
get_old_priority(ProtoReader *r, const ProtoField *field, RaftMessage *out)
{
	if (out->priority == 0)
		out->priority = (int64_t) proto_get_u64(r, field);
}

static Status
get_field(ProtoReader *r, const ProtoField *field, Arena *arena,
		  RaftMessage *out, RaftEntry *entries)
{
	RaftSnapshot *snapshot;
	uint64_t type;

	switch (field->number)
	{
		case 1:
			type = proto_get_u64(r, field);
			if (type > RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE)
				return STATUS_INVALID;
			out->type = (RaftMessageType) type;
			return STATUS_OK;
		case 7:
			return raft_entry_decode(proto_get_bytes(r, field),
									 &entries[out->n_entries++]);
		case 9:
			snapshot = arena_alloc(arena, sizeof(*snapshot));
			out->snapshot = snapshot;
			return get_snapshot(proto_get_bytes(r, field), snapshot);
		case 12:
			out->context = proto_get_bytes(r, field);
			return STATUS_OK;
		case 14:
			get_old_priority(r, field, out);
			return STATUS_OK;
		case 2:
		case 3:
		case 4:
		case 5:
		case 6:
		case 8:
		case 10:
		case 11:
		case 13:
		case 15:
		case 16:
			get_scalar(r, field, out);
			return STATUS_OK;
		default:
			return STATUS_OK;
	}
}

Status
raft_message_decode(Bytes bytes, Arena *arena, RaftMessage *out)
{
	ProtoReader r = proto_reader(bytes);
	size_t n = proto_count(bytes, 7);
	RaftEntry *entries;
	ProtoField field;
	Status s = STATUS_OK;

	memset(out, 0, sizeof(*out));
	if (n > MAX_ENTRIES)
		return STATUS_INVALID;
	entries = arena_alloc(arena, n * sizeof(RaftEntry));
	while (s == STATUS_OK && proto_next(&r, &field))
		s = get_field(&r, &field, arena, out, entries);
	if (n > 0)
		out->entries = entries;
	return s != STATUS_OK ? s : proto_status(&r);
}

/* --------------------------------------------------------- their changes */

static void
put_single(ProtoWriter *w, uint32_t type_field,
		   const RaftConfChangeSingle *change)
{
	proto_put_u64(w, type_field, (uint64_t) change->type);
	proto_put_u64(w, type_field + 1, change->id);
}

Bytes
raft_conf_change_encode(const RaftConfChange *cc, Bytes context, Arena *arena,
						RaftEntryType *type)
{
	ProtoWriter w;

	proto_writer_init(&w, arena,
					  FIXED_ROOM + 24 * (size_t) cc->n + context.len);
	if (cc->n == 1 && cc->transition == RAFT_CONF_AUTO)
	{
		*type = RAFT_ENTRY_CONF_CHANGE;
		put_single(&w, 2, &cc->changes[0]);
		proto_put_bytes(&w, 4, context);
		return proto_written(&w);
	}
	*type = RAFT_ENTRY_CONF_CHANGE_V2;
	proto_put_u64(&w, 1, (uint64_t) cc->transition);
	for (int i = 0; i < cc->n; i++)
	{
		ProtoMark mark = proto_begin(&w, 2, 12);

		put_single(&w, 1, &cc->changes[i]);
		proto_end(&w, mark);
	}
	proto_put_bytes(&w, 3, context);
	return proto_written(&w);
}

static bool
get_change_type(ProtoReader *r, const ProtoField *field,
				RaftConfChangeSingle *out)
{
	uint64_t type = proto_get_u64(r, field);

	out->type = (RaftConfChangeType) type;
	return type <= RAFT_CONF_ADD_LEARNER;
}

static Status
get_single(Bytes bytes, RaftConfChangeSingle *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
	{
		if (field.number == 1 && !get_change_type(&r, &field, out))
			return STATUS_INVALID;
		if (field.number == 2)
			out->id = proto_get_u64(&r, &field);
	}
	return proto_status(&r);
}

static Status
get_change_v1(Bytes bytes, RaftConfChange *out, Bytes *context)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	out->n = 1;
	while (proto_next(&r, &field))
		switch (field.number)
		{
			case 2:
				if (!get_change_type(&r, &field, &out->changes[0]))
					return STATUS_INVALID;
				break;
			case 3:
				out->changes[0].id = proto_get_u64(&r, &field);
				break;
			case 4:
				*context = proto_get_bytes(&r, &field);
				break;
		}
	return proto_status(&r);
}

static Status
get_change_v2(Bytes bytes, RaftConfChange *out, Bytes *context)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t transition = 0;
	Status s = STATUS_OK;

	while (s == STATUS_OK && proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				transition = proto_get_u64(&r, &field);
				break;
			case 2:
				if (out->n == RAFT_MAX_PEERS)
					return STATUS_INVALID;
				s = get_single(proto_get_bytes(&r, &field),
							   &out->changes[out->n++]);
				break;
			case 3:
				*context = proto_get_bytes(&r, &field);
				break;
		}
	if (transition > RAFT_CONF_EXPLICIT)
		return STATUS_INVALID;
	out->transition = (RaftConfTransition) transition;
	return s != STATUS_OK ? s : proto_status(&r);
}

Status
raft_conf_change_decode(RaftEntryType type, Bytes bytes, RaftConfChange *out,
						Bytes *context)
{
	memset(out, 0, sizeof(*out));
	*context = bytes_empty();
	if (type == RAFT_ENTRY_CONF_CHANGE)
		return get_change_v1(bytes, out, context);
	if (type == RAFT_ENTRY_CONF_CHANGE_V2)
		return get_change_v2(bytes, out, context);
	return STATUS_INVALID;
}
