/*
 * kv.h
 *	  What the foreign data wrapper needs of a key-value store.
 *
 * Two modes stand behind one table of functions: raw keys (kv_raw.c), where
 * each write is durable by itself, and transactional ones (kv_txn.c), which
 * are part of the SQL transaction.  The wrapper does not know which it has.
 *
 * Keys are the session's, without keyspace.  Whoever asks checks first what the
 * user may do (allow.h).
 */
#ifndef TIKV_FDW_KV_H
#define TIKV_FDW_KV_H

#include "postgres.h"

#include "core/base/bytes.h"

typedef enum KvMode
{
	KV_RAW,
	KV_TXN
} KvMode;

/* What EXPLAIN ANALYZE shows. */
typedef struct KvCounters
{
	uint64 requests;
	uint64 keys_read;
	uint64 keys_written;
	uint64 retries;
} KvCounters;

/* A page is full with so many bytes. */
#define KV_PAGE_BYTES ((Size) 1 << 20)

/*
 * Pairs that were read: keys and values one behind the other in one buffer,
 * which grows and is used again.
 */
typedef struct KvPair
{
	Size at; /* of the key in the buffer; the value follows */
	uint32 key_len;
	uint32 value_len;
	int64 expires_at; /* unix seconds, 0 never */
	int asked;		  /* of a batch_get: the key's number in that call */
} KvPair;

typedef struct KvPage
{
	MemoryContext context;
	char *data;
	Size used;
	Size size;
	KvPair *pairs;
	int n;
	int max;
	Size pair_bytes;  /* as it was when it was cleared */
	bool wants_ttl;	  /* expires_at of pairs that other stores hold, too */
	bool has_no_keys; /* they are known by `asked`, and left empty */
} KvPage;

extern KvPage *kv_page_new(MemoryContext context);
extern void kv_page_clear(KvPage *page);

/* Of a pair, on average, of this page or the one before; 0: unknown. */
extern Size kv_page_pair_bytes(const KvPage *page);

extern void kv_page_add(KvPage *page, Bytes key, Bytes value, int64 expires_at);

/* The same of a key that was asked for by this number. */
extern void kv_page_add_asked(KvPage *page, int asked, Bytes key, Bytes value,
							  int64 expires_at);

static inline Bytes
kv_page_key(const KvPage *page, int i)
{
	return bytes_make(page->data + page->pairs[i].at, page->pairs[i].key_len);
}

static inline Bytes
kv_page_value(const KvPage *page, int i)
{
	return bytes_make(page->data + page->pairs[i].at + page->pairs[i].key_len,
					  page->pairs[i].value_len);
}

/* Keys [lower, upper); an empty upper bound is the end of all keys. */
typedef struct KvRange
{
	Bytes lower;
	Bytes upper;
} KvRange;

static inline bool
kv_range_is_empty(const KvRange *range)
{
	return range->upper.len > 0 && bytes_cmp(range->lower, range->upper) >= 0;
}

typedef struct KvCursor KvCursor;

typedef struct KvWrite
{
	Bytes key;
	Bytes value;
	uint64 ttl_s; /* 0: never expires */
} KvWrite;

/* An insert that is on its way. */
typedef struct KvAhead KvAhead;

typedef struct KvAccess
{
	/*
	 * Add the keys that exist to the page, in the order given, until it has
	 * KV_PAGE_BYTES more; returns how many keys were looked for, at least one.
	 */
	int (*batch_get)(const Bytes *keys, int n, KvPage *page,
					 KvCounters *counters);

	/*
	 * A cursor over a range, in its own memory context.  fetch adds up to
	 * `limit` pairs, or KV_PAGE_BYTES, to the page; false if none came and the
	 * range is at its end.  Values are empty if only keys were asked for.
	 */
	KvCursor *(*open)(const KvRange *range, bool reverse, bool key_only);
	bool (*fetch)(KvCursor *cursor, int limit, KvPage *page,
				  KvCounters *counters);
	void (*close)(KvCursor *cursor);

	/*
	 * Keep others from writing the keys until the transaction ends, and add
	 * those that exist to the page with what they hold now; no_wait: a lock of
	 * somebody else is an error.  NULL: there is no such thing.
	 */
	void (*lock)(const Bytes *keys, int n, bool no_wait, KvPage *page,
				 KvCounters *counters);

	/* Later writes of a key win over earlier ones. */
	void (*put)(const KvWrite *writes, int n, KvCounters *counters);
	void (*delete)(const Bytes *keys, int n, KvCounters *counters);

	/*
	 * Insert keys that do not exist; they must differ from each other.
	 * Returns the number inserted.  A key that exists is left as it is and
	 * flagged in `existed`; stop_at_first: then the rest is not tried.
	 */
	int (*insert)(const KvWrite *writes, int n, bool stop_at_first,
				  bool *existed, KvCounters *counters);

	/*
	 * The same in three steps, so that the next rows can be formed while these
	 * are written; up to KV_AHEAD_KEYS in one request.  The writes must live as
	 * long, in CurrentMemoryContext of ahead_new.  ahead_end is false if nothing
	 * was inserted, which `insert` then explains or mends.  NULL: there is no
	 * such thing.
	 */
	KvAhead *(*ahead_new)(const KvWrite *writes, int n);
	void (*ahead_send)(KvAhead *ahead);
	bool (*ahead_end)(KvAhead *ahead, KvCounters *counters);

	void (*delete_range)(const KvRange *range, KvCounters *counters);
} KvAccess;

#define KV_AHEAD_KEYS 2048
#define KV_AHEAD_BYTES ((Size) 1 << 20)

extern const KvAccess kv_raw;
extern const KvAccess kv_txn;

extern const KvAccess *kv_access(KvMode mode);

#endif /* TIKV_FDW_KV_H */
