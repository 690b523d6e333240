/*
 * test_service_raw.c
 *	  Raw requests: what is refused, with which words, and what reads answer.
 */
#include "core/base/rpc_code.h"
#include "core/cmd/command.h"
#include "raw_fixture.h"
#include "service/raw.h"

/* ------------------------------------------------------------------- tests */

static void
gets(void)
{
	Kvrpcpb__RawGetRequest get = KVRPCPB__RAW_GET_REQUEST__INIT;
	Region region = whole();
	RawCommand command;
	Request request;
	Kvrpcpb__RawGetResponse *answer;

	get.key = wire("b");
	request = request_of(METHOD_RAW_GET, &get.base);
	OK(raw_decode(&request, &limits, &command), "a get decodes");
	raw_read(&request, &command, &region, &array.base, &limits);
	answer = reply();
	OK(answer->value.len == 1 && answer->value.data[0] == '2' &&
		   !answer->not_found,
	   "and finds its value");
	get.key = wire("x");
	request = request_of(METHOD_RAW_GET, &get.base);
	OK(raw_decode(&request, &limits, &command), "an absent key decodes too");
	raw_read(&request, &command, &region, &array.base, &limits);
	answer = reply();
	OK(answer->not_found && answer->value.len == 0 && answer->error[0] == 0,
	   "txn-semantics 26.2 row 1: RawGet: and is not found, without an error");
	EQ_U64(answers, 1, "answered once");
}

static void
expect_raw_error(Request *request, const char *text, const char *what)
{
	RawCommand command;
	Kvrpcpb__RawPutResponse *answer;

	OK(!raw_decode(request, &limits, &command) && answers == 1, what);
	answer = reply();
	EQ_STR(answer->error, text, "with TiKV's words");
}

static void
refusals(void)
{
	Kvrpcpb__RawPutRequest put = KVRPCPB__RAW_PUT_REQUEST__INIT;
	Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;
	char key[102];
	char value[1001];
	Request request;
	RawCommand command;
	Kvrpcpb__RawPutResponse *answer;

	memset(key, 'k', sizeof(key));
	key[101] = 0;
	memset(value, 'v', sizeof(value));
	value[1000] = 0;
	put.context = &context;
	put.key = wire(key);
	request = request_of(METHOD_RAW_PUT, &put.base);
	expect_raw_error(&request, "max key size exceeded, size: 101, limit: 100",
					 "a key over the limit is refused");
	put.key = wire("k");
	put.cf = "raft";
	request = request_of(METHOD_RAW_PUT, &put.base);
	expect_raw_error(&request, "invalid cf name: raft",
					 "an unknown column family is refused");
	put.cf = "lock";
	put.ttl = 1;
	request = request_of(METHOD_RAW_PUT, &put.base);
	expect_raw_error(&request,
					 "ttl is not enabled, but get put request with ttl",
					 "a TTL is refused while TTL is off");
	put.ttl = 0;
	context.api_version = KVRPCPB__APIVERSION__V2;
	request = request_of(METHOD_RAW_PUT, &put.base);
	OK(!raw_decode(&request, &limits, &command), "API V2 is refused");
	answer = reply();
	EQ_STR(
		answer->error,
		"Api version in request does not match with TiKV storage, cmd: raw_put, storage: V1, request: V2",
		"with TiKV's words");
	context.api_version = KVRPCPB__APIVERSION__V1;
	context.cluster_id = CLUSTER + 1;
	request = request_of(METHOD_RAW_PUT, &put.base);
	OK(!raw_decode(&request, &limits, &command),
	   "a foreign cluster is refused");
	EQ_U64(fail_code, RPC_INVALID_ARGUMENT, "with a gRPC status");
	context.cluster_id = CLUSTER;
	put.value = wire(value);
	request = request_of(METHOD_RAW_PUT, &put.base);
	OK(!raw_decode(&request, &limits, &command),
	   "an entry over the limit is refused");
	answer = reply();
	OK(answer->region_error != NULL &&
		   answer->region_error->raft_entry_too_large != NULL &&
		   answer->region_error->raft_entry_too_large->entry_size ==
			   1001 + CMD_REQUEST_ROOM,
	   "with raft_entry_too_large");
	put.value = wire("v");
	request = request_of(METHOD_RAW_PUT, &put.base);
	OK(raw_decode(&request, &limits, &command) && answers == 0 &&
		   command.n_modifies == 1 && command.cf == RAW_CF_LOCK &&
		   command.write_bytes == 2 + CMD_REQUEST_ROOM,
	   "what is left decodes");
}

static void
batches(void)
{
	Kvrpcpb__KvPair p1 = KVRPCPB__KV_PAIR__INIT;
	Kvrpcpb__KvPair p2 = KVRPCPB__KV_PAIR__INIT;
	Kvrpcpb__KvPair *pairs[] = {&p1, &p2};
	uint64_t ttls[] = {0, 0, 0};
	Kvrpcpb__RawBatchPutRequest put = KVRPCPB__RAW_BATCH_PUT_REQUEST__INIT;
	Kvrpcpb__RawBatchGetRequest get = KVRPCPB__RAW_BATCH_GET_REQUEST__INIT;
	ProtobufCBinaryData keys[] = {wire("a"), wire("x"), wire("d")};
	Region region = whole();
	Request request;
	RawCommand command;
	Kvrpcpb__RawBatchPutResponse *put_answer;
	Kvrpcpb__RawBatchGetResponse *get_answer;

	p1.key = wire("k1");
	p2.key = wire("k2");
	put.pairs = pairs;
	put.n_pairs = 2;
	put.ttls = ttls;
	put.n_ttls = 3;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(!raw_decode(&request, &limits, &command),
	   "three TTLs for two pairs are refused");
	put_answer = reply();
	EQ_STR(put_answer->error,
		   "The length of ttls does not equal to the length of pairs",
		   "txn-semantics 26.2 row 5: RawBatchPut: with TiKV's words");
	put.n_ttls = 1;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(raw_decode(&request, &limits, &command) && command.n_modifies == 2,
	   "one TTL serves all pairs");
	get.keys = keys;
	get.n_keys = 3;
	request = request_of(METHOD_RAW_BATCH_GET, &get.base);
	OK(raw_decode(&request, &limits, &command), "a batch get decodes");
	raw_read(&request, &command, &region, &array.base, &limits);
	get_answer = reply();
	OK(get_answer->n_pairs == 2 && get_answer->pairs[1]->value.data[0] == '4',
	   "txn-semantics 26.2 row 2: RawBatchGet: and answers with the keys that exist");
	get.cf = "nonsense";
	request = request_of(METHOD_RAW_BATCH_GET, &get.base);
	OK(!raw_decode(&request, &limits, &command),
	   "a batch get has no error field");
	get_answer = reply();
	OK(get_answer->n_pairs == 1 && get_answer->pairs[0]->error != NULL,
	   "so its first pair carries the error");
}

/* However small, each takes its place in the log and a row. */
static void
many_pairs(void)
{
	Kvrpcpb__KvPair pair = KVRPCPB__KV_PAIR__INIT;
	Kvrpcpb__KvPair *pairs[21];
	ProtobufCBinaryData keys[21];
	Kvrpcpb__RawBatchPutRequest put = KVRPCPB__RAW_BATCH_PUT_REQUEST__INIT;
	Kvrpcpb__RawBatchDeleteRequest del =
		KVRPCPB__RAW_BATCH_DELETE_REQUEST__INIT;
	Kvrpcpb__RawBatchPutResponse *answer;
	Request request;
	RawCommand command;

	pair.key = wire("k");
	for (int i = 0; i < 21; i++)
	{
		pairs[i] = &pair;
		keys[i] = pair.key;
	}
	put.pairs = pairs;
	put.n_pairs = 20;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(raw_decode(&request, &limits, &command) &&
		   command.write_bytes == 20 * (1 + CMD_REQUEST_ROOM),
	   "pairs of one byte count with what they take in the log");
	put.n_pairs = 21;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(!raw_decode(&request, &limits, &command), "one more is too many");
	answer = reply();
	OK(answer->region_error != NULL &&
		   answer->region_error->raft_entry_too_large != NULL,
	   "with raft_entry_too_large");
	del.keys = keys;
	del.n_keys = 21;
	request = request_of(METHOD_RAW_BATCH_DELETE, &del.base);
	OK(!raw_decode(&request, &limits, &command), "and so it is to delete");
}

static char *
scan(const char *start, const char *end, uint32_t limit, bool reverse,
	 bool key_only, const Region *region)
{
	static char out[64];
	Kvrpcpb__RawScanRequest message = KVRPCPB__RAW_SCAN_REQUEST__INIT;
	Kvrpcpb__RawScanResponse *answer;
	Request request;
	RawCommand command;
	RegionError error;
	size_t at = 0;

	message.start_key = wire(start);
	message.end_key = wire(end);
	message.limit = limit;
	message.reverse = reverse;
	message.key_only = key_only;
	request = request_of(METHOD_RAW_SCAN, &message.base);
	if (!raw_decode(&request, &limits, &command))
		return "refused";
	if (!raw_check_range(&command, METHOD_RAW_SCAN, region, &error))
	{
		service_region_error(&request, &error);
		answer = reply();
		return answer->region_error->key_not_in_region != NULL ?
			"not in region" :
			"wrong error";
	}
	raw_read(&request, &command, region, &array.base, &limits);
	answer = reply();
	for (size_t i = 0; i < answer->n_kvs; i++)
		at += (size_t) snprintf(out + at, sizeof(out) - at, "%.*s%.*s ",
								(int) answer->kvs[i]->key.len,
								answer->kvs[i]->key.data,
								(int) answer->kvs[i]->value.len,
								answer->kvs[i]->value.data);
	out[at] = 0;
	return out;
}

static void
scans(void)
{
	Region all = whole();
	Region part = {.id = 2,
				   .start_key = bytes_cstr("b"),
				   .end_key = bytes_cstr("d")};

	EQ_STR(scan("", "", 10, false, false, &all), "a1 b2 c3 d4 ",
		   "forward, no bounds");
	EQ_STR(scan("b", "d", 10, false, false, &all), "b2 c3 ", "forward [b, d)");
	EQ_STR(scan("", "", 2, false, true, &all), "a b ", "keys only, limited");
	EQ_STR(scan("", "", 0, false, true, &all), "", "limit 0 is nothing");
	EQ_STR(scan("d", "b", 10, true, false, &all), "c3 b2 ",
		   "reverse: start is the exclusive upper bound");
	EQ_STR(
		scan("", "", 2, true, false, &all), "",
		"txn-semantics 26.2 row 8: RawScan: nothing lies below the empty key");
	EQ_STR(scan("", "", 2, true, false, &part), "not in region",
		   "which is not in a region behind it");
	EQ_STR(scan("b", "", 10, false, false, &part), "b2 c3 ",
		   "results stay in the region");
	EQ_STR(scan("d", "", 10, true, false, &part), "c3 b2 ",
		   "reverse may start at the region's end");
	EQ_STR(scan("a", "", 10, false, false, &part), "not in region",
		   "a start before the region is an error");
	EQ_STR(scan("d", "", 10, false, false, &part), "not in region",
		   "so is one at its end");
	EQ_STR(scan("b", "", 10, true, false, &part), "not in region",
		   "and a reverse start at the region's start");
}

/* ---- long reads ---- */

static int looks;

static const char *
give_up(const Request *request)
{
	(void) request;
	return ++looks == 2 ? "the worker is stopping" : NULL;
}

static RawPair endless_pair = {.key = {(const uint8_t *) "k", 1},
							   .value = {(const uint8_t *) "0123456789", 10}};

/* A scan that never ends by itself. */
static void
endless_scan(RawReader *reader, const RawScan *scan,
			 bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	(void) reader;
	(void) scan;
	while (emit(arg, &endless_pair))
		;
}

static Kvrpcpb__RawScanResponse *
scan_endlessly(const RawLimits *bounds)
{
	static RawReader endless = {array_get, endless_scan, NULL};
	Kvrpcpb__RawScanRequest message = KVRPCPB__RAW_SCAN_REQUEST__INIT;
	Region region = whole();
	Request request;
	RawCommand command;

	message.limit = UINT32_MAX;
	request = request_of(METHOD_RAW_SCAN, &message.base);
	OK(raw_decode(&request, &limits, &command), "a scan of everything decodes");
	raw_read(&request, &command, &region, &endless, bounds);
	EQ_U64(answers, 1, "and is answered once");
	return reply();
}

static bool
is_too_large(const Errorpb__Error *error)
{
	return error != NULL && error->raft_entry_too_large != NULL;
}

static void
long_reads(void)
{
	RawLimits bounds = limits;
	Kvrpcpb__RawScanResponse *answer;

	bounds.max_reply_size = 1100;
	answer = scan_endlessly(&bounds);
	OK(answer->n_kvs == 0 && is_too_large(answer->region_error) &&
		   strstr(answer->region_error->message, "1100 bytes") != NULL,
	   "an answer over the limit is an error that clients see, not a short answer");
	bounds.max_reply_size = 0;
	bounds.interrupted = give_up;
	answer = scan_endlessly(&bounds);
	OK(answer->n_kvs == 0 && answer->region_error != NULL &&
		   answer->region_error->server_is_busy != NULL,
	   "a read is given up when the worker stops");
	EQ_U64(looks, 2, "which is looked at now and then");
}

/* A pair is a hundred bytes and more, however small its key is. */
static void
small_pairs(void)
{
	RawLimits bounds = limits;
	Bytes value = endless_pair.value;
	size_t before = arena.allocated;
	Kvrpcpb__RawScanResponse *answer;

	bounds.max_reply_size = 1024 * 1024;
	endless_pair.value = bytes_empty();
	answer = scan_endlessly(&bounds);
	endless_pair.value = value;
	OK(answer->n_kvs == 0 && is_too_large(answer->region_error),
	   "an answer of too many small pairs is an error");
	OK(arena.allocated - before <= 2 * bounds.max_reply_size,
	   "and its memory is within the limit, but for the last list");
}

#define MANY 1000
#define TOO_MANY ((size_t) 1000000)

static void
many_ranges(void)
{
	Kvrpcpb__RawBatchScanRequest message =
		KVRPCPB__RAW_BATCH_SCAN_REQUEST__INIT;
	Kvrpcpb__KeyRange range = KVRPCPB__KEY_RANGE__INIT;
	Kvrpcpb__KeyRange *ranges[MANY];
	Kvrpcpb__RawBatchScanResponse *answer;
	RawLimits bounds = limits;
	Region region = whole();
	Request request;
	RawCommand command;

	for (int i = 0; i < MANY; i++)
		ranges[i] = &range;
	message.ranges = ranges;
	message.n_ranges = MANY;
	message.each_limit = 1000;
	bounds.max_reply_size = 256 * 1024;
	request = request_of(METHOD_RAW_BATCH_SCAN, &message.base);
	OK(raw_decode(&request, &bounds, &command), "many empty ranges decode");
	raw_read(&request, &command, &region, &array.base, &bounds);
	answer = reply();
	OK(answer->n_kvs == 0 && is_too_large(answer->region_error),
	   "the same pairs again and again are too large an answer");
}

static void
absent_keys(void)
{
	Kvrpcpb__RawBatchGetRequest message = KVRPCPB__RAW_BATCH_GET_REQUEST__INIT;
	ProtobufCBinaryData keys[MANY];
	Kvrpcpb__RawBatchGetResponse *answer;
	RawLimits bounds = limits;
	Region region = whole();
	Request request;
	RawCommand command;

	for (int i = 0; i < MANY; i++)
		keys[i] = wire("absent");
	message.keys = keys;
	message.n_keys = MANY;
	bounds.interrupted = give_up;
	looks = 0;
	request = request_of(METHOD_RAW_BATCH_GET, &message.base);
	OK(raw_decode(&request, &bounds, &command), "many absent keys decode");
	raw_read(&request, &command, &region, &array.base, &bounds);
	answer = reply();
	OK(answer->region_error != NULL &&
		   answer->region_error->server_is_busy != NULL,
	   "a read that finds nothing is given up, too");
	EQ_U64(looks, 2, "when the worker stops");
}

static int walks;

static void
scan_nothing(RawReader *reader, const RawScan *scan,
			 bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	(void) reader;
	(void) scan;
	(void) emit;
	(void) arg;
	walks++;
}

/* Each costs a look into the index, and there may be millions in a message. */
static void
read_nothing(int method, const ProtobufCMessage *message)
{
	static RawReader nothing = {array_get, scan_nothing, NULL};
	RawLimits bounds = limits;
	Region region = whole();
	Request request = request_of(method, message);
	const Errorpb__Error *error;
	RawCommand command;

	bounds.interrupted = give_up;
	looks = 0;
	walks = 0;
	OK(raw_decode(&request, &bounds, &command), "ranges without rows decode");
	raw_read(&request, &command, &region, &nothing, &bounds);
	error = service_field(reply(), "region_error");
	OK(error != NULL && error->server_is_busy != NULL,
	   "a walk over them is given up, too");
	EQ_U64(looks, 2, "when the worker stops");
	OK(walks < MANY, "before the last of them");
}

static void
ranges_without_rows(void)
{
	Kvrpcpb__RawBatchScanRequest scan = KVRPCPB__RAW_BATCH_SCAN_REQUEST__INIT;
	Kvrpcpb__RawChecksumRequest sum = KVRPCPB__RAW_CHECKSUM_REQUEST__INIT;
	Kvrpcpb__KeyRange range = KVRPCPB__KEY_RANGE__INIT;
	Kvrpcpb__KeyRange *ranges[MANY];

	for (int i = 0; i < MANY; i++)
		ranges[i] = &range;
	scan.ranges = sum.ranges = ranges;
	scan.n_ranges = sum.n_ranges = MANY;
	scan.each_limit = 10;
	read_nothing(METHOD_RAW_BATCH_SCAN, &scan.base);
	read_nothing(METHOD_RAW_CHECKSUM, &sum.base);
}

/*
 * Two bytes of a message are a key of none, and an effect is 64: what cannot fit
 * into an entry by its number alone is refused before it takes memory.
 */
static void
too_many_keys(void)
{
	Kvrpcpb__RawBatchDeleteRequest message =
		KVRPCPB__RAW_BATCH_DELETE_REQUEST__INIT;
	size_t before = arena.allocated;
	ProtobufCBinaryData *keys = calloc(TOO_MANY, sizeof(*keys));
	Request request;
	RawCommand command;

	message.keys = keys;
	message.n_keys = TOO_MANY;
	request = request_of(METHOD_RAW_BATCH_DELETE, &message.base);
	OK(!raw_decode(&request, &limits, &command),
	   "more keys than an entry can have are refused");
	OK(arena.allocated - before < TOO_MANY,
	   "and take less than a byte of memory each");
	free(keys);
}

static void
late(void)
{
	Kvrpcpb__RawPutRequest put = KVRPCPB__RAW_PUT_REQUEST__INIT;
	Request request = request_of(METHOD_RAW_PUT, &put.base);
	Kvrpcpb__RawPutResponse *answer;

	service_busy(&request, SERVICE_TOO_LATE);
	answer = reply();
	EQ_STR(answer->region_error->server_is_busy->reason, "deadline is exceeded",
		   "txn-semantics 5.2 row 4: the reason clients look for");
	EQ_STR(answer->region_error->message, "Deadline is exceeded",
		   "and the message");
}

/* raftstore-and-pd 2: the region itself first, then what was split off. */
static void
siblings(void)
{
	Kvrpcpb__RawGetRequest get = KVRPCPB__RAW_GET_REQUEST__INIT;
	Region self = {.id = 2,
				   .start_key = bytes_cstr("m"),
				   .epoch = {.conf_ver = 1, .version = 3}};
	Region left = {.id = 7,
				   .end_key = bytes_cstr("m"),
				   .epoch = {.conf_ver = 1, .version = 3}};
	const Region *const others[] = {&left};
	RegionError error = {.kind = REGION_EPOCH_NOT_MATCH,
						 .region_id = 2,
						 .current = &self};
	Errorpb__EpochNotMatch *part;
	Kvrpcpb__RawGetResponse *answer;
	Request request;

	request = request_of(METHOD_RAW_GET, &get.base);
	service_region_error(&request, &error);
	answer = reply();
	part = answer->region_error->epoch_not_match;
	OK(part != NULL && part->n_current_regions == 1 &&
		   part->current_regions[0]->id == 2,
	   "an epoch that does not match names the region");
	error.siblings = others;
	error.n_siblings = 1;
	request = request_of(METHOD_RAW_GET, &get.base);
	service_region_error(&request, &error);
	answer = reply();
	part = answer->region_error->epoch_not_match;
	OK(part->n_current_regions == 2 && part->current_regions[0]->id == 2 &&
		   part->current_regions[1]->id == 7 &&
		   part->current_regions[1]->end_key.len == 1,
	   "and those that were split off it");
}

int
main(void)
{
	arena_init(&arena);
	gets();
	refusals();
	batches();
	many_pairs();
	scans();
	long_reads();
	small_pairs();
	many_ranges();
	absent_keys();
	ranges_without_rows();
	too_many_keys();
	late();
	siblings();
	arena_free(&arena);
	return unit_done();
}
