/*
 * test_base.c
 *	  The small tools under everything: bytes, arena, check, status, and the
 *	  names of column families.
 */
#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/base/status.h"
#include "core/kv/raw.h"

#include <setjmp.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "unit.h"

/* ---- bytes ---- */

static int
sign(int c)
{
	return (c > 0) - (c < 0);
}

static void
test_bytes_order(void)
{
	/* Ascending: every pair must compare as its positions do. */
	Bytes sorted[] = {
		bytes_empty(),		   bytes_make("\0", 1), bytes_make("\0\0", 2),
		bytes_make("\0\1", 2), bytes_cstr("a"),		bytes_make("a\0", 2),
		bytes_cstr("ab"),	   bytes_cstr("b"),		bytes_cstr("\x7f"),
		bytes_cstr("\x80"),	   bytes_cstr("\xff"),	bytes_cstr("\xff\xff"),
	};
	int n = (int) (sizeof(sorted) / sizeof(sorted[0]));
	int wrong = 0;

	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < n; k++)
		{
			int want = sign(i - k);

			if (sign(bytes_cmp(sorted[i], sorted[k])) != want ||
				bytes_eq(sorted[i], sorted[k]) != (want == 0))
			{
				printf("# pair %d, %d\n", i, k);
				wrong++;
			}
		}
	}
	EQ_U64(wrong, 0, "unsigned bytes in order, a prefix first");
	OK(bytes_eq(bytes_empty(), bytes_make("x", 0)),
	   "empty is empty, wherever it points");
	EQ_U64(bytes_cstr("abc").len, 3, "a C string without its end");
}

/* ---- arena ---- */

static void
test_arena_alloc(void)
{
	Arena arena;
	uint8_t *previous = NULL;
	bool aligned = true;
	bool apart = true;

	arena_init(&arena);
	for (size_t size = 0; size < 3000; size += 7)
	{
		uint8_t *p = arena_alloc(&arena, size);

		aligned = aligned && (uintptr_t) p % 16 == 0;
		apart = apart && p != previous;
		/* The sanitizer says so if this is not all ours. */
		memset(p, 0xaa, size);
		previous = p;
	}
	OK(aligned, "16-byte aligned");
	OK(apart, "each allocation is its own, size 0 too");
	arena_free(&arena);
}

/* What AddressSanitizer would say of a read there. */
static void
test_arena_poison(void)
{
#ifdef __SANITIZE_ADDRESS__
	Arena arena;
	uint8_t *p;

	arena_init(&arena);
	p = arena_alloc(&arena, 5);
	OK(!__asan_address_is_poisoned(p + 4) && __asan_address_is_poisoned(p + 5),
	   "a byte behind an allocation is nobody's");
	(void) arena_alloc(&arena, 5);
	OK(__asan_address_is_poisoned(p + 5), "nor is it the next one's");
	arena_reset(&arena);
	OK(__asan_address_is_poisoned(p), "nothing is, after a reset");
	arena_free(&arena);
#endif
}

static void
test_arena_keeps(void)
{
	Arena arena;
	uint8_t *parts[200];
	bool intact = true;

	arena_init(&arena);
	for (int i = 0; i < 200; i++)
	{
		parts[i] = arena_alloc(&arena, 1000);
		memset(parts[i], i, 1000);
	}
	for (int i = 0; i < 200; i++)
	{
		for (int k = 0; k < 1000; k++)
			intact = intact && parts[i][k] == (uint8_t) i;
	}
	OK(intact, "nothing overlaps over many blocks");
	OK(arena.allocated >= 200000, "it says how much it took");
	arena_free(&arena);
	EQ_U64(arena.allocated, 0, "nothing is left after free");
}

static void
test_arena_large(void)
{
	Arena arena;
	uint8_t *small;
	uint8_t *large;

	arena_init(&arena);
	small = arena_alloc(&arena, 10);
	memset(small, 1, 10);
	large = arena_zalloc(&arena, 5 << 20);
	OK(large[0] == 0 && large[(5 << 20) - 1] == 0, "zalloc zeroes");
	memset(large, 2, 5 << 20);
	OK(small[0] == 1 && small[9] == 1, "a large one leaves small ones alone");
	arena_reset(&arena);
	OK(arena.allocated <= 8192, "reset gives large blocks back");
	small = arena_alloc(&arena, 10);
	memset(small, 3, 10);
	OK(arena.allocated <= 8192, "and keeps an ordinary one");
	arena_free(&arena);
	arena_reset(&arena);
	OK(arena_alloc(&arena, 1) != NULL, "usable after free and reset");
	arena_free(&arena);
}

static void
test_arena_copies(void)
{
	Arena arena;
	char source[] = "zero\0inside";
	Bytes copy;

	arena_init(&arena);
	copy = arena_copy(&arena, bytes_make(source, sizeof(source)));
	source[0] = 'Z';
	OK(copy.len == sizeof(source) && memcmp(copy.data, "zero\0inside", 12) == 0,
	   "a copy is a copy");
	copy = arena_copy(&arena, bytes_empty());
	OK(copy.data != NULL && copy.len == 0, "a copy of nothing has an address");
	EQ_STR(arena_strdup(&arena, "text"), "text", "strdup");
	EQ_STR(arena_printf(&arena, "%d-%s", 42, "x"), "42-x", "printf");
	EQ_U64(strlen(arena_printf(&arena, "%20000d", 1)), 20000, "long printf");
	arena_free(&arena);
}

/* ---- check ---- */

static jmp_buf check_jump;
static const char *check_expr;

static void
jump_out(const char *expr, const char *file, int line)
{
	check_expr = expr;
	OK(strstr(file, "test_base.c") != NULL && line > 0, "hook is told where");
	longjmp(check_jump, 1);
}

static void
test_check(void)
{
	volatile int evaluated = 0;
	volatile bool passed = false;

	check_set_hook(jump_out);
	if (setjmp(check_jump) == 0)
	{
		CHECK(++evaluated == 1);
		CHECK(2 + 2 == 5);
		passed = true;
	}
	OK(!passed, "a false CHECK does not go on");
	EQ_U64(evaluated, 1, "a CHECK evaluates once");
	EQ_STR(check_expr, "2 + 2 == 5", "hook is told what");
	check_set_hook(NULL);
}

/* ---- status and column families ---- */

static void
test_status(void)
{
	bool distinct = true;

	EQ_U64(STATUS_OK, 0, "STATUS_OK is 0");
	for (int a = STATUS_OK; a <= STATUS_CORRUPT; a++)
	{
		for (int b = STATUS_OK; b < a; b++)
			distinct = distinct &&
				strcmp(status_text((Status) a), status_text((Status) b)) != 0;
	}
	OK(distinct, "each status has its own text");
	EQ_STR(status_text((Status) 1000), "unknown status", "any number has one");
}

static void
test_families(void)
{
	RawCf cf = RAW_CF_LOCK;

	OK(raw_cf_parse("", &cf) && cf == RAW_CF_DEFAULT, "no name is default");
	OK(raw_cf_parse("default", &cf) && cf == RAW_CF_DEFAULT, "default");
	OK(raw_cf_parse("lock", &cf) && cf == RAW_CF_LOCK, "lock");
	OK(raw_cf_parse("write", &cf) && cf == RAW_CF_WRITE, "write");
	OK(!raw_cf_parse("raft", &cf), "no raft family for clients");
	OK(!raw_cf_parse("Default", &cf), "names are exact");
	OK(!raw_cf_parse("default ", &cf), "to the end");
	OK(cf == RAW_CF_WRITE, "an unknown name changes nothing");
}

int
main(void)
{
	test_bytes_order();
	test_arena_alloc();
	test_arena_poison();
	test_arena_keeps();
	test_arena_large();
	test_arena_copies();
	test_check();
	test_status();
	test_families();
	return unit_done();
}
