/*
 * lease.c
 *	  Leases: keys that go when nobody keeps them alive.
 */
#include "pd/core/lease.h"

#include <stdlib.h>

#include "core/base/check.h"

void
leases_init(Leases *leases)
{
	memset(leases, 0, sizeof(*leases));
	leases->next_us = INT64_MAX;
}

static void
note_expiry(Leases *leases, const Lease *lease)
{
	if (lease->expire_us < leases->next_us)
		leases->next_us = lease->expire_us;
}

void
leases_free(Leases *leases)
{
	free(leases->items);
	leases_init(leases);
}

static size_t
seek(const Leases *leases, int64_t id, bool *found)
{
	size_t lo = 0;
	size_t hi = leases->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (leases->items[mid].id >= id)
			hi = mid;
		else
			lo = mid + 1;
	}
	*found = lo < leases->n && leases->items[lo].id == id;
	return lo;
}

const Lease *
leases_get(const Leases *leases, int64_t id)
{
	bool found;
	size_t at = seek(leases, id, &found);

	return found ? &leases->items[at] : NULL;
}

const Lease *
leases_alive(const Leases *leases, int64_t id)
{
	const Lease *lease = leases_get(leases, id);

	return lease != NULL && lease->ttl != LEASE_DEAD ? lease : NULL;
}

static void
put_lease(Leases *leases, const Lease *lease)
{
	bool found;
	size_t at = seek(leases, lease->id, &found);

	if (!found)
	{
		if (leases->n == leases->size)
		{
			leases->size = leases->size == 0 ? 16 : leases->size * 2;
			leases->items =
				realloc(leases->items, leases->size * sizeof(Lease));
			CHECK(leases->items != NULL);
		}
		memmove(leases->items + at + 1, leases->items + at,
				(leases->n - at) * sizeof(Lease));
		leases->n++;
	}
	leases->items[at] = *lease;
	note_expiry(leases, lease);
}

static void
remove_lease(Leases *leases, int64_t id)
{
	bool found;
	size_t at = seek(leases, id, &found);

	if (!found)
		return;
	memmove(leases->items + at, leases->items + at + 1,
			(leases->n - at - 1) * sizeof(Lease));
	leases->n--;
}

bool
leases_apply(Leases *leases, const PdRecord *record)
{
	if (record->kind != PD_RECORD_LEASE)
		return false;
	if (record->removed)
		remove_lease(leases, record->lease.id);
	else
		put_lease(leases, &record->lease);
	return true;
}

KvError
lease_grant(const Leases *leases, int64_t id, int64_t random, int64_t ttl,
			PdChanges *changes, Lease *out)
{
	PdRecord record = {.kind = PD_RECORD_LEASE};

	if (id < 0)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: lease ids are not negative here");
	if (ttl > LEASE_MAX_TTL)
		return kv_error(RPC_OUT_OF_RANGE, "etcdserver: too large lease TTL");
	if (leases->n >= LEASE_MAX_COUNT)
		return kv_error(RPC_RESOURCE_EXHAUSTED, "etcdserver: too many leases");
	if (id == 0)
		for (id = random; id == 0 || leases_get(leases, id) != NULL;)
			id = id == INT64_MAX ? 1 : id + 1;
	else if (leases_get(leases, id) != NULL)
		return kv_error(RPC_FAILED_PRECONDITION,
						"etcdserver: lease already exists");
	record.lease.id = id;
	record.lease.ttl = ttl < LEASE_MIN_TTL ? LEASE_MIN_TTL : ttl;
	record.lease.expire_us = INT64_MAX;
	*out = record.lease;
	pd_changes_add(changes, &record);
	return kv_ok();
}

static void
refresh(Lease *lease, int64_t now_us)
{
	int64_t left = INT64_MAX - now_us;

	lease->expire_us =
		lease->ttl > left / 1000000 ? INT64_MAX : now_us + lease->ttl * 1000000;
}

void
lease_expires_from(PdChanges *changes, int64_t id, int64_t now_us)
{
	for (size_t i = 0; i < changes->n; i++)
		if (changes->records[i].kind == PD_RECORD_LEASE &&
			changes->records[i].lease.id == id)
			refresh(&changes->records[i].lease, now_us);
}

bool
lease_refresh(Leases *leases, int64_t id, int64_t now_us)
{
	bool found;
	size_t at = seek(leases, id, &found);

	if (!found || leases->items[at].ttl == LEASE_DEAD)
		return false;
	refresh(&leases->items[at], now_us);
	note_expiry(leases, &leases->items[at]);
	return true;
}

void
leases_refresh_all(Leases *leases, int64_t now_us)
{
	leases->next_us = INT64_MAX;
	for (size_t i = 0; i < leases->n; i++)
	{
		refresh(&leases->items[i], now_us);
		note_expiry(leases, &leases->items[i]);
	}
}

size_t
leases_expired(Leases *leases, int64_t now_us, int64_t *ids, size_t max)
{
	size_t n = 0;

	if (now_us < leases->next_us)
		return 0;
	leases->next_us = INT64_MAX;
	for (size_t i = 0; i < leases->n; i++)
	{
		if (leases->items[i].expire_us <= now_us && n < max)
			ids[n++] = leases->items[i].id;
		note_expiry(leases, &leases->items[i]);
	}
	return n;
}

int64_t
leases_next_expiry(const Leases *leases)
{
	return leases->next_us;
}
