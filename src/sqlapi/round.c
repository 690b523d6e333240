/*
 * round.c
 *	  Reads of SQL functions: a round of the read path over the regions of
 *	  some keys, tried again until it holds.
 *
 * The snapshot is a fresh one in every isolation level, so a session in
 * REPEATABLE READ sees what was written after its own snapshot (DESIGN 4).
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "sqlapi/sqlapi.h"

RequestContext
region_context(const BoardRegion *region)
{
	RequestContext context = {0};

	context.region_id = region->region.id;
	context.epoch = region->region.epoch;
	context.has_epoch = true;
	context.peer_id = region->self.id;
	context.peer_store_id = region->self.store_id;
	context.has_peer = true;
	return context;
}

/* Is the key's region the one of the key before it?  Mostly it is. */
static bool
same_region(const BoardRegion *seen, Bytes key)
{
	return seen != NULL && sql_in_region(&seen->region, key);
}

/* Look at the regions of all keys; false if one can't be read just now. */
static bool
look_at_all(SqlRound *round, const Bytes *keys, int n_keys, bool below)
{
	BoardRegion found;
	RegionError error;

	for (int i = 0; i < n_keys; i++)
	{
		RequestContext context;

		if (i > 0 && same_region(round->seen[i - 1], keys[i]))
		{
			round->seen[i] = round->seen[i - 1];
			continue;
		}
		if (!sql_find_region(keys[i], below, &found))
			return false;
		context = region_context(&found);
		if (!read_round_look(round->round, &context, &round->seen[i], &error))
			return false;
	}
	return true;
}

static bool
all_valid(const SqlRound *round, int n_keys)
{
	for (int i = 0; i < n_keys; i++)
	{
		if (i > 0 && round->seen[i] == round->seen[i - 1])
			continue;
		if (!read_round_valid(round->round, round->seen[i], false))
			return false;
	}
	return true;
}

static bool
try_begin(SqlRound *round, const TableOids *tables, const Bytes *keys,
		  int n_keys, bool below)
{
	TablesAnswer answer;

	if (!look_at_all(round, keys, n_keys, below))
		return false;
	answer = read_round_begin(round->round, tables, true);
	if (answer == TABLES_MISSING)
		session_forget_tables();
	return answer == TABLES_OK && all_valid(round, n_keys);
}

void
sql_round_begin(SqlRound *round, const Bytes *keys, int n_keys, bool below)
{
	Patience patience = patience_begin();

	metrics_count_sql_read();
	round->seen = palloc0(sizeof(BoardRegion *) * Max(n_keys, 1));
	for (;;)
	{
		const TableOids *tables = session_tables(&patience);

		round->round = read_round_new(READ_RAW);
		if (try_begin(round, tables, keys, n_keys, below))
			break;
		read_round_end(round->round);
		patience_retry(&patience);
	}
	round->reader = read_round_reader(round->round);
}

void
sql_round_end(SqlRound *round)
{
	read_round_end(round->round);
	pfree(round->seen);
}
