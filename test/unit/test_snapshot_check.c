/*
 * test_snapshot_check.c
 *	  Snapshots of other stores: those that are good, in pieces of any size,
 *	  and those that lie.
 */
#include "codec_case.h"
#include "core/base/crc32.h"
#include "core/codec/memcomparable.h"
#include "core/snapshot/snapshot_check.h"
#include "snapshot_file.h"

static SnapshotRecord
record(SnapshotOp op, const char *key, const char *bytes)
{
	SnapshotRecord r = {.op = op,
						.key = bytes_cstr(key),
						.bytes = bytes_cstr(bytes)};

	if (op <= SNAPSHOT_RAW_RANGE)
		r.cf = RAW_CF_DEFAULT;
	return r;
}

static Region
some_region(void)
{
	return (Region){.id = 7,
					.start_key = bytes_cstr("b"),
					.end_key = bytes_cstr("y"),
					.epoch = {1, 4}};
}

/* One record of a kind, in a file that is right in all else. */
static const char *
verdict(SnapshotBlockKind kind, const SnapshotRecord *r, const Region *region,
		ApiVersion api)
{
	static const char *bad;
	SnapshotHead head = {.region_id = region->id,
						 .epoch = region->epoch,
						 .api = api,
						 .start_key = region->start_key,
						 .end_key = region->end_key};
	SnapshotInfo data = {.region = *region};
	SnapshotWriter w;
	SnapshotChecker c;

	file_len = 0;
	snapshot_writer_init(&w, write_file, NULL);
	snapshot_write_head(&w, &head);
	if (r != NULL)
		snapshot_write(&w, kind, r);
	(void) snapshot_write_end(&w);
	snapshot_writer_free(&w);
	data.size = file_len;
	data.checksum = crc32_add(0, bytes_make(file, file_len));
	snapshot_check_init(&c, &data, api, 100);
	(void) snapshot_check_bytes(&c, bytes_make(file, file_len));
	bad = snapshot_check_end(&c) ? "good" : c.bad;
	snapshot_check_free(&c);
	return bad;
}

static void
is(SnapshotBlockKind kind, SnapshotRecord r, const char *want, const char *what)
{
	Region region = some_region();

	EQ_STR(verdict(kind, &r, &region, API_V1), want, what);
}

static void
records(void)
{
	char longer[102];
	Region all = {.id = 7};
	Lock lock = {.type = LOCK_TYPE_PUT, .primary = bytes_cstr("p")};
	SnapshotRecord r;

	is(SNAPSHOT_BASE, record(SNAPSHOT_RAW_PUT, "k", "v"), "good", "a raw key");
	is(SNAPSHOT_TAIL, record(SNAPSHOT_RAW_DELETE, "k", ""), "good",
	   "one that is deleted");
	is(SNAPSHOT_RANGE, record(SNAPSHOT_RAW_RANGE, "b", "y"), "good", "a range");
	is(SNAPSHOT_BASE, record(SNAPSHOT_RAW_DELETE, "k", ""),
	   "a record is not good", "a deletion among the rows");
	is(SNAPSHOT_BASE, record(SNAPSHOT_RAW_RANGE, "b", "y"),
	   "a record is not good", "a range among the rows");
	is(SNAPSHOT_RANGE, record(SNAPSHOT_RAW_PUT, "k", "v"),
	   "a record is not good", "a row among the ranges");
	is(SNAPSHOT_TAIL, record(SNAPSHOT_RAW_DELETE, "k", "v"),
	   "a record is not good", "a deletion with a value");
	is(SNAPSHOT_BASE, record(SNAPSHOT_RAW_PUT, "a", "v"),
	   "a key does not lie in the region", "a key before the region");
	is(SNAPSHOT_BASE, record(SNAPSHOT_RAW_PUT, "y", "v"),
	   "a key does not lie in the region", "a key behind it");
	is(SNAPSHOT_RANGE, record(SNAPSHOT_RAW_RANGE, "a", "c"),
	   "a key does not lie in the region", "a range that begins before it");
	is(SNAPSHOT_RANGE, record(SNAPSHOT_RAW_RANGE, "c", "z"),
	   "a key does not lie in the region", "one that ends behind it");
	is(SNAPSHOT_RANGE, record(SNAPSHOT_RAW_RANGE, "c", ""),
	   "a key does not lie in the region", "one without an end");
	memset(longer, 'k', 101);
	longer[101] = '\0';
	is(SNAPSHOT_BASE, record(SNAPSHOT_RAW_PUT, longer, "v"),
	   "a key is too long", "a long key");
	is(SNAPSHOT_BASE, record(SNAPSHOT_VALUE_PUT, "k", "v"),
	   "a key does not lie in the region",
	   "a transactional key where bounds are raw");

	r = record(SNAPSHOT_LOCK_PUT, "k", "");
	r.bytes = lock_encode(&lock, &arena);
	EQ_STR(verdict(SNAPSHOT_BASE, &r, &all, API_V1), "good", "a lock");
	r.bytes.len = 2;
	EQ_STR(verdict(SNAPSHOT_BASE, &r, &all, API_V1), "a record is not good",
		   "one that is cut off");
	r = record(SNAPSHOT_WRITE_PUT, "k", "?");
	EQ_STR(verdict(SNAPSHOT_BASE, &r, &all, API_V1), "a record is not good",
		   "a write that is none");
	EQ_STR(verdict(SNAPSHOT_BASE, NULL, &all, API_V2), "good",
		   "nothing at all");
}

/* In API V2 bounds are encoded for all keys, in V1 for transactional ones. */
static void
bounds(void)
{
	Region region = {.id = 7,
					 .start_key = memcomparable_encode(bytes_cstr("b"), &arena),
					 .end_key = memcomparable_encode(bytes_cstr("y"), &arena)};
	SnapshotRecord raw = record(SNAPSHOT_RAW_PUT, "b", "v");
	SnapshotRecord value = record(SNAPSHOT_VALUE_PUT, "b", "v");
	SnapshotRecord behind = record(SNAPSHOT_VALUE_PUT, "y", "v");

	EQ_STR(verdict(SNAPSHOT_BASE, &raw, &region, API_V2), "good", "V2, raw");
	EQ_STR(verdict(SNAPSHOT_BASE, &value, &region, API_V2), "good",
		   "V2, transactional");
	EQ_STR(verdict(SNAPSHOT_BASE, &raw, &region, API_V1),
		   "a key does not lie in the region", "V1, raw keys are as they are");
	EQ_STR(verdict(SNAPSHOT_BASE, &value, &region, API_V1), "good",
		   "V1, transactional");
	EQ_STR(verdict(SNAPSHOT_BASE, &behind, &region, API_V1),
		   "a key does not lie in the region", "and the end is the end");
	region.end_key = bytes_cstr("y");
	EQ_STR(verdict(SNAPSHOT_BASE, &raw, &region, API_V2),
		   "a key does not lie in the region",
		   "nothing lies between bounds that are none in V2");
}

/* ---- a larger file, in pieces ---- */

static SnapshotInfo
large_file(void)
{
	Region region = some_region();
	SnapshotHead head = {.region_id = 7,
						 .epoch = {9, 4},
						 .start_key = region.start_key,
						 .end_key = region.end_key};
	SnapshotInfo data = {.region = region};
	SnapshotWriter w;

	file_len = 0;
	snapshot_writer_init(&w, write_file, NULL);
	snapshot_write_head(&w, &head);
	for (int i = 0; i < 4000; i++)
	{
		char key[16];
		SnapshotRecord r;

		snprintf(key, sizeof(key), "k%05d", i);
		r = record(SNAPSHOT_RAW_PUT, key, "some value of some length");
		snapshot_write(&w, i < 3000 ? SNAPSHOT_BASE : SNAPSHOT_TAIL, &r);
	}
	(void) snapshot_write_end(&w);
	data.size = w.size;
	data.checksum = w.checksum;
	snapshot_writer_free(&w);
	return data;
}

/* Fed in pieces of at most so many bytes, from memory that ends with them. */
static const char *
feed(const SnapshotInfo *data, size_t len, size_t piece)
{
	SnapshotChecker c;
	const char *bad;

	snapshot_check_init(&c, data, API_V1, 100);
	for (size_t at = 0; at < len;)
	{
		size_t n = 1 + rnd() % piece;
		Bytes copy;

		n = n > len - at ? len - at : n;
		copy = tight_copy(bytes_make(file + at, n));
		(void) snapshot_check_bytes(&c, copy);
		tight_free(copy);
		at += n;
	}
	bad = snapshot_check_end(&c) ? "good" : c.bad;
	snapshot_check_free(&c);
	return bad;
}

static void
pieces(void)
{
	SnapshotInfo data = large_file();
	SnapshotInfo other = data;
	size_t len = file_len;

	EQ_STR(feed(&data, len, 1), "good", "byte by byte");
	EQ_STR(feed(&data, len, 100), "good", "in small pieces");
	EQ_STR(feed(&data, len, 100000), "good", "in large ones");
	EQ_STR(feed(&data, len, len), "good", "at once");
	EQ_STR(feed(&data, len - 1, 5000), "it is shorter than was said",
		   "a byte is missing");
	EQ_STR(feed(&data, 0, 1), "it is shorter than was said", "all is missing");
	memcpy(file + len, file, 5000);
	EQ_STR(feed(&data, len + 5000, 5000), "it is longer than was said",
		   "something follows");
	other.size += 5000;
	EQ_STR(feed(&other, len + 5000, 5000), "something follows its end",
		   "which was announced");
	other = data;
	other.checksum++;
	EQ_STR(feed(&other, len, 5000), "its checksum is wrong",
		   "another checksum");
	other = data;
	other.region.id = 8;
	EQ_STR(feed(&other, len, 5000), "it is of another region",
		   "another region");
	other = data;
	other.region.epoch.version = 5;
	EQ_STR(feed(&other, len, 5000), "it is of another region",
		   "or the same before a split");
	other = data;
	other.region.end_key = bytes_cstr("x");
	EQ_STR(feed(&other, len, 5000), "it is of another region", "other bounds");
	file[200] ^= 1;
	EQ_STR(feed(&data, len, 5000), "a block is damaged", "a bit is changed");
	file[200] ^= 1;
	EQ_STR(feed(&data, len, 5000), "good", "and back");
}

/* Blocks of a good file in another order, or left out. */
static void
order(void)
{
	SnapshotInfo data = large_file();
	size_t at[64];
	size_t size[64];
	int n = 0;
	int bad = 0;
	static uint8_t good[sizeof(file)];
	size_t len = file_len;

	memcpy(good, file, len);
	for (size_t p = 0; p < len && n < 64; n++)
	{
		SnapshotBlock block;
		size_t need;

		if (snapshot_read_block(bytes_make(file + p, len - p), &block, &need) !=
			SNAPSHOT_READ_OK)
			break;
		at[n] = p;
		size[n] = block.size;
		p += block.size;
	}
	OK(n >= 5, "there are some blocks");
	for (int i = 0; i < 500; i++)
	{
		int left_out = (int) (rnd() % (uint64_t) n);
		int twice = (int) (rnd() % (uint64_t) n);

		file_len = 0;
		for (int j = 0; j < n; j++)
		{
			if (j != left_out)
				write_file(NULL, bytes_make(good + at[j], size[j]));
			if (j == twice && twice != left_out)
				write_file(NULL, bytes_make(good + at[j], size[j]));
		}
		data.size = file_len;
		data.checksum = crc32_add(0, bytes_make(file, file_len));
		bad += strcmp(feed(&data, file_len, 70000), "good") != 0;
	}
	EQ_U64(bad, 500, "a block that is missing or comes twice is found");
}

static void
random_bytes_are_bad(void)
{
	int bad = 0;

	for (int i = 0; i < 2000; i++)
	{
		SnapshotInfo data = large_file();

		for (int j = 0; j < 3; j++)
			file[rnd() % file_len] ^= (uint8_t) (1 + rnd() % 255);
		data.size = file_len - rnd() % 100;
		bad += strcmp(feed(&data, (size_t) data.size, 70000), "good") != 0;
		if (i == 20)
			i = 1980;
	}
	OK(bad > 30, "damaged files are bad");
}

int
main(void)
{
	arena_init(&arena);
	records();
	bounds();
	pieces();
	order();
	random_bytes_are_bad();
	arena_free(&arena);
	return unit_done();
}
