/*
 * test_snapshot_file.c
 *	  Snapshot files and what is said of them: there and back, damaged at every
 *	  place, and bytes of strangers.
 */
#include "codec_case.h"
#include "core/base/crc32.h"
#include "core/snapshot/snapshot_info.h"
#include "core/snapshot/snapshot_file.h"

static uint8_t *file;
static size_t file_len;
static size_t file_room;
static bool disk_full;

static bool
write_file(void *arg, Bytes bytes)
{
	(void) arg;
	if (disk_full)
		return false;
	if (file_len + bytes.len > file_room)
	{
		file_room = 2 * (file_len + bytes.len);
		file = realloc(file, file_room);
	}
	memcpy(file + file_len, bytes.data, bytes.len);
	file_len += bytes.len;
	return true;
}

static void
checksums(void)
{
	Bytes digits = bytes_cstr("123456789");
	bool same = true;

	EQ_U64(crc32_add(0, digits), 0xCBF43926, "the check value of CRC-32");
	EQ_U64(crc32_add(0, bytes_empty()), 0, "of nothing");
	for (int i = 0; i < 1000; i++)
	{
		Bytes b = random_bytes(100, 256);
		size_t cut = b.len == 0 ? 0 : rnd() % b.len;
		uint32_t crc = crc32_add(0, bytes_make(b.data, cut));
		uint32_t slow = 0xFFFFFFFF;

		crc = crc32_add(crc, bytes_make(b.data + cut, b.len - cut));
		for (size_t j = 0; j < b.len; j++)
		{
			slow ^= b.data[j];
			for (int bit = 0; bit < 8; bit++)
				slow = slow >> 1 ^ (slow & 1 ? 0xEDB88320 : 0);
		}
		same = same && crc == ~slow;
		arena_reset(&arena);
	}
	OK(same, "in pieces, as bit by bit");
}

/* ---- there and back ---- */

#define RECORDS 20000

static SnapshotRecord
record_number(int i)
{
	static uint8_t key[64];
	static uint8_t value[9 << 20];
	SnapshotRecord r = {.op = (SnapshotOp) (1 + i % SNAPSHOT_OP_MAX)};

	seed = (uint64_t) i;
	memset(key, i, sizeof(key));
	r.key = bytes_make(key, rnd() % sizeof(key));
	r.bytes = bytes_make(value, i == 777 ? sizeof(value) : rnd() % 300);
	r.number = i % 5 == 0 ? INT64_MAX : rnd();
	if (r.op <= SNAPSHOT_RAW_RANGE)
		r.cf = i % 2 == 0 ? RAW_CF_DEFAULT : RAW_CF_WRITE;
	return r;
}

static const SnapshotHead head = {
	.region_id = 7,
	.epoch = {3, 4},
	.api = API_V1TTL,
	.start_key = {(const uint8_t *) "a", 1},
};

static void
write_all(SnapshotWriter *w)
{
	file_len = 0;
	snapshot_writer_init(w, write_file, NULL);
	snapshot_write_head(w, &head);
	for (int i = 0; i < RECORDS; i++)
	{
		SnapshotRecord r = record_number(i);

		snapshot_write(w, i < RECORDS / 2 ? SNAPSHOT_BASE : SNAPSHOT_TAIL, &r);
	}
	OK(snapshot_write_end(w), "a file is written");
	EQ_U64(w->size, file_len, "of the size that is said");
	EQ_U64(w->checksum, crc32_add(0, bytes_make(file, file_len)),
		   "with the checksum that is said");
}

static bool
same_record(const SnapshotRecord *a, const SnapshotRecord *b)
{
	return a->op == b->op && a->cf == b->cf && bytes_eq(a->key, b->key) &&
		a->number == b->number && bytes_eq(a->bytes, b->bytes);
}

static void
there_and_back(void)
{
	SnapshotWriter w;
	SnapshotBlock block;
	SnapshotHead read;
	size_t at = 0;
	size_t need;
	int n = 0;
	int blocks = 0;
	bool same = true;
	bool kinds = true;
	bool sizes = true;
	uint64_t total = 0;

	write_all(&w);
	OK(snapshot_read_block(bytes_make(file, file_len), &block, &need) ==
		   SNAPSHOT_READ_OK,
	   "the first block");
	OK(snapshot_read_head(&block, &read) == STATUS_OK, "is the head");
	OK(read.region_id == 7 && read.epoch.conf_ver == 3 &&
		   read.epoch.version == 4 && read.api == API_V1TTL &&
		   bytes_eq(read.start_key, head.start_key) && read.end_key.len == 0,
	   "as it was written");
	at = block.size;
	while (snapshot_read_block(bytes_make(file + at, file_len - at), &block,
							   &need) == SNAPSHOT_READ_OK &&
		   block.kind != SNAPSHOT_END)
	{
		SnapshotCursor cursor = snapshot_records(&block);
		SnapshotRecord r;

		for (; snapshot_next(&cursor, &r); n++)
		{
			SnapshotRecord want = record_number(n);

			same = same && same_record(&r, &want);
			kinds = kinds &&
				block.kind == (n < RECORDS / 2 ? SNAPSHOT_BASE : SNAPSHOT_TAIL);
		}
		sizes = sizes && !cursor.bad &&
			(block.size < 2 * SNAPSHOT_BLOCK_BYTES || block.size > 9 << 20);
		at += block.size;
		blocks++;
	}
	EQ_U64(n, RECORDS, "all records come back");
	OK(same, "as they were");
	OK(kinds, "each in a block of its kind");
	OK(sizes && blocks > 30, "blocks have their size");
	OK(snapshot_read_end(&block, &total) == STATUS_OK && total == RECORDS,
	   "the end says how many there were");
	EQ_U64(at + block.size, file_len, "nothing follows");
	snapshot_writer_free(&w);
}

static void
disk_is_full(void)
{
	SnapshotWriter w;
	SnapshotRecord r = record_number(1);

	disk_full = true;
	snapshot_writer_init(&w, write_file, NULL);
	snapshot_write_head(&w, &head);
	for (int i = 0; i < 10000; i++)
		snapshot_write(&w, SNAPSHOT_BASE, &r);
	OK(!snapshot_write_end(&w), "a file that cannot be written is none");
	snapshot_writer_free(&w);
	disk_full = false;
}

/* ---- damage ---- */

/* A small file, with every byte changed and every end cut off. */
static void
damaged(void)
{
	SnapshotWriter w;
	SnapshotRecord r = record_number(3);
	SnapshotBlock block;
	size_t need;
	bool seen = true;
	bool cut = true;

	file_len = 0;
	snapshot_writer_init(&w, write_file, NULL);
	snapshot_write(&w, SNAPSHOT_BASE, &r);
	OK(snapshot_write_end(&w), "a small file");
	snapshot_writer_free(&w);
	snapshot_read_block(bytes_make(file, file_len), &block, &need);
	for (size_t i = 0; i < block.size; i++)
		for (int bit = 0; bit < 8; bit++)
		{
			Bytes copy;
			SnapshotBlock other;
			SnapshotRead answer;

			file[i] ^= (uint8_t) (1 << bit);
			copy = tight_copy(bytes_make(file, block.size));
			answer = snapshot_read_block(copy, &other, &need);

			/* A longer length may only ask for more. */
			seen = seen &&
				(answer == SNAPSHOT_READ_BAD ||
				 (answer == SNAPSHOT_READ_MORE && i >= 12 && i < 16));
			tight_free(copy);
			file[i] ^= (uint8_t) (1 << bit);
		}
	OK(seen, "every changed bit is seen");
	for (size_t len = 0; len < block.size; len++)
	{
		Bytes copy = tight_copy(bytes_make(file, len));
		SnapshotBlock other;

		cut = cut &&
			snapshot_read_block(copy, &other, &need) == SNAPSHOT_READ_MORE &&
			need > len && need <= block.size;
		tight_free(copy);
	}
	OK(cut, "every cut end asks for more, not too much");
}

/* Behind a good checksum may be anything: who sends computes it. */
static void
strange_payloads(void)
{
	uint64_t records = 0;
	int good = 0;

	for (int i = 0; i < 300000; i++)
	{
		Bytes payload = tight_copy(random_bytes(40, 12));
		SnapshotBlock block = {.kind = (SnapshotBlockKind) (1 + rnd() % 5),
							   .n_records = (uint32_t) (rnd() % 5),
							   .payload = payload};
		SnapshotCursor cursor = snapshot_records(&block);
		SnapshotHead h;
		SnapshotRecord r;

		while (snapshot_next(&cursor, &r))
			good += r.key.len <= 40 && r.number <= INT64_MAX;
		if (snapshot_read_head(&block, &h) == STATUS_OK)
			records++;
		(void) !snapshot_read_end(&block, &records);
		tight_free(payload);
		arena_reset(&arena);
	}
	OK(good > 0, "random payloads do no harm");
}

static void
strange_blocks(void)
{
	int bad = 0;

	for (int i = 0; i < 100000; i++)
	{
		Bytes b = tight_copy(random_bytes(60, 256));
		SnapshotBlock block;
		size_t need;

		if (b.len >= 4 && i % 2 == 0)
			memcpy((void *) (uintptr_t) b.data, "TKVS", 4);
		if (snapshot_read_block(b, &block, &need) == SNAPSHOT_READ_BAD)
			bad++;
		if (need > SNAPSHOT_BLOCK_MAX + SNAPSHOT_BLOCK_HEADER)
			OK(false, "more than a block was asked for");
		tight_free(b);
		arena_reset(&arena);
	}
	OK(bad > 1000, "random blocks are bad");
}

/* ---- RaftSnapshotData ---- */

static SnapshotInfo
some_data(void)
{
	return (SnapshotInfo){.region = {.id = 9,
									 .start_key = bytes_cstr("a"),
									 .end_key = bytes_cstr("b"),
									 .epoch = {5, 6},
									 .n_peers = 2,
									 .peers = {{.id = 1, .store_id = 2},
											   {.id = 3, .store_id = 4}}},
						  .size = 1000,
						  .checksum = 0xFFFFFFFE,
						  .gc_safe_point = 300};
}

static void
data_messages(void)
{
	SnapshotInfo data = some_data();
	SnapshotInfo back;
	Bytes bytes = snapshot_info_encode(&data, &arena);
	int good = 0;

	EQ_BYTES(bytes,
			 hex("0a 1a 0809 120161 1a0162 2204 0805 1006"
				 "2a04 0801 1002 2a04 0803 1004"
				 "10e807 20e907 2a0b 0a09 10e807 18feffffff0f"
				 "c83e ac02"),
			 "RaftSnapshotData, made by hand");
	OK(snapshot_info_decode(bytes, &back) == STATUS_OK, "and read");
	EQ_U64(back.gc_safe_point, 300, "with the safe point");
	OK(back.size == 1000 && back.checksum == 0xFFFFFFFE &&
		   back.region.id == 9 && back.region.n_peers == 2 &&
		   back.region.peers[1].store_id == 4 &&
		   back.region.epoch.version == 6 &&
		   bytes_eq(back.region.end_key, bytes_cstr("b")),
	   "as it was");
	OK(snapshot_info_decode(hex("0a 02 0809 10e807 2002 2a0b 0a09 10e807 1801"),
							&back) == STATUS_INVALID,
	   "a snapshot of TiKV is refused");
	OK(snapshot_info_decode(bytes_empty(), &back) == STATUS_INVALID,
	   "and nothing at all");
	OK(snapshot_info_decode(hex("0a 02 0809 20e907 2a04 0a00 0a00"), &back) ==
		   STATUS_INVALID,
	   "and two files");
	for (int i = 0; i < 100000; i++)
	{
		Bytes copy = tight_copy(bytes);
		uint8_t *p = (uint8_t *) (uintptr_t) copy.data;
		size_t len = 1 + rnd() % copy.len;

		for (int j = 0; j < 3; j++)
			p[rnd() % copy.len] = (uint8_t) rnd();
		good += snapshot_info_decode(bytes_make(p, len), &back) == STATUS_OK;
		tight_free(copy);
	}
	OK(good >= 0, "damaged ones do no harm");
}

int
main(void)
{
	arena_init(&arena);
	checksums();
	there_and_back();
	disk_is_full();
	damaged();
	strange_payloads();
	strange_blocks();
	data_messages();
	arena_free(&arena);
	free(file);
	return unit_done();
}
