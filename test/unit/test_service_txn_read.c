/*
 * test_service_txn_read.c
 *	  Transactional reads end when nobody waits for them, whatever they find.
 */
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

int
main(void)
{
	MvccMemory memory;

	arena_init(&arena);
	memory_init(&memory);
	fill(&memory);
	scans(&memory);
	searches(&memory);
	(void) array; /* the raw tests' */
	memory_free(&memory);
	arena_free(&arena);
	return unit_done();
}
