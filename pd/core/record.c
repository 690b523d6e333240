/*
 * record.c
 *	  What the Placement Driver replicates: records, and lists of changes.
 */
#include "pd/core/record.h"

#include <stdarg.h>

PdError
pd_errorf(Arena *arena, PdErrorType type, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = arena_vprintf(arena, fmt, args);
	va_end(args);
	return pd_error(type, text);
}

void
pd_changes_init(PdChanges *changes, Arena *arena)
{
	memset(changes, 0, sizeof(*changes));
	changes->arena = arena;
}

void
pd_changes_add(PdChanges *changes, const PdRecord *record)
{
	if (changes->n == changes->size)
	{
		size_t size = changes->size == 0 ? 8 : changes->size * 2;
		PdRecord *grown = arena_alloc(changes->arena, size * sizeof(PdRecord));

		if (changes->n > 0)
			memcpy(grown, changes->records, changes->n * sizeof(PdRecord));
		changes->records = grown;
		changes->size = size;
	}
	changes->records[changes->n++] = *record;
}

void
pd_changes_number(PdChanges *changes, PdRecordKind kind, uint64_t number)
{
	PdRecord record = {.kind = kind, .number = number};

	pd_changes_add(changes, &record);
}

void
pd_changes_barrier(PdChanges *changes, PdRecordKind kind,
				   const GcBarrier *barrier, bool removed)
{
	PdRecord record = {.kind = kind, .removed = removed, .barrier = *barrier};

	/* The set that owns the id may lose it when the change is applied. */
	record.barrier.id = arena_strdup(changes->arena, barrier->id);
	pd_changes_add(changes, &record);
}
