/*
 * test_service_raw_more.c
 *	  Raw requests beyond get, put and scan: times to live, compare and swap,
 *	  batch scans, ranges, checksums, API V2.  Each row of txn-semantics 26.2 is
 *	  named by a test, here or where its name says.
 */
#include "core/base/crc64.h"
#include "core/cmd/command.h"
#include "core/codec/memcomparable.h"
#include "raw_fixture.h"
#include "service/raw.h"

static RawLimits
limits_of(ApiVersion api)
{
	RawLimits l = limits;

	l.api = api;
	return l;
}

static Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;

/* Decode; the error text of the answer if it was refused, else "". */
static const char *
refusal(Request *request, const RawLimits *l, RawCommand *command)
{
	const ProtobufCFieldDescriptor *field;
	uint8_t *answer;

	if (raw_decode(request, l, command))
		return "";
	answer = reply();
	field =
		protobuf_c_message_descriptor_get_field_by_name(packed_type, "error");
	if (field != NULL)
		return *(char **) (answer + field->offset);
	field = protobuf_c_message_descriptor_get_field(packed_type, 2);
	return (*(Kvrpcpb__KvPair ***) (answer + field->offset))[0]->error->abort;
}

/* ---------------------------------------------------------------- inserts */

static void
batch_inserts(void)
{
	Kvrpcpb__RawBatchPutRequest put = KVRPCPB__RAW_BATCH_PUT_REQUEST__INIT;
	Kvrpcpb__KvPair pairs[2] = {KVRPCPB__KV_PAIR__INIT, KVRPCPB__KV_PAIR__INIT};
	Kvrpcpb__KvPair *list[2] = {&pairs[0], &pairs[1]};
	Request request;
	RawCommand command;

	pairs[0].key = wire("i");
	pairs[1].key = wire("j");
	put.n_pairs = 2;
	put.pairs = list;
	request = request_of(METHOD_SQL_BATCH_INSERT, &put.base);
	EQ_STR(refusal(&request, &limits, &command), "",
		   "a batch of inserts is what a batch of puts is");
	OK(command.must_be_absent && command.n_modifies == 2 &&
		   !command.modifies[0].absent && !command.modifies[1].absent,
	   "but its keys must be absent, which nobody knows yet");
	raw_error(&request, "key exists");
	EQ_STR(((Kvrpcpb__RawBatchPutResponse *) reply())->error, "key exists",
		   "and it may be refused");
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(refusal(&request, &limits, &command)[0] == '\0' &&
		   !command.must_be_absent,
	   "a batch of puts does not ask");
	OK(service_method(METHOD_SQL_BATCH_INSERT)->path == NULL,
	   "clients cannot call it");
}

/* --------------------------------------------------------- times to live */

static void
ttl_of_puts(void)
{
	RawLimits v1ttl = limits_of(API_V1TTL);
	Kvrpcpb__RawPutRequest put = KVRPCPB__RAW_PUT_REQUEST__INIT;
	Request request;
	RawCommand command;

	put.key = wire("k");
	put.ttl = 7;
	request = request_of(METHOD_RAW_PUT, &put.base);
	EQ_STR(refusal(&request, &limits, &command),
		   "ttl is not enabled, but get put request with ttl",
		   "txn-semantics 26.2 row 4: RawPut ttl on V1 is refused");
	request = request_of(METHOD_RAW_PUT, &put.base);
	EQ_STR(refusal(&request, &v1ttl, &command), "", "on V1TTL it is not");
	EQ_U64(command.modifies[0].expires_at, fixture_now + 7,
		   "and the key expires so many seconds from now");
	OK(!command.atomic, "txn-semantics 26.2 row 3: RawPut takes no latch");
	put.ttl = 0;
	put.for_cas = true;
	request = request_of(METHOD_RAW_PUT, &put.base);
	OK(raw_decode(&request, &v1ttl, &command) &&
		   command.modifies[0].expires_at == 0 && command.atomic,
	   "for_cas routes it through the atomic path");
}

static void
ttl_of_batches(void)
{
	RawLimits v1ttl = limits_of(API_V1TTL);
	Kvrpcpb__KvPair p1 = KVRPCPB__KV_PAIR__INIT;
	Kvrpcpb__KvPair p2 = KVRPCPB__KV_PAIR__INIT;
	Kvrpcpb__KvPair *pairs[] = {&p1, &p2};
	uint64_t ttls[] = {3, 4};
	Kvrpcpb__RawBatchPutRequest put = KVRPCPB__RAW_BATCH_PUT_REQUEST__INIT;
	Request request;
	RawCommand command;

	p1.key = wire("a");
	p2.key = wire("b");
	put.pairs = pairs;
	put.n_pairs = 2;
	put.ttl = 9;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(raw_decode(&request, &limits, &command) &&
		   command.modifies[1].expires_at == 0,
	   "txn-semantics 26.2 row 5: RawBatchPut ignores the old field ttl");
	put.ttls = ttls;
	put.n_ttls = 1;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(raw_decode(&request, &v1ttl, &command) &&
		   command.modifies[0].expires_at == fixture_now + 3 &&
		   command.modifies[1].expires_at == fixture_now + 3,
	   "one ttl is everybody's");
	put.n_ttls = 2;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(raw_decode(&request, &v1ttl, &command) && !command.atomic &&
		   command.modifies[0].expires_at == fixture_now + 3 &&
		   command.modifies[1].expires_at == fixture_now + 4,
	   "two are for each his own");
	put.for_cas = true;
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	OK(raw_decode(&request, &v1ttl, &command) && command.atomic,
	   "for_cas is that of a batch, too");
	request = request_of(METHOD_RAW_BATCH_PUT, &put.base);
	EQ_STR(refusal(&request, &limits, &command),
		   "ttl is not enabled, but get put request with ttl",
		   "any of them needs a store with times to live");
}

static const char *
ttl_of_key(const char *key, const RawLimits *l)
{
	static char out[64];
	static ArrayReader some = {
		{array_get, array_scan, NULL},
		{{"gone", "1", 1000},
		 {"left", "2", 1005},
		 {"stays", "3", 0},
		 {"forever", "4", INT64_MAX},
		 {NULL, NULL, 0}},
	};
	Kvrpcpb__RawGetKeyTTLRequest get = KVRPCPB__RAW_GET_KEY_TTLREQUEST__INIT;
	Kvrpcpb__RawGetKeyTTLResponse *answer;
	Region region = whole();
	Request request;
	RawCommand command;
	const char *refused;

	get.key = wire(key);
	request = request_of(METHOD_RAW_GET_KEY_TTL, &get.base);
	refused = refusal(&request, l, &command);
	if (refused[0] != '\0')
		return refused;
	raw_read(&request, &command, &region, &some.base, l);
	answer = reply();
	if (answer->not_found)
		return "not found";
	snprintf(out, sizeof(out), "%llu", (unsigned long long) answer->ttl);
	return out;
}

static void
get_key_ttl(void)
{
	RawLimits v1ttl = limits_of(API_V1TTL);

	EQ_STR(
		ttl_of_key("left", &v1ttl), "5",
		"txn-semantics 26.2 row 6: RawGetKeyTTL tells the seconds that are left");
	EQ_STR(ttl_of_key("stays", &v1ttl), "0", "0 for a key without");
	EQ_STR(ttl_of_key("forever", &v1ttl), "18446744073709550615",
		   "the largest time to live ends where 64 bits end");
	EQ_STR(ttl_of_key("gone", &v1ttl), "not found", "an expired one is absent");
	EQ_STR(ttl_of_key("none", &v1ttl), "not found", "as one that never was");
	EQ_STR(ttl_of_key("left", &limits),
		   "ttl is not enabled, but get put request with ttl",
		   "without times to live it is an error");
}

/* ------------------------------------------------------ compare and swap */

static void
compare_and_swap(void)
{
	RawLimits v1ttl = limits_of(API_V1TTL);
	Kvrpcpb__RawCASRequest cas = KVRPCPB__RAW_CASREQUEST__INIT;
	Region part = {.id = 2, .start_key = bytes_cstr("m")};
	RawCasResult result = {true, true, bytes_cstr("before"), true};
	Kvrpcpb__RawCASResponse *answer;
	RegionError error;
	Request request;
	RawCommand command;

	cas.key = wire("k");
	cas.value = wire("new");
	cas.previous_value = wire("old");
	cas.ttl = 2;
	request = request_of(METHOD_RAW_CAS, &cas.base);
	EQ_STR(
		refusal(&request, &limits, &command),
		"ttl is not enabled, but get put request with ttl",
		"txn-semantics 26.2 row 7: RawCompareAndSwap with a ttl on V1 is refused");
	request = request_of(METHOD_RAW_CAS, &cas.base);
	OK(raw_decode(&request, &v1ttl, &command) && command.atomic &&
		   command.n_modifies == 0 && command.cas != NULL &&
		   command.cas->swap.kind == RAW_PUT &&
		   command.cas->swap.expires_at == fixture_now + 2 &&
		   command.write_bytes == 4 + CMD_REQUEST_ROOM,
	   "it decodes to a swap that is no effect yet");
	OK(!raw_check_range(&command, METHOD_RAW_CAS, &part, &error) &&
		   error.kind == REGION_KEY_NOT_IN_REGION,
	   "its key must lie in the region");
	raw_cas_done(&request, &result);
	answer = reply();
	OK(answer->succeed && !answer->previous_not_exist &&
		   answer->previous_value.len == 6,
	   "success tells the value before");
	result = (RawCasResult){0};
	raw_cas_done(&request, &result);
	answer = reply();
	OK(!answer->succeed && answer->previous_not_exist &&
		   answer->previous_value.len == 0 && answer->error[0] == '\0',
	   "failure tells it, too, and is no error");
	cas.ttl = 0;
	cas.delete_ = true;
	request = request_of(METHOD_RAW_CAS, &cas.base);
	OK(raw_decode(&request, &limits, &command) &&
		   command.cas->swap.kind == RAW_DELETE,
	   "or deletes");
}

/* ------------------------------------------------------------ batch scans */

typedef const char *Pair[2];

static const char *
batch_scan(const Pair *bounds, size_t n, uint32_t limit, bool reverse)
{
	static char out[128];
	Kvrpcpb__RawBatchScanRequest scan = KVRPCPB__RAW_BATCH_SCAN_REQUEST__INIT;
	Kvrpcpb__KeyRange range[4];
	Kvrpcpb__KeyRange *ranges[4];
	Kvrpcpb__RawBatchScanResponse *answer;
	Region region = whole();
	Request request;
	RawCommand command;
	const char *refused;
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
	{
		kvrpcpb__key_range__init(&range[i]);
		range[i].start_key = wire(bounds[i][0]);
		range[i].end_key = wire(bounds[i][1]);
		ranges[i] = &range[i];
	}
	scan.ranges = ranges;
	scan.n_ranges = n;
	scan.each_limit = limit;
	scan.reverse = reverse;
	request = request_of(METHOD_RAW_BATCH_SCAN, &scan.base);
	refused = refusal(&request, &limits, &command);
	if (refused[0] != '\0')
		return refused;
	raw_read(&request, &command, &region, &array.base, &limits);
	answer = reply();
	out[0] = '\0';
	for (size_t i = 0; i < answer->n_kvs; i++)
		at += (size_t) snprintf(out + at, sizeof(out) - at, "%c",
								answer->kvs[i]->key.data[0]);
	return out;
}

static void
batch_scans(void)
{
	EQ_STR(
		batch_scan((Pair[]){{"a", "c"}, {"c", "d"}}, 2, 9, false), "abc",
		"txn-semantics 26.2 row 9: RawBatchScan: one range behind the other");
	EQ_STR(batch_scan((Pair[]){{"a", "d"}, {"b", "z"}}, 2, 2, false), "abbc",
		   "each has the limit for itself");
	EQ_STR(
		batch_scan((Pair[]){{"a", ""}, {"c", ""}}, 2, 9, false), "abcd",
		"txn-semantics 28 row 20: an empty end is where the next range starts, the last has none");
	EQ_STR(batch_scan((Pair[]){{"c", ""}, {"a", ""}}, 2, 9, false),
		   "Invalid KeyRanges",
		   "after that the ends must be behind the starts");
	EQ_STR(batch_scan((Pair[]){{"a", "a"}}, 1, 9, false), "Invalid KeyRanges",
		   "and not at them");
	EQ_STR(batch_scan((Pair[]){{"d", "b"}, {"b", "a"}}, 2, 9, true), "cba",
		   "reverse, from the start down to the end");
	EQ_STR(batch_scan((Pair[]){{"d", ""}, {"b", ""}}, 2, 9, true), "cba",
		   "where the same holds for empty ends");
	EQ_STR(batch_scan((Pair[]){{"a", "c"}}, 1, 9, true), "Invalid KeyRanges",
		   "and for the order");
	EQ_STR(batch_scan((Pair[]){{"a", "c"}}, 1, 0, false), "",
		   "limit 0 is nothing");
}

/* ------------------------------------------------------------- checksums */

static void
checksums(void)
{
	Kvrpcpb__RawChecksumRequest sum = KVRPCPB__RAW_CHECKSUM_REQUEST__INIT;
	Kvrpcpb__KeyRange range = KVRPCPB__KEY_RANGE__INIT;
	Kvrpcpb__KeyRange *ranges[] = {&range};
	Region part = {.id = 2, .end_key = bytes_cstr("d")};
	Kvrpcpb__RawChecksumResponse *answer;
	Request request;
	RawCommand command;
	uint64_t want = crc64(0, bytes_cstr("b2")) ^ crc64(0, bytes_cstr("c3"));

	range.start_key = wire("b");
	sum.ranges = ranges;
	sum.n_ranges = 1;
	request = request_of(METHOD_RAW_CHECKSUM, &sum.base);
	OK(raw_decode(&request, &limits, &command),
	   "txn-semantics 26.2 row 12: RawChecksum decodes");
	raw_read(&request, &command, &part, &array.base, &limits);
	answer = reply();
	EQ_U64(answer->checksum, want,
		   "the pairs' sums by XOR, to the region's end");
	EQ_U64(answer->total_kvs, 2, "how many they are");
	EQ_U64(answer->total_bytes, 4, "and their bytes");
	sum.algorithm = (Kvrpcpb__ChecksumAlgorithm) 5;
	request = request_of(METHOD_RAW_CHECKSUM, &sum.base);
	EQ_STR(refusal(&request, &limits, &command), "unknown checksum algorithm 5",
		   "there is one algorithm");
}

/* --------------------------------------------------------- ranges, others */

static const char *
delete_range(const char *start, const char *end, const Region *region,
			 const RawLimits *l)
{
	Kvrpcpb__RawDeleteRangeRequest del =
		KVRPCPB__RAW_DELETE_RANGE_REQUEST__INIT;
	RegionError error;
	Request request;
	RawCommand command;
	const char *refused;

	context.api_version = (Kvrpcpb__APIVersion) (l->api == API_V2 ? 2 : 0);
	del.context = &context;
	del.start_key = wire(start);
	del.end_key = wire(end);
	request = request_of(METHOD_RAW_DELETE_RANGE, &del.base);
	refused = refusal(&request, l, &command);
	context.api_version = KVRPCPB__APIVERSION__V1;
	if (refused[0] != '\0')
		return refused;
	if (!command.deletes_range || command.atomic)
		return "decoded badly";
	if (!raw_check_range(&command, METHOD_RAW_DELETE_RANGE, region, &error))
		return error.kind == REGION_KEY_NOT_IN_REGION ? "not in region" :
														"wrong error";
	return "ok";
}

static void
delete_ranges(void)
{
	Region all = whole();
	Region part = {.id = 2,
				   .start_key = bytes_cstr("b"),
				   .end_key = bytes_cstr("d")};

	EQ_STR(delete_range("a", "c", &all, &limits), "ok",
		   "txn-semantics 26.2 row 10: RawDeleteRange is not latched");
	EQ_STR(delete_range("", "", &all, &limits), "ok", "all keys");
	EQ_STR(delete_range("b", "d", &part, &limits), "ok",
		   "the end may be the region's");
	EQ_STR(delete_range("a", "c", &part, &limits), "not in region",
		   "a start before the region");
	EQ_STR(delete_range("c", "d1", &part, &limits), "not in region",
		   "an end behind it");
	EQ_STR(delete_range("c", "", &part, &limits), "not in region",
		   "no end, where the region has one");
	EQ_STR(delete_range("c", "c", &all, &limits),
		   "invalid delete range command: the end is not after the start",
		   "nothing to delete");
}

static void
batch_deletes(void)
{
	Kvrpcpb__RawBatchDeleteRequest del =
		KVRPCPB__RAW_BATCH_DELETE_REQUEST__INIT;
	Kvrpcpb__RawDeleteRequest one = KVRPCPB__RAW_DELETE_REQUEST__INIT;
	ProtobufCBinaryData keys[] = {wire("a"), wire("b")};
	Request request;
	RawCommand command;

	del.keys = keys;
	del.n_keys = 2;
	request = request_of(METHOD_RAW_BATCH_DELETE, &del.base);
	OK(raw_decode(&request, &limits, &command) && command.n_modifies == 2 &&
		   command.modifies[1].kind == RAW_DELETE,
	   "txn-semantics 26.2 row 11: RawBatchDelete is a delete of each key");
	OK(!command.atomic, "and takes no latch");
	del.for_cas = true;
	request = request_of(METHOD_RAW_BATCH_DELETE, &del.base);
	OK(raw_decode(&request, &limits, &command) && command.atomic,
	   "but with for_cas");
	one.key = wire("a");
	one.for_cas = true;
	request = request_of(METHOD_RAW_DELETE, &one.base);
	OK(raw_decode(&request, &limits, &command) && command.n_modifies == 1 &&
		   command.modifies[0].kind == RAW_DELETE && command.atomic,
	   "txn-semantics 26.2 row 3: RawDelete with for_cas is atomic");
}

static void
coprocessor(void)
{
	Kvrpcpb__RawCoprocessorRequest call =
		KVRPCPB__RAW_COPROCESSOR_REQUEST__INIT;
	Request request = request_of(METHOD_RAW_COPROCESSOR, &call.base);
	Kvrpcpb__RawCoprocessorResponse *answer;

	raw_coprocessor_answer(&request);
	answer = reply();
	EQ_STR(answer->error, "Coprocessor plugin is disabled!",
		   "txn-semantics 26.2 row 13: RawCoprocessor has no plugins");
}

/* ----------------------------------------------------------------- API V2 */

static const char *
v2_get(const char *key, const char *cf, int version)
{
	RawLimits v2 = limits_of(API_V2);
	Kvrpcpb__RawPutRequest put = KVRPCPB__RAW_PUT_REQUEST__INIT;
	Request request;
	RawCommand command;
	const char *text;

	context.api_version = (Kvrpcpb__APIVersion) version;
	put.context = &context;
	put.key = wire(key);
	put.cf = (char *) cf;
	put.ttl = 1;
	request = request_of(METHOD_RAW_PUT, &put.base);
	text = refusal(&request, &v2, &command);
	context.api_version = KVRPCPB__APIVERSION__V1;
	return text;
}

static void
v2_requests(void)
{
	EQ_STR(v2_get("rabc", "", 2), "",
		   "txn-semantics 26.1 row 3: V2 takes raw keys that begin with r");
	EQ_STR(
		v2_get("xabc", "", 2),
		"Key mode mismatched with the request mode, cmd: raw_put, storage: V2, key: 78616263",
		"not those of transactions");
	EQ_STR(
		v2_get("rabc", "", 0),
		"Api version in request does not match with TiKV storage, cmd: raw_put, storage: V2, request: V1",
		"not in requests of version 1");
	EQ_STR(v2_get("rabc", "default", 2),
		   "cf is deprecated in API V2, cf name: default",
		   "and in no named family");
}

/* A key that is refused may have the size of a message. */
static void
v2_long_keys(void)
{
	RawLimits v2 = limits_of(API_V2);
	Region all = whole();
	char key[90];
	const char *text;
	size_t len;

	memset(key, 'x', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	text = v2_get(key, "", 2);
	len = strlen(text);
	OK(len < 220 && strcmp(text + len - 11, "78787878...") == 0,
	   "a text shows the beginning of a long key");
	text = delete_range(key, "", &all, &v2);
	len = strlen(text);
	OK(len < 250 && strstr(text, "7878...\"), Some(\"\")") != NULL,
	   "and of bounds");
}

static void
v2_ranges(void)
{
	RawLimits v2 = limits_of(API_V2);
	Region all = whole();
	Region part = {.id = 2};

	part.start_key = memcomparable_encode(bytes_cstr("rabcB"), &arena);
	part.end_key = memcomparable_encode(bytes_cstr("rabcD"), &arena);
	EQ_STR(delete_range("rabc", "rabd", &all, &v2), "ok",
		   "txn-semantics 26.1 row 3: V2: both bounds have the mode");
	EQ_STR(delete_range("r", "s", &all, &v2), "ok", "or are all of it");
	EQ_STR(
		delete_range("rabc", "", &all, &v2),
		"Key mode mismatched with the request mode, cmd: raw_delete_range, storage: V2, range: (Some(\"72616263\"), Some(\"\"))",
		"an open end has none");
	EQ_STR(delete_range("rabcB", "rabcD", &part, &v2), "ok",
		   "regions are bounded by encoded keys");
	EQ_STR(delete_range("rabcA", "rabcC", &part, &v2), "not in region",
		   "which are compared with the keys they stand for");
	EQ_STR(delete_range("rabcC", "rabcE", &part, &v2), "not in region",
		   "at either end");
	part.end_key = bytes_cstr("rabcD");
	EQ_STR(delete_range("rabcB", "rabcC", &part, &v2), "wrong error",
		   "bounds that are no encoded keys are an error, no crash");
}

static void
v2_scan_in_region(void)
{
	RawLimits v2 = limits_of(API_V2);
	ArrayReader some = {
		{array_get, array_scan, NULL},
		{{"rabcA", "1", 0},
		 {"rabcB", "2", 0},
		 {"rabcC", "3", 0},
		 {"rabcD", "4", 0},
		 {NULL, NULL, 0}},
	};
	Kvrpcpb__RawScanRequest scan = KVRPCPB__RAW_SCAN_REQUEST__INIT;
	Kvrpcpb__RawScanResponse *answer;
	Region part = {.id = 2};
	RegionError error;
	Request request;
	RawCommand command;

	part.start_key = memcomparable_encode(bytes_cstr("rabcB"), &arena);
	part.end_key = memcomparable_encode(bytes_cstr("rabcD"), &arena);
	context.api_version = KVRPCPB__APIVERSION__V2;
	scan.context = &context;
	scan.start_key = wire("rabcB");
	scan.end_key = wire("rabd");
	scan.limit = 10;
	request = request_of(METHOD_RAW_SCAN, &scan.base);
	OK(raw_decode(&request, &v2, &command) &&
		   raw_check_range(&command, METHOD_RAW_SCAN, &part, &error),
	   "a scan in V2");
	raw_read(&request, &command, &part, &some.base, &v2);
	answer = reply();
	OK(answer->n_kvs == 2 && answer->kvs[1]->key.data[4] == 'C',
	   "stays in its region");
	scan.start_key = wire("rabcA");
	request = request_of(METHOD_RAW_SCAN, &scan.base);
	OK(raw_decode(&request, &v2, &command) &&
		   !raw_check_range(&command, METHOD_RAW_SCAN, &part, &error) &&
		   error.current == &part &&
		   bytes_eq(error.key,
					memcomparable_encode(bytes_cstr("rabcA"), &arena)),
	   "an error tells key and bounds as PD has them");
	context.api_version = KVRPCPB__APIVERSION__V1;
}

int
main(void)
{
	arena_init(&arena);
	batch_inserts();
	ttl_of_puts();
	ttl_of_batches();
	get_key_ttl();
	compare_and_swap();
	batch_scans();
	checksums();
	delete_ranges();
	batch_deletes();
	coprocessor();
	v2_requests();
	v2_long_keys();
	v2_ranges();
	v2_scan_in_region();
	arena_free(&arena);
	return unit_done();
}
