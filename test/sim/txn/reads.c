/*
 * reads.c
 *	  Reads as the store's workers do them, step by step.
 *
 * txn-semantics 23.1: raise max_ts (row 1), look at the locks in memory
 * (row 2), take the snapshot (row 3), read (row 4).  Between the steps
 * others act.  A change of leadership in between makes the read begin again.
 */
#include "sim.h"

#define MAX_KEYS 8

typedef enum ReadForm
{
	READ_GET,
	READ_BATCH_GET,
	READ_SCAN,
	READ_SCAN_BACK
} ReadForm;

typedef struct Reading
{
	Client *c;
	ReadForm form;
	ReadContext context;
	LockLists lists;
	const int *keys;
	int n;
	bool done[MAX_KEYS];
	Found *found;
	LockInfo locked[SIM_KEYS];
	size_t n_locked;
} Reading;

/* ----------------------------------------------------------------- values */

/* The writer, a number, the length of a list and the list; some are long. */
Bytes
value_make(uint64_t writer, uint64_t number, Bytes list)
{
	size_t pad = sim_chance(0.2) ? 300 : 0;
	uint8_t *data = sim_alloc(24 + list.len + pad);
	uint64_t len = list.len;

	memcpy(data, &writer, 8);
	memcpy(data + 8, &number, 8);
	memcpy(data + 16, &len, 8);
	if (list.len > 0)
		memcpy(data + 24, list.data, list.len);
	return bytes_make(data, 24 + list.len + pad);
}

void
value_parse(Bytes value, Found *found)
{
	uint64_t len;

	CHECK(value.len >= 24);
	found->exists = true;
	memcpy(&found->writer, value.data, 8);
	memcpy(&found->number, value.data + 8, 8);
	memcpy(&len, value.data + 16, 8);
	found->list = arena_copy(&sim->arena, bytes_make(value.data + 24, len));
}

int
key_index(Bytes key)
{
	for (int i = 0; i < SIM_KEYS; i++)
		if (bytes_eq(key, sim->keys[i]))
			return i;
	sim_fail("unknown key");
}

/* ------------------------------------------------------------- the steps */

/* Others act meanwhile, sometimes for long. */
static void
drift(Client *c)
{
	if (sim_chance(0.7))
		client_pause(c);
	else
		client_sleep(c, (int64_t) sim_rand(6 * MS));
}

static void
raise_max_ts(const Reading *r)
{
	if (!sim_mutation("read_keeps_max_ts"))
		sim->work.cm.raise_max_ts(&sim->work.cm, r->context.ts);
}

/* The lock on a key that matters, guards first; false if there is none. */
static bool
meet(const Reading *r, Bytes key, MetLock *met)
{
	bool skips_guards =
		r->form == READ_BATCH_GET && sim_mutation("batch_get_skips_guards");
	MemoryRow *row;

	met->key = key;
	for (size_t i = 0; i < sim->work.n_guards && !skips_guards; i++)
	{
		if (!bytes_eq(sim->work.guards[i].key, key))
			continue;
		CHECK(lock_decode(arena_copy(&sim->arena, sim->work.guards[i].lock),
						  &sim->arena, &met->lock) == STATUS_OK);
		met->verdict = mvcc_lock_verdict(&r->context, key, &met->lock, true);
		if (met->verdict != LOCK_IGNORED)
			return true;
	}
	row = memory_find(&sim->visible, TXN_CF_LOCK, key, 0);
	if (row == NULL)
		return false;
	CHECK(lock_decode(arena_copy(&sim->arena, row->bytes), &sim->arena,
					  &met->lock) == STATUS_OK);
	met->verdict = mvcc_lock_verdict(&r->context, key, &met->lock, false);
	return met->verdict != LOCK_IGNORED;
}

static int
place_of(const Reading *r, Bytes key)
{
	for (int i = 0; i < r->n; i++)
		if (bytes_eq(sim->keys[r->keys[i]], key))
			return i;
	return -1;
}

static bool
take(void *arg, const ReadResult *result)
{
	Reading *r = arg;
	int place = place_of(r, result->key);

	if (result->outcome == READ_DEFAULT_MISSING)
		sim_fail("the value that %" PRIu64 " wrote is missing",
				 result->start_ts);
	if (place < 0 || r->done[place])
		return true;
	if (result->outcome == READ_LOCKED)
	{
		LockInfo *info = &r->locked[r->n_locked++];

		memset(info, 0, sizeof(*info));
		info->key = sim->keys[r->keys[place]];
		lock_copy(&result->met->lock, &sim->arena, &info->lock);
		info->ttl_ms = info->lock.ttl_ms;
		return true;
	}
	r->done[place] = true;
	if (result->outcome == READ_FOUND)
		value_parse(result->value, &r->found[place]);
	return true;
}

static int
cmp_met(const void *a, const void *b)
{
	return bytes_cmp(((const MetLock *) a)->key, ((const MetLock *) b)->key);
}

/* All keys that the scan passes, in its order. */
static size_t
look_range(const Reading *r, MetLock *met)
{
	size_t n = 0;

	for (int i = 0; i < SIM_KEYS; i++)
		n += meet(r, sim->keys[i], &met[n]);
	qsort(met, n, sizeof(*met), cmp_met);
	for (size_t i = 0; r->form == READ_SCAN_BACK && i < n / 2; i++)
	{
		MetLock other = met[i];

		met[i] = met[n - 1 - i];
		met[n - 1 - i] = other;
	}
	return n;
}

static void
scan(Reading *r)
{
	MvccScan what = {.reverse = r->form == READ_SCAN_BACK, .limit = 100};
	static MetLock met[SIM_KEYS];
	MetLock *mine = sim_alloc(sizeof(met));
	size_t n = look_range(r, mine);
	bool waiting[MAX_KEYS];
	Arena arena;

	drift(r->c);
	memcpy(waiting, r->done, sizeof(waiting));
	arena_init(&arena);
	mvcc_scan(&sim->visible.reader, &r->context, &what, mine, n, &arena, take,
			  r);
	arena_free(&arena);

	/* What the scan did not name is not there. */
	for (int i = 0; i < r->n; i++)
	{
		bool is_locked = false;

		for (size_t l = 0; l < r->n_locked; l++)
			is_locked =
				is_locked || bytes_eq(r->locked[l].key, sim->keys[r->keys[i]]);
		r->done[i] = waiting[i] || !is_locked;
	}
}

static void
get(Reading *r)
{
	MetLock *met = sim_alloc(MAX_KEYS * sizeof(MetLock));
	bool has_met[MAX_KEYS];

	ReadResult results[MAX_KEYS];
	bool looks_late = sim_mutation("snapshot_before_look");

	for (int i = 0; i < r->n; i++)
		has_met[i] = meet(r, sim->keys[r->keys[i]], &met[i]);
	drift(r->c);
	for (int i = 0; i < r->n; i++)
		mvcc_get(&sim->visible.reader, &r->context, sim->keys[r->keys[i]],
				 has_met[i] && !looks_late ? &met[i] : NULL, &sim->arena,
				 &results[i]);
	if (looks_late)
	{
		drift(r->c);
		for (int i = 0; i < r->n; i++)
			if (meet(r, sim->keys[r->keys[i]], &met[i]))
				mvcc_get(&sim->visible.reader, &r->context,
						 sim->keys[r->keys[i]], &met[i], &sim->arena,
						 &results[i]);
	}
	for (int i = 0; i < r->n; i++)
		if (!r->done[i])
			take(r, &results[i]);
}

/* One attempt at what is not done; false if leadership changed meanwhile. */
static bool
attempt(Reading *r)
{
	uint64_t generation = sim->generation;
	bool done[MAX_KEYS];

	memcpy(done, r->done, sizeof(done));
	r->n_locked = 0;
	r->context.resolved_locks = r->lists.resolved;
	r->context.n_resolved_locks = r->lists.n_resolved;
	r->context.committed_locks = r->lists.committed;
	r->context.n_committed_locks = r->lists.n_committed;
	if (sim_mutation("look_before_raise"))
	{
		if (r->form == READ_GET || r->form == READ_BATCH_GET)
			get(r);
		else
			scan(r);
		raise_max_ts(r);
		return true;
	}
	raise_max_ts(r);
	drift(r->c);
	if (r->form == READ_GET || r->form == READ_BATCH_GET)
		get(r);
	else
		scan(r);
	if (generation == sim->generation)
		return true;
	memcpy(r->done, done, sizeof(done));
	memset(r->found, 0, (size_t) r->n * sizeof(*r->found));
	for (int i = 0; i < r->n; i++)
		r->done[i] = false;
	return false;
}

/* Everything read so far is of one timestamp, so it can be kept. */
static bool
all_done(const Reading *r)
{
	for (int i = 0; i < r->n; i++)
		if (!r->done[i])
			return false;
	return true;
}

static bool
resolve_locked(Reading *r)
{
	bool alive = false;

	for (size_t i = 0; i < r->n_locked; i++)
		alive = !resolve_lock(r->c, &r->locked[i], r->context.ts, &r->lists) ||
			alive;
	return alive;
}

bool
read_keys(Client *c, uint64_t ts, const int *keys, int n, Found *found)
{
	Reading *r = sim_alloc(sizeof(*r));
	uint64_t floors[MAX_KEYS];

	r->c = c;
	r->context.ts = ts;
	r->context.isolation = ISOLATION_SI;
	r->keys = keys;
	r->n = n;
	r->found = found;
	r->form = n == 1 ? READ_GET : (ReadForm) (1 + sim_rand(3));
	memset(found, 0, (size_t) n * sizeof(*found));
	for (int i = 0; i < n; i++)
		floors[i] = sim->acked_key[keys[i]];
	for (int tries = 0; tries < 40 && !all_done(r); tries++)
	{
		client_may_die(c);
		if (attempt(r) && r->n_locked > 0 && resolve_locked(r))
			client_sleep(c, (int64_t) sim_rand(10 * MS));
	}
	client_pause(c);
	/* As the client does: what is older than the safe point is refused. */
	if (!all_done(r) || ts < sim->safe_point)
		return false;
	for (int i = 0; i < n; i++)
		model_read(keys[i], ts, found[i].writer, floors[i]);
	return true;
}
