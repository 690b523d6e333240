/*
 * raw_checksum.c
 *	  RawChecksum: one number for all pairs of some ranges, whatever their
 *	  order, with their count and size.
 *
 * The sum of a pair is the CRC-64 of the key as the request has it followed by
 * the value; those of the pairs are combined by XOR.
 * Source: tikv/tikv src/storage/raw/store.rs, raw_checksum_ranges.
 */
#include "core/base/crc64.h"
#include "service/raw_internal.h"

typedef struct Checksum
{
	Request *request;
	const RawLimits *limits;
	uint64_t sum;
	uint64_t n;
	uint64_t bytes;
	const char *interrupted; /* why it was given up; NULL: it was not */
} Checksum;

static bool
goes_on(void *arg)
{
	Checksum *checksum = arg;
	const RawLimits *limits = checksum->limits;

	if (limits->interrupted != NULL)
		checksum->interrupted = limits->interrupted(checksum->request);
	return checksum->interrupted == NULL;
}

static bool
add_pair(void *arg, const RawPair *pair)
{
	Checksum *checksum = arg;

	checksum->sum ^= crc64(crc64(0, pair->key), pair->value);
	checksum->n++;
	checksum->bytes += pair->key.len + pair->value.len;
	return checksum->n % RAW_LOOK_EVERY != 0 || goes_on(checksum);
}

void
raw_read_checksum(Request *request, const RawCommand *command,
				  const Region *region, RawReader *reader,
				  const RawLimits *limits)
{
	Kvrpcpb__RawChecksumResponse reply = KVRPCPB__RAW_CHECKSUM_RESPONSE__INIT;
	Checksum checksum = {.request = request, .limits = limits};

	for (size_t i = 0; i < command->n_scans; i++)
	{
		RawScan scan = command->scans[i];
		uint64_t before = checksum.n;

		raw_clip_scan(&scan, region);
		scan.goes_on = goes_on;
		/* There may be millions that find nothing. */
		if (i % RAW_LOOK_EVERY != RAW_LOOK_EVERY - 1 || goes_on(&checksum))
			reader->scan(reader, &scan, add_pair, &checksum);
		if (checksum.interrupted != NULL)
		{
			service_give_up(request, checksum.interrupted);
			return;
		}
		if (checksum.n - before == scan.limit)
		{
			raw_error(request, "a range holds too many keys for one checksum");
			return;
		}
	}
	reply.checksum = checksum.sum;
	reply.total_kvs = checksum.n;
	reply.total_bytes = checksum.bytes;
	request->done(request, &reply.base);
}
