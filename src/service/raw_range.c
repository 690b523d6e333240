/*
 * raw_range.c
 *	  Raw requests about ranges, and what lies in a region.
 *
 * A forward scan covers [start_key, end_key).  In a reverse scan start_key is
 * the exclusive upper bound and end_key the inclusive lower one.  In API V2
 * the bounds of regions are encoded keys, so a region is looked at through its
 * decoded bounds.
 */
#include "core/base/check.h"
#include "core/cmd/command.h"
#include "core/codec/memcomparable.h"
#include "service/raw_internal.h"

/* ------------------------------------------------------------- decoding */

static RawScan *
alloc_scans(RawDecoder *decoder, size_t n)
{
	RawCommand *command = decoder->command;

	command->n_scans = n;
	command->scans = arena_zalloc(decoder->request->arena, n * sizeof(RawScan));
	return command->scans;
}

/*
 * Nothing lies below the empty key, and an empty upper bound means none to a
 * reader: a reverse scan from there gets the limit 0.
 */
static void
fill_scan(RawScan *scan, Bytes start, Bytes end, bool reverse, uint32_t limit)
{
	scan->reverse = reverse;
	scan->limit = reverse && start.len == 0 ? 0 : limit;
	scan->lower = reverse ? end : start;
	scan->upper = reverse ? start : end;
}

bool
raw_decode_scan(RawDecoder *decoder)
{
	const Kvrpcpb__RawScanRequest *message =
		(const void *) decoder->request->message;
	Bytes start = raw_from_wire(message->start_key);
	Bytes end = raw_from_wire(message->end_key);
	RawScan *scan = alloc_scans(decoder, 1);

	if (!raw_check_key_range(decoder, start, end) ||
		!raw_check_cf(decoder, message->cf) ||
		!raw_check_key_size(decoder, start) ||
		!raw_check_key_size(decoder, end))
		return false;
	scan->cf = decoder->command->cf;
	scan->key_only = message->key_only;
	fill_scan(scan, start, end, message->reverse, message->limit);
	return true;
}

/*
 * A range without an end ends where the next one starts; the last one has no
 * end then.  Source: tikv/tikv src/storage/mod.rs, raw_batch_scan.
 */
static Bytes
end_of_range(const Kvrpcpb__RawBatchScanRequest *message, size_t i)
{
	Bytes end = raw_from_wire(message->ranges[i]->end_key);

	if (end.len == 0 && i + 1 < message->n_ranges)
		end = raw_from_wire(message->ranges[i + 1]->start_key);
	return end;
}

static bool
is_backwards(Bytes start, Bytes end, bool reverse)
{
	int order = bytes_cmp(start, end);

	return end.len > 0 && (reverse ? order <= 0 : order >= 0);
}

/* As they were sent, without the ends that are filled in. */
static bool
check_ranges(RawDecoder *decoder, Kvrpcpb__KeyRange *const *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		Bytes start = raw_from_wire(ranges[i]->start_key);
		Bytes end = raw_from_wire(ranges[i]->end_key);

		if (!raw_check_key_range(decoder, start, end) ||
			!raw_check_key_size(decoder, start) ||
			!raw_check_key_size(decoder, end))
			return false;
	}
	return true;
}

bool
raw_decode_batch_scan(RawDecoder *decoder)
{
	const Kvrpcpb__RawBatchScanRequest *message =
		(const void *) decoder->request->message;
	RawScan *scans = alloc_scans(decoder, message->n_ranges);

	if (!check_ranges(decoder, message->ranges, message->n_ranges) ||
		!raw_check_cf(decoder, message->cf))
		return false;
	for (size_t i = 0; i < message->n_ranges; i++)
	{
		Bytes start = raw_from_wire(message->ranges[i]->start_key);
		Bytes end = end_of_range(message, i);

		if (is_backwards(start, end, message->reverse))
		{
			raw_error(decoder->request, "Invalid KeyRanges");
			return false;
		}
		scans[i].cf = decoder->command->cf;
		scans[i].key_only = message->key_only;
		fill_scan(&scans[i], start, end, message->reverse, message->each_limit);
	}
	return true;
}

/* Of the default family alone. */
bool
raw_decode_checksum(RawDecoder *decoder)
{
	const Kvrpcpb__RawChecksumRequest *message =
		(const void *) decoder->request->message;
	RawScan *scans = alloc_scans(decoder, message->n_ranges);

	if (message->algorithm != KVRPCPB__CHECKSUM_ALGORITHM__Crc64_Xor)
	{
		raw_error(decoder->request,
				  arena_printf(decoder->request->arena,
							   "unknown checksum algorithm %d",
							   (int) message->algorithm));
		return false;
	}
	if (!check_ranges(decoder, message->ranges, message->n_ranges))
		return false;
	for (size_t i = 0; i < message->n_ranges; i++)
	{
		scans[i].cf = RAW_CF_DEFAULT;
		fill_scan(&scans[i], raw_from_wire(message->ranges[i]->start_key),
				  raw_from_wire(message->ranges[i]->end_key), false,
				  UINT32_MAX);
	}
	return true;
}

/* TiKV refuses an empty range when it applies it; nothing was deleted. */
bool
raw_decode_delete_range(RawDecoder *decoder)
{
	const Kvrpcpb__RawDeleteRangeRequest *message =
		(const void *) decoder->request->message;
	RawCommand *command = decoder->command;

	command->deletes_range = true;
	command->lower = raw_from_wire(message->start_key);
	command->upper = raw_from_wire(message->end_key);
	command->write_bytes =
		command->lower.len + command->upper.len + CMD_REQUEST_ROOM;
	if (!raw_check_key_size(decoder, command->lower) ||
		!raw_check_key_size(decoder, command->upper) ||
		!raw_check_key_range(decoder, command->lower, command->upper) ||
		!raw_check_cf(decoder, message->cf))
		return false;
	if (command->upper.len == 0 ||
		bytes_cmp(command->lower, command->upper) < 0)
		return true;
	raw_error(decoder->request,
			  "invalid delete range command: the end is not after the start");
	return false;
}

/* -------------------------------------------------------------- regions */

static bool
decode_bound(Bytes encoded, Arena *arena, Bytes *bound)
{
	Bytes rest = bytes_empty();

	*bound = bytes_empty();
	return encoded.len == 0 ||
		(memcomparable_decode(encoded, arena, bound, &rest) == STATUS_OK &&
		 rest.len == 0);
}

const Region *
raw_plain_region(const RawCommand *command, const Region *region)
{
	Region *plain;

	if (!command->encoded ||
		(region->start_key.len == 0 && region->end_key.len == 0))
		return region;
	plain = arena_alloc(command->arena, sizeof(*plain));
	*plain = *region;
	if (!decode_bound(region->start_key, command->arena, &plain->start_key) ||
		!decode_bound(region->end_key, command->arena, &plain->end_key))
		return NULL;
	return plain;
}

void
raw_clip_scan(RawScan *scan, const Region *region)
{
	if (bytes_cmp(scan->lower, region->start_key) < 0)
		scan->lower = region->start_key;
	if (region->end_key.len > 0 &&
		(scan->upper.len == 0 || bytes_cmp(scan->upper, region->end_key) > 0))
		scan->upper = region->end_key;
}

/* Is a bound that lies behind keys of the range (empty: +infinity) inside? */
static bool
ends_inside(Bytes bound, const Region *region)
{
	if (bound.len == 0)
		return region->end_key.len == 0;
	return bytes_cmp(bound, region->start_key) > 0 &&
		(region->end_key.len == 0 || bytes_cmp(bound, region->end_key) <= 0);
}

/* The bound from which the scan starts must lie in the region. */
static bool
scan_starts_inside(const RawScan *scan, const Region *region)
{
	if (!scan->reverse)
		return region_contains(region, scan->lower);
	if (scan->upper.len == 0)
		return region->start_key.len == 0;
	return ends_inside(scan->upper, region);
}

/* The first key or bound of the command that is outside; false if none is. */
static bool
find_outside(const RawCommand *command, const Region *region, Bytes *outside)
{
	for (size_t i = 0; i < command->n_keys; i++)
	{
		*outside = command->keys[i];
		if (!region_contains(region, *outside))
			return true;
	}
	for (size_t i = 0; i < command->n_modifies; i++)
	{
		*outside = command->modifies[i].key;
		if (!region_contains(region, *outside))
			return true;
	}
	for (size_t i = 0; i < command->n_scans; i++)
	{
		const RawScan *scan = &command->scans[i];

		*outside = scan->reverse ? scan->upper : scan->lower;
		if (!scan_starts_inside(scan, region))
			return true;
	}
	if (!command->deletes_range)
		return false;
	*outside = region_contains(region, command->lower) ? command->upper :
														 command->lower;
	return !region_contains(region, command->lower) ||
		!ends_inside(command->upper, region);
}

/* Clients are told keys and bounds in the form that PD has them. */
bool
raw_check_range(const RawCommand *command, int method, const Region *region,
				RegionError *error)
{
	const Region *plain = raw_plain_region(command, region);
	Bytes outside;

	(void) method;
	memset(error, 0, sizeof(*error));
	error->region_id = region->id;
	if (plain == NULL)
	{
		error->kind = REGION_MESSAGE_ONLY;
		error->reason = "the region's bounds are no keys of API V2";
		return false;
	}
	if (!find_outside(command, plain, &outside))
		return true;
	error->kind = REGION_KEY_NOT_IN_REGION;
	error->current = region;
	error->key = command->encoded ?
		memcomparable_encode(outside, command->arena) :
		outside;
	return false;
}
