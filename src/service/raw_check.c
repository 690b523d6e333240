/*
 * raw_check.c
 *	  Reasons to refuse a raw request that need only its message.
 *
 * The texts are TiKV's (tikv/tikv src/storage/errors.rs): people and tests
 * look for them.
 */
#include "core/base/rpc_code.h"
#include "service/messages.h"
#include "service/raw_internal.h"

void
raw_error(Request *request, const char *text)
{
	const ProtobufCMessageDescriptor *type = request->method->response;
	ProtobufCMessage *reply = service_new_message(type, request->arena);

	if (!service_set_string(reply, "error", text))
		service_set_pair_error(reply, text, request->arena);
	request->done(request, reply);
}

/*
 * Where a response has no `error`, there are pairs.  client-go and client-java look
 * at no pair's error: what rawkv.Scan got would be a pair without a key, and what
 * BatchGet got no keys at all.  Of the region errors this is the one that all
 * clients report, and at once.
 */
void
raw_answer_read_error(Request *request, const char *text)
{
	const Kvrpcpb__Context *context = service_context(request->message);
	RegionError error = {.kind = REGION_ENTRY_TOO_LARGE, .reason = text};

	if (protobuf_c_message_descriptor_get_field_by_name(request->method
															->response,
														"error") != NULL)
	{
		raw_error(request, text);
		return;
	}
	error.region_id = context != NULL ? context->region_id : 0;
	service_region_error(request, &error);
}

static bool
version_not_matched(const RawDecoder *decoder)
{
	raw_error(
		decoder->request,
		arena_printf(
			decoder->request->arena,
			"Api version in request does not match with TiKV storage, cmd: %s, storage: %s, request: %s",
			decoder->name, api_name(decoder->limits->api),
			api_name(decoder->command->context.api_version)));
	return false;
}

bool
raw_check_context(RawDecoder *decoder)
{
	static const Kvrpcpb__Context nothing = KVRPCPB__CONTEXT__INIT;
	Request *request = decoder->request;
	RawCommand *command = decoder->command;
	const Kvrpcpb__Context *context = service_context(request->message);
	uint64_t ours = decoder->limits->cluster_id;

	service_decode_context(context != NULL ? context : &nothing,
						   &command->context);
	if (command->context.cluster_id != 0 && command->context.cluster_id != ours)
	{
		request->fail(
			request, RPC_INVALID_ARGUMENT,
			arena_printf(request->arena,
						 "cluster id mismatch, request: %llu, store: %llu",
						 (unsigned long long) command->context.cluster_id,
						 (unsigned long long) ours));
		return false;
	}
	command->encoded = decoder->limits->api == API_V2;
	if (api_check_request(decoder->limits->api, command->context.api_version,
						  true) == API_OK)
		return true;
	return version_not_matched(decoder);
}

/* In API V2 the keys of all requests live in one family. */
bool
raw_check_cf(RawDecoder *decoder, const char *name)
{
	const char *format = "invalid cf name: %.64s";

	if (decoder->limits->api == API_V2 && name[0] != '\0')
		format = "cf is deprecated in API V2, cf name: %.64s";
	else if (raw_cf_parse(name, &decoder->command->cf))
		return true;
	raw_error(decoder->request,
			  arena_printf(decoder->request->arena, format, name));
	return false;
}

/* A text has this much of a key, which may be as long as a message. */
#define SHOWN_KEY_BYTES ((size_t) 64)

/* The bytes as TiKV prints keys. */
static const char *
hex(Bytes key, Arena *arena)
{
	bool is_whole = key.len <= SHOWN_KEY_BYTES;
	size_t n = is_whole ? key.len : SHOWN_KEY_BYTES;
	char *out = arena_alloc(arena, 2 * n + sizeof("..."));

	for (size_t i = 0; i < n; i++)
	{
		out[2 * i] = "0123456789ABCDEF"[key.data[i] >> 4];
		out[2 * i + 1] = "0123456789ABCDEF"[key.data[i] & 15];
	}
	strcpy(out + 2 * n, is_whole ? "" : "...");
	return out;
}

bool
raw_check_key_mode(RawDecoder *decoder, Bytes key)
{
	Arena *arena = decoder->request->arena;
	ApiVersion storage = decoder->limits->api;

	if (api_check_key(storage, decoder->command->context.api_version, true,
					  key) == API_OK)
		return true;
	raw_error(
		decoder->request,
		arena_printf(
			arena,
			"Key mode mismatched with the request mode, cmd: %s, storage: %s, key: %s",
			decoder->name, api_name(storage), hex(key, arena)));
	return false;
}

bool
raw_check_key_range(RawDecoder *decoder, Bytes start, Bytes end)
{
	Arena *arena = decoder->request->arena;
	ApiVersion storage = decoder->limits->api;

	if (api_check_range(storage, decoder->command->context.api_version, true,
						start, end) == API_OK)
		return true;
	raw_error(
		decoder->request,
		arena_printf(
			arena,
			"Key mode mismatched with the request mode, cmd: %s, storage: %s, range: (Some(\"%s\"), Some(\"%s\"))",
			decoder->name, api_name(storage), hex(start, arena),
			hex(end, arena)));
	return false;
}

bool
raw_check_key_size(RawDecoder *decoder, Bytes key)
{
	size_t limit = decoder->limits->max_key_size;

	if (key.len <= limit)
		return true;
	raw_error(decoder->request,
			  arena_printf(decoder->request->arena,
						   "max key size exceeded, size: %zu, limit: %zu",
						   key.len, limit));
	return false;
}

bool
raw_check_ttl(RawDecoder *decoder, uint64_t ttl)
{
	if (ttl == 0 || api_has_ttl(decoder->limits->api))
		return true;
	raw_error(decoder->request,
			  "ttl is not enabled, but get put request with ttl");
	return false;
}

bool
raw_check_entry_size(RawDecoder *decoder, size_t bytes)
{
	RegionError error = {0};

	decoder->command->write_bytes = bytes;
	if (bytes <= decoder->limits->max_entry_size)
		return true;
	error.kind = REGION_ENTRY_TOO_LARGE;
	error.region_id = decoder->command->context.region_id;
	error.actual = bytes;
	service_region_error(decoder->request, &error);
	return false;
}
