/*
 * insert_queue.c
 *	  Rows of an INSERT or COPY on their way to the store, a batch ahead of the
 *	  statement.
 *
 * While the store writes a batch, the session forms the next one.  It is sent
 * when the former is known to be durable: no row is written behind one that
 * was refused.
 */
#include "postgres.h"

#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/insert_queue.h"
#include "sqlapi/sqlapi.h"

#define FIRST_ROWS 16

typedef struct InsertBatch
{
	MemoryContext context; /* of all below */
	KvWrite *writes;
	int n;
	int room;
	Size bytes;
	KvAhead *ahead;
} InsertBatch;

struct InsertQueue
{
	const TableMap *map;
	const KvAccess *kv;
	KvCounters *counters;
	int max; /* rows of a batch */
	InsertBatch batches[2];
	InsertBatch *filling;
	InsertBatch *sent; /* NULL: none is */
};

/* ------------------------------------------------------ keys that repeat */

/* For sorting places of writes by their keys. */
static int
compare_writes(const void *a, const void *b, void *arg)
{
	const KvWrite *writes = arg;
	int place_a = *(const int *) a;
	int place_b = *(const int *) b;
	int c = bytes_cmp(writes[place_a].key, writes[place_b].key);

	return c != 0 ? c : (place_a > place_b) - (place_a < place_b);
}

/* Rows mostly come in the order of their keys, and then none repeats. */
static bool
is_ascending(const KvWrite *writes, int n)
{
	for (int i = 1; i < n; i++)
		if (bytes_cmp(writes[i - 1].key, writes[i].key) >= 0)
			return false;
	return true;
}

int
insert_flag_repeated(const KvWrite *writes, int n, bool *repeated)
{
	int *places;
	int n_repeated = 0;

	memset(repeated, 0, sizeof(bool) * (Size) n);
	if (is_ascending(writes, n))
		return 0;
	places = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
		places[i] = i;
	qsort_arg(places, n, sizeof(int), compare_writes,
			  unconstify(KvWrite *, writes));
	for (int i = 1; i < n; i++)
		if (bytes_eq(writes[places[i - 1]].key, writes[places[i]].key))
		{
			repeated[places[i]] = true;
			n_repeated++;
		}
	pfree(places);
	return n_repeated;
}

void
insert_refuse(const TableMap *map, Bytes key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("duplicate key in foreign table \"%s\"",
					get_rel_name(map->relid)),
			 errdetail("Key %s already exists.", key_text(key))));
}

/* Refuse the first of the writes that is flagged. */
static void
refuse_flagged(const InsertQueue *queue, const InsertBatch *batch,
			   const bool *flags)
{
	for (int i = 0; i < batch->n; i++)
		if (flags[i])
			insert_refuse(queue->map, batch->writes[i].key);
}

/* --------------------------------------------------------------- batches */

static void
batch_clear(InsertBatch *batch)
{
	MemoryContextReset(batch->context);
	batch->writes = NULL;
	batch->n = 0;
	batch->room = 0;
	batch->bytes = 0;
	batch->ahead = NULL;
}

/* In the batch's context. */
static void
make_room(InsertBatch *batch, int max)
{
	int room = Min(Max(batch->room * 4, FIRST_ROWS), max);

	if (batch->writes == NULL)
		batch->writes = palloc(sizeof(KvWrite) * (Size) room);
	else
		batch->writes = repalloc(batch->writes, sizeof(KvWrite) * (Size) room);
	batch->room = room;
}

/* What was sent is durable, or could not go that way and goes another. */
static void
settle(InsertQueue *queue)
{
	InsertBatch *batch = queue->sent;

	if (batch == NULL)
		return;
	queue->sent = NULL;
	if (!queue->kv->ahead_end(batch->ahead, queue->counters))
	{
		MemoryContext caller = MemoryContextSwitchTo(batch->context);
		bool *existed = palloc(sizeof(bool) * (Size) batch->n);

		(void) queue->kv->insert(batch->writes, batch->n, true, existed,
								 queue->counters);
		refuse_flagged(queue, batch, existed);
		MemoryContextSwitchTo(caller);
	}
	batch_clear(batch);
}

static void
send(InsertQueue *queue)
{
	InsertBatch *batch = queue->filling;
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	bool *repeated = palloc(sizeof(bool) * (Size) batch->n);
	int n_repeated = insert_flag_repeated(batch->writes, batch->n, repeated);

	if (n_repeated == 0)
		batch->ahead = queue->kv->ahead_new(batch->writes, batch->n);
	settle(queue);
	if (n_repeated > 0)
		refuse_flagged(queue, batch, repeated);
	queue->kv->ahead_send(batch->ahead);
	MemoryContextSwitchTo(caller);
	queue->sent = batch;
	queue->filling = &queue->batches[batch == &queue->batches[0]];
}

/* --------------------------------------------------------- the interface */

InsertQueue *
insert_queue_new(const TableMap *map, const KvAccess *kv, KvCounters *counters)
{
	InsertQueue *queue = palloc0(sizeof(InsertQueue));

	queue->map = map;
	queue->kv = kv;
	queue->counters = counters;
	queue->max = Min(map->batch_size, KV_AHEAD_KEYS);
	for (int i = 0; i < 2; i++)
	{
		queue->batches[i].context =
			AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw inserts",
								  ALLOCSET_DEFAULT_SIZES);
	}
	queue->filling = &queue->batches[0];
	return queue;
}

void
insert_queue_add(InsertQueue *queue, const KvWrite *write)
{
	InsertBatch *batch = queue->filling;
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	KvWrite *copy;

	if (batch->n == batch->room)
		make_room(batch, queue->max);
	copy = &batch->writes[batch->n++];
	copy->key = bytes_copy(write->key);
	copy->value = bytes_copy(write->value);
	copy->ttl_s = write->ttl_s;
	batch->bytes += write->key.len + write->value.len;
	MemoryContextSwitchTo(caller);
	if (batch->n == queue->max || batch->bytes >= KV_AHEAD_BYTES)
		send(queue);
}

void
insert_queue_end(InsertQueue *queue)
{
	if (queue->filling->n > 0)
		send(queue);
	settle(queue);
}
