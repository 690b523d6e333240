/*
 * grants.c
 *	  Grants in shared memory.
 *
 * A slot per backend, and pages for their keys, given out first fit by the
 * store, which alone takes and frees: no lock.  A slot's words are written
 * before the state that shows them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"

#include "bus/grants.h"
#include "core/base/check.h"

#define PAGE_SIZE ((Size) 2048)
#define N_PAGES 2048

typedef struct GrantSlot
{
	pg_atomic_uint32 state; /* GrantState */
	TransactionId xid;
	uint64 generation;
	uint64 start_ts;
	uint64 commit_ts;
	uint32 n_keys;
	uint32 first_page;
	uint32 n_pages;
	Size used;
	int sqlstate; /* of the error that ended it; 0: none is known */
	char error[256];
} GrantSlot;

struct GrantsShared
{
	pg_atomic_uint32 news;
	uint64 next_generation;
	int n;
	Size pages_at;
	uint8 page_taken[N_PAGES];
	GrantSlot slots[FLEXIBLE_ARRAY_MEMBER];
};

static GrantsShared *
shared(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->grants;
}

/* ---------------------------------------------------------------- memory */

static Size
slots_size(void)
{
	return MAXALIGN(add_size(offsetof(GrantsShared, slots),
							 mul_size(sizeof(GrantSlot), (Size) MaxBackends)));
}

Size
grants_shmem_size(void)
{
	return add_size(slots_size(), PAGE_SIZE * N_PAGES);
}

void
grants_shmem_init(TikvShmem *shmem, bool found)
{
	GrantsShared *all;
	bool ours;

	all = ShmemInitStruct("tikv_fdw grants", grants_shmem_size(), &ours);
	shmem->grants = all;
	if (found)
		return;
	memset(all, 0, slots_size());
	all->n = MaxBackends;
	all->pages_at = slots_size();
	pg_atomic_init_u32(&all->news, 0);
	for (int i = 0; i < all->n; i++)
		pg_atomic_init_u32(&all->slots[i].state, GRANT_FREE);
}

static char *
data_of(const GrantSlot *slot)
{
	return (char *) shared() + shared()->pages_at +
		slot->first_page * PAGE_SIZE;
}

/* The first so many pages in a row; N_PAGES if there are none. */
static uint32
find_pages(const GrantsShared *all, uint32 wanted)
{
	uint32 run = 0;

	for (uint32 i = 0; i < N_PAGES; i++)
	{
		run = all->page_taken[i] ? 0 : run + 1;
		if (run == wanted)
			return i + 1 - wanted;
	}
	return N_PAGES;
}

/* -------------------------------------------------------------- the store */

Size
grant_key_size(Bytes key, Bytes guard)
{
	return MAXALIGN(sizeof(GrantKey) + key.len + guard.len);
}

int
grant_take(TransactionId xid, uint64 start_ts, uint64 commit_ts, Size bytes)
{
	GrantsShared *all = shared();
	uint32 n_pages = (uint32) ((bytes + PAGE_SIZE - 1) / PAGE_SIZE);
	uint32 first;
	int found = 0;
	GrantSlot *slot;

	if (bytes > GRANT_BYTES_MAX)
		return -1;
	first = find_pages(all, n_pages);
	while (found < all->n &&
		   pg_atomic_read_u32(&all->slots[found].state) != GRANT_FREE)
		found++;
	if (first == N_PAGES || found == all->n)
		return -1;
	slot = &all->slots[found];
	memset(all->page_taken + first, 1, n_pages);
	slot->xid = xid;
	slot->generation = ++all->next_generation;
	slot->start_ts = start_ts;
	slot->commit_ts = commit_ts;
	slot->n_keys = 0;
	slot->first_page = first;
	slot->n_pages = n_pages;
	slot->used = 0;
	slot->sqlstate = 0;
	pg_write_barrier();
	pg_atomic_write_u32(&slot->state, GRANT_FILLING);
	return found;
}

void
grant_add_key(int grant, const GrantKey *from, Bytes key, Bytes guard)
{
	GrantSlot *slot = &shared()->slots[grant];
	GrantKey *to = (GrantKey *) (data_of(slot) + slot->used);

	CHECK(slot->used + grant_key_size(key, guard) <= slot->n_pages * PAGE_SIZE);
	*to = *from;
	to->key_len = (uint32) key.len;
	to->guard_len = (uint32) guard.len;
	to->file = InvalidOid;
	if (key.len > 0)
		memcpy(to + 1, key.data, key.len);
	if (guard.len > 0)
		memcpy((char *) (to + 1) + key.len, guard.data, guard.len);
	slot->used += grant_key_size(key, guard);
	slot->n_keys++;
}

uint64
grant_set_live(int grant)
{
	GrantSlot *slot = &shared()->slots[grant];

	pg_write_barrier();
	pg_atomic_write_u32(&slot->state, GRANT_LIVE);
	return slot->generation;
}

void
grant_free(int grant)
{
	GrantsShared *all = shared();
	GrantSlot *slot = &all->slots[grant];

	memset(all->page_taken + slot->first_page, 0, slot->n_pages);
	slot->generation = 0;
	pg_write_barrier();
	pg_atomic_write_u32(&slot->state, GRANT_FREE);
}

/* The map of pages is made anew, too: its maker may have died on the way. */
void
grants_reset_filling(void)
{
	GrantsShared *all = shared();

	if (all == NULL)
		return;
	memset(all->page_taken, 0, sizeof(all->page_taken));
	for (int i = 0; i < all->n; i++)
	{
		GrantSlot *slot = &all->slots[i];
		uint32 state = pg_atomic_read_u32(&slot->state);

		if (state == GRANT_FILLING)
			pg_atomic_write_u32(&slot->state, GRANT_FREE);
		else if (state != GRANT_FREE)
			memset(all->page_taken + slot->first_page, 1, slot->n_pages);
	}
}

int
grant_error(int grant, const char **message)
{
	const GrantSlot *slot = &shared()->slots[grant];

	*message = slot->error;
	return slot->sqlstate;
}

bool
grants_have_news(void)
{
	GrantsShared *all = shared();

	return all != NULL && pg_atomic_read_u32(&all->news) != 0;
}

bool
grants_take_news(void)
{
	return grants_have_news() &&
		pg_atomic_exchange_u32(&shared()->news, 0) != 0;
}

/* ------------------------------------------------------------------- both */

int
grants_n(void)
{
	return shared() == NULL ? 0 : shared()->n;
}

void
grant_view(int grant, GrantView *out)
{
	GrantSlot *slot = &shared()->slots[grant];

	out->state = (GrantState) pg_atomic_read_u32(&slot->state);
	pg_read_barrier();
	out->generation = slot->generation;
	out->xid = slot->xid;
	out->start_ts = slot->start_ts;
	out->commit_ts = slot->commit_ts;
	out->n_keys = slot->n_keys;
}

GrantKey *
grant_next_key(int grant, Size *at)
{
	GrantSlot *slot = &shared()->slots[grant];
	GrantKey *key;

	if (*at >= slot->used)
		return NULL;
	key = (GrantKey *) (data_of(slot) + *at);
	*at += grant_key_size(grant_key_bytes(key), grant_guard_bytes(key));
	return key;
}

/* ------------------------------------------------------------ the backend */

/* Its transaction is in progress, so the slot is its own. */
void
grant_note_error(int grant, int sqlstate, const char *message)
{
	GrantSlot *slot = &shared()->slots[grant];

	strlcpy(slot->error, message, sizeof(slot->error));
	slot->sqlstate = sqlstate;
}

void
grant_end(int grant, uint64 generation)
{
	GrantsShared *all = shared();
	GrantSlot *slot = &all->slots[grant];
	uint32 live = GRANT_LIVE;

	/*
	 * The store may have found out by itself, and given the slot away, even
	 * just now: it believes the state of transactions, not this word.
	 */
	if (slot->generation == generation)
		(void) pg_atomic_compare_exchange_u32(&slot->state, &live, GRANT_ENDED);
	pg_atomic_write_u32(&all->news, 1);
	worker_wake(WORKER_STORE);
}
