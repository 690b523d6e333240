/*
 * raw_read.c
 *	  Raw reads over a reader: get, its time to live, batch get, scans, and
 *	  their answers.
 */
#include "core/base/check.h"
#include "core/kv/expiry.h"
#include "service/messages.h"
#include "service/pair_list.h"
#include "service/raw_internal.h"

static void
read_get(Request *request, const RawCommand *command, RawReader *reader)
{
	Kvrpcpb__RawGetResponse reply = KVRPCPB__RAW_GET_RESPONSE__INIT;
	RawPair pair;

	if (reader->get(reader, command->cf, command->keys[0], request->arena,
					&pair))
		reply.value = raw_to_wire(pair.value);
	else
		reply.not_found = true;
	request->done(request, &reply.base);
}

/* A key that is there has time left, by the reader's clock a moment ago. */
static void
read_get_key_ttl(Request *request, const RawCommand *command, RawReader *reader,
				 const RawLimits *limits)
{
	Kvrpcpb__RawGetKeyTTLResponse reply =
		KVRPCPB__RAW_GET_KEY_TTLRESPONSE__INIT;
	int64_t now_s = limits->now_s();
	RawPair pair;

	if (!reader->get(reader, command->cf, command->keys[0], request->arena,
					 &pair) ||
		expiry_passed(pair.expires_at, now_s))
		reply.not_found = true;
	else
		reply.ttl = expiry_left_s(pair.expires_at, now_s);
	request->done(request, &reply.base);
}

/* ---- answers of many pairs ---- */

static void
add_pair(PairList *list, Bytes key, Bytes value)
{
	Kvrpcpb__KvPair *pair = pair_list_add(list);

	pair->key = raw_to_wire(key);
	pair->value = raw_to_wire(value);
}

static void
read_batch_get(Request *request, const RawCommand *command, RawReader *reader,
			   const RawLimits *limits)
{
	Kvrpcpb__RawBatchGetResponse reply = KVRPCPB__RAW_BATCH_GET_RESPONSE__INIT;
	PairList list = {.request = request, .limits = limits};
	RawPair pair;

	for (size_t i = 0; i < command->n_keys && pair_list_goes_on(&list, i); i++)
	{
		Bytes key = command->keys[i];

		if (!reader->get(reader, command->cf, key, request->arena, &pair))
			continue;
		if (!pair_list_may_add(&list, key.len + pair.value.len))
			break;
		add_pair(&list, key, pair.value);
	}
	if (!pair_list_is_whole(&list, raw_answer_read_error))
		return;
	reply.pairs = list.pairs;
	reply.n_pairs = list.n;
	request->done(request, &reply.base);
}

static bool
collect_pair(void *arg, const RawPair *pair)
{
	PairList *list = arg;
	Arena *arena = list->request->arena;

	if (!pair_list_may_add(list, pair->key.len + pair->value.len))
		return false;
	add_pair(list, arena_copy(arena, pair->key),
			 arena_copy(arena, pair->value));
	return true;
}

static bool
list_goes_on(void *arg)
{
	return pair_list_goes_on(arg, RAW_LOOK_EVERY - 1);
}

/*
 * All scans of the command, one behind the other; false if it was answered.
 * There may be millions that find nothing.
 */
static bool
run_scans(const RawCommand *command, const Region *region, RawReader *reader,
		  PairList *list)
{
	for (size_t i = 0; i < command->n_scans && pair_list_goes_on(list, i); i++)
	{
		RawScan scan = command->scans[i];

		raw_clip_scan(&scan, region);
		scan.goes_on = list_goes_on;
		if (scan.limit > 0)
			reader->scan(reader, &scan, collect_pair, list);
		if (list->too_large || list->interrupted != NULL)
			break;
	}
	return pair_list_is_whole(list, raw_answer_read_error);
}

static void
read_scan(Request *request, const RawCommand *command, const Region *region,
		  RawReader *reader, const RawLimits *limits)
{
	Kvrpcpb__RawScanResponse reply = KVRPCPB__RAW_SCAN_RESPONSE__INIT;
	PairList list = {.request = request, .limits = limits};

	if (!run_scans(command, region, reader, &list))
		return;
	reply.kvs = list.pairs;
	reply.n_kvs = list.n;
	request->done(request, &reply.base);
}

static void
read_batch_scan(Request *request, const RawCommand *command,
				const Region *region, RawReader *reader,
				const RawLimits *limits)
{
	Kvrpcpb__RawBatchScanResponse reply =
		KVRPCPB__RAW_BATCH_SCAN_RESPONSE__INIT;
	PairList list = {.request = request, .limits = limits};

	if (!run_scans(command, region, reader, &list))
		return;
	reply.kvs = list.pairs;
	reply.n_kvs = list.n;
	request->done(request, &reply.base);
}

void
raw_read(Request *request, const RawCommand *command, const Region *region,
		 RawReader *reader, const RawLimits *limits)
{
	const Region *plain = raw_plain_region(command, region);

	CHECK(plain != NULL);
	switch (request->method->id)
	{
		case METHOD_RAW_GET:
			read_get(request, command, reader);
			break;
		case METHOD_RAW_GET_KEY_TTL:
			read_get_key_ttl(request, command, reader, limits);
			break;
		case METHOD_RAW_BATCH_GET:
			read_batch_get(request, command, reader, limits);
			break;
		case METHOD_RAW_BATCH_SCAN:
			read_batch_scan(request, command, plain, reader, limits);
			break;
		case METHOD_RAW_CHECKSUM:
			raw_read_checksum(request, command, plain, reader, limits);
			break;
		default:
			read_scan(request, command, plain, reader, limits);
			break;
	}
}
