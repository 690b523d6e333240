/*
 * txn_inspect.c
 *	  Locks and versions as they are stored, for people: of a key, and of the
 *	  keys of a range for SQL on another node.
 *
 * No isolation, and no timestamp: nothing that is shown here binds anybody.
 */
#include "core/mvcc/inspect.h"
#include "service/messages.h"
#include "service/txn_internal.h"

/* An answer of many keys ends behind the key that makes it this long. */
#define PAGE_BYTES ((size_t) 1 << 20)

/* ... and with so many in any case. */
#define PAGE_KEYS 256

static ProtobufCBinaryData
to_wire(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

/* ----------------------------------------------------------------- a key */

static Kvrpcpb__Op
op_of_write(WriteType type)
{
	switch (type)
	{
		case WRITE_TYPE_PUT:
			return KVRPCPB__OP__Put;
		case WRITE_TYPE_DELETE:
			return KVRPCPB__OP__Del;
		case WRITE_TYPE_LOCK:
			return KVRPCPB__OP__Lock;
		default:
			return KVRPCPB__OP__Rollback;
	}
}

static Kvrpcpb__MvccWrite *
mvcc_write_message(const WriteAt *at, Arena *arena)
{
	Kvrpcpb__MvccWrite *out = arena_alloc(arena, sizeof(*out));

	kvrpcpb__mvcc_write__init(out);
	out->type = op_of_write(at->write.type);
	out->start_ts = at->write.start_ts;
	out->commit_ts = at->commit_ts;
	out->short_value = to_wire(at->write.short_value);
	out->has_overlapped_rollback = at->write.has_overlapped_rollback;
	out->has_gc_fence = at->write.has_gc_fence;
	out->gc_fence = at->write.gc_fence;
	out->last_change_ts = at->write.last_change.ts;
	out->versions_to_last_change = at->write.last_change.versions;
	return out;
}

static Kvrpcpb__MvccLock *
mvcc_lock_message(Bytes key, const Lock *lock, Arena *arena)
{
	Kvrpcpb__MvccLock *out = arena_alloc(arena, sizeof(*out));
	Kvrpcpb__LockInfo *info;
	LockInfo from;

	txn_lock_info(key, lock, &from);
	info = txn_lock_info_message(&from, arena);
	kvrpcpb__mvcc_lock__init(out);
	out->type = info->lock_type;
	out->start_ts = lock->start_ts;
	out->primary = to_wire(lock->primary);
	out->short_value = to_wire(lock->short_value);
	out->ttl = lock->ttl_ms;
	out->for_update_ts = lock->for_update_ts;
	out->txn_size = lock->txn_size;
	out->use_async_commit = lock->use_async_commit;
	out->n_secondaries = info->n_secondaries;
	out->secondaries = info->secondaries;
	out->n_rollback_ts = lock->n_rollback_ts;
	out->rollback_ts = (uint64_t *) lock->rollback_ts;
	out->last_change_ts = lock->last_change.ts;
	out->versions_to_last_change = lock->last_change.versions;
	return out;
}

Kvrpcpb__MvccInfo *
txn_mvcc_info_message(Request *request, MvccReader *reader, Bytes key,
					  const RawLimits *limits)
{
	Arena *arena = request->arena;
	Kvrpcpb__MvccInfo *out = arena_alloc(arena, sizeof(*out));
	MvccInfo info;

	mvcc_inspect_key(reader, key, limits->max_reply_size, arena, &info);
	if (info.too_large)
	{
		txn_answer_abort(request, "the key has too many versions to list");
		return NULL;
	}
	kvrpcpb__mvcc_info__init(out);
	if (info.has_lock)
		out->lock = mvcc_lock_message(key, &info.lock, arena);
	out->n_writes = info.n_writes;
	out->writes = arena_alloc(arena, info.n_writes * sizeof(*out->writes));
	for (size_t i = 0; i < info.n_writes; i++)
		out->writes[i] = mvcc_write_message(&info.writes[i], arena);
	out->n_values = info.n_values;
	out->values = arena_alloc(arena, info.n_values * sizeof(*out->values));
	for (size_t i = 0; i < info.n_values; i++)
	{
		out->values[i] = arena_alloc(arena, sizeof(*out->values[i]));
		kvrpcpb__mvcc_value__init(out->values[i]);
		out->values[i]->start_ts = info.values[i].start_ts;
		out->values[i]->value = to_wire(info.values[i].value);
	}
	return out;
}

void
txn_inspect_key(Request *request, const TxnRequest *txn, MvccReader *reader,
				const RawLimits *limits)
{
	Kvrpcpb__MvccGetByKeyResponse reply =
		KVRPCPB__MVCC_GET_BY_KEY_RESPONSE__INIT;

	reply.info = txn_mvcc_info_message(request, reader, txn->keys[0], limits);
	if (reply.info == NULL)
		return;
	request->done(request, &reply.base);
}

/* --------------------------------------------------------- keys of a range */

static size_t
page_of(const TxnRequest *txn)
{
	size_t limit = txn->scan.limit;

	return limit == 0 || limit > PAGE_KEYS ? PAGE_KEYS : limit;
}

typedef struct LockPage
{
	Request *request;
	Kvrpcpb__LockInfo **locks;
	size_t n;
	size_t most;
	size_t enough; /* of arena->allocated */
} LockPage;

static bool
add_lock(void *arg, Bytes key, const Lock *lock)
{
	LockPage *page = arg;
	Arena *arena = page->request->arena;
	LockInfo info;
	Lock copy;

	lock_copy(lock, arena, &copy);
	txn_lock_info(arena_copy(arena, key), &copy, &info);
	page->locks[page->n++] = txn_lock_info_message(&info, arena);
	return page->n < page->most && arena->allocated < page->enough;
}

void
txn_inspect_locks(Request *request, const TxnRequest *txn, const Region *region,
				  MvccReader *reader)
{
	Kvrpcpb__ScanLockResponse reply = KVRPCPB__SCAN_LOCK_RESPONSE__INIT;
	Arena *arena = request->arena;
	KeyRange range =
		txn_clip_range(txn->scan.range, txn_region_range(region, arena));
	LockPage page = {.request = request, .most = page_of(txn)};

	page.locks = arena_alloc(arena, page.most * sizeof(*page.locks));
	page.enough = arena->allocated + PAGE_BYTES;
	reader->scan_locks(reader, &range, UINT64_MAX, true, add_lock, &page);
	reply.locks = page.locks;
	reply.n_locks = page.n;
	request->done(request, &reply.base);
}

/* False after an answer that says why not. */
static bool
fill_pair(Request *request, MvccReader *reader, Bytes key,
		  const RawLimits *limits, Kvrpcpb__KvPair *pair)
{
	const char *interrupted = NULL;
	Kvrpcpb__MvccInfo *info;
	uint8_t *bytes;
	size_t len;

	if (limits->interrupted != NULL)
		interrupted = limits->interrupted(request);
	if (interrupted != NULL)
	{
		service_give_up(request, interrupted);
		return false;
	}
	info = txn_mvcc_info_message(request, reader, key, limits);
	if (info == NULL)
		return false;
	len = protobuf_c_message_get_packed_size(&info->base);
	bytes = arena_alloc(request->arena, len);
	protobuf_c_message_pack(&info->base, bytes);
	kvrpcpb__kv_pair__init(pair);
	pair->key = to_wire(key);
	pair->value = to_wire(bytes_make(bytes, len));
	return true;
}

void
txn_inspect_versions(Request *request, const TxnRequest *txn,
					 const Region *region, MvccReader *reader,
					 const RawLimits *limits)
{
	Kvrpcpb__ScanResponse reply = KVRPCPB__SCAN_RESPONSE__INIT;
	Arena *arena = request->arena;
	KeyRange range =
		txn_clip_range(txn->scan.range, txn_region_range(region, arena));
	size_t most = page_of(txn);
	size_t enough;
	MvccKeys keys;

	mvcc_list_keys(reader, &range, most, arena, &keys);
	reply.pairs = arena_alloc(arena, most * sizeof(*reply.pairs));
	enough = arena->allocated + PAGE_BYTES;
	for (size_t i = 0;
		 i < keys.n && i < most && (i == 0 || arena->allocated < enough); i++)
	{
		Kvrpcpb__KvPair *pair = arena_alloc(arena, sizeof(*pair));

		if (!fill_pair(request, reader, keys.keys[i], limits, pair))
			return;
		reply.pairs[reply.n_pairs++] = pair;
	}
	request->done(request, &reply.base);
}
