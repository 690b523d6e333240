/*
 * test_snapshot_changes.c
 *	  Rows read in pieces while entries are applied, and what the log adds:
 *	  together they are the region at the last index.
 */
#include "codec_case.h"
#include "core/snapshot/snapshot_changes.h"
#include "snapshot_file.h"

/* ---- a region of few keys, each in any table ---- */

#define KEYS 40
#define TABLES 5 /* raw default, raw write, write, value, lock */

typedef struct Rows
{
	uint64_t value[TABLES][KEYS]; /* 0: absent */
} Rows;

static const Region region = {.id = 2, .epoch = {1, 4}};
static const CmdHeader header = {.region_id = 2,
								 .peer = {.id = 3, .store_id = 1},
								 .epoch = {1, 4},
								 .term = 6};

static Bytes
key_number(uint64_t k)
{
	uint8_t *p = arena_alloc(&arena, 3);

	p[0] = 'k';
	p[1] = (uint8_t) ('0' + k / 10);
	p[2] = (uint8_t) ('0' + k % 10);
	return bytes_make(p, 3);
}

static uint64_t
number_of_key(Bytes key)
{
	return (uint64_t) (key.data[1] - '0') * 10 + (uint64_t) (key.data[2] - '0');
}

/* Records must decode, so that the command does. */
static Bytes
lock_bytes(uint64_t v)
{
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = bytes_cstr("p"),
				 .start_ts = v,
				 .ttl_ms = 1};

	return lock_encode(&lock, &arena);
}

static Bytes
write_bytes(uint64_t v)
{
	WriteRecord w = {.type = WRITE_TYPE_PUT, .start_ts = v};

	return write_encode(&w, &arena);
}

static Bytes
plain_bytes(uint64_t v)
{
	uint8_t *p = arena_alloc(&arena, 8);

	put_u64(p, v);
	return bytes_make(p, 8);
}

static Bytes
bytes_of(int table, uint64_t v)
{
	return table == 4 ? lock_bytes(v) :
		table == 2	  ? write_bytes(v) :
						plain_bytes(v);
}

/* ---- entries ---- */

static uint64_t next_value;

static Bytes
raw_entry(Rows *rows, const CmdHeader *h, bool applies)
{
	RawModify m[3];
	size_t n = 1 + rnd() % 3;
	size_t made = 0;

	for (size_t i = 0; i < n; i++)
	{
		uint64_t k = rnd() % KEYS;
		int table = (int) (rnd() % 2);
		uint64_t v = rnd() % 3 == 0 ? 0 : ++next_value;
		bool again = false;

		for (size_t j = 0; j < made; j++)
			again |= number_of_key(m[j].key) == k;
		if (again)
			continue;
		m[made++] =
			(RawModify){.kind = v == 0 ? RAW_DELETE : RAW_PUT,
						.cf = table == 0 ? RAW_CF_DEFAULT : RAW_CF_WRITE,
						.key = key_number(k),
						.value = plain_bytes(v)};
		if (applies)
			rows->value[table][k] = v;
	}
	return cmd_encode_raw(h, m, made, API_V1, &arena);
}

static Bytes
range_entry(Rows *rows)
{
	uint64_t from = rnd() % KEYS;
	uint64_t to = from + rnd() % 10;
	CmdRange range = {.cf = RAW_CF_DEFAULT, .lower = key_number(from)};

	if (to < KEYS)
		range.upper = key_number(to);
	for (uint64_t k = from; k < KEYS && k < to; k++)
		rows->value[0][k] = 0;
	if (to >= KEYS)
		memset(&rows->value[0][from], 0, (KEYS - from) * sizeof(uint64_t));
	return cmd_encode_raw_range(&header, &range, API_V1, &arena);
}

static Bytes
txn_entry(Rows *rows)
{
	static const TxnCf cfs[] = {TXN_CF_WRITE, TXN_CF_VALUE, TXN_CF_LOCK};
	uint64_t k = rnd() % KEYS;
	TxnModify m[3];

	for (int i = 0; i < 3; i++)
	{
		uint64_t v = rnd() % 3 == 0 ? 0 : ++next_value;

		m[i] =
			(TxnModify){.cf = cfs[i],
						.is_delete = v == 0,
						.key = key_number(k),
						.ts = cfs[i] == TXN_CF_LOCK ? 0 : 5,
						.bytes = v == 0 ? bytes_empty() : bytes_of(2 + i, v)};
		rows->value[2 + i][k] = v;
	}
	return cmd_encode_txn(&header, m, 3, &arena);
}

/* One for another epoch, which has no effect. */
static Bytes
stale_entry(Rows *rows)
{
	CmdHeader stale = header;

	stale.epoch.version = 3;
	return raw_entry(rows, &stale, false);
}

static RaftEntry
random_entry(Rows *rows, uint64_t index)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .index = index, .term = 6};
	uint64_t kind = rnd() % 10;

	if (kind == 0)
		return e; /* as at the beginning of a term */
	if (kind == 1)
		e.data = range_entry(rows);
	else if (kind == 2)
		e.data = stale_entry(rows);
	else if (kind < 6)
		e.data = txn_entry(rows);
	else
		e.data = raw_entry(rows, &header, true);
	return e;
}

/* ---- the reader of the file ---- */

static int
table_of_record(const SnapshotRecord *r)
{
	switch (r->op)
	{
		case SNAPSHOT_RAW_PUT:
		case SNAPSHOT_RAW_DELETE:
		case SNAPSHOT_RAW_RANGE:
			return r->cf == RAW_CF_DEFAULT ? 0 : 1;
		case SNAPSHOT_WRITE_PUT:
		case SNAPSHOT_WRITE_DELETE:
			return 2;
		case SNAPSHOT_VALUE_PUT:
		case SNAPSHOT_VALUE_DELETE:
			return 3;
		default:
			return 4;
	}
}

static uint64_t
value_of(int table, Bytes bytes)
{
	Lock lock;
	WriteRecord w;
	NumberReader r = number_reader(bytes);
	uint64_t v = 0;

	if (table == 4)
		return lock_decode(bytes, &arena, &lock) == STATUS_OK ? lock.start_ts :
																0;
	if (table == 2)
		return write_decode(bytes, &w) == STATUS_OK ? w.start_ts : 0;
	get_u64(&r, &v);
	return v;
}

static void
apply_range(const SnapshotRecord *r, Rows *rows)
{
	for (uint64_t k = number_of_key(r->key);
		 k < (r->bytes.len == 0 ? KEYS : number_of_key(r->bytes)); k++)
		rows->value[table_of_record(r)][k] = 0;
}

/* False if the file breaks its own rules. */
static bool
apply_block(const SnapshotBlock *block, Rows *rows, bool seen[TABLES][KEYS])
{
	SnapshotCursor cursor = snapshot_records(block);
	SnapshotRecord r;

	while (snapshot_next(&cursor, &r))
	{
		int table = table_of_record(&r);
		uint64_t k = number_of_key(r.key);

		if (r.op == SNAPSHOT_RAW_RANGE)
		{
			apply_range(&r, rows);
			continue;
		}
		if (seen[table][k])
			return false;
		seen[table][k] = true;
		rows->value[table][k] = r.bytes.len == 0 ? 0 : value_of(table, r.bytes);
	}
	return !cursor.bad;
}

static bool
apply_file(Rows *rows)
{
	SnapshotBlock block = {.kind = SNAPSHOT_HEAD};
	bool seen[TABLES][KEYS] = {{false}};
	bool tail = false;
	size_t at = 0;
	size_t need;

	memset(rows, 0, sizeof(*rows));
	while (block.kind != SNAPSHOT_END)
	{
		if (snapshot_read_block(bytes_make(file + at, file_len - at), &block,
								&need) != SNAPSHOT_READ_OK)
			return false;
		if (block.kind == SNAPSHOT_TAIL && !tail)
		{
			tail = true;
			memset(seen, 0, sizeof(seen));
		}
		if (block.kind != SNAPSHOT_HEAD && block.kind != SNAPSHOT_END &&
			!apply_block(&block, rows, seen))
			return false;
		at += block.size;
	}
	return true;
}

/* ---- the sender ---- */

static void
read_piece(const Rows *rows, SnapshotWriter *w, int table, uint64_t from,
		   uint64_t to)
{
	static const SnapshotOp puts[TABLES] = {SNAPSHOT_RAW_PUT, SNAPSHOT_RAW_PUT,
											SNAPSHOT_WRITE_PUT,
											SNAPSHOT_VALUE_PUT,
											SNAPSHOT_LOCK_PUT};

	for (uint64_t k = from; k < to; k++)
	{
		uint64_t v = rows->value[table][k];
		SnapshotRecord r = {.op = puts[table],
							.key = key_number(k),
							.number = table >= 2 && table < 4 ? 5 : 0};

		if (table < 2)
			r.cf = table == 0 ? RAW_CF_DEFAULT : RAW_CF_WRITE;
		if (v == 0)
			continue;
		r.bytes = bytes_of(table, v);
		snapshot_write(w, SNAPSHOT_BASE, &r);
	}
}

/* One snapshot of a region under writes; true if it is what it should be. */
static bool
one_round(int writes_per_piece)
{
	SnapshotChanges *changes = snapshot_changes_new(&region, API_V1, 1 << 20);
	SnapshotHead head = {.region_id = 2};
	SnapshotWriter w;
	Rows rows = {{{0}}};
	Rows copy;
	uint64_t index = 5;
	bool good = true;

	snapshot_changes_begin(changes, index);
	for (int i = 0; i < 50; i++)
		random_entry(&rows, 0);
	file_len = 0;
	snapshot_writer_init(&w, write_file, NULL);
	snapshot_write_head(&w, &head);
	for (int table = 0; table < TABLES; table++)
		for (uint64_t from = 0; from < KEYS;)
		{
			uint64_t to = from + 1 + rnd() % 15;

			to = to > KEYS ? KEYS : to;
			read_piece(&rows, &w, table, from, to);
			from = to;
			for (int i = 0; i < writes_per_piece; i++)
			{
				RaftEntry e = random_entry(&rows, ++index);

				good = good && snapshot_changes_add(changes, &e) == STATUS_OK;
			}
		}
	good = good && snapshot_changes_index(changes) == index;
	snapshot_changes_write(changes, &w);
	good = good && snapshot_write_end(&w);
	snapshot_writer_free(&w);
	snapshot_changes_free(changes);
	good = good && apply_file(&copy) && memcmp(&copy, &rows, sizeof(rows)) == 0;
	arena_reset(&arena);
	return good;
}

static void
under_writes(void)
{
	int good = 0;

	for (int i = 0; i < 600; i++)
	{
		seed = (uint64_t) i;
		if (one_round(i % 4))
			good++;
		else
			printf("# seed %d\n", i);
	}
	EQ_U64(good, 600, "what is read in pieces is the region at the last index");
}

/* ---- when it cannot be ---- */

static void
ends(void)
{
	SnapshotChanges *changes = snapshot_changes_new(&region, API_V1, 2000);
	CmdSplit split = {.split_key = bytes_cstr("k20"), .region_id = 9};
	CmdAdmin admin = {.type = CMD_ADMIN_COMPACT_LOG,
					  .compact_index = 7,
					  .compact_term = 6};
	RaftEntry e = {.index = 6, .term = 6};
	Rows rows;
	Status status = STATUS_OK;

	e.data = cmd_encode_admin(&header, &admin, &arena);
	OK(snapshot_changes_add(changes, &e) == STATUS_OK,
	   "a compaction of the log changes nothing");
	admin = (CmdAdmin){.type = CMD_ADMIN_BATCH_SPLIT,
					   .splits = &split,
					   .n_splits = 1};
	e.data = cmd_encode_admin(&header, &admin, &arena);
	OK(snapshot_changes_add(changes, &e) == STATUS_UNAVAILABLE,
	   "a split ends the reading");
	e.type = RAFT_ENTRY_CONF_CHANGE;
	OK(snapshot_changes_add(changes, &e) == STATUS_OK,
	   "a change of peers does not");
	e = (RaftEntry){.index = 8, .data = bytes_cstr("\xff\xff")};
	OK(snapshot_changes_add(changes, &e) == STATUS_CORRUPT,
	   "bytes that are no command");
	for (int i = 0; i < 1000 && status == STATUS_OK; i++)
	{
		e = (RaftEntry){.index = 9, .data = txn_entry(&rows)};
		status = snapshot_changes_add(changes, &e);
	}
	OK(status == STATUS_BUSY, "what is kept has a bound");
	snapshot_changes_free(changes);
	snapshot_changes_free(NULL);
	arena_reset(&arena);
}

/* Of many rows, too. */
static void
many_rows(void)
{
	SnapshotChanges *changes = snapshot_changes_new(&region, API_V1, 64 << 20);
	SnapshotWriter w;
	int n = 0;

	for (uint32_t i = 0; i < 20000; i++)
	{
		uint8_t key[5] = {'m', (uint8_t) (i >> 8), (uint8_t) i, 0, 0};
		RawModify m = {.kind = RAW_PUT,
					   .cf = RAW_CF_DEFAULT,
					   .key = {key, 3},
					   .value = bytes_cstr("v")};
		RaftEntry e = {.index = i};

		e.data = cmd_encode_raw(&header, &m, 1, API_V1, &arena);
		n += snapshot_changes_add(changes, &e) == STATUS_OK;
		if (i % 100 == 0)
			arena_reset(&arena);
	}
	EQ_U64(n, 20000, "twenty thousand entries");
	file_len = 0;
	snapshot_writer_init(&w, write_file, NULL);
	snapshot_changes_write(changes, &w);
	OK(snapshot_write_end(&w), "are written");
	EQ_U64(w.records, 20000, "a row each");
	snapshot_writer_free(&w);
	snapshot_changes_free(changes);
}

int
main(void)
{
	arena_init(&arena);
	under_writes();
	ends();
	many_rows();
	arena_free(&arena);
	return unit_done();
}
