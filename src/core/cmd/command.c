/*
 * command.c
 *	  RaftCmdRequest: a turn's effects as bytes, and back.
 */
#include "core/cmd/command.h"

/* Of raft_cmdpb.CmdType. */
#define CMD_TYPE_PUT 3
#define CMD_TYPE_DELETE 4
#define CMD_TYPE_DELETE_RANGE 7

/* Fields of Request. */
#define REQUEST_TYPE 1
#define REQUEST_PUT 4
#define REQUEST_DELETE 5
#define REQUEST_DELETE_RANGE 8

/* The last byte of a raw value in API V2 (api_version/src/api_v2.rs). */
#define RAW_META_EXPIRES 0x1
#define RAW_META_DELETED 0x2

#define HEADER_ROOM 96

/* A modification as it stands in the log. */
typedef struct Stored
{
	uint64_t type;
	char cf; /* d, l, w */
	Bytes key;
	Bytes value; /* of DeleteRange: the end */
} Stored;

/* ----------------------------------------------------------------- writing */

static void
put_header(ProtoWriter *w, const CmdHeader *header)
{
	ProtoMark mark = proto_begin(w, 1, HEADER_ROOM);

	proto_put_u64(w, 1, header->region_id);
	cmd_peer_put(w, 2, &header->peer);
	cmd_epoch_put(w, 5, &header->epoch);
	proto_put_u64(w, 6, header->term);
	if (header->gc_safe_point == 0)
		proto_put_u64(w, 10, header->flags);
	else
	{
		ProtoMark data;

		proto_put_u64(w, 10, header->flags | CMD_FLAG_GC);
		data = proto_begin(w, 11, 11);
		proto_put_u64(w, 1, header->gc_safe_point);
		proto_end(w, data);
	}
	proto_end(w, mark);
}

/* As TiKV writes it: the default column family has no name. */
static void
put_cf(ProtoWriter *w, char cf)
{
	if (cf == 'l')
		proto_put_bytes(w, 1, bytes_cstr("lock"));
	else if (cf == 'w')
		proto_put_bytes(w, 1, bytes_cstr("write"));
}

static void
put_request(ProtoWriter *w, const Stored *s)
{
	size_t room = s->key.len + s->value.len + CMD_REQUEST_ROOM;
	ProtoMark request = proto_begin(w, 2, room);
	ProtoMark body;

	proto_put_u64(w, REQUEST_TYPE, s->type);
	body = proto_begin(w,
					   s->type == CMD_TYPE_PUT		  ? REQUEST_PUT :
						   s->type == CMD_TYPE_DELETE ? REQUEST_DELETE :
														REQUEST_DELETE_RANGE,
					   room - 8);
	put_cf(w, s->cf);
	proto_put_bytes(w, 2, s->key);
	proto_put_bytes(w, 3, s->value);
	proto_end(w, body);
	proto_end(w, request);
}

static ProtoWriter
begin(const CmdHeader *header, size_t room, Arena *arena)
{
	ProtoWriter w;

	proto_writer_init(&w, arena, HEADER_ROOM + room);
	put_header(&w, header);
	return w;
}

/* ------------------------------------------------------------- raw effects */

static Bytes
raw_key(Bytes key, ApiVersion api, Arena *arena)
{
	return api == API_V2 ? memcomparable_encode(key, arena) : key;
}

/* TiKV's raw values carry their expiry behind them, unless TTL is off. */
static Bytes
raw_value(const RawModify *modify, ApiVersion api, Arena *arena)
{
	size_t len = modify->value.len;
	uint8_t *data;
	uint8_t *p;

	if (api == API_V1)
		return modify->value;
	data = arena_alloc(arena, len + 9);
	if (len > 0)
		memcpy(data, modify->value.data, len);
	p = data + len;
	if (api == API_V1TTL || modify->expires_at != 0)
		p = put_u64(p, (uint64_t) modify->expires_at);
	if (api == API_V2)
		p = put_u8(p, modify->expires_at != 0 ? RAW_META_EXPIRES : 0);
	return bytes_make(data, (size_t) (p - data));
}

static CmdHeader
raw_header(const CmdHeader *header)
{
	CmdHeader raw = *header;

	raw.flags |= CMD_FLAG_RAW;
	return raw;
}

static char
raw_cf_letter(RawCf cf)
{
	return cf == RAW_CF_DEFAULT ? 'd' : cf == RAW_CF_LOCK ? 'l' : 'w';
}

Bytes
cmd_encode_raw(const CmdHeader *header, const RawModify *modifies, size_t n,
			   ApiVersion api, Arena *arena)
{
	CmdHeader raw = raw_header(header);
	size_t room = 0;
	ProtoWriter w;

	for (size_t i = 0; i < n; i++)
		room += cmd_raw_room(&modifies[i], api);
	w = begin(&raw, room, arena);
	for (size_t i = 0; i < n; i++)
	{
		Stored s = {.type = CMD_TYPE_DELETE,
					.cf = raw_cf_letter(modifies[i].cf),
					.key = raw_key(modifies[i].key, api, arena)};

		if (modifies[i].kind == RAW_PUT)
		{
			s.type = CMD_TYPE_PUT;
			s.value = raw_value(&modifies[i], api, arena);
		}
		put_request(&w, &s);
	}
	return proto_written(&w);
}

Bytes
cmd_encode_raw_range(const CmdHeader *header, const CmdRange *range,
					 ApiVersion api, Arena *arena)
{
	CmdHeader raw = raw_header(header);
	Stored s = {.type = CMD_TYPE_DELETE_RANGE, .cf = raw_cf_letter(range->cf)};
	ProtoWriter w;

	/* no lower bound is no bound, however keys are encoded */
	s.key = range->lower.len == 0 ? bytes_empty() :
									raw_key(range->lower, api, arena);
	s.value = range->upper.len == 0 ? bytes_empty() :
									  raw_key(range->upper, api, arena);
	w = begin(&raw, s.key.len + s.value.len + CMD_REQUEST_ROOM, arena);
	put_request(&w, &s);
	return proto_written(&w);
}

/* Does the value end as it should?  Without what is behind it. */
static Status
get_raw_value(Bytes stored, ApiVersion api, RawModify *out)
{
	size_t tail = 0;
	uint8_t meta = 0;
	NumberReader r;
	uint64_t expires = 0;

	if (api == API_V2)
	{
		if (stored.len == 0)
			return STATUS_INVALID;
		meta = stored.data[stored.len - 1];
		tail = 1;
	}
	if (api == API_V1TTL || (meta & RAW_META_EXPIRES) != 0)
	{
		if (stored.len < tail + 8)
			return STATUS_INVALID;
		tail += 8;
		r = number_reader(bytes_make(stored.data + stored.len - tail, 8));
		(void) get_u64(&r, &expires);
		if (expires > INT64_MAX)
			return STATUS_INVALID;
	}
	out->kind = (meta & RAW_META_DELETED) != 0 ? RAW_DELETE : RAW_PUT;
	out->value = bytes_make(stored.data, stored.len - tail);
	out->expires_at = (int64_t) expires;
	return STATUS_OK;
}

static Status
get_raw_key(Bytes stored, ApiVersion api, Arena *arena, Bytes *key)
{
	Bytes rest;

	if (api != API_V2)
	{
		*key = stored;
		return STATUS_OK;
	}
	/* TiKV appends a timestamp to keys of V2; the newest wins anyway. */
	if (memcomparable_decode(stored, arena, key, &rest) != STATUS_OK)
		return STATUS_INVALID;
	return rest.len == 0 || rest.len == 8 ? STATUS_OK : STATUS_INVALID;
}

static Status
get_raw_bound(Bytes stored, ApiVersion api, Arena *arena, Bytes *key)
{
	*key = bytes_empty();
	return stored.len == 0 ? STATUS_OK : get_raw_key(stored, api, arena, key);
}

static Status
take_raw(const Stored *s, ApiVersion api, Arena *arena, Command *out)
{
	RawCf cf = (RawCf) s->cf;
	RawModify *modify;
	CmdRange *range;
	Status status;

	if (s->type == CMD_TYPE_DELETE_RANGE)
	{
		range = &out->ranges[out->n_ranges++];
		range->cf = cf;
		status = get_raw_bound(s->key, api, arena, &range->lower);
		return status != STATUS_OK ?
			status :
			get_raw_bound(s->value, api, arena, &range->upper);
	}
	modify = &out->raw[out->n_raw++];
	memset(modify, 0, sizeof(*modify));
	modify->cf = cf;
	modify->kind = RAW_DELETE;
	if (s->type == CMD_TYPE_PUT)
	{
		status = get_raw_value(s->value, api, modify);
		if (status != STATUS_OK)
			return status;
	}
	return get_raw_key(s->key, api, arena, &modify->key);
}

/* ---------------------------------------------------------- transactions */

Bytes
cmd_encode_txn(const CmdHeader *header, const TxnModify *modifies, size_t n,
			   Arena *arena)
{
	size_t room = 0;
	ProtoWriter w;

	for (size_t i = 0; i < n; i++)
		room +=
			modifies[i].key.len * 2 + modifies[i].bytes.len + CMD_REQUEST_ROOM;
	w = begin(header, room, arena);
	for (size_t i = 0; i < n; i++)
	{
		const TxnModify *m = &modifies[i];
		Stored s = {.type = m->is_delete ? CMD_TYPE_DELETE : CMD_TYPE_PUT};

		if (m->memory_only)
			continue;
		s.cf = m->cf == TXN_CF_LOCK ? 'l' : m->cf == TXN_CF_WRITE ? 'w' : 'd';
		s.key = m->cf == TXN_CF_LOCK ?
			memcomparable_encode(m->key, arena) :
			memcomparable_encode_ts(m->key, m->ts, arena);
		if (!m->is_delete)
			s.value = m->bytes;
		put_request(&w, &s);
	}
	return proto_written(&w);
}

/* The record of a put, decoded as well: the overlay shows it to commands. */
static Status
get_record(Arena *arena, TxnModify *out)
{
	Lock *lock;

	switch (out->cf)
	{
		case TXN_CF_LOCK:
			lock = arena_zalloc(arena, sizeof(*lock));
			out->lock = lock;
			return lock_decode(out->bytes, arena, lock);
		case TXN_CF_WRITE:
			return write_decode(out->bytes, &out->write);
		case TXN_CF_VALUE:
			return STATUS_OK;
	}
	return STATUS_INVALID;
}

static Status
take_txn(const Stored *s, Arena *arena, Command *out)
{
	TxnModify *modify = &out->txn[out->n_txn];
	Bytes rest;
	NumberReader r;
	uint64_t desc = 0;

	if (s->type == CMD_TYPE_DELETE_RANGE)
		return STATUS_INVALID;
	out->n_txn++;
	memset(modify, 0, sizeof(*modify));
	modify->cf = s->cf == 'l' ? TXN_CF_LOCK :
		s->cf == 'w'		  ? TXN_CF_WRITE :
								TXN_CF_VALUE;
	modify->is_delete = s->type == CMD_TYPE_DELETE;
	if (memcomparable_decode(s->key, arena, &modify->key, &rest) != STATUS_OK)
		return STATUS_INVALID;
	r = number_reader(rest);
	if (modify->cf == TXN_CF_LOCK)
	{
		if (rest.len != 0)
			return STATUS_INVALID;
	}
	else if (rest.len != 8 || !get_u64(&r, &desc))
		return STATUS_INVALID;
	else
		modify->ts = ~desc;
	if (modify->is_delete)
		return STATUS_OK;
	modify->bytes = s->value;
	return get_record(arena, modify) == STATUS_OK ? STATUS_OK : STATUS_INVALID;
}

/* ------------------------------------------------------------------- admin */

Bytes
cmd_encode_admin(const CmdHeader *header, const CmdAdmin *admin, Arena *arena)
{
	ProtoWriter w = begin(header, 256, arena);
	ProtoMark mark = proto_begin(&w, 3, 128);

	cmd_admin_put(&w, admin);
	proto_end(&w, mark);
	return proto_written(&w);
}

/* ----------------------------------------------------------------- reading */

static Status
get_safe_point(Bytes bytes, CmdHeader *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	out->gc_safe_point = 0;
	while (proto_next(&r, &field))
		if (field.number == 1)
			out->gc_safe_point = proto_get_u64(&r, &field);
	return proto_status(&r);
}

static Status
get_header(Bytes bytes, CmdHeader *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;
	Bytes flag_data = bytes_empty();

	while (s == STATUS_OK && proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				out->region_id = proto_get_u64(&r, &field);
				break;
			case 2:
				s = cmd_peer_decode(proto_get_bytes(&r, &field), &out->peer);
				break;
			case 5:
				s = cmd_epoch_decode(proto_get_bytes(&r, &field), &out->epoch);
				break;
			case 6:
				out->term = proto_get_u64(&r, &field);
				break;
			case 10:
				out->flags = proto_get_u64(&r, &field);
				break;
			case 11:
				flag_data = proto_get_bytes(&r, &field);
				break;
		}
	if (s == STATUS_OK)
		s = proto_status(&r);
	if (s == STATUS_OK && (out->flags & CMD_FLAG_GC) != 0)
		s = get_safe_point(flag_data, out);
	return s;
}

static bool
get_cf(Bytes name, char *cf)
{
	*cf = 'd';
	if (name.len == 0 || bytes_eq(name, bytes_cstr("default")))
		return true;
	*cf = 'l';
	if (bytes_eq(name, bytes_cstr("lock")))
		return true;
	*cf = 'w';
	return bytes_eq(name, bytes_cstr("write"));
}

/* PutRequest, DeleteRequest and DeleteRangeRequest look alike. */
static Status
get_body(Bytes bytes, Stored *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;

	while (proto_next(&r, &field))
		switch (field.number)
		{
			case 1:
				if (!get_cf(proto_get_bytes(&r, &field), &out->cf))
					return STATUS_INVALID;
				break;
			case 2:
				out->key = proto_get_bytes(&r, &field);
				break;
			case 3:
				out->value = proto_get_bytes(&r, &field);
				break;
		}
	return proto_status(&r);
}

static Status
get_request(Bytes bytes, Stored *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Bytes bodies[REQUEST_DELETE_RANGE + 1] = {0};

	*out = (Stored){.cf = 'd'};
	while (proto_next(&r, &field))
	{
		if (field.number == REQUEST_TYPE)
			out->type = proto_get_u64(&r, &field);
		else if (field.number == REQUEST_PUT ||
				 field.number == REQUEST_DELETE ||
				 field.number == REQUEST_DELETE_RANGE)
			bodies[field.number] = proto_get_bytes(&r, &field);
	}
	if (r.bad)
		return STATUS_INVALID;
	switch (out->type)
	{
		case CMD_TYPE_PUT:
			return get_body(bodies[REQUEST_PUT], out);
		case CMD_TYPE_DELETE:
			return get_body(bodies[REQUEST_DELETE], out);
		case CMD_TYPE_DELETE_RANGE:
			return get_body(bodies[REQUEST_DELETE_RANGE], out);
		default:
			return STATUS_INVALID;
	}
}

static Status
take_request(Bytes bytes, ApiVersion api, Arena *arena, Command *out)
{
	Stored stored;
	Status s = get_request(bytes, &stored);

	if (s != STATUS_OK)
		return s;
	return (out->header.flags & CMD_FLAG_RAW) != 0 ?
		take_raw(&stored, api, arena, out) :
		take_txn(&stored, arena, out);
}

static void
make_room(Command *out, size_t n, Arena *arena)
{
	if (n == 0)
		return;
	if ((out->header.flags & CMD_FLAG_RAW) != 0)
	{
		out->raw = arena_alloc(arena, n * sizeof(RawModify));
		out->ranges = arena_alloc(arena, n * sizeof(CmdRange));
	}
	else
		out->txn = arena_alloc(arena, n * sizeof(TxnModify));
}

/* The header says how to read the rest, wherever it stands. */
static Status
find_header(Bytes bytes, CmdHeader *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s = STATUS_OK;

	while (s == STATUS_OK && proto_next(&r, &field))
		if (field.number == 1)
			s = get_header(proto_get_bytes(&r, &field), out);
	return s != STATUS_OK ? s : proto_status(&r);
}

Status
cmd_decode(Bytes bytes, ApiVersion api, Arena *arena, Command *out)
{
	ProtoReader r = proto_reader(bytes);
	ProtoField field;
	Status s;

	memset(out, 0, sizeof(*out));
	s = find_header(bytes, &out->header);
	if (s != STATUS_OK)
		return s;
	make_room(out, proto_count(bytes, 2), arena);
	while (s == STATUS_OK && proto_next(&r, &field))
	{
		Bytes body;

		if (field.number != 2 && field.number != 3)
			continue;
		body = proto_get_bytes(&r, &field);
		if (field.number == 2)
			s = take_request(body, api, arena, out);
		else
		{
			out->admin = arena_alloc(arena, sizeof(CmdAdmin));
			s = cmd_admin_decode(body, arena, out->admin);
		}
	}
	if (s == STATUS_OK && out->admin != NULL &&
		out->n_raw + out->n_ranges + out->n_txn > 0)
		return STATUS_INVALID;
	return s != STATUS_OK ? s : proto_status(&r);
}

/* ------------------------------------------------------------------ checks */

EpochRule
cmd_epoch_rule(const Command *command)
{
	if (command->admin == NULL)
		return EPOCH_DATA;
	switch (command->admin->type)
	{
		case CMD_ADMIN_CHANGE_PEER:
		case CMD_ADMIN_CHANGE_PEER_V2:
			return EPOCH_CONF_CHANGE;
		case CMD_ADMIN_BATCH_SPLIT:
		case CMD_ADMIN_PREPARE_FLASHBACK:
		case CMD_ADMIN_FINISH_FLASHBACK:
			return EPOCH_RANGE_CHANGE;
		case CMD_ADMIN_NONE:
		case CMD_ADMIN_COMPACT_LOG:
		case CMD_ADMIN_TRANSFER_LEADER:
			break;
	}
	return EPOCH_NONE;
}

/* The sign of key - bound, in the region's form of keys. */
static int
cmp_bound(Bytes key, Bytes bound, bool encoded)
{
	return encoded ? memcomparable_cmp(key, bound) : bytes_cmp(key, bound);
}

static bool
contains(const Region *region, Bytes key, bool encoded)
{
	return cmp_bound(key, region->start_key, encoded) >= 0 &&
		(region->end_key.len == 0 ||
		 cmp_bound(key, region->end_key, encoded) < 0);
}

/* A range may end where the region ends. */
static bool
contains_range(const Region *region, const CmdRange *range, bool encoded)
{
	if (cmp_bound(range->lower, region->start_key, encoded) < 0 &&
		!(range->lower.len == 0 && region->start_key.len == 0))
		return false;
	if (region->end_key.len == 0)
		return true;
	return range->upper.len > 0 &&
		cmp_bound(range->upper, region->end_key, encoded) <= 0;
}

bool
cmd_in_region(const Command *command, const Region *region, ApiVersion api,
			  Bytes *outside)
{
	bool encoded = api == API_V2;

	for (size_t i = 0; i < command->n_raw; i++)
	{
		*outside = command->raw[i].key;
		if (!contains(region, *outside, encoded))
			return false;
	}
	for (size_t i = 0; i < command->n_ranges; i++)
	{
		*outside = command->ranges[i].lower;
		if (!contains_range(region, &command->ranges[i], encoded))
			return false;
	}
	for (size_t i = 0; i < command->n_txn; i++)
	{
		*outside = command->txn[i].key;
		if (!contains(region, *outside, true))
			return false;
	}
	return true;
}
