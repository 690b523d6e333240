/*
 * raw.c
 *	  The raw API: kvrpcpb messages <-> plain commands.
 *
 * Every check that needs only the message is here: cluster id, API version,
 * column family, key and entry sizes.  What needs the region (range, epoch)
 * is core/region's; what needs rows comes through the core's RawReader.
 * Texts of errors are TiKV's where clients or people look for them.
 */
#include "service/raw.h"

#include "core/base/rpc_code.h"
#include "kvrpcpb.pb-c.h"
#include "service/messages.h"

static Bytes
from_wire(ProtobufCBinaryData b)
{
	return bytes_make(b.data, b.len);
}

void
raw_error(Request *request, const char *text)
{
	const ProtobufCMessageDescriptor *type = request->method->response;
	ProtobufCMessage *reply = service_new_message(type, request->arena);

	if (!service_set_string(reply, "error", text))
		service_set_pair_error(reply, text, request->arena);
	request->done(request, reply);
}

/* ------------------------------------------------------------- decoding */

static const Kvrpcpb__Context empty_context = KVRPCPB__CONTEXT__INIT;

static bool
decode_context(Request *request, const RawLimits *limits, RequestContext *out)
{
	const Kvrpcpb__Context *context = service_context(request->message);

	if (context == NULL)
		context = &empty_context;
	service_decode_context(context, out);
	if (out->cluster_id != 0 && out->cluster_id != limits->cluster_id)
	{
		request->fail(
			request, RPC_INVALID_ARGUMENT,
			arena_printf(request->arena,
						 "cluster id mismatch, request: %llu, store: %llu",
						 (unsigned long long) out->cluster_id,
						 (unsigned long long) limits->cluster_id));
		return false;
	}
	if (out->api_version != KVRPCPB__APIVERSION__V1)
	{
		raw_error(
			request,
			arena_printf(
				request->arena,
				"Api version in request does not match with TiKV storage, cmd: %s, storage: V%d, request: %d",
				request->method->path, limits->api_version, out->api_version));
		return false;
	}
	return true;
}

static bool
check_cf(Request *request, const char *name, RawCf *cf)
{
	if (raw_cf_parse(name, cf))
		return true;
	raw_error(request,
			  arena_printf(request->arena, "invalid cf name: %.64s", name));
	return false;
}

static bool
check_key(Request *request, const RawLimits *limits, Bytes key)
{
	if (key.len <= limits->max_key_size)
		return true;
	raw_error(request,
			  arena_printf(request->arena,
						   "max key size exceeded, size: %zu, limit: %zu",
						   key.len, limits->max_key_size));
	return false;
}

static bool
check_ttl(Request *request, const RawLimits *limits, uint64_t ttl)
{
	if (ttl == 0 || limits->ttl_enabled)
		return true;
	raw_error(request, "ttl is not enabled, but get put request with ttl");
	return false;
}

static bool
check_entry_size(Request *request, const RawLimits *limits, RawCommand *command)
{
	RegionError error = {0};

	command->write_bytes = 0;
	for (size_t i = 0; i < command->n_modifies; i++)
		command->write_bytes +=
			command->modifies[i].key.len + command->modifies[i].value.len;
	if (command->write_bytes <= limits->max_entry_size)
		return true;
	error.kind = REGION_ENTRY_TOO_LARGE;
	error.region_id = command->context.region_id;
	error.actual = command->write_bytes;
	service_region_error(request, &error);
	return false;
}

static bool
decode_keys(Request *request, const RawLimits *limits, RawCommand *command,
			const ProtobufCBinaryData *keys, size_t n_keys)
{
	command->n_keys = n_keys;
	command->keys = arena_alloc(request->arena, n_keys * sizeof(Bytes));
	for (size_t i = 0; i < n_keys; i++)
	{
		command->keys[i] = from_wire(keys[i]);
		if (!check_key(request, limits, command->keys[i]))
			return false;
	}
	return true;
}

static void
add_modify(RawCommand *command, RawModifyKind kind, Bytes key, Bytes value)
{
	RawModify *modify = &command->modifies[command->n_modifies++];

	modify->kind = kind;
	modify->cf = command->cf;
	modify->key = key;
	modify->value = value;
	modify->expires_at = 0;
}

static void
alloc_modifies(Request *request, RawCommand *command, size_t n)
{
	command->n_modifies = 0;
	command->modifies = arena_alloc(request->arena, n * sizeof(RawModify));
}

static bool
decode_put(Request *request, const RawLimits *limits, RawCommand *command)
{
	const Kvrpcpb__RawPutRequest *put = (const void *) request->message;

	if (!check_cf(request, put->cf, &command->cf) ||
		!check_key(request, limits, from_wire(put->key)) ||
		!check_ttl(request, limits, put->ttl))
		return false;
	alloc_modifies(request, command, 1);
	add_modify(command, RAW_PUT, from_wire(put->key), from_wire(put->value));
	command->must_be_absent = request->method->id == METHOD_SQL_INSERT;
	return true;
}

static bool
check_ttls(Request *request, const RawLimits *limits,
		   const Kvrpcpb__RawBatchPutRequest *put)
{
	if (put->n_ttls > 1 && put->n_ttls != put->n_pairs)
	{
		raw_error(
			request,
			arena_printf(
				request->arena,
				"The length of ttls %zu does not match the length of pairs %zu",
				put->n_ttls, put->n_pairs));
		return false;
	}
	for (size_t i = 0; i < put->n_ttls; i++)
		if (!check_ttl(request, limits, put->ttls[i]))
			return false;
	return check_ttl(request, limits, put->ttl);
}

static bool
decode_batch_put(Request *request, const RawLimits *limits, RawCommand *command)
{
	const Kvrpcpb__RawBatchPutRequest *put = (const void *) request->message;

	if (!check_cf(request, put->cf, &command->cf) ||
		!check_ttls(request, limits, put))
		return false;
	alloc_modifies(request, command, put->n_pairs);
	for (size_t i = 0; i < put->n_pairs; i++)
	{
		Bytes key = from_wire(put->pairs[i]->key);

		if (!check_key(request, limits, key))
			return false;
		add_modify(command, RAW_PUT, key, from_wire(put->pairs[i]->value));
	}
	return true;
}

static bool
decode_delete(Request *request, const RawLimits *limits, RawCommand *command)
{
	const Kvrpcpb__RawDeleteRequest *del = (const void *) request->message;

	if (!check_cf(request, del->cf, &command->cf) ||
		!check_key(request, limits, from_wire(del->key)))
		return false;
	alloc_modifies(request, command, 1);
	add_modify(command, RAW_DELETE, from_wire(del->key), bytes_empty());
	return true;
}

static bool
decode_batch_delete(Request *request, const RawLimits *limits,
					RawCommand *command)
{
	const Kvrpcpb__RawBatchDeleteRequest *del = (const void *) request->message;

	if (!check_cf(request, del->cf, &command->cf))
		return false;
	alloc_modifies(request, command, del->n_keys);
	for (size_t i = 0; i < del->n_keys; i++)
	{
		Bytes key = from_wire(del->keys[i]);

		if (!check_key(request, limits, key))
			return false;
		add_modify(command, RAW_DELETE, key, bytes_empty());
	}
	return true;
}

static bool
decode_get(Request *request, const RawLimits *limits, RawCommand *command)
{
	const Kvrpcpb__RawGetRequest *get = (const void *) request->message;

	return check_cf(request, get->cf, &command->cf) &&
		decode_keys(request, limits, command, &get->key, 1);
}

static bool
decode_batch_get(Request *request, const RawLimits *limits, RawCommand *command)
{
	const Kvrpcpb__RawBatchGetRequest *get = (const void *) request->message;

	return check_cf(request, get->cf, &command->cf) &&
		decode_keys(request, limits, command, get->keys, get->n_keys);
}

/*
 * A forward scan covers [start_key, end_key).  In a reverse scan start_key is
 * the exclusive upper bound and end_key the inclusive lower one.
 */
static bool
decode_scan(Request *request, const RawLimits *limits, RawCommand *command)
{
	const Kvrpcpb__RawScanRequest *scan = (const void *) request->message;
	Bytes start = from_wire(scan->start_key);
	Bytes end = from_wire(scan->end_key);

	if (!check_cf(request, scan->cf, &command->cf) ||
		!check_key(request, limits, start) || !check_key(request, limits, end))
		return false;
	command->scan.cf = command->cf;
	command->scan.reverse = scan->reverse;
	command->scan.key_only = scan->key_only;
	command->scan.limit = scan->limit;
	command->scan.lower = scan->reverse ? end : start;
	command->scan.upper = scan->reverse ? start : end;
	return true;
}

bool
raw_decode(Request *request, const RawLimits *limits, RawCommand *command)
{
	bool ok = false;

	memset(command, 0, sizeof(*command));
	if (!decode_context(request, limits, &command->context))
		return false;
	switch (request->method->id)
	{
		case METHOD_RAW_GET:
			return decode_get(request, limits, command);
		case METHOD_RAW_BATCH_GET:
			return decode_batch_get(request, limits, command);
		case METHOD_RAW_SCAN:
			return decode_scan(request, limits, command);
		case METHOD_RAW_PUT:
		case METHOD_SQL_INSERT:
			ok = decode_put(request, limits, command);
			break;
		case METHOD_RAW_BATCH_PUT:
			ok = decode_batch_put(request, limits, command);
			break;
		case METHOD_RAW_DELETE:
			ok = decode_delete(request, limits, command);
			break;
		case METHOD_RAW_BATCH_DELETE:
			ok = decode_batch_delete(request, limits, command);
			break;
		default:
			request->fail(request, RPC_UNIMPLEMENTED, "not a raw method");
			return false;
	}
	return ok && check_entry_size(request, limits, command);
}

/* ---------------------------------------------------------------- checks */

/* The bound from which the scan starts must lie in the region. */
static bool
scan_starts_inside(const RawScan *scan, const Region *region)
{
	if (!scan->reverse)
		return region_contains(region, scan->lower);
	if (scan->upper.len == 0)
		return true;
	return bytes_cmp(scan->upper, region->start_key) > 0 &&
		(region->end_key.len == 0 ||
		 bytes_cmp(scan->upper, region->end_key) <= 0);
}

bool
raw_check_range(const RawCommand *command, int method, const Region *region,
				RegionError *error)
{
	if (method == METHOD_RAW_SCAN)
	{
		if (scan_starts_inside(&command->scan, region))
			return true;
		memset(error, 0, sizeof(*error));
		error->kind = REGION_KEY_NOT_IN_REGION;
		error->region_id = region->id;
		error->key =
			command->scan.reverse ? command->scan.upper : command->scan.lower;
		error->current = region;
		return false;
	}
	for (size_t i = 0; i < command->n_keys; i++)
		if (!region_check_key(region, command->keys[i], error))
			return false;
	for (size_t i = 0; i < command->n_modifies; i++)
		if (!region_check_key(region, command->modifies[i].key, error))
			return false;
	return true;
}

void
raw_write_done(Request *request)
{
	request->done(request,
				  service_new_message(request->method->response,
									  request->arena));
}
