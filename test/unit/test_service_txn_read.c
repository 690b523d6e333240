/*
 * test_service_txn_read.c
 *	  Transactional reads end when nobody waits for them, whatever they find.
 */
#include "core/codec/memcomparable.h"
#include "mvcc_memory.h"
#include "raw_fixture.h"
#include "service/messages.h"
#include "service/txn.h"

#define KEYS 2000

static int looks;
static bool gone;

static const char *
interrupted(const Request *request)
{
	(void) request;
	looks++;
	return gone ? "the client is gone" : NULL;
}

/* A range full of deleted keys: much to walk over, nothing to answer. */
static void
fill(MvccMemory *memory)
{
	WriteRecord deleted = {.type = WRITE_TYPE_DELETE, .start_ts = 3};

	for (int i = 0; i < KEYS; i++)
		memory_put(memory, TXN_CF_WRITE,
				   bytes_cstr(arena_printf(&arena, "k%06d", i)), 5,
				   write_encode(&deleted, &arena), false);
}

static void
run(MvccMemory *memory, int method, const ProtobufCMessage *message,
	const TxnRequest *txn)
{
	Region region = {.id = 2};
	TxnLook look = {0};
	RawLimits patient = limits;
	Request request = request_of(method, message);

	patient.interrupted = interrupted;
	looks = 0;
	txn_read(&request, txn, &look, &region, &memory->reader, &patient);
}

static void
scans(MvccMemory *memory)
{
	Kvrpcpb__ScanRequest message = KVRPCPB__SCAN_REQUEST__INIT;
	TxnRequest txn = {.read = {.ts = 10, .isolation = ISOLATION_SI},
					  .scan = {.limit = 10}};
	Kvrpcpb__ScanResponse *answer;

	gone = false;
	run(memory, METHOD_KV_SCAN, &message.base, &txn);
	answer = reply();
	OK(answers == 1 && answer->n_pairs == 0 && answer->region_error == NULL,
	   "a scan over deleted keys finds nothing");
	OK(looks >= KEYS / 512, "and asks on its way whether to go on");
	gone = true;
	run(memory, METHOD_KV_SCAN, &message.base, &txn);
	answer = reply();
	OK(answers == 1 && answer->region_error != NULL &&
		   answer->region_error->server_is_busy != NULL,
	   "it is given up when nobody waits: never a shorter answer");
	EQ_U64(looks, 1, "at once");
}

static void
searches(MvccMemory *memory)
{
	Kvrpcpb__MvccGetByStartTsRequest message =
		KVRPCPB__MVCC_GET_BY_START_TS_REQUEST__INIT;
	TxnRequest txn = {.start_ts = 4};
	Kvrpcpb__MvccGetByStartTsResponse *answer;

	gone = false;
	run(memory, METHOD_MVCC_GET_BY_START_TS, &message.base, &txn);
	answer = reply();
	OK(answers == 1 && answer->key.len == 0 && answer->region_error == NULL,
	   "a search for a start_ts that is not there");
	gone = true;
	run(memory, METHOD_MVCC_GET_BY_START_TS, &message.base, &txn);
	answer = reply();
	OK(answers == 1 && answer->region_error != NULL,
	   "is given up, too, when nobody waits");
	EQ_U64(looks, 1, "at once");
}

static Lock
a_lock(const char *primary)
{
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = bytes_cstr(primary),
				 .start_ts = 7,
				 .ttl_ms = 3000};

	return lock;
}

/* txn-semantics 23.4 row 2: three keys, of which the look met some locked. */
static Kvrpcpb__BatchGetResponse *
batch_get(MvccMemory *memory, MetLock *met, size_t n_met)
{
	Kvrpcpb__BatchGetRequest message = KVRPCPB__BATCH_GET_REQUEST__INIT;
	Bytes keys[] = {bytes_cstr("a"), bytes_cstr("b"), bytes_cstr("k000001")};
	TxnRequest txn = {.read = {.ts = 10, .isolation = ISOLATION_SI},
					  .keys = keys,
					  .n_keys = 3};
	Region region = {.id = 2};
	TxnLook look = {met, n_met};
	Request request = request_of(METHOD_KV_BATCH_GET, &message.base);

	txn_read(&request, &txn, &look, &region, &memory->reader, &limits);
	return reply();
}

static void
batch_gets(MvccMemory *memory)
{
	WriteRecord put = {.type = WRITE_TYPE_PUT,
					   .start_ts = 3,
					   .has_short_value = true,
					   .short_value = bytes_cstr("v")};
	MetLock met = {.key = bytes_cstr("b"),
				   .lock = a_lock("p"),
				   .verdict = LOCK_BLOCKS};
	Kvrpcpb__BatchGetResponse *answer;

	memory_put(memory, TXN_CF_WRITE, bytes_cstr("a"), 5,
			   write_encode(&put, &arena), false);
	memory_put(memory, TXN_CF_WRITE, bytes_cstr("b"), 5,
			   write_encode(&put, &arena), false);
	answer = batch_get(memory, NULL, 0);
	OK(answer->n_pairs == 2 && answer->error == NULL &&
		   answer->pairs[1]->key.data[0] == 'b',
	   "txn-semantics 23.4 row 2: keys that are missing are left out");
	answer = batch_get(memory, &met, 1);
	OK(answer->n_pairs == 2 && answer->error == NULL &&
		   answer->pairs[1]->key.len == 0 &&
		   answer->pairs[1]->error->locked->key.data[0] == 'b',
	   "txn-semantics 23.4 row 2: a locked one is a pair with the error alone");
	met.is_guard = true;
	answer = batch_get(memory, &met, 1);
	OK(answer->n_pairs == 1 && answer->error != NULL &&
		   answer->error->locked->lock_version == 7 &&
		   answer->pairs[0]->error->locked->lock_version == 7,
	   "txn-semantics 23.4 row 2, tikv/tikv#9069: a memory lock ends the request");
}

/* ------------------------------------------------- for SQL on another node */

static Kvrpcpb__ScanLockResponse *
store_locks(MvccMemory *memory, const Region *region, uint32_t limit)
{
	Kvrpcpb__ScanLockRequest message = KVRPCPB__SCAN_LOCK_REQUEST__INIT;
	TxnLook look = {0};
	Request request = request_of(METHOD_STORE_LOCKS, &message.base);
	TxnRequest *txn;

	message.limit = limit;
	txn = txn_decode(&request, &limits);
	OK(txn != NULL, "a request for locks");
	txn_read(&request, txn, &look, region, &memory->reader, &limits);
	return reply();
}

static void
locks_of_region(void)
{
	Region region = {.id = 2,
					 .start_key =
						 memcomparable_encode(bytes_cstr("l1"), &arena)};
	Kvrpcpb__ScanLockResponse *answer;
	MvccMemory memory;

	memory_init(&memory);
	OK(store_locks(&memory, &region, 0)->n_locks == 0, "no locks");
	for (int i = 0; i < 300; i++)
	{
		Lock lock = a_lock("p");

		lock.start_ts = (uint64_t) i + 1;
		memory_put(&memory, TXN_CF_LOCK,
				   bytes_cstr(arena_printf(&arena, "l%03d", i)), 0,
				   lock_encode(&lock, &arena), i % 2 == 1);
	}
	answer = store_locks(&memory, &region, 0);
	EQ_U64(answer->n_locks, 200, "locks of the region, also those in memory");
	EQ_U64(answer->locks[0]->lock_version, 101, "from its start on");
	answer = store_locks(&memory, &region, 2);
	EQ_U64(answer->n_locks, 2, "as many as are wanted");
	EQ_U64(memory.max_ts, 0, "max_ts is left alone");
	region.start_key = bytes_empty();
	EQ_U64(store_locks(&memory, &region, 0)->n_locks, 256, "of many a page");
	memory_free(&memory);
}

static size_t n_pairs;

/* The fixture keeps short answers alone. */
static void
count_pairs(Request *request, const ProtobufCMessage *message)
{
	n_pairs = ((const Kvrpcpb__ScanResponse *) message)->n_pairs;
	if (n_pairs < 20)
		on_done(request, message);
}

static void
count_long(Request *request, const ProtobufCMessage *message)
{
	(void) request;
	n_pairs = ((const Kvrpcpb__ScanResponse *) message)->n_pairs;
}

static void
ask_versions(MvccMemory *memory, const char *from, uint32_t limit,
			 void (*done)(Request *request, const ProtobufCMessage *message))
{
	Kvrpcpb__ScanRequest message = KVRPCPB__SCAN_REQUEST__INIT;
	Region region = {.id = 2};
	RawLimits bounds = limits;
	TxnLook look = {0};
	Request request = request_of(METHOD_STORE_VERSIONS, &message.base);
	TxnRequest *txn;

	bounds.interrupted = interrupted;
	message.start_key.data = (uint8_t *) from;
	message.start_key.len = strlen(from);
	message.limit = limit;
	txn = txn_decode(&request, &limits);
	OK(txn != NULL, "a request for versions");
	request.done = done;
	txn_read(&request, txn, &look, &region, &memory->reader, &bounds);
}

static size_t
count_versions(MvccMemory *memory, const char *from, uint32_t limit)
{
	ask_versions(memory, from, limit, count_pairs);
	return n_pairs;
}

static void
versions_of_region(MvccMemory *memory)
{
	WriteRecord put = {.type = WRITE_TYPE_PUT, .start_ts = 3};
	uint8_t *large = arena_zalloc(&arena, 700000);
	const Kvrpcpb__MvccInfo *info;
	Kvrpcpb__ScanResponse *answer;

	gone = false;
	EQ_U64(count_versions(memory, "k001990", 256), 10, "the last keys");
	answer = reply();
	info =
		(const void *) service_unpack(&kvrpcpb__mvcc_info__descriptor,
									  bytes_make(answer->pairs[0]->value.data,
												 answer->pairs[0]->value.len),
									  &arena);
	OK(info != NULL && info->lock == NULL && info->n_writes == 1 &&
		   info->writes[0]->type == KVRPCPB__OP__Del &&
		   info->writes[0]->commit_ts == 5 && info->n_values == 0,
	   "with all that is stored of them");
	EQ_U64(count_versions(memory, "k", 3), 3, "as many as are wanted");
	EQ_U64(count_versions(memory, "k", 0), 256, "of many a page");
	EQ_U64(count_versions(memory, "l", 3), 0, "or none");
	for (int i = 0; i < 4; i++)
	{
		Bytes key = bytes_cstr(arena_printf(&arena, "m%d", i));

		memory_put(memory, TXN_CF_WRITE, key, 5, write_encode(&put, &arena),
				   false);
		memory_put(memory, TXN_CF_VALUE, key, 3, bytes_make(large, 700000),
				   false);
	}
	ask_versions(memory, "m", 10, count_long);
	OK(n_pairs >= 1 && n_pairs < 4, "fewer where they are long");
	gone = true;
	ask_versions(memory, "m", 10, on_done);
	answer = reply();
	OK(answer->region_error != NULL, "none when nobody waits");
}

/* One key, named again and again. */
static Kvrpcpb__BatchGetResponse *
get_many(MvccMemory *memory, const char *key, MetLock *met, size_t n_met,
		 const RawLimits *bounds)
{
	Kvrpcpb__BatchGetRequest message = KVRPCPB__BATCH_GET_REQUEST__INIT;
	TxnRequest txn = {.read = {.ts = 10, .isolation = ISOLATION_SI},
					  .n_keys = KEYS};
	Region region = {.id = 2};
	TxnLook look = {met, n_met};
	Request request = request_of(METHOD_KV_BATCH_GET, &message.base);

	txn.keys = arena_alloc(&arena, KEYS * sizeof(Bytes));
	for (size_t i = 0; i < KEYS; i++)
		txn.keys[i] = bytes_cstr(key);
	txn_read(&request, &txn, &look, &region, &memory->reader, bounds);
	return reply();
}

static void
large_answers(MvccMemory *memory)
{
	MetLock *met = arena_alloc(&arena, KEYS * sizeof(*met));
	RawLimits bounds = limits;
	Kvrpcpb__BatchGetResponse *answer;
	size_t before;

	/* KEYS pairs, which have 4 kB of keys and values. */
	bounds.max_reply_size = KEYS * 100;
	before = arena.allocated;
	answer = get_many(memory, "a", NULL, 0, &bounds);
	OK(answer->n_pairs == 0 && answer->error != NULL &&
		   strstr(answer->error->abort, "200000 bytes") != NULL,
	   "too many small pairs are too large an answer");
	OK(arena.allocated - before <= 3 * bounds.max_reply_size,
	   "which was not made");
	/* 300 bytes hold a pair, and not a lock. */
	for (size_t i = 0; i < KEYS; i++)
		met[i] = (MetLock){.key = bytes_cstr("b"),
						   .lock = a_lock("p"),
						   .verdict = LOCK_BLOCKS};
	bounds.max_reply_size = KEYS * 300;
	answer = get_many(memory, "a", NULL, 0, &bounds);
	EQ_U64(answer->n_pairs, KEYS, "others are answered");
	answer = get_many(memory, "b", met, KEYS, &bounds);
	OK(answer->error != NULL &&
		   strstr(answer->error->abort, "600000 bytes") != NULL,
	   "what is told of locks counts as well");
	bounds.interrupted = interrupted;
	looks = 0;
	gone = true;
	answer = get_many(memory, "absent", NULL, 0, &bounds);
	OK(answer->region_error != NULL &&
		   answer->region_error->server_is_busy != NULL,
	   "a read of absent keys is given up when nobody waits");
	EQ_U64(looks, 1, "at once");
}

/* Below the GC safe point: each kind of answer has its place for that. */
static void
collected(void)
{
	static const int methods[] = {METHOD_KV_GET, METHOD_KV_BATCH_GET,
								  METHOD_KV_SCAN, METHOD_KV_BUFFER_BATCH_GET};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
	{
		Request request = request_of(methods[i], NULL);
		Kvrpcpb__KeyError *error;
		const ProtobufCMessage *answer;

		txn_answer_collected(&request, 5, 9);
		answer = reply();
		error = *(Kvrpcpb__KeyError *
					  *) ((uint8_t *) answer +
						  protobuf_c_message_descriptor_get_field_by_name(
							  answer->descriptor, "error")
							  ->offset);
		OK(error != NULL &&
			   strstr(error->abort, "timestamp 5 is below the GC safe point 9"),
		   request.method->path);
		if (methods[i] == METHOD_KV_SCAN)
			OK(((const Kvrpcpb__ScanResponse *) answer)->n_pairs == 1,
			   "and in the one pair");
	}
}

int
main(void)
{
	MvccMemory memory;

	arena_init(&arena);
	memory_init(&memory);
	fill(&memory);
	scans(&memory);
	searches(&memory);
	batch_gets(&memory);
	locks_of_region();
	versions_of_region(&memory);
	large_answers(&memory);
	collected();
	(void) array; /* the raw tests' */
	memory_free(&memory);
	arena_free(&arena);
	return unit_done();
}
