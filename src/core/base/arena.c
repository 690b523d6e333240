/*
 * arena.c
 *	  Memory that is given back all at once.
 *
 * Under AddressSanitizer what is not handed out is poisoned, with a gap behind
 * each piece, so that tests see a byte too far and use after a reset as they
 * do with malloc.
 */
#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"

#define ARENA_BLOCK_SIZE ((size_t) 8192)
#define ARENA_ALIGN ((size_t) 16)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define ARENA_GAP ((size_t) 16)
#define hide(p, size) ASAN_POISON_MEMORY_REGION((p), (size))
#define show(p, size) ASAN_UNPOISON_MEMORY_REGION((p), (size))
#else
#define ARENA_GAP ((size_t) 0)
#define hide(p, size) ((void) 0)
#define show(p, size) ((void) 0)
#endif

struct ArenaBlock
{
	ArenaBlock *older;
	size_t size; /* of the bytes that follow the header */
};

void
arena_init(Arena *arena)
{
	memset(arena, 0, sizeof(*arena));
}

void
arena_charge(Arena *arena, Account *account)
{
	account_sub(arena->account, arena->allocated);
	account_add(account, arena->allocated);
	arena->account = account;
}

/* Empty, with the account that it had. */
static void
start_over(Arena *arena)
{
	Account *account = arena->account;

	account_sub(account, arena->allocated);
	arena_init(arena);
	arena->account = account;
}

static void
arena_grow(Arena *arena, size_t need)
{
	size_t size = need > ARENA_BLOCK_SIZE ? need : ARENA_BLOCK_SIZE;
	ArenaBlock *block = malloc(sizeof(ArenaBlock) + size);

	CHECK(block != NULL);
	block->older = arena->blocks;
	block->size = size;
	arena->blocks = block;
	arena->next = (uint8_t *) (block + 1);
	arena->end = arena->next + size;
	arena->allocated += size;
	hide(arena->next, size);
	account_add(arena->account, size);
}

void *
arena_alloc(Arena *arena, size_t size)
{
	size_t need;
	void *p;

	CHECK(size <= SIZE_MAX / 2);
	need = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	if (need == 0)
		need = ARENA_ALIGN;
	need += ARENA_GAP;
	if (arena->next == NULL || (size_t) (arena->end - arena->next) < need)
		arena_grow(arena, need);
	p = arena->next;
	arena->next += need;
	show(p, size);
	return p;
}

void *
arena_zalloc(Arena *arena, size_t size)
{
	void *p = arena_alloc(arena, size);

	memset(p, 0, size);
	return p;
}

Bytes
arena_copy(Arena *arena, Bytes b)
{
	uint8_t *p = arena_alloc(arena, b.len);

	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return bytes_make(p, b.len);
}

char *
arena_strdup(Arena *arena, const char *s)
{
	size_t len = strlen(s) + 1;

	return memcpy(arena_alloc(arena, len), s, len);
}

char *
arena_vprintf(Arena *arena, const char *fmt, va_list args)
{
	va_list again;
	int len;
	char *out;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	CHECK(len >= 0);
	out = arena_alloc(arena, (size_t) len + 1);
	vsnprintf(out, (size_t) len + 1, fmt, args);
	return out;
}

char *
arena_printf(Arena *arena, const char *fmt, ...)
{
	va_list args;
	char *out;

	va_start(args, fmt);
	out = arena_vprintf(arena, fmt, args);
	va_end(args);
	return out;
}

void
arena_reset(Arena *arena)
{
	ArenaBlock *keep = NULL;
	ArenaBlock *block = arena->blocks;

	while (block != NULL)
	{
		ArenaBlock *older = block->older;

		if (keep == NULL && block->size == ARENA_BLOCK_SIZE)
			keep = block;
		else
			free(block);
		block = older;
	}
	start_over(arena);
	if (keep == NULL)
		return;
	keep->older = NULL;
	arena->blocks = keep;
	arena->next = (uint8_t *) (keep + 1);
	arena->end = arena->next + keep->size;
	arena->allocated = keep->size;
	hide(arena->next, keep->size);
	account_add(arena->account, keep->size);
}

void
arena_free(Arena *arena)
{
	while (arena->blocks != NULL)
	{
		ArenaBlock *older = arena->blocks->older;

		free(arena->blocks);
		arena->blocks = older;
	}
	start_over(arena);
}
