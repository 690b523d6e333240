/*
 * context_arena.h
 *	  An arena that ends with a memory context, also when something throws.
 */
#ifndef TIKV_STORAGE_CONTEXT_ARENA_H
#define TIKV_STORAGE_CONTEXT_ARENA_H

#include "postgres.h"

#include "core/base/arena.h"

static inline void
context_arena_end(void *arg)
{
	arena_free((Arena *) arg);
}

static inline Arena *
context_arena(MemoryContext context)
{
	MemoryContextCallback *callback = (MemoryContextCallback *)
		MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	Arena *arena = (Arena *) MemoryContextAlloc(context, sizeof(Arena));

	arena_init(arena);
	callback->func = context_arena_end;
	callback->arg = arena;
	MemoryContextRegisterResetCallback(context, callback);
	return arena;
}

#endif /* TIKV_STORAGE_CONTEXT_ARENA_H */
