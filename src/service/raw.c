/*
 * raw.c
 *	  The raw API: kvrpcpb messages -> plain commands; answers of writes.
 *
 * Every check that needs only the message is made here, with raw_check.c.
 * What needs the region (range, epoch) is core/region's and raw_range.c's;
 * what needs rows comes through the core's RawReader.
 */
#include "core/base/rpc_code.h"
#include "core/cmd/command.h"
#include "core/kv/expiry.h"
#include "service/messages.h"
#include "service/raw_internal.h"

/* A key that is read. */
static bool
read_key_ok(RawDecoder *decoder, Bytes key)
{
	return raw_check_key_mode(decoder, key) && raw_check_key_size(decoder, key);
}

static bool
decode_keys(RawDecoder *decoder, const ProtobufCBinaryData *keys, size_t n_keys)
{
	RawCommand *command = decoder->command;

	command->n_keys = n_keys;
	command->keys =
		arena_alloc(decoder->request->arena, n_keys * sizeof(Bytes));
	for (size_t i = 0; i < n_keys; i++)
	{
		command->keys[i] = raw_from_wire(keys[i]);
		if (!read_key_ok(decoder, command->keys[i]))
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- writes */

/*
 * Room for n effects; false if there are more than fit into a log entry, however
 * short their keys: they would take 30 times the bytes of their message.
 */
static bool
alloc_modifies(RawDecoder *decoder, size_t n)
{
	if (!raw_check_entry_size(decoder, n * CMD_REQUEST_ROOM))
		return false;
	decoder->command->write_bytes = 0; /* counted once all are there */
	decoder->command->n_modifies = 0;
	decoder->command->modifies =
		arena_zalloc(decoder->request->arena, n * sizeof(RawModify));
	return true;
}

/* The next effect; false if its key is refused. */
static bool
add_modify(RawDecoder *decoder, RawModifyKind kind, ProtobufCBinaryData key,
		   ProtobufCBinaryData value, uint64_t ttl)
{
	RawCommand *command = decoder->command;
	RawModify *modify = &command->modifies[command->n_modifies++];

	modify->kind = kind;
	modify->cf = command->cf;
	modify->key = raw_from_wire(key);
	modify->value = raw_from_wire(value);
	modify->expires_at = expiry_of_ttl(ttl, decoder->limits->now_s());
	return raw_check_key_mode(decoder, modify->key) &&
		raw_check_key_size(decoder, modify->key);
}

static const ProtobufCBinaryData no_value = {0, NULL};

static bool
decode_put(RawDecoder *decoder)
{
	const Kvrpcpb__RawPutRequest *put =
		(const void *) decoder->request->message;

	decoder->command->atomic = put->for_cas;
	decoder->command->must_be_absent =
		decoder->request->method->id == METHOD_SQL_INSERT;
	return alloc_modifies(decoder, 1) && raw_check_cf(decoder, put->cf) &&
		add_modify(decoder, RAW_PUT, put->key, put->value, put->ttl) &&
		raw_check_ttl(decoder, put->ttl);
}

/*
 * No ttls: none expires; one: it is everybody's.  The field `ttl` of older
 * clients is ignored, as TiKV does.
 */
static bool
check_ttls(RawDecoder *decoder, const Kvrpcpb__RawBatchPutRequest *put)
{
	for (size_t i = 0; i < put->n_ttls; i++)
		if (!raw_check_ttl(decoder, put->ttls[i]))
			return false;
	if (put->n_ttls <= 1 || put->n_ttls == put->n_pairs)
		return true;
	raw_error(decoder->request,
			  "The length of ttls does not equal to the length of pairs");
	return false;
}

static uint64_t
ttl_of_pair(const Kvrpcpb__RawBatchPutRequest *put, size_t i)
{
	if (put->n_ttls == 0)
		return 0;
	return put->ttls[put->n_ttls == 1 ? 0 : i];
}

static bool
decode_batch_put(RawDecoder *decoder)
{
	const Kvrpcpb__RawBatchPutRequest *put =
		(const void *) decoder->request->message;

	decoder->command->atomic = put->for_cas;
	decoder->command->must_be_absent =
		decoder->request->method->id == METHOD_SQL_BATCH_INSERT;
	if (!raw_check_cf(decoder, put->cf) || !check_ttls(decoder, put) ||
		!alloc_modifies(decoder, put->n_pairs))
		return false;
	for (size_t i = 0; i < put->n_pairs; i++)
		if (!add_modify(decoder, RAW_PUT, put->pairs[i]->key,
						put->pairs[i]->value, ttl_of_pair(put, i)))
			return false;
	return true;
}

static bool
decode_delete(RawDecoder *decoder)
{
	const Kvrpcpb__RawDeleteRequest *del =
		(const void *) decoder->request->message;

	decoder->command->atomic = del->for_cas;
	return alloc_modifies(decoder, 1) && raw_check_cf(decoder, del->cf) &&
		add_modify(decoder, RAW_DELETE, del->key, no_value, 0);
}

static bool
decode_batch_delete(RawDecoder *decoder)
{
	const Kvrpcpb__RawBatchDeleteRequest *del =
		(const void *) decoder->request->message;

	decoder->command->atomic = del->for_cas;
	if (!raw_check_cf(decoder, del->cf) ||
		!alloc_modifies(decoder, del->n_keys))
		return false;
	for (size_t i = 0; i < del->n_keys; i++)
		if (!add_modify(decoder, RAW_DELETE, del->keys[i], no_value, 0))
			return false;
	return true;
}

/* A write must fit into a log entry, small keys with what each takes there. */
static bool
check_write_size(RawDecoder *decoder)
{
	const RawCommand *command = decoder->command;
	size_t bytes = command->write_bytes;

	for (size_t i = 0; i < command->n_modifies; i++)
		bytes += cmd_raw_room(&command->modifies[i], decoder->limits->api);
	return raw_check_entry_size(decoder, bytes);
}

/* ----------------------------------------------------------------- reads */

static bool
decode_get(RawDecoder *decoder)
{
	const Kvrpcpb__RawGetRequest *get =
		(const void *) decoder->request->message;

	return raw_check_cf(decoder, get->cf) && decode_keys(decoder, &get->key, 1);
}

static bool
decode_batch_get(RawDecoder *decoder)
{
	const Kvrpcpb__RawBatchGetRequest *get =
		(const void *) decoder->request->message;

	return raw_check_cf(decoder, get->cf) &&
		decode_keys(decoder, get->keys, get->n_keys);
}

/* Without times to live TiKV panics here; an error serves people better. */
static bool
decode_get_key_ttl(RawDecoder *decoder)
{
	const Kvrpcpb__RawGetKeyTTLRequest *get =
		(const void *) decoder->request->message;

	if (!api_has_ttl(decoder->limits->api))
	{
		raw_error(decoder->request,
				  "ttl is not enabled, but get put request with ttl");
		return false;
	}
	return raw_check_cf(decoder, get->cf) && decode_keys(decoder, &get->key, 1);
}

/* ------------------------------------------------------------- the table */

typedef struct RawMethod
{
	int id;
	const char *name; /* tikv/tikv src/storage/metrics.rs, CommandKind */
	bool (*decode)(RawDecoder *decoder);
	bool writes;
} RawMethod;

static const RawMethod methods[] = {
	{METHOD_RAW_GET, "raw_get", decode_get, false},
	{METHOD_RAW_BATCH_GET, "raw_batch_get", decode_batch_get, false},
	{METHOD_RAW_GET_KEY_TTL, "raw_get_key_ttl", decode_get_key_ttl, false},
	{METHOD_RAW_SCAN, "raw_scan", raw_decode_scan, false},
	{METHOD_RAW_BATCH_SCAN, "raw_batch_scan", raw_decode_batch_scan, false},
	{METHOD_RAW_CHECKSUM, "raw_checksum", raw_decode_checksum, false},
	{METHOD_RAW_PUT, "raw_put", decode_put, true},
	{METHOD_SQL_INSERT, "raw_put", decode_put, true},
	{METHOD_RAW_BATCH_PUT, "raw_batch_put", decode_batch_put, true},
	{METHOD_SQL_BATCH_INSERT, "raw_batch_put", decode_batch_put, true},
	{METHOD_RAW_DELETE, "raw_delete", decode_delete, true},
	{METHOD_RAW_BATCH_DELETE, "raw_batch_delete", decode_batch_delete, true},
	{METHOD_RAW_DELETE_RANGE, "raw_delete_range", raw_decode_delete_range,
	 true},
	{METHOD_RAW_CAS, "raw_compare_and_swap", raw_decode_cas, true},
};

static const RawMethod *
find_method(int id)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].id == id)
			return &methods[i];
	return NULL;
}

bool
raw_decode(Request *request, const RawLimits *limits, RawCommand *command)
{
	const RawMethod *method = find_method(request->method->id);
	RawDecoder decoder = {request, limits, command, NULL};

	memset(command, 0, sizeof(*command));
	command->arena = request->arena;
	if (method == NULL)
	{
		request->fail(request, RPC_UNIMPLEMENTED, "not a raw method");
		return false;
	}
	decoder.name = method->name;
	if (!raw_check_context(&decoder) || !method->decode(&decoder))
		return false;
	return !method->writes || check_write_size(&decoder);
}

/* ---------------------------------------------------------------- answers */

void
raw_write_done(Request *request)
{
	request->done(request,
				  service_new_message(request->method->response,
									  request->arena));
}

/* Source of the text: tikv/tikv src/coprocessor_v2/endpoint.rs. */
void
raw_coprocessor_answer(Request *request)
{
	raw_error(request, "Coprocessor plugin is disabled!");
}
