/*
 * keyspace.c
 *	  Keys as SQL has them, as they are stored, and as regions are bounded.
 *
 * In API V1 the three are one.  In API V2 a session works in the keyspace
 * tikv.keyspace_id: a stored key has the prefix of raw keys of that keyspace,
 * and the bounds of regions are encoded keys.
 */
#include "postgres.h"

#include "core/codec/memcomparable.h"
#include "guc.h"
#include "sqlapi/sqlapi.h"

/*
 * What the settings ask for; a store whose data are of another version does
 * not serve.
 */
ApiVersion
sql_api(void)
{
	return api_of_settings(tikv_fdw_settings.api_version,
						   tikv_fdw_settings.enable_ttl);
}

static void
write_prefix(uint8 *out, uint32 keyspace_id)
{
	out[0] = 'r';
	out[1] = (uint8) (keyspace_id >> 16);
	out[2] = (uint8) (keyspace_id >> 8);
	out[3] = (uint8) keyspace_id;
}

Bytes
sql_stored_key(Bytes key)
{
	uint8 *stored;

	if (sql_api() != API_V2)
		return key;
	stored = palloc(API_KEYSPACE_PREFIX + key.len);
	write_prefix(stored, (uint32) tikv_fdw_settings.keyspace_id);
	if (key.len > 0)
		memcpy(stored + API_KEYSPACE_PREFIX, key.data, key.len);
	return bytes_make(stored, API_KEYSPACE_PREFIX + key.len);
}

/* The end of the last keyspace is the one byte behind the mode. */
Bytes
sql_stored_end(Bytes end)
{
	uint32 next = (uint32) tikv_fdw_settings.keyspace_id + 1;
	uint8 *stored;

	if (sql_api() != API_V2 || end.len > 0)
		return sql_stored_key(end);
	stored = palloc(API_KEYSPACE_PREFIX);
	if (next > 0xffffff)
	{
		stored[0] = 'r' + 1;
		return bytes_make(stored, 1);
	}
	write_prefix(stored, next);
	return bytes_make(stored, API_KEYSPACE_PREFIX);
}

Bytes
sql_user_key(Bytes stored)
{
	if (sql_api() != API_V2 || stored.len < API_KEYSPACE_PREFIX)
		return stored;
	return bytes_make(stored.data + API_KEYSPACE_PREFIX,
					  stored.len - API_KEYSPACE_PREFIX);
}

void
sql_stored_keys(Bytes *keys, int n)
{
	if (sql_api() != API_V2)
		return;
	for (int i = 0; i < n; i++)
		keys[i] = sql_stored_key(keys[i]);
}

/* An empty bound is the end of all keys, whatever their form. */
static Bytes
encoded(Bytes key, uint8 *room)
{
	if (sql_api() != API_V2 || key.len == 0)
		return key;
	(void) memcomparable_put(room, key);
	return bytes_make(room, memcomparable_len(key.len));
}

Bytes
sql_bound(Bytes key)
{
	return encoded(key, palloc(memcomparable_len(key.len)));
}

bool
sql_find_region(Bytes key, bool below, BoardRegion *out)
{
	uint8 *room = palloc(memcomparable_len(key.len));
	Bytes bound = encoded(key, room);
	bool found =
		below ? board_find_below(bound, out) : board_find_key(bound, out);

	pfree(room);
	return found;
}

bool
sql_in_region(const Region *region, Bytes key)
{
	if (sql_api() != API_V2)
		return region_contains(region, key);
	return (region->start_key.len == 0 ||
			memcomparable_cmp(key, region->start_key) >= 0) &&
		(region->end_key.len == 0 ||
		 memcomparable_cmp(key, region->end_key) < 0);
}

Bytes
sql_plain_bound(Bytes bound)
{
	Arena arena;
	Bytes plain = bytes_empty();
	bool ok = true;

	if (sql_api() != API_V2 || bound.len == 0)
		return bound;
	arena_init(&arena);
	ok = memcomparable_decode(bound, &arena, &plain, NULL) == STATUS_OK;
	if (ok)
		plain = bytes_make(memcpy(palloc(plain.len + 1), plain.data, plain.len),
						   plain.len);
	arena_free(&arena);
	if (!ok)
		elog(ERROR, "a region's bound is no key of API V2");
	return plain;
}

void
sql_cut_to_region(Bytes *lower, Bytes *upper, const Region *region)
{
	Bytes start = sql_plain_bound(region->start_key);
	Bytes end = sql_plain_bound(region->end_key);

	if (bytes_cmp(*lower, start) < 0)
		*lower = start;
	if (end.len > 0 && (upper->len == 0 || bytes_cmp(*upper, end) > 0))
		*upper = end;
}
