/*
 * txn_read.c
 *	  Reads at a timestamp over a reader, and their answers.
 *
 * As for raw scans: fewer pairs than asked for mean that the region has no
 * more, so an answer is never cut short.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/mvcc/inspect.h"
#include "core/txn/buffered_get.h"
#include "service/messages.h"
#include "service/pair_list.h"
#include "service/txn_internal.h"

static ProtobufCBinaryData
to_wire(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

/* The error of a read that found neither a value nor its absence. */
static Kvrpcpb__KeyError *
error_of(const TxnRequest *txn, const ReadResult *result, Arena *arena)
{
	TxnError error = {.key = result->key, .start_ts = txn->read.ts};

	switch (result->outcome)
	{
		case READ_LOCKED:
			error.kind = TXN_KEY_IS_LOCKED;
			txn_lock_info(result->met->key, &result->met->lock, &error.lock);
			break;
		case READ_CONFLICT:
			error.kind = TXN_WRITE_CONFLICT;
			error.reason = CONFLICT_RC_CHECK_TS;
			error.conflict_ts = result->conflict_ts;
			error.conflict_commit_ts = result->conflict_commit_ts;
			break;
		default:
			CHECK(result->outcome == READ_DEFAULT_MISSING);
			error.kind = TXN_DEFAULT_NOT_FOUND;
			error.start_ts = result->start_ts;
			break;
	}
	return txn_key_error(&error, arena);
}

/* The look's locks are in the order of the keys: the next may be this key's. */
static const MetLock *
next_met(const TxnLook *look, size_t *next, Bytes key)
{
	if (*next < look->n_met && bytes_eq(look->met[*next].key, key))
		return &look->met[(*next)++];
	return NULL;
}

static void
read_get(Request *request, const TxnRequest *txn, const TxnLook *look,
		 MvccReader *reader)
{
	Kvrpcpb__GetResponse reply = KVRPCPB__GET_RESPONSE__INIT;
	ReadResult result;
	size_t next = 0;

	mvcc_get(reader, &txn->read, txn->keys[0],
			 next_met(look, &next, txn->keys[0]), request->arena, &result);
	switch (result.outcome)
	{
		case READ_FOUND:
			reply.value = to_wire(result.value);
			if (txn->read.need_commit_ts)
				reply.commit_ts = result.commit_ts;
			break;
		case READ_NOT_FOUND:
			reply.not_found = true;
			break;
		default:
			reply.error = error_of(txn, &result, request->arena);
			break;
	}
	request->done(request, &reply.base);
}

/* ---- walks over ranges ---- */

/*
 * A reader whose walks end when nobody waits for them any more: a range may
 * hold millions of keys and nothing to answer.
 */
typedef struct PatientReader
{
	MvccReader reader; /* first: the interface is this struct */
	MvccReader *base;
	const Request *request;
	const RawLimits *limits;
	const char *interrupted; /* why a walk ended early, else NULL */
	size_t n_keys;
	bool (*emit)(void *arg, Bytes key, const WriteAt *at);
	void *arg;
} PatientReader;

static bool
patient_get_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	MvccReader *base = ((PatientReader *) reader)->base;

	return base->get_lock(base, key, arena, lock);
}

static bool
patient_seek_write(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
				   WriteAt *out)
{
	MvccReader *base = ((PatientReader *) reader)->base;

	return base->seek_write(base, key, ts, arena, out);
}

static bool
patient_get_value(MvccReader *reader, Bytes key, uint64_t start_ts,
				  Arena *arena, Bytes *value)
{
	MvccReader *base = ((PatientReader *) reader)->base;

	return base->get_value(base, key, start_ts, arena, value);
}

static bool
patient_goes_on(void *arg)
{
	PatientReader *patient = arg;

	if (patient->interrupted == NULL && patient->limits->interrupted != NULL)
		patient->interrupted = patient->limits->interrupted(patient->request);
	return patient->interrupted == NULL;
}

static bool
patient_emit(void *arg, Bytes key, const WriteAt *at)
{
	PatientReader *patient = arg;

	if (++patient->n_keys % RAW_LOOK_EVERY == 0)
		(void) patient_goes_on(patient);
	return patient->interrupted == NULL && patient->emit(patient->arg, key, at);
}

static void
patient_scan_writes(MvccReader *reader, const KeyRange *range, uint64_t ts,
					bool reverse,
					bool (*emit)(void *arg, Bytes key, const WriteAt *at),
					void *arg)
{
	PatientReader *patient = (PatientReader *) reader;

	patient->emit = emit;
	patient->arg = arg;
	patient->base->goes_on = patient_goes_on;
	patient->base->goes_on_arg = patient;
	patient->base->scan_writes(patient->base, range, ts, reverse, patient_emit,
							   patient);
	patient->base->goes_on = NULL;
}

static void
patient_init(PatientReader *patient, MvccReader *base, const Request *request,
			 const RawLimits *limits)
{
	memset(patient, 0, sizeof(*patient));
	patient->reader.get_lock = patient_get_lock;
	patient->reader.seek_write = patient_seek_write;
	patient->reader.get_value = patient_get_value;
	patient->reader.scan_writes = patient_scan_writes;
	patient->base = base;
	patient->request = request;
	patient->limits = limits;
}

/* ---- answers of many pairs ---- */

typedef struct TxnPairs
{
	PairList list;
	const TxnRequest *txn;
	bool lasting;			  /* keys and values last as long as the request */
	Kvrpcpb__KeyError *error; /* of the whole answer */
} TxnPairs;

/* Of the lock that a read has met, if it is reported. */
static size_t
lock_bytes(const ReadResult *result)
{
	const Lock *lock;
	size_t bytes = sizeof(Kvrpcpb__KeyError) + sizeof(Kvrpcpb__LockInfo);

	if (result->outcome != READ_LOCKED)
		return 0;
	lock = &result->met->lock;
	bytes += lock->primary.len +
		lock->n_secondaries * sizeof(ProtobufCBinaryData) +
		lock->n_members *
			(sizeof(Kvrpcpb__LockInfo) + sizeof(Kvrpcpb__LockInfo *) +
			 result->key.len);
	for (size_t i = 0; i < lock->n_secondaries; i++)
		bytes += lock->secondaries[i].len;
	for (size_t i = 0; i < lock->n_members; i++)
		bytes += lock->members[i].primary.len;
	return bytes;
}

static ProtobufCBinaryData
keep(const TxnPairs *pairs, Bytes b)
{
	return to_wire(pairs->lasting ? b :
									arena_copy(pairs->list.request->arena, b));
}

/* One result joins; false when the answer is complete or given up. */
static bool
take(TxnPairs *pairs, const ReadResult *result)
{
	PairList *list = &pairs->list;
	Arena *arena = list->request->arena;
	Kvrpcpb__KvPair *pair;

	if (!pair_list_may_add(list,
						   result->key.len + result->value.len +
							   lock_bytes(result)))
		return false;
	if (result->outcome == READ_FOUND)
	{
		pair = pair_list_add(list);
		pair->key = keep(pairs, result->key);
		pair->value = keep(pairs, result->value);
		if (pairs->txn->read.need_commit_ts)
			pair->commit_ts = result->commit_ts;
		return true;
	}
	if (result->outcome == READ_LOCKED && !result->met->is_guard)
	{
		pair_list_add(list)->error = error_of(pairs->txn, result, arena);
		return true;
	}
	/* Ends the request: the error stands above and in the only pair. */
	list->n = 0;
	pairs->error = error_of(pairs->txn, result, arena);
	pair_list_add(list)->error = pairs->error;
	return false;
}

static void
read_batch_get(Request *request, const TxnRequest *txn, const TxnLook *look,
			   MvccReader *reader, const RawLimits *limits)
{
	Kvrpcpb__BatchGetResponse reply = KVRPCPB__BATCH_GET_RESPONSE__INIT;
	TxnPairs pairs = {.list = {.request = request, .limits = limits},
					  .txn = txn};
	size_t next = 0;
	Arena arena; /* of one key: the versions that were looked at */

	arena_init(&arena);
	for (size_t i = 0; i < txn->n_keys && pair_list_goes_on(&pairs.list, i);
		 i++)
	{
		ReadResult result;

		mvcc_get(reader, &txn->read, txn->keys[i],
				 next_met(look, &next, txn->keys[i]), &arena, &result);
		result.key = txn->keys[i];
		if (result.outcome != READ_NOT_FOUND && !take(&pairs, &result))
			break;
		arena_reset(&arena);
	}
	arena_free(&arena);
	if (!pair_list_is_whole(&pairs.list, txn_answer_abort))
		return;
	reply.pairs = pairs.list.pairs;
	reply.n_pairs = pairs.list.n;
	reply.error = pairs.error;
	request->done(request, &reply.base);
}

static bool
emit_pair(void *arg, const ReadResult *result)
{
	return take(arg, result);
}

static void
read_scan(Request *request, const TxnRequest *txn, const TxnLook *look,
		  const Region *region, MvccReader *reader, const RawLimits *limits)
{
	Kvrpcpb__ScanResponse reply = KVRPCPB__SCAN_RESPONSE__INIT;
	TxnPairs pairs = {.list = {.request = request, .limits = limits},
					  .txn = txn};
	MvccScan scan = txn->scan;
	PatientReader patient;
	Arena arena;

	arena_init(&arena);
	scan.range =
		txn_clip_range(scan.range, txn_region_range(region, request->arena));
	patient_init(&patient, reader, request, limits);
	if (scan.limit > 0)
		mvcc_scan(&patient.reader, &txn->read, &scan, look->met, look->n_met,
				  &arena, emit_pair, &pairs);
	arena_free(&arena);
	if (pairs.list.interrupted == NULL)
		pairs.list.interrupted = patient.interrupted;
	if (!pair_list_is_whole(&pairs.list, txn_answer_abort))
		return;
	reply.pairs = pairs.list.pairs;
	reply.n_pairs = pairs.list.n;
	reply.error = pairs.error;
	request->done(request, &reply.base);
}

/* ---- buffered batch get (txn-semantics 20) ---- */

/* A reader whose locks are those that the look found. */
typedef struct LookReader
{
	MvccReader reader;
	MvccReader *base;
	const TxnLook *look;
} LookReader;

static int
cmp_met(const void *key, const void *met)
{
	return bytes_cmp(*(const Bytes *) key, ((const MetLock *) met)->key);
}

/* The keys were sorted when they were decoded. */
static bool
look_get_lock(MvccReader *reader, Bytes key, Arena *arena, Lock *lock)
{
	const TxnLook *look = ((LookReader *) reader)->look;
	const MetLock *met = NULL;

	(void) arena;
	if (look->n_met > 0)
		met = bsearch(&key, look->met, look->n_met, sizeof(*met), cmp_met);
	if (met != NULL)
		*lock = met->lock;
	return met != NULL;
}

static bool
look_get_value(MvccReader *reader, Bytes key, uint64_t start_ts, Arena *arena,
			   Bytes *value)
{
	MvccReader *base = ((LookReader *) reader)->base;

	return base->get_value(base, key, start_ts, arena, value);
}

static const MetLock *
first_blocking(const TxnLook *look)
{
	for (size_t i = 0; i < look->n_met; i++)
		if (look->met[i].verdict != LOCK_ACCESSED)
			return &look->met[i];
	return NULL;
}

static void
read_buffered(Request *request, const TxnRequest *txn, const TxnLook *look,
			  MvccReader *base, const RawLimits *limits)
{
	Kvrpcpb__BufferBatchGetResponse reply =
		KVRPCPB__BUFFER_BATCH_GET_RESPONSE__INIT;
	LookReader reader = {.reader.get_lock = look_get_lock,
						 .reader.get_value = look_get_value,
						 .base = base,
						 .look = look};
	TxnPairs pairs = {.list = {.request = request, .limits = limits},
					  .txn = txn,
					  .lasting = true};
	ReadResult result = {.outcome = READ_LOCKED, .met = first_blocking(look)};
	BufferedPair *found;
	size_t n;

	if (result.met != NULL)
	{
		reply.error = error_of(txn, &result, request->arena);
		request->done(request, &reply.base);
		return;
	}
	found = arena_alloc(request->arena, txn->n_keys * sizeof(*found));
	n = txn_buffer_batch_get(&reader.reader, txn->keys, txn->n_keys,
							 txn->read.ts, limits->max_reply_size,
							 request->arena, found);
	for (size_t i = 0; i < n; i++)
	{
		result.outcome = READ_FOUND;
		result.key = found[i].key;
		result.value = found[i].value;
		if (!take(&pairs, &result))
			break;
	}
	if (!pair_list_is_whole(&pairs.list, txn_answer_abort))
		return;
	reply.pairs = pairs.list.pairs;
	reply.n_pairs = pairs.list.n;
	request->done(request, &reply.base);
}

/* ---- inspection (txn-semantics 21) ---- */

static void
read_mvcc_by_start_ts(Request *request, const TxnRequest *txn,
					  const Region *region, MvccReader *reader,
					  const RawLimits *limits)
{
	Kvrpcpb__MvccGetByStartTsResponse reply =
		KVRPCPB__MVCC_GET_BY_START_TS_RESPONSE__INIT;
	KeyRange range = txn_region_range(region, request->arena);
	Kvrpcpb__MvccInfo nothing = KVRPCPB__MVCC_INFO__INIT;
	PatientReader patient;
	bool found;
	Bytes key;

	reply.info = &nothing;
	patient_init(&patient, reader, request, limits);
	found = mvcc_find_start_ts(&patient.reader, &range, txn->start_ts,
							   request->arena, &key);
	if (patient.interrupted != NULL)
	{
		service_give_up(request, patient.interrupted);
		return;
	}
	if (found)
	{
		reply.key = to_wire(key);
		reply.info = txn_mvcc_info_message(request, reader, key, limits);
		if (reply.info == NULL)
			return;
	}
	request->done(request, &reply.base);
}

void
txn_read(Request *request, const TxnRequest *txn, const TxnLook *look,
		 const Region *region, MvccReader *reader, const RawLimits *limits)
{
	switch (request->method->id)
	{
		case METHOD_KV_GET:
			read_get(request, txn, look, reader);
			break;
		case METHOD_KV_BATCH_GET:
			read_batch_get(request, txn, look, reader, limits);
			break;
		case METHOD_KV_SCAN:
			read_scan(request, txn, look, region, reader, limits);
			break;
		case METHOD_KV_BUFFER_BATCH_GET:
			read_buffered(request, txn, look, reader, limits);
			break;
		case METHOD_MVCC_GET_BY_KEY:
			txn_inspect_key(request, txn, reader, limits);
			break;
		case METHOD_MVCC_GET_BY_START_TS:
			read_mvcc_by_start_ts(request, txn, region, reader, limits);
			break;
		case METHOD_STORE_LOCKS:
			txn_inspect_locks(request, txn, region, reader);
			break;
		case METHOD_STORE_VERSIONS:
			txn_inspect_versions(request, txn, region, reader, limits);
			break;
		default:
			CHECK(false);
	}
}
