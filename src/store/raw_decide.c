/*
 * raw_decide.c
 *	  Raw writes that depend on what is there: compare and swap, insert.
 *
 * The turn decides one write after the other, and nobody else writes, so what
 * a decision saw holds until its effects are written.
 */
#include "postgres.h"

#include "core/kv/expiry.h"
#include "store/raw_decide.h"

/* What a decision sees of a key. */
typedef struct Present
{
	RawPair pair;
	bool exists;
	bool buried; /* a row is there, and a deletion of its range is on its way */
} Present;

bool
raw_depends_on_rows(const RawCommand *command)
{
	return command->cas != NULL || command->must_be_absent;
}

/* An effect of this turn hides the row. */
static bool
look_in_overlay(const Store *store, RawCf cf, Bytes key, int64 now_s,
				Arena *arena, Present *out)
{
	const RawModify *pending = overlay_find(&store->overlay, cf, key);

	if (pending == NULL)
		return false;
	out->exists =
		pending->kind == RAW_PUT && !expiry_passed(pending->expires_at, now_s);
	if (out->exists)
	{
		/* Its memory is another request's, which may be answered first. */
		out->pair.value = arena_copy(arena, pending->value);
		out->pair.era = pending->era;
	}
	return true;
}

/*
 * A key whose range is being deleted counts as deleted: a swap that met the
 * old value would outlive the deletion that should have removed it.
 */
static void
look(const Store *store, RawCf cf, Bytes key, RawReader *reader, int64 now_s,
	 Arena *arena, Present *out)
{
	const RangeDeletes *ranges = &store->ranges;

	memset(out, 0, sizeof(*out));
	if (!look_in_overlay(store, cf, key, now_s, arena, out))
		out->exists = reader->get(reader, cf, key, arena, &out->pair);
	if (out->exists &&
		range_delete_covers(ranges->items, ranges->n, cf, key, out->pair.era))
	{
		out->exists = false;
		out->buried = true;
	}
}

static void
set_effect(RawCommand *command, const RawModify *modify, Arena *arena)
{
	command->modifies = arena_alloc(arena, sizeof(RawModify));
	command->modifies[0] = *modify;
	command->n_modifies = 1;
}

/*
 * Who was told that a buried key is absent must not find it afterwards: it is
 * deleted now.
 */
static bool
decide_cas(RawCommand *command, Write *write, const Present *present,
		   Arena *arena)
{
	const RawCas *cas = command->cas;
	RawCasResult *result = arena_zalloc(arena, sizeof(*result));
	RawModify bury = {.kind = RAW_DELETE, .cf = command->cf};

	raw_cas_decide(cas, present->exists ? &present->pair : NULL, result);
	write->cas = result;
	command->n_modifies = 0;
	bury.key = cas->swap.key;
	if (result->writes)
		set_effect(command, &cas->swap, arena);
	else if (present->buried)
		set_effect(command, &bury, arena);
	return command->n_modifies > 0;
}

static bool
note_row(void *arg, const RawPair *pair)
{
	(void) pair;
	*(bool *) arg = true;
	return false;
}

/*
 * Is there no row between the least and the greatest key?  Mostly so when many
 * rows are inserted in order, and then no key need be looked up.
 */
static bool
lie_in_a_gap(const RawCommand *command, RawReader *reader, Arena *arena)
{
	RawScan scan = {.cf = command->cf, .key_only = true, .limit = 1};
	Bytes greatest = command->modifies[0].key;
	bool met = false;
	uint8_t *upper;

	if (command->n_modifies == 1)
		return false;
	scan.lower = greatest;
	for (size_t i = 1; i < command->n_modifies; i++)
	{
		Bytes key = command->modifies[i].key;

		if (bytes_cmp(key, scan.lower) < 0)
			scan.lower = key;
		if (bytes_cmp(key, greatest) > 0)
			greatest = key;
	}
	upper = arena_alloc(arena, greatest.len + 1);
	if (greatest.len > 0)
		memcpy(upper, greatest.data, greatest.len);
	upper[greatest.len] = 0;
	scan.upper = bytes_make(upper, greatest.len + 1);
	reader->scan(reader, &scan, note_row, &met);
	return !met;
}

/*
 * All keys are looked at before the first effect: an insert does all or
 * nothing.  A row that has expired is not seen here and still there, so with
 * times to live it is never known that there is none.
 */
static bool
decide_insert(const Store *store, Write *write, RawReader *reader, int64 now_s)
{
	const RawCommand *command = &write->command;
	Arena *arena = write->request->arena;
	bool gap = lie_in_a_gap(command, reader, arena);
	bool rows_are_seen = !api_has_ttl(store->dispatch.limits.api);

	for (size_t i = 0; i < command->n_modifies; i++)
	{
		RawModify *modify = &command->modifies[i];
		bool pending =
			overlay_find(&store->overlay, command->cf, modify->key) != NULL;
		Present present = {.exists = false};

		if (pending || !gap)
			look(store, command->cf, modify->key, reader, now_s, arena,
				 &present);
		modify->absent = rows_are_seen && !pending && !present.buried;
		if (!present.exists)
			continue;
		write->refused = "key exists";
		return false;
	}
	return true;
}

bool
raw_decide(Store *store, Write *write, RawReader *reader, int64 now_s)
{
	RawCommand *command = &write->command;
	Arena *arena = write->request->arena;
	Present present;

	if (command->cas == NULL)
		return decide_insert(store, write, reader, now_s);
	look(store, command->cf, command->cas->swap.key, reader, now_s, arena,
		 &present);
	return decide_cas(command, write, &present, arena);
}
