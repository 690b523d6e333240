/*
 * admin.c
 *	  Administrative commands and descriptors as raft_cmdpb and metapb have
 *	  them.
 */
#include "core/cmd/command.h"

#define PEER_ROOM 28

/* ------------------------------------------------------ parts of a region */

void
cmd_peer_put(ProtoWriter *w, uint32_t field, const RegionPeer *peer)
{
	ProtoMark mark = proto_begin(w, field, PEER_ROOM);

	proto_put_u64(w, 1, peer->id);
	proto_put_u64(w, 2, peer->store_id);
	proto_put_u64(w, 3, (uint64_t) peer->role);
	proto_end(w, mark);
}

/* A witness keeps no data: there is none here. */
Status
cmd_peer_decode(Bytes bytes, RegionPeer *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t role = 0;
	bool witness = false;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				out->id = proto_get_u64(&r, &field);
				break;
			case 2:
				out->store_id = proto_get_u64(&r, &field);
				break;
			case 3:
				role = proto_get_u64(&r, &field);
				break;
			case 4:
				witness = proto_get_u64(&r, &field) != 0;
				break;
		}
	if (role > PEER_DEMOTING_VOTER || witness)
		return STATUS_INVALID;
	out->role = (PeerRole) role;
	return proto_status(&r);
}

void
cmd_epoch_put(ProtoWriter *w, uint32_t field, const RegionEpoch *epoch)
{
	ProtoMark mark = proto_begin(w, field, 22);

	proto_put_u64(w, 1, epoch->conf_ver);
	proto_put_u64(w, 2, epoch->version);
	proto_end(w, mark);
}

Status
cmd_epoch_decode(Bytes bytes, RegionEpoch *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
	{
		if (field.number == 1)
			out->conf_ver = proto_get_u64(&r, &field);
		if (field.number == 2)
			out->version = proto_get_u64(&r, &field);
	}
	return proto_status(&r);
}

void
cmd_region_put(ProtoWriter *w, uint32_t field, const Region *region)
{
	ProtoMark mark = proto_begin(w, field,
								 region->start_key.len + region->end_key.len +
									 PEER_ROOM * (size_t) region->n_peers + 48);

	proto_put_u64(w, 1, region->id);
	proto_put_bytes(w, 2, region->start_key);
	proto_put_bytes(w, 3, region->end_key);
	cmd_epoch_put(w, 4, &region->epoch);
	for (int i = 0; i < region->n_peers; i++)
		cmd_peer_put(w, 5, &region->peers[i]);
	proto_put_u64(w, 7, region->flashback_start_ts != 0);
	proto_put_u64(w, 8, region->flashback_start_ts);
	proto_end(w, mark);
}

static bool
can_be_stored(const Region *region)
{
	for (int i = 0; i < region->n_peers; i++)
		if (!cmd_is_id(region->peers[i].id) ||
			!cmd_is_id(region->peers[i].store_id))
			return false;
	return cmd_is_id(region->id) && region->epoch.conf_ver <= INT64_MAX &&
		region->epoch.version <= INT64_MAX &&
		region->flashback_start_ts <= INT64_MAX;
}

Status
cmd_region_decode(Bytes bytes, Region *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	memset(out, 0, sizeof(*out));
	while (s == STATUS_OK && proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				out->id = proto_get_u64(&r, &field);
				break;
			case 2:
				out->start_key = proto_get_bytes(&r, &field);
				break;
			case 3:
				out->end_key = proto_get_bytes(&r, &field);
				break;
			case 4:
				s = cmd_epoch_decode(proto_get_bytes(&r, &field), &out->epoch);
				break;
			case 5:
				if (out->n_peers == REGION_MAX_PEERS)
					return STATUS_INVALID;
				s = cmd_peer_decode(proto_get_bytes(&r, &field),
									&out->peers[out->n_peers++]);
				break;
			case 8:
				out->flashback_start_ts = proto_get_u64(&r, &field);
				break;
		}
	if (s == STATUS_OK && !can_be_stored(out))
		s = STATUS_INVALID;
	return s != STATUS_OK ? s : proto_status(&r);
}

/* ----------------------------------------------------- single commands */

static void
put_change(ProtoWriter *w, uint32_t field, const CmdChangePeer *change)
{
	ProtoMark mark = proto_begin(w, field, PEER_ROOM + 4);

	proto_put_u64(w, 1, (uint64_t) change->type);
	cmd_peer_put(w, 2, &change->peer);
	proto_end(w, mark);
}

static Status
get_change(Bytes bytes, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	CmdChangePeer *change;
	ProtoField field;
	uint64_t type = 0;
	Status s = STATUS_OK;

	if (out->n_changes == REGION_MAX_PEERS)
		return STATUS_INVALID;
	change = &out->changes[out->n_changes++];
	while (s == STATUS_OK && proto_next(&r, &field))
	{
		if (field.number == 1)
			type = proto_get_u64(&r, &field);
		if (field.number == 2)
			s = cmd_peer_decode(proto_get_bytes(&r, &field), &change->peer);
	}
	if (type > RAFT_CONF_ADD_LEARNER)
		return STATUS_INVALID;
	change->type = (RaftConfChangeType) type;
	return s != STATUS_OK ? s : proto_status(&r);
}

static Status
get_changes(Bytes bytes, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	while (s == STATUS_OK && proto_next(&r, &field))
		if (field.number == 1)
			s = get_change(proto_get_bytes(&r, &field), out);
	return s != STATUS_OK ? s : proto_status(&r);
}

static void
put_split(ProtoWriter *w, const CmdSplit *split, bool right_derive)
{
	ProtoMark mark =
		proto_begin(w, 1,
					split->split_key.len + 16 + 10 * (size_t) split->n_peers);
	ProtoMark ids;

	proto_put_bytes(w, 1, split->split_key);
	proto_put_u64(w, 2, split->region_id);
	ids = proto_begin(w, 3, 10 * (size_t) split->n_peers);
	for (int i = 0; i < split->n_peers; i++)
	{
		uint8_t bytes[VAR_U64_MAX_LEN];
		uint8_t *end = put_var_u64(bytes, split->peer_ids[i]);

		proto_put_raw(w, bytes_make(bytes, (size_t) (end - bytes)));
	}
	proto_end(w, ids);
	proto_put_u64(w, 4, right_derive);
	proto_end(w, mark);
}

static Status
get_split(Bytes bytes, CmdSplit *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	memset(out, 0, sizeof(*out));
	while (proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				out->split_key = proto_get_bytes(&r, &field);
				break;
			case 2:
				out->region_id = proto_get_u64(&r, &field);
				break;
			case 3:
				proto_get_list(&r, &field, out->peer_ids, &out->n_peers,
							   REGION_MAX_PEERS);
				break;
		}
	return proto_status(&r);
}

static Status
get_splits(Bytes bytes, Arena *arena, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	size_t n = proto_count(bytes, 1);
	ProtoField field;
	Status s = STATUS_OK;

	if (n > CMD_MAX_SPLITS)
		return STATUS_INVALID;
	out->splits = arena_zalloc(arena, n * sizeof(CmdSplit));
	out->n_splits = 0;
	while (s == STATUS_OK && proto_next(&r, &field))
	{
		if (field.number == 1)
			s = get_split(proto_get_bytes(&r, &field),
						  &out->splits[out->n_splits++]);
		if (field.number == 2)
			out->right_derive = proto_get_u64(&r, &field) != 0;
	}
	return s != STATUS_OK ? s : proto_status(&r);
}

static Status
get_compact(Bytes bytes, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	while (proto_next(&r, &field))
	{
		if (field.number == 1)
			out->compact_index = proto_get_u64(&r, &field);
		if (field.number == 2)
			out->compact_term = proto_get_u64(&r, &field);
	}
	return proto_status(&r);
}

static Status
get_prepare_flashback(Bytes bytes, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	while (proto_next(&r, &field))
		if (field.number == 1)
			out->flashback_start_ts = proto_get_u64(&r, &field);
	return proto_status(&r);
}

static Status
get_transfer(Bytes bytes, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	while (s == STATUS_OK && proto_next(&r, &field))
		if (field.number == 1)
			s = cmd_peer_decode(proto_get_bytes(&r, &field), &out->transfer_to);
	return s != STATUS_OK ? s : proto_status(&r);
}

/* --------------------------------------------------------- AdminRequest */

void
cmd_admin_put(ProtoWriter *w, const CmdAdmin *admin)
{
	ProtoMark mark;

	proto_put_u64(w, 1, (uint64_t) admin->type);
	switch (admin->type)
	{
		case CMD_ADMIN_NONE:
			break;
		case CMD_ADMIN_CHANGE_PEER:
			put_change(w, 2, &admin->changes[0]);
			break;
		case CMD_ADMIN_COMPACT_LOG:
			mark = proto_begin(w, 4, 22);
			proto_put_u64(w, 1, admin->compact_index);
			proto_put_u64(w, 2, admin->compact_term);
			proto_end(w, mark);
			break;
		case CMD_ADMIN_TRANSFER_LEADER:
			mark = proto_begin(w, 5, PEER_ROOM);
			cmd_peer_put(w, 1, &admin->transfer_to);
			proto_end(w, mark);
			break;
		case CMD_ADMIN_BATCH_SPLIT:
			mark = proto_begin(w, 10, 256);
			for (int i = 0; i < admin->n_splits; i++)
				put_split(w, &admin->splits[i], admin->right_derive);
			proto_put_u64(w, 2, admin->right_derive);
			proto_end(w, mark);
			break;
		case CMD_ADMIN_CHANGE_PEER_V2:
			mark =
				proto_begin(w, 11, (PEER_ROOM + 4) * (size_t) admin->n_changes);
			for (int i = 0; i < admin->n_changes; i++)
				put_change(w, 1, &admin->changes[i]);
			proto_end(w, mark);
			break;
		case CMD_ADMIN_PREPARE_FLASHBACK:
			mark = proto_begin(w, 13, 11);
			proto_put_u64(w, 1, admin->flashback_start_ts);
			proto_end(w, mark);
			break;
		case CMD_ADMIN_FINISH_FLASHBACK:
			mark = proto_begin(w, 14, 1);
			proto_end(w, mark);
			break;
	}
}

static Status
get_body(const ProtoField *field, Bytes bytes, Arena *arena, CmdAdmin *out)
{
	switch (field->number)
	{
		case 2:
			return get_change(bytes, out);
		case 4:
			return get_compact(bytes, out);
		case 5:
			return get_transfer(bytes, out);
		case 10:
			return get_splits(bytes, arena, out);
		case 11:
			return get_changes(bytes, out);
		case 13:
			return get_prepare_flashback(bytes, out);
		default:
			return STATUS_OK;
	}
}

/* A type that is not served here is refused by who applies it. */
Status
cmd_admin_decode(Bytes bytes, Arena *arena, CmdAdmin *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	uint64_t type = 0;
	Status s = STATUS_OK;

	memset(out, 0, sizeof(*out));
	while (s == STATUS_OK && proto_next(&r, &field))
	{
		if (field.number == 1)
			type = proto_get_u64(&r, &field);
		else
			s = get_body(&field, proto_get_bytes(&r, &field), arena, out);
	}
	switch (type)
	{
		case CMD_ADMIN_CHANGE_PEER:
			if (out->n_changes != 1)
				return STATUS_INVALID;
			break;
		case CMD_ADMIN_COMPACT_LOG:
		case CMD_ADMIN_TRANSFER_LEADER:
		case CMD_ADMIN_BATCH_SPLIT:
		case CMD_ADMIN_CHANGE_PEER_V2:
		case CMD_ADMIN_FINISH_FLASHBACK:
			break;
		case CMD_ADMIN_PREPARE_FLASHBACK:
			if (out->flashback_start_ts == 0)
				return STATUS_INVALID;
			break;
		default:
			return STATUS_INVALID;
	}
	out->type = (CmdAdminType) type;
	return s != STATUS_OK ? s : proto_status(&r);
}
