/*
 * write_buffer.c
 *	  Updates and deletes of a statement, gathered into few requests.
 */
#include "postgres.h"

#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/write_buffer.h"
#include "sqlapi/sqlapi.h"

#define BUFFER_BYTES ((Size) 1 << 20)

/* A growing list of writes; of deletes and old keys the key alone counts. */
typedef struct WriteList
{
	MemoryContext context; /* of the bytes */
	KvWrite *items;
	int n;
	int max;
	Size bytes;
} WriteList;

struct WriteBuffer
{
	const TableMap *map;
	const KvAccess *kv;
	KvCounters *counters;
	WriteList puts;
	WriteList deletes;
	WriteList moves; /* the new keys */
	WriteList moved; /* the old ones, place by place */
};

static void
list_init(WriteList *list, MemoryContext parent)
{
	list->context = AllocSetContextCreate(parent, "tikv_fdw writes",
										  ALLOCSET_DEFAULT_SIZES);
}

static void
list_add(WriteList *list, const KvWrite *write)
{
	MemoryContext caller = MemoryContextSwitchTo(list->context);

	if (list->n == list->max)
	{
		list->max = Max(list->max * 2, 64);
		if (list->items == NULL)
			list->items = palloc(list->max * sizeof(KvWrite));
		else
			list->items =
				repalloc_huge(list->items, list->max * sizeof(KvWrite));
	}
	list->items[list->n].key = bytes_copy(write->key);
	list->items[list->n].value = bytes_copy(write->value);
	list->items[list->n++].ttl_s = write->ttl_s;
	list->bytes += write->key.len + write->value.len;
	MemoryContextSwitchTo(caller);
}

static void
list_clear(WriteList *list)
{
	MemoryContextReset(list->context);
	list->items = NULL;
	list->n = list->max = 0;
	list->bytes = 0;
}

/*
 * A transaction reads what it wrote: what a statement writes must not be seen
 * by its own scans, so it waits for the end.
 */
static bool
list_is_full(const WriteList *list, const TableMap *map)
{
	if (map->mode == KV_TXN)
		return false;
	return list->n >= map->batch_size || list->bytes >= BUFFER_BYTES;
}

static Bytes *
list_keys(const WriteList *list)
{
	Bytes *keys =
		MemoryContextAllocHuge(list->context, sizeof(Bytes) * Max(list->n, 1));

	for (int i = 0; i < list->n; i++)
		keys[i] = list->items[i].key;
	return keys;
}

/* ----------------------------------------------------------- the interface */

WriteBuffer *
write_buffer_new(const TableMap *map, const KvAccess *kv, KvCounters *counters)
{
	WriteBuffer *buffer = palloc0(sizeof(WriteBuffer));

	buffer->map = map;
	buffer->kv = kv;
	buffer->counters = counters;
	list_init(&buffer->puts, CurrentMemoryContext);
	list_init(&buffer->deletes, CurrentMemoryContext);
	list_init(&buffer->moves, CurrentMemoryContext);
	list_init(&buffer->moved, CurrentMemoryContext);
	return buffer;
}

void
write_buffer_put(WriteBuffer *buffer, const KvWrite *write)
{
	list_add(&buffer->puts, write);
	if (list_is_full(&buffer->puts, buffer->map))
		write_buffer_flush(buffer);
}

void
write_buffer_delete(WriteBuffer *buffer, Bytes key)
{
	KvWrite write = {.key = key};

	list_add(&buffer->deletes, &write);
	if (list_is_full(&buffer->deletes, buffer->map))
		write_buffer_flush(buffer);
}

void
write_buffer_move(WriteBuffer *buffer, Bytes from, const KvWrite *write)
{
	KvWrite old = {.key = from};

	list_add(&buffer->moves, write);
	list_add(&buffer->moved, &old);
}

void
write_buffer_flush(WriteBuffer *buffer)
{
	if (buffer->puts.n > 0)
		buffer->kv->put(buffer->puts.items, buffer->puts.n, buffer->counters);
	list_clear(&buffer->puts);
	if (buffer->deletes.n > 0)
		buffer->kv->delete (list_keys(&buffer->deletes), buffer->deletes.n,
							buffer->counters);
	list_clear(&buffer->deletes);
}

/* ------------------------------------------------------------------- moves */

static int
compare_keys(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

static bool
is_among(const Bytes *sorted, int n, Bytes key)
{
	return bsearch(&key, sorted, n, sizeof(Bytes), compare_keys) != NULL;
}

static void
refuse_existing(const WriteBuffer *buffer, Bytes key)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("duplicate key in foreign table \"%s\"",
					get_rel_name(buffer->map->relid)),
			 errdetail("Key %s already exists.", key_text(key))));
}

static Bytes *
sorted_keys(const WriteList *list)
{
	Bytes *keys = list_keys(list);

	qsort(keys, list->n, sizeof(Bytes), compare_keys);
	return keys;
}

static void
insert_moved(WriteBuffer *buffer, const WriteList *fresh)
{
	bool *existed = palloc(sizeof(bool) * Max(fresh->n, 1));

	if (fresh->n == 0)
		return;
	(void) buffer->kv->insert(fresh->items, fresh->n, true, existed,
							  buffer->counters);
	for (int i = 0; i < fresh->n; i++)
		if (existed[i])
			refuse_existing(buffer, fresh->items[i].key);
}

/*
 * First the keys that nobody had, which may fail and then nothing is lost; then
 * those that another row leaves; last, what was left is deleted.
 */
static void
carry_out_moves(WriteBuffer *buffer)
{
	WriteList fresh = {0};
	Bytes *old = sorted_keys(&buffer->moved);
	Bytes *new = sorted_keys(&buffer->moves);
	int n = buffer->moves.n;

	for (int i = 1; i < n; i++)
		if (bytes_eq(new[i - 1], new[i]))
			refuse_existing(buffer, new[i]);
	list_init(&fresh, buffer->moves.context);
	for (int i = 0; i < n; i++)
		if (is_among(old, n, buffer->moves.items[i].key))
			list_add(&buffer->puts, &buffer->moves.items[i]);
		else
			list_add(&fresh, &buffer->moves.items[i]);
	for (int i = 0; i < n; i++)
		if (!is_among(new, n, old[i]))
			list_add(&buffer->deletes, &(KvWrite){.key = old[i]});
	insert_moved(buffer, &fresh);
	write_buffer_flush(buffer);
	list_clear(&buffer->moves);
	list_clear(&buffer->moved);
}

void
write_buffer_end(WriteBuffer *buffer)
{
	write_buffer_flush(buffer);
	if (buffer->moves.n > 0)
		carry_out_moves(buffer);
}
