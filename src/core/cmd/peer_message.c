/*
 * peer_message.c
 *	  What stores send each other: raft_serverpb.RaftMessage.
 */
#include "core/cmd/peer_message.h"

#include "core/cmd/raft_codec.h"

#define ENVELOPE_ROOM 128

/* In raft_serverpb.ExtraMessage: ours, and far from its own. */
#define EXTRA_CONTEXT_FIELD 1000

Bytes
peer_message_encode(const PeerMessage *m, Arena *arena)
{
	size_t raft_room = m->has_raft ? raft_message_room(&m->raft) : 0;
	ProtoWriter w;
	ProtoMark mark;

	proto_writer_init(&w, arena,
					  raft_room + m->start_key.len + m->end_key.len +
						  m->extra_context.len + ENVELOPE_ROOM);
	proto_put_u64(&w, 1, m->region_id);
	cmd_peer_put(&w, 2, &m->from);
	cmd_peer_put(&w, 3, &m->to);
	if (m->has_raft)
	{
		mark = proto_begin(&w, 4, raft_room);
		raft_message_put(&w, &m->raft);
		proto_end(&w, mark);
	}
	cmd_epoch_put(&w, 5, &m->epoch);
	proto_put_u64(&w, 6, m->is_tombstone);
	proto_put_bytes(&w, 7, m->start_key);
	proto_put_bytes(&w, 8, m->end_key);
	if (m->extra != EXTRA_NONE)
	{
		mark = proto_begin(&w, 10, m->extra_context.len + 2);
		proto_put_u64(&w, 1, (uint64_t) m->extra);
		proto_put_bytes(&w, EXTRA_CONTEXT_FIELD, m->extra_context);
		proto_end(&w, mark);
	}
	proto_put_u64(&w, 12, (uint64_t) m->disk_usage);
	return proto_written(&w);
}

static Status
get_extra(Bytes bytes, PeerMessage *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t type = 0;

	while (proto_next(&r, &field))
		if (field.number == 1)
			type = proto_get_u64(&r, &field);
		else if (field.number == EXTRA_CONTEXT_FIELD)
			out->extra_context = proto_get_bytes(&r, &field);
	switch (type)
	{
		case EXTRA_REGION_WAKE_UP:
		case EXTRA_CHECK_STALE_PEER:
		case EXTRA_CHECK_STALE_PEER_RESPONSE:
		case EXTRA_HIBERNATE_REQUEST:
		case EXTRA_HIBERNATE_RESPONSE:
		case EXTRA_STORE_BEAT:
		case EXTRA_LOG_ENDS_REQUEST:
		case EXTRA_LOG_ENDS_RESPONSE:
			out->extra = (ExtraType) type;
			break;
		default:
			out->extra = EXTRA_UNKNOWN;
			break;
	}
	return proto_status(&r);
}

/* What is no level that is known is none to act on. */
static DiskUsage
known_usage(uint64_t value)
{
	return value <= DISK_ALREADY_FULL ? (DiskUsage) value : DISK_NORMAL;
}

static Status
get_field(ProtoReader *r, const ProtoField *field, Arena *arena,
		  PeerMessage *out)
{
	switch (field->number)
	{
		case 1:
			out->region_id = proto_get_u64(r, field);
			return STATUS_OK;
		case 2:
			return cmd_peer_decode(proto_get_bytes(r, field), &out->from);
		case 3:
			return cmd_peer_decode(proto_get_bytes(r, field), &out->to);
		case 4:
			out->has_raft = true;
			return raft_message_decode(proto_get_bytes(r, field), arena,
									   &out->raft);
		case 5:
			return cmd_epoch_decode(proto_get_bytes(r, field), &out->epoch);
		case 6:
			out->is_tombstone = proto_get_u64(r, field) != 0;
			return STATUS_OK;
		case 7:
			out->start_key = proto_get_bytes(r, field);
			return STATUS_OK;
		case 8:
			out->end_key = proto_get_bytes(r, field);
			return STATUS_OK;
		case 10:
			return get_extra(proto_get_bytes(r, field), out);
		case 12:
			out->disk_usage = known_usage(proto_get_u64(r, field));
			return STATUS_OK;
		default:
			return STATUS_OK;
	}
}

/*
 * The peers named inside must be those outside: what is stepped is trusted.
 * Stores tell each other of no region at all by the last number there is.
 */
static bool
consistent(const PeerMessage *m)
{
	bool has_region = cmd_is_id(m->region_id) ||
		(m->region_id == UINT64_MAX && m->extra != EXTRA_NONE);

	if (!has_region || !cmd_is_id(m->from.id) || !cmd_is_id(m->to.id) ||
		!cmd_is_id(m->from.store_id) || !cmd_is_id(m->to.store_id))
		return false;
	return !m->has_raft || m->is_tombstone || m->extra != EXTRA_NONE ||
		(m->raft.from == m->from.id && m->raft.to == m->to.id);
}

Status
peer_message_decode(Bytes bytes, Arena *arena, PeerMessage *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	memset(out, 0, sizeof(*out));
	out->extra = EXTRA_NONE;
	while (s == STATUS_OK && proto_next(&r, &field))
		s = get_field(&r, &field, arena, out);
	if (s != STATUS_OK)
		return s;
	return r.bad || !consistent(out) ? STATUS_INVALID : STATUS_OK;
}

bool
peer_message_is_initial(const PeerMessage *m)
{
	if (!m->has_raft || m->is_tombstone || m->extra != EXTRA_NONE)
		return false;
	return m->raft.type == RAFT_MSG_REQUEST_VOTE ||
		m->raft.type == RAFT_MSG_REQUEST_PRE_VOTE ||
		(m->raft.type == RAFT_MSG_HEARTBEAT && m->raft.commit == 0);
}
