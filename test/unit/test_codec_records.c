/*
 * test_codec_records.c
 *	  Lock and Write records, byte for byte (txn-semantics 3 and 4).
 *
 * The vectors were made by hand from the layouts; each is encoded and decoded.
 */
#include "codec_case.h"
#include "core/codec/write.h"

/* ---------------------------------------------------------- Lock records */

/* Both ways; the length at which a prefix is a record as well in *ends. */
static void
lock_vector(const Lock *lock, const char *digits, const char *what)
{
	Bytes want = hex(digits);
	Lock back;

	EQ_BYTES(lock_encode(lock, &arena), want, what);
	OK(lock_decode(want, &arena, &back) == STATUS_OK &&
		   bytes_eq(lock_encode(&back, &arena), want),
	   "and back");
}

static Lock
base_lock(LockType type)
{
	Lock lock = {.type = type,
				 .primary = bytes_cstr("pk"),
				 .start_ts = 300,
				 .ttl_ms = 5};

	return lock;
}

/* primary "pk", start_ts 300, ttl 5 */
#define HEAD "04 706b ac02 05 "

static void
lock_types(void)
{
	Lock lock = base_lock(LOCK_TYPE_PUT);
	Lock back;

	lock_vector(&lock, "50 " HEAD, "txn-semantics 3 row 1: P");
	lock.type = LOCK_TYPE_DELETE;
	lock_vector(&lock, "44 " HEAD, "txn-semantics 3 row 2: D");
	lock.type = LOCK_TYPE_LOCK;
	lock_vector(&lock, "4c " HEAD, "txn-semantics 3 row 3: L");
	lock.type = LOCK_TYPE_PESSIMISTIC;
	lock_vector(&lock, "53 " HEAD, "txn-semantics 3 row 4: S");
	OK(lock_decode(hex("50 04 706b ac02"), &arena, &back) == STATUS_OK &&
		   back.start_ts == 300 && back.ttl_ms == 0,
	   "a record may end behind start_ts");
	OK(lock_decode(hex("51 " HEAD), &arena, &back) == STATUS_CORRUPT,
	   "other types are none");
	OK(lock_decode(bytes_empty(), &arena, &back) == STATUS_CORRUPT,
	   "nor is nothing");
}

static void
lock_fields(void)
{
	Lock lock = base_lock(LOCK_TYPE_PUT);
	Bytes secondaries[2] = {bytes_cstr("a"), bytes_cstr("")};
	uint64_t rollbacks[2] = {7, 256};

	lock.has_short_value = true;
	lock_vector(&lock, "50 " HEAD "76 00", "an empty short value");
	lock.short_value = bytes_cstr("val");
	lock_vector(&lock, "50 " HEAD "76 03 76616c",
				"txn-semantics 3 row 1: short_value");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.for_update_ts = 9;
	lock_vector(&lock, "50 " HEAD "66 0000000000000009",
				"txn-semantics 3 row 2: for_update_ts");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.txn_size = 16;
	lock_vector(&lock, "50 " HEAD "74 0000000000000010",
				"txn-semantics 3 row 3: txn_size");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.min_commit_ts = 301;
	lock_vector(&lock, "50 " HEAD "63 000000000000012d",
				"txn-semantics 3 row 4: min_commit_ts");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.use_async_commit = true;
	lock_vector(&lock, "50 " HEAD "61 00", "an async secondary has no list");
	lock.secondaries = secondaries;
	lock.n_secondaries = 2;
	lock_vector(&lock, "50 " HEAD "61 02 0261 00",
				"txn-semantics 3 row 5: async commit");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.rollback_ts = rollbacks;
	lock.n_rollback_ts = 2;
	lock_vector(&lock, "50 " HEAD "72 02 0000000000000007 0000000000000100",
				"txn-semantics 3 row 6: rollback_ts");
	lock = base_lock(LOCK_TYPE_LOCK);
	lock.last_change.ts = 200;
	lock.last_change.versions = 300;
	lock_vector(&lock, "4c " HEAD "6c 00000000000000c8 ac02",
				"txn-semantics 3 row 7: last_change");
	lock.last_change.ts = 0;
	EQ_BYTES(lock_encode(&lock, &arena),
			 hex("4c " HEAD "6c 0000000000000000 01"),
			 "which is written with 1 where there is none");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.txn_source = 128;
	lock_vector(&lock, "50 " HEAD "73 8001",
				"txn-semantics 3 row 8: txn_source");
	lock = base_lock(LOCK_TYPE_PESSIMISTIC);
	lock.locked_with_conflict = true;
	lock_vector(&lock, "53 " HEAD "46",
				"txn-semantics 3 row 9: locked with conflict");
	lock = base_lock(LOCK_TYPE_PUT);
	lock.generation = 2;
	lock_vector(&lock, "50 " HEAD "67 0000000000000002",
				"txn-semantics 3 row 10: generation");
	lock.use_one_pc = true;
	lock_vector(&lock, "50 " HEAD "67 0000000000000002",
				"1PC is never written");
}

/* Every field, in its place. */
static const char full_lock[] = "50 " HEAD "76 03 76616c"
								"66 0000000000000009"
								"74 0000000000000010"
								"63 000000000000012d"
								"61 02 0261 00"
								"72 01 0000000000000007"
								"6c 00000000000000c8 01"
								"73 8001"
								"46"
								"67 0000000000000002";

static void
lock_all_fields(void)
{
	Lock lock;
	Lock copy;
	Arena other;
	Bytes full = hex(full_lock);

	OK(lock_decode(full, &arena, &lock) == STATUS_OK &&
		   lock.type == LOCK_TYPE_PUT &&
		   bytes_eq(lock.primary, bytes_cstr("pk")) && lock.start_ts == 300 &&
		   lock.ttl_ms == 5 && lock.has_short_value &&
		   bytes_eq(lock.short_value, bytes_cstr("val")) &&
		   lock.for_update_ts == 9 && lock.txn_size == 16 &&
		   lock.min_commit_ts == 301,
	   "all fields at once");
	OK(lock.use_async_commit && lock.n_secondaries == 2 &&
		   bytes_eq(lock.secondaries[0], bytes_cstr("a")) &&
		   lock.secondaries[1].len == 0 && lock.n_rollback_ts == 1 &&
		   lock.rollback_ts[0] == 7 && lock.last_change.ts == 200 &&
		   lock.last_change.versions == 1 && lock.txn_source == 128 &&
		   lock.locked_with_conflict && lock.generation == 2,
	   "the later ones as well");
	EQ_BYTES(lock_encode(&lock, &arena), full, "in the same order");
	arena_init(&other);
	lock_copy(&lock, &other, &copy);
	arena_reset(&arena);
	memset(arena_alloc(&arena, 4096), 0xEE, 4096);
	EQ_BYTES(lock_encode(&copy, &other), hex(full_lock),
			 "a copy borrows nothing");
	arena_free(&other);
}

/*
 * A record cut at any byte is refused, or a record that is its own encoding
 * (it ends between fields).  How many are of the second kind.
 */
static size_t
n_lock_prefixes(Bytes full)
{
	size_t n = 0;

	for (size_t len = 0; len < full.len; len++)
	{
		Bytes cut = tight_copy(bytes_make(full.data, len));
		Lock lock;

		if (lock_decode(cut, &arena, &lock) == STATUS_OK)
		{
			n++;
			/* Without a ttl it would be encoded with one of 0. */
			if (len > 6 && !bytes_eq(lock_encode(&lock, &arena), cut))
				OK(false, "a shorter record is its own encoding");
		}
		tight_free(cut);
	}
	return n;
}

static void
lock_damage(void)
{
	Lock lock;

	EQ_U64(n_lock_prefixes(hex(full_lock)), 11,
		   "truncated, it ends behind start_ts, ttl or one of ten fields");
	OK(lock_decode(hex("50 " HEAD "66 0000000000000009 54 ffff"), &arena,
				   &lock) == STATUS_OK &&
		   lock.for_update_ts == 9,
	   "txn-semantics 3 row 11: a tag that is not known ends the record");
	OK(lock_decode(hex("50 " HEAD "61 ffffffffffffffff7f 02"), &arena, &lock) ==
		   STATUS_CORRUPT,
	   "a count beyond the record is refused");
	OK(lock_decode(hex("50 " HEAD "72 ff7f 0000000000000001"), &arena, &lock) ==
		   STATUS_CORRUPT,
	   "so is one of timestamps");
	OK(lock_decode(hex("50 " HEAD "6c 00000000000000c8 00"), &arena, &lock) ==
		   STATUS_CORRUPT,
	   "and a last_change at no distance");
	OK(lock_decode(hex("50 " HEAD "6c 0000000000000000 05"), &arena, &lock) ==
			   STATUS_OK &&
		   last_change_not_exist(lock.last_change),
	   "NotExist may be any count");
}

static void
shared_locks(void)
{
	Lock members[2] = {base_lock(LOCK_TYPE_PESSIMISTIC),
					   base_lock(LOCK_TYPE_LOCK)};
	Lock lock = {.type = LOCK_TYPE_SHARED, .members = members, .n_members = 2};
	Lock copy;
	const char digits[] = "48 68 02 0e 53 " HEAD "0e 4c " HEAD;

	lock_vector(&lock, digits, "txn-semantics 3 row 5: a shared container");
	OK(lock_decode(hex(digits), &arena, &copy) == STATUS_OK &&
		   copy.n_members == 2 && copy.members[0].start_ts == 300 &&
		   copy.members[1].type == LOCK_TYPE_LOCK && !copy.shrink_only,
	   "with its members");
	lock_copy(&lock, &arena, &copy);
	OK(copy.members != lock.members && copy.members[1].start_ts == 300,
	   "a copy has its own");
	lock.shrink_only = true;
	lock.n_members = 0;
	lock_vector(&lock, "48 69 01 68 00", "one that only shrinks");
	OK(lock_decode(hex("48"), &arena, &copy) == STATUS_OK &&
		   copy.n_members == 0,
	   "a bare one is empty");
	OK(lock_decode(hex("48 69 03"), &arena, &copy) == STATUS_CORRUPT,
	   "an unknown flag is refused");
	OK(lock_decode(hex("48 68 01 04 48 69"), &arena, &copy) == STATUS_CORRUPT,
	   "so is a container in a container");
	OK(lock_decode(hex("48 68 01 0e 50 " HEAD), &arena, &copy) ==
		   STATUS_CORRUPT,
	   "or one that holds a Put");
	OK(lock_decode(hex("48 5a 68 01"), &arena, &copy) == STATUS_OK &&
		   copy.n_members == 0,
	   "a tag that is not known ends it");
	EQ_U64(n_lock_prefixes(hex(digits)), 1, "truncated, only the bare one is");
}

/* --------------------------------------------------------- Write records */

static void
write_vector(const WriteRecord *write, const char *digits, const char *what)
{
	Bytes want = hex(digits);
	WriteRecord back;

	EQ_BYTES(write_encode(write, &arena), want, what);
	OK(write_decode(want, &back) == STATUS_OK &&
		   bytes_eq(write_encode(&back, &arena), want),
	   "and back");
}

static const char full_write[] = "50 ac02 76 03 76616c 52 46 0000000000000000"
								 "6c 00000000000000c8 ac02 53 8001";

static void
write_records(void)
{
	WriteRecord write = {.type = WRITE_TYPE_PUT, .start_ts = 300};
	WriteRecord back;

	write_vector(&write, "50 ac02", "txn-semantics 4 row 1: P");
	write.has_short_value = true;
	write.short_value = bytes_cstr("val");
	write_vector(&write, "50 ac02 76 03 76616c",
				 "txn-semantics 4 row 1: short_value");
	write.has_overlapped_rollback = true;
	write_vector(&write, "50 ac02 76 03 76616c 52",
				 "txn-semantics 4 row 2: has_overlapped_rollback");
	write.has_gc_fence = true;
	write_vector(&write, "50 ac02 76 03 76616c 52 46 0000000000000000",
				 "txn-semantics 4 row 3: gc_fence, 0 as well");
	write.last_change.ts = 200;
	write.last_change.versions = 300;
	write_vector(&write,
				 "50 ac02 76 03 76616c 52 46 0000000000000000 "
				 "6c 00000000000000c8 ac02",
				 "txn-semantics 4 row 4: last_change");
	write.txn_source = 128;
	write_vector(&write, full_write, "txn-semantics 4 row 5: txn_source");
	OK(write_decode(hex(full_write), &back) == STATUS_OK &&
		   back.type == WRITE_TYPE_PUT && back.start_ts == 300 &&
		   bytes_eq(back.short_value, bytes_cstr("val")) &&
		   back.has_overlapped_rollback && back.has_gc_fence &&
		   back.gc_fence == 0 && back.last_change.ts == 200 &&
		   back.last_change.versions == 300 && back.txn_source == 128,
	   "all fields at once");
	memset(&write, 0, sizeof(write));
	write.start_ts = 300;
	write.type = WRITE_TYPE_DELETE;
	write_vector(&write, "44 ac02", "txn-semantics 4 row 2: D");
	write.type = WRITE_TYPE_LOCK;
	write_vector(&write, "4c ac02", "txn-semantics 4 row 3: L");
	write.last_change.versions = 9;
	EQ_BYTES(write_encode(&write, &arena),
			 hex("4c ac02 6c 0000000000000000 01"),
			 "NotExist is written with 1");
	write = write_rollback(300, false);
	write_vector(&write, "52 ac02", "txn-semantics 4 row 4: R");
	OK(!write_is_protected(&write), "not protected");
	write = write_rollback(300, true);
	write_vector(&write, "52 ac02 76 01 70", "a protected Rollback");
	OK(write_is_protected(&write), "is protected");
	write.type = WRITE_TYPE_PUT;
	OK(!write_is_protected(&write), "a Put with that value is not");
	write.type = WRITE_TYPE_ROLLBACK;
	write.short_value = bytes_cstr("pp");
	OK(!write_is_protected(&write), "nor another value");
}

static void
write_damage(void)
{
	Bytes full = hex(full_write);
	WriteRecord write;
	size_t n = 0;

	for (size_t len = 0; len < full.len; len++)
	{
		Bytes cut = tight_copy(bytes_make(full.data, len));

		if (write_decode(cut, &write) == STATUS_OK)
		{
			n++;
			if (!bytes_eq(write_encode(&write, &arena), cut))
				OK(false, "a shorter record is its own encoding");
		}
		tight_free(cut);
	}
	EQ_U64(n, 5, "truncated, it ends behind start_ts or one of four fields");
	OK(write_decode(hex("50 ac02 52 54 ff"), &write) == STATUS_OK &&
		   write.has_overlapped_rollback,
	   "a tag that is not known ends the record");
	OK(write_decode(hex("51 ac02"), &write) == STATUS_CORRUPT,
	   "other types are none");
	OK(write_decode(hex("50 ac02 6c 00000000000000c8 00"), &write) ==
		   STATUS_CORRUPT,
	   "nor is a last_change at no distance");
	EQ_U64(write_type_of_lock(LOCK_TYPE_PUT), WRITE_TYPE_PUT, "a Put");
	EQ_U64(write_type_of_lock(LOCK_TYPE_DELETE), WRITE_TYPE_DELETE, "a Delete");
	EQ_U64(write_type_of_lock(LOCK_TYPE_LOCK), WRITE_TYPE_LOCK, "a Lock");
}

/* ------------------------------------------------------------ random bytes */

/* Random bytes, or a record with a few of them changed. */
static Bytes
damaged(Bytes record)
{
	Bytes b;
	uint8_t *data;

	if (rnd() % 4 == 0)
		b = random_bytes(40, 256);
	else
		b = record;
	b = tight_copy(b);
	data = (uint8_t *) (uintptr_t) b.data;
	for (uint64_t n = rnd() % 4; n > 0 && b.len > 0; n--)
		data[rnd() % b.len] = (uint8_t) rnd();
	return b;
}

static void
fuzz(void)
{
	static const char *const locks[] = {full_lock,
										"48 69 01 68 02 0e 53 " HEAD
										"0e 4c " HEAD};
	size_t wrong = 0;
	size_t accepted = 0;

	for (int i = 0; i < 100000; i++)
	{
		Bytes b = damaged(hex(i % 3 == 2 ? full_write : locks[i % 3]));
		Lock lock;
		WriteRecord write;

		/* What is taken for a record is one: again the same both ways. */
		if (lock_decode(b, &arena, &lock) == STATUS_OK)
		{
			Bytes once = lock_encode(&lock, &arena);
			Lock again;

			accepted++;
			wrong += lock_decode(once, &arena, &again) != STATUS_OK ||
				!bytes_eq(lock_encode(&again, &arena), once);
		}
		if (write_decode(b, &write) == STATUS_OK)
		{
			Bytes once = write_encode(&write, &arena);
			WriteRecord again;

			accepted++;
			wrong += write_decode(once, &again) != STATUS_OK ||
				!bytes_eq(write_encode(&again, &arena), once);
		}
		tight_free(b);
		if (i % 50 == 0)
			arena_reset(&arena);
	}
	EQ_U64(wrong, 0, "random bytes are refused or make a record");
	OK(accepted > 1000 && accepted < 90000, "and some of either came up");
}

int
main(void)
{
	arena_init(&arena);
	lock_types();
	lock_fields();
	lock_all_fields();
	lock_damage();
	shared_locks();
	write_records();
	write_damage();
	fuzz();
	arena_free(&arena);
	return unit_done();
}
