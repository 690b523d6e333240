/*
 * fuzz_snapshot.c
 *	  A region's data on its way to another store: what the Raft snapshot says
 *	  of its file, the file itself, and what the log adds to it.
 *
 * The checksums of a file are put right, so that what is behind them is
 * reached.  A file that is found good must be one that can be installed: each
 * of its records is there, fits its block and decodes.
 */
#include "fuzz.h"

#include "core/base/crc32.h"
#include "core/codec/number.h"
#include "core/snapshot/snapshot_changes.h"
#include "core/snapshot/snapshot_check.h"

#define MAX_KEY 64
#define MAX_BLOCKS 32

/* ---- a file in memory ---- */

typedef struct File
{
	uint8_t *data;
	size_t len;
} File;

static void
file_add(File *f, Bytes bytes)
{
	f->data = realloc(f->data, f->len + bytes.len + 1);
	CHECK(f->data != NULL);
	if (bytes.len > 0)
		memcpy(f->data + f->len, bytes.data, bytes.len);
	f->len += bytes.len;
}

static bool
file_write(void *arg, Bytes bytes)
{
	file_add(arg, bytes);
	return true;
}

static void
put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t) (v >> (24 - 8 * i));
}

/* As flush_block of snapshot_file.c. */
static void
file_add_block(File *f, uint8_t kind, uint8_t n_records, Bytes payload)
{
	uint8_t header[SNAPSHOT_BLOCK_HEADER] = {'T', 'K', 'V', 'S'};
	uint32_t crc;

	put_u32(header + 4, kind);
	put_u32(header + 8, n_records);
	put_u32(header + 12, (uint32_t) payload.len);
	crc = crc32_add(0, bytes_make(header, 16));
	put_u32(header + 16, crc32_add(crc, payload));
	file_add(f, bytes_make(header, sizeof(header)));
	file_add(f, payload);
}

/* ---- what is checked ---- */

static Region
some_region(uint8_t settings)
{
	Region region = {.id = 1, .epoch = {1, 1}};

	if ((settings & 4) != 0)
	{
		region.start_key = bytes_make("b\0\0\0\0\0\0\0\xf8", 9);
		region.end_key = bytes_make("y\0\0\0\0\0\0\0\xf8", 9);
	}
	return region;
}

static ApiVersion
some_api(uint8_t settings)
{
	static const ApiVersion apis[] = {API_V1, API_V1TTL, API_V2, API_V1};

	return apis[settings & 3];
}

static void
install_record(const SnapshotRecord *r, Arena *arena)
{
	WriteRecord write;
	Lock lock;

	CHECK(r->key.len <= MAX_KEY && r->number <= INT64_MAX);
	if (r->op == SNAPSHOT_WRITE_PUT)
		CHECK(write_decode(r->bytes, &write) == STATUS_OK);
	if (r->op == SNAPSHOT_LOCK_PUT)
		CHECK(lock_decode(r->bytes, arena, &lock) == STATUS_OK);
}

/* All of it goes into tables; nothing may be found wrong any more. */
static void
install(Bytes bytes, Arena *arena)
{
	uint64_t records = 0;
	uint64_t said = 0;
	size_t need;

	while (bytes.len > 0)
	{
		SnapshotBlock block;
		SnapshotCursor cursor;
		SnapshotRecord r;

		CHECK(snapshot_read_block(bytes, &block, &need) == SNAPSHOT_READ_OK);
		bytes.data += block.size;
		bytes.len -= block.size;
		if (block.kind == SNAPSHOT_END)
			CHECK(snapshot_read_end(&block, &said) == STATUS_OK);
		if (block.kind == SNAPSHOT_HEAD || block.kind == SNAPSHOT_END)
			continue;
		cursor = snapshot_records(&block);
		for (; snapshot_next(&cursor, &r); records++)
			install_record(&r, arena);
		CHECK(!cursor.bad);
	}
	CHECK(records == said);
}

/* The file comes in pieces; false if it is refused. */
static bool
receive(const SnapshotInfo *info, ApiVersion api, size_t max_key, size_t piece,
		Bytes bytes)
{
	SnapshotChecker c;
	size_t at = 0;
	bool good = true;

	snapshot_check_init(&c, info, api, max_key);
	while (good && at < bytes.len)
	{
		size_t n = bytes.len - at < piece ? bytes.len - at : piece;
		Bytes own = fuzz_own(bytes_make(bytes.data + at, n));

		good = snapshot_check_bytes(&c, own);
		fuzz_disown(own);
		at += n;
	}
	good = snapshot_check_end(&c) && good;
	CHECK(good == (c.bad == NULL));
	snapshot_check_free(&c);
	return good;
}

/* ---- decoders ---- */

static void
info(Bytes bytes, Arena *arena)
{
	SnapshotInfo first;
	SnapshotInfo again;

	if (snapshot_info_decode(bytes, &first) != STATUS_OK)
		return;
	CHECK(snapshot_info_decode(snapshot_info_encode(&first, arena), &again) ==
		  STATUS_OK);
	CHECK(again.size == first.size && again.checksum == first.checksum);
	CHECK(again.region.id == first.region.id &&
		  bytes_eq(again.region.start_key, first.region.start_key) &&
		  bytes_eq(again.region.end_key, first.region.end_key));
}

/* Bytes as they are. */
static void
raw_file(Bytes bytes, Arena *arena)
{
	FuzzInput in = fuzz_input(bytes.data, bytes.len);
	uint8_t settings = fuzz_u8(&in);
	size_t piece = (size_t) fuzz_u8(&in) + 1;
	Bytes rest = fuzz_rest(&in);
	SnapshotInfo said = {.region = some_region(settings),
						 .size = rest.len,
						 .checksum = crc32_add(0, rest)};

	if (receive(&said, some_api(settings), MAX_KEY, piece, rest))
		install(rest, arena);
}

static void
add_head(File *f, const Region *region, ApiVersion api)
{
	SnapshotHead head = {.region_id = region->id,
						 .epoch = region->epoch,
						 .api = api,
						 .start_key = region->start_key,
						 .end_key = region->end_key};
	SnapshotWriter w;

	snapshot_writer_init(&w, file_write, f);
	snapshot_write_head(&w, &head);
	snapshot_writer_free(&w);
}

/* Blocks whose checksums are right, behind a head that is, if wanted. */
static void
blocks(Bytes bytes, Arena *arena)
{
	FuzzInput in = fuzz_input(bytes.data, bytes.len);
	uint8_t settings = fuzz_u8(&in);
	size_t piece = (size_t) fuzz_u8(&in) * 4 + 1;
	ApiVersion api = some_api(settings);
	SnapshotInfo said = {.region = some_region(settings)};
	File f = {0};
	Bytes whole;

	if ((settings & 8) == 0)
		add_head(&f, &said.region, api);
	for (int i = 0; i < MAX_BLOCKS && in.left > 0; i++)
	{
		uint8_t kind = fuzz_u8(&in);
		uint8_t n_records = fuzz_u8(&in);

		file_add_block(&f, kind, n_records, fuzz_piece(&in));
	}
	whole = bytes_make(f.data, f.len);
	said.size = f.len;
	said.checksum = crc32_add(0, whole);
	if (receive(&said, api, MAX_KEY, piece, whole))
		install(whole, arena);
	free(f.data);
}

/*
 * Entries of a log, folded: what this store would send.  Who gets it refuses
 * at most what has no place in a table.
 */
static void
changes(Bytes bytes, Arena *arena)
{
	FuzzInput in = fuzz_input(bytes.data, bytes.len);
	uint8_t settings = fuzz_u8(&in);
	ApiVersion api = some_api(settings);
	Region region = some_region(settings);
	SnapshotChanges *c = snapshot_changes_new(&region, api, 1 << 16);
	SnapshotInfo said = {.region = region};
	SnapshotWriter w;
	File f = {0};
	Status status = STATUS_OK;
	Bytes whole;

	snapshot_changes_begin(c, 5);
	for (uint64_t i = 6; status == STATUS_OK && in.left > 0; i++)
	{
		RaftEntry e = {.index = i, .term = 6, .data = fuzz_piece(&in)};

		status = snapshot_changes_add(c, &e);
		CHECK(snapshot_changes_index(c) == i);
	}
	add_head(&f, &region, api);
	snapshot_writer_init(&w, file_write, &f);
	w.size = f.len;
	snapshot_changes_write(c, &w);
	CHECK(snapshot_write_end(&w));
	CHECK(w.size == f.len);
	snapshot_writer_free(&w);
	snapshot_changes_free(c);
	whole = bytes_make(f.data, f.len);
	said.size = f.len;
	said.checksum = crc32_add(0, whole);
	if (receive(&said, api, MAX_KEY, 4096, whole))
		install(whole, arena);
	free(f.data);
}

static const FuzzDecoder decoders[] = {info, raw_file, blocks, changes};

#define N_DECODERS (sizeof(decoders) / sizeof(decoders[0]))

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode(decoders, N_DECODERS, data, size);
	return 0;
}

/* ----------------------------------------------------------------- seeds */

/* The blocks of a file behind its head, as `blocks` takes them. */
static void
seed_blocks(uint8_t settings, Bytes file)
{
	FuzzSeed seed = {0};
	SnapshotBlock block;
	size_t need;

	seed_u8(&seed, 2);
	seed_u8(&seed, settings);
	seed_u8(&seed, 20);
	while (snapshot_read_block(file, &block, &need) == SNAPSHOT_READ_OK)
	{
		file.data += block.size;
		file.len -= block.size;
		if (block.kind == SNAPSHOT_HEAD)
			continue;
		seed_u8(&seed, (int) block.kind);
		seed_u8(&seed, (int) block.n_records);
		seed_piece(&seed, block.payload);
	}
	fuzz_seed(&seed);
}

static Bytes
some_lock(Arena *arena)
{
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = bytes_cstr("c"),
				 .start_ts = 3,
				 .ttl_ms = 1};

	return lock_encode(&lock, arena);
}

static Bytes
some_write(Arena *arena)
{
	WriteRecord write = {.type = WRITE_TYPE_PUT, .start_ts = 3};

	return write_encode(&write, arena);
}

static bool
is_delete(SnapshotOp op)
{
	return op == SNAPSHOT_RAW_DELETE || op == SNAPSHOT_WRITE_DELETE ||
		op == SNAPSHOT_VALUE_DELETE || op == SNAPSHOT_LOCK_DELETE;
}

static void
seed_record(SnapshotWriter *w, SnapshotBlockKind kind, SnapshotOp op,
			Arena *arena)
{
	static const char *const keys[] = {"c", "d", "e"};
	SnapshotRecord r = {.op = op, .key = bytes_cstr(keys[op % 3])};

	if ((op == SNAPSHOT_RAW_RANGE) != (kind == SNAPSHOT_RANGE) ||
		(kind == SNAPSHOT_BASE && is_delete(op)))
		return;
	if (op <= SNAPSHOT_RAW_RANGE)
		r.cf = RAW_CF_DEFAULT;
	if (op == SNAPSHOT_LOCK_PUT)
		r.bytes = some_lock(arena);
	else if (op == SNAPSHOT_WRITE_PUT)
		r.bytes = some_write(arena);
	else if (!is_delete(op))
		r.bytes = bytes_cstr("x");
	r.number = 7;
	snapshot_write(w, kind, &r);
}

/* A record of each op, in the blocks where it belongs. */
static void
seed_file(uint8_t settings, Arena *arena)
{
	Region region = some_region(settings);
	FuzzSeed seed = {0};
	File f = {0};
	SnapshotWriter w;

	add_head(&f, &region, some_api(settings));
	snapshot_writer_init(&w, file_write, &f);
	for (int kind = SNAPSHOT_BASE; kind <= SNAPSHOT_TAIL; kind++)
		for (int op = SNAPSHOT_RAW_PUT; op <= SNAPSHOT_OP_MAX; op++)
			seed_record(&w, (SnapshotBlockKind) kind, (SnapshotOp) op, arena);
	CHECK(snapshot_write_end(&w));
	snapshot_writer_free(&w);
	seed_u8(&seed, 1);
	seed_u8(&seed, settings);
	seed_u8(&seed, 40);
	seed_add(&seed, f.data, f.len);
	fuzz_seed(&seed);
	seed_blocks(settings, bytes_make(f.data, f.len));
	free(f.data);
}

/* Entries: puts, a range, records of a transaction. */
static void
seed_changes(uint8_t settings, Arena *arena)
{
	CmdHeader header = {.region_id = 1,
						.peer = {.id = 1, .store_id = 1},
						.epoch = {1, 1},
						.term = 6};
	RawModify put = {.kind = RAW_PUT,
					 .cf = RAW_CF_DEFAULT,
					 .key = bytes_cstr("c"),
					 .value = bytes_cstr("v")};
	CmdRange range = {RAW_CF_DEFAULT, bytes_cstr("c"), bytes_cstr("d")};
	TxnModify txn[] = {{.cf = TXN_CF_LOCK,
						.key = bytes_cstr("c"),
						.bytes = some_lock(arena)},
					   {.cf = TXN_CF_VALUE, .key = bytes_cstr("c"), .ts = 3},
					   {.cf = TXN_CF_WRITE,
						.key = bytes_cstr("d"),
						.ts = 4,
						.bytes = some_write(arena)}};
	ApiVersion api = some_api(settings);
	FuzzSeed seed = {0};

	seed_u8(&seed, 3);
	seed_u8(&seed, settings);
	seed_piece(&seed, cmd_encode_txn(&header, txn, 3, arena));
	header.flags = CMD_FLAG_RAW;
	seed_piece(&seed, cmd_encode_raw(&header, &put, 1, api, arena));
	seed_piece(&seed, cmd_encode_raw_range(&header, &range, api, arena));
	put.key = bytes_cstr("e");
	seed_piece(&seed, cmd_encode_raw(&header, &put, 1, api, arena));
	fuzz_seed(&seed);
}

static void
write_seeds(void)
{
	SnapshotInfo said = {.size = 100, .checksum = 7};
	Arena arena;

	arena_init(&arena);
	for (uint8_t settings = 0; settings < 8; settings++)
	{
		said.region = some_region(settings);
		fuzz_seed_for(0, snapshot_info_encode(&said, &arena));
		seed_file(settings, &arena);
		seed_changes(settings, &arena);
	}
	arena_free(&arena);
}
