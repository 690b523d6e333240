/*
 * arena.h
 *	  Memory that is given back all at once.
 *
 * A request, a turn or a step allocates freely and the owner frees the whole
 * arena when it is done, so no path has to remember what it allocated.
 * Running out of memory ends the process through CHECK: core has no answer
 * to it.
 */
#ifndef TIKV_BASE_ARENA_H
#define TIKV_BASE_ARENA_H

#include <stdarg.h>

#include "core/base/account.h"
#include "core/base/bytes.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena
{
	ArenaBlock *blocks; /* newest first; NULL when empty */
	uint8_t *next;		/* free bytes of the newest block */
	uint8_t *end;
	size_t allocated; /* bytes taken from malloc, all blocks */
	Account *account; /* that they count to; NULL: none */
} Arena;

extern void arena_init(Arena *arena);

/* What it holds counts to this account from now on, and to no other. */
extern void arena_charge(Arena *arena, Account *account);

/* Zero-size requests get a valid pointer.  16-byte aligned, not zeroed. */
extern void *arena_alloc(Arena *arena, size_t size);
extern void *arena_zalloc(Arena *arena, size_t size);
extern Bytes arena_copy(Arena *arena, Bytes b);
extern char *arena_strdup(Arena *arena, const char *s);
extern char *arena_printf(Arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
extern char *arena_vprintf(Arena *arena, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

/* Forget everything, keeping one ordinary block for the next user. */
extern void arena_reset(Arena *arena);

/* Give all memory back; the arena is empty and usable again. */
extern void arena_free(Arena *arena);

#endif /* TIKV_BASE_ARENA_H */
