/*
 * snapshot_check.c
 *	  Is a snapshot that comes from another store what it says it is?
 */
#include "core/snapshot/snapshot_check.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/crc32.h"
#include "core/codec/memcomparable.h"

/* ---- ranges ---- */

static bool
decode_bounds(const Region *region, Arena *arena, KeyRange *out)
{
	*out = (KeyRange){bytes_empty(), bytes_empty()};
	return (region->start_key.len == 0 ||
			memcomparable_decode(region->start_key, arena, &out->lower, NULL) ==
				STATUS_OK) &&
		(region->end_key.len == 0 ||
		 memcomparable_decode(region->end_key, arena, &out->upper, NULL) ==
			 STATUS_OK);
}

/* No key is in it: whoever removes what a range has must not find all there is. */
static KeyRange
no_keys(void)
{
	Bytes bound = bytes_make("", 1);

	return (KeyRange){bound, bound};
}

SnapshotRanges
snapshot_ranges(const Region *region, ApiVersion api, Arena *arena)
{
	SnapshotRanges out = {.raw = {region->start_key, region->end_key}};

	out.no_txn = !decode_bounds(region, arena, &out.txn);
	if (out.no_txn)
		out.txn = no_keys();
	if (api == API_V2)
		out.raw = out.txn;
	return out;
}

static bool
range_has(const KeyRange *range, Bytes key)
{
	return bytes_cmp(key, range->lower) >= 0 &&
		(range->upper.len == 0 || bytes_cmp(key, range->upper) < 0);
}

/* ---- start, end ---- */

static Region
copy_region(const Region *region, Arena *arena)
{
	Region copy = *region;

	copy.start_key = arena_copy(arena, region->start_key);
	copy.end_key = arena_copy(arena, region->end_key);
	return copy;
}

void
snapshot_check_init(SnapshotChecker *c, const SnapshotInfo *data,
					ApiVersion api, size_t max_key)
{
	memset(c, 0, sizeof(*c));
	arena_init(&c->arena);
	arena_init(&c->scratch);
	c->data = *data;
	c->data.region = copy_region(&data->region, &c->arena);
	c->api = api;
	c->ranges = snapshot_ranges(&c->data.region, api, &c->arena);
	c->max_key = max_key;
}

void
snapshot_check_free(SnapshotChecker *c)
{
	arena_free(&c->arena);
	arena_free(&c->scratch);
	free(c->buffer);
	c->buffer = NULL;
}

static bool
refuse(SnapshotChecker *c, const char *why)
{
	if (c->bad == NULL)
		c->bad = why;
	return false;
}

/* ---- records ---- */

static bool
check_bytes_of(SnapshotChecker *c, const SnapshotRecord *r)
{
	WriteRecord write;
	Lock lock;

	switch (r->op)
	{
		case SNAPSHOT_WRITE_PUT:
			return write_decode(r->bytes, &write) == STATUS_OK;
		case SNAPSHOT_LOCK_PUT:
			return lock_decode(r->bytes, &c->scratch, &lock) == STATUS_OK;
		case SNAPSHOT_RAW_PUT:
		case SNAPSHOT_VALUE_PUT:
		case SNAPSHOT_RAW_RANGE:
			return true;
		default:
			return r->bytes.len == 0;
	}
}

/* BASE blocks have rows, RANGE blocks ranges, TAIL blocks changes of rows. */
static bool
fits_block(SnapshotOp op, SnapshotBlockKind kind)
{
	if (op == SNAPSHOT_RAW_RANGE || kind == SNAPSHOT_RANGE)
		return op == SNAPSHOT_RAW_RANGE && kind == SNAPSHOT_RANGE;
	return kind == SNAPSHOT_TAIL || op == SNAPSHOT_RAW_PUT ||
		op == SNAPSHOT_WRITE_PUT || op == SNAPSHOT_VALUE_PUT ||
		op == SNAPSHOT_LOCK_PUT;
}

/* An end of a range may be the region's. */
static bool
in_ranges(const SnapshotChecker *c, const SnapshotRecord *r)
{
	const KeyRange *raw = &c->ranges.raw;

	if (r->op == SNAPSHOT_RAW_RANGE)
		return bytes_cmp(r->key, raw->lower) >= 0 &&
			(raw->upper.len == 0 ||
			 (r->bytes.len > 0 && bytes_cmp(r->bytes, raw->upper) <= 0));
	if (r->op < SNAPSHOT_RAW_RANGE)
		return range_has(raw, r->key);
	return !c->ranges.no_txn && range_has(&c->ranges.txn, r->key);
}

static bool
check_records(SnapshotChecker *c, const SnapshotBlock *block)
{
	SnapshotCursor cursor = snapshot_records(block);
	SnapshotRecord r;

	while (snapshot_next(&cursor, &r))
	{
		if (r.key.len > c->max_key)
			return refuse(c, "a key is too long");
		if (!fits_block(r.op, block->kind) || !check_bytes_of(c, &r))
			return refuse(c, "a record is not good");
		if (!in_ranges(c, &r))
			return refuse(c, "a key does not lie in the region");
		c->records++;
	}
	arena_reset(&c->scratch);
	return cursor.bad ? refuse(c, "a block has no records") : true;
}

/* ---- blocks ---- */

static bool
check_head(SnapshotChecker *c, const SnapshotBlock *block)
{
	const Region *region = &c->data.region;
	SnapshotHead head;

	if (snapshot_read_head(block, &head) != STATUS_OK)
		return refuse(c, "it has no head that this version knows");
	if (head.api != c->api)
		return refuse(c, "it is of another API version");
	if (head.region_id != region->id ||
		head.epoch.version != region->epoch.version ||
		!bytes_eq(head.start_key, region->start_key) ||
		!bytes_eq(head.end_key, region->end_key))
		return refuse(c, "it is of another region");
	return true;
}

static bool
check_block(SnapshotChecker *c, const SnapshotBlock *block)
{
	uint64_t records;

	if (c->kind == SNAPSHOT_END)
		return refuse(c, "something follows its end");
	if (block->kind < c->kind ||
		(block->kind == SNAPSHOT_HEAD) != (c->kind == 0))
		return refuse(c, "its blocks are out of order");
	c->kind = block->kind;
	if (block->kind == SNAPSHOT_HEAD)
		return check_head(c, block);
	if (block->kind != SNAPSHOT_END)
		return check_records(c, block);
	if (snapshot_read_end(block, &records) != STATUS_OK ||
		records != c->records)
		return refuse(c, "records are missing");
	return true;
}

/* The blocks that these bytes begin with; returns their length. */
static size_t
check_blocks(SnapshotChecker *c, Bytes bytes)
{
	size_t at = 0;
	size_t need;

	for (;;)
	{
		SnapshotBlock block;

		switch (snapshot_read_block(bytes_make(bytes.data + at, bytes.len - at),
									&block, &need))
		{
			case SNAPSHOT_READ_MORE:
				return at;
			case SNAPSHOT_READ_BAD:
				refuse(c, "a block is damaged");
				return at;
			case SNAPSHOT_READ_OK:
				break;
		}
		if (!check_block(c, &block))
			return at;
		at += block.size;
	}
}

static void
keep(SnapshotChecker *c, Bytes bytes)
{
	size_t want = c->len + bytes.len;

	if (want > c->room)
	{
		c->room = 2 * want;
		c->buffer = realloc(c->buffer, c->room);
		CHECK(c->buffer != NULL);
	}
	if (bytes.len > 0)
		memcpy(c->buffer + c->len, bytes.data, bytes.len);
	c->len += bytes.len;
}

bool
snapshot_check_bytes(SnapshotChecker *c, Bytes bytes)
{
	size_t done;

	if (c->bad != NULL)
		return false;
	c->size += bytes.len;
	c->checksum = crc32_add(c->checksum, bytes);
	if (c->size > c->data.size)
		return refuse(c, "it is longer than was said");
	if (c->len == 0)
	{
		done = check_blocks(c, bytes);
		if (c->bad == NULL)
			keep(c, bytes_make(bytes.data + done, bytes.len - done));
		return c->bad == NULL;
	}
	keep(c, bytes);
	done = check_blocks(c, bytes_make(c->buffer, c->len));
	memmove(c->buffer, c->buffer + done, c->len - done);
	c->len -= done;
	return c->bad == NULL;
}

bool
snapshot_check_end(SnapshotChecker *c)
{
	if (c->bad != NULL)
		return false;
	if (c->kind != SNAPSHOT_END || c->len > 0 || c->size != c->data.size)
		return refuse(c, "it is shorter than was said");
	if (c->checksum != c->data.checksum)
		return refuse(c, "its checksum is wrong");
	return true;
}
