/*
 * round.c
 *	  Reads of SQL functions: a round of the read path over the regions of
 *	  some keys, tried again until it holds.
 *
 * The snapshot is a fresh one in every isolation level, so a session in
 * REPEATABLE READ sees what was written after its own snapshot (DESIGN 4).
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "sqlapi/route.h"
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
		{
			if (error.kind == REGION_FLASHBACK_IN_PROGRESS)
				report_flashback(error.region_id);
			return false;
		}
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
	FAILPOINT("sql_read_looked");
	answer = read_round_begin(round->round, tables, true);
	if (answer == TABLES_MISSING)
		session_forget_tables();
	return answer == TABLES_OK && all_valid(round, n_keys);
}

bool
sql_round_try(SqlRound *round, const TableOids *tables, const Bytes *keys,
			  int n_keys, bool below)
{
	memset(round, 0, sizeof(*round));
	round->seen = palloc0(sizeof(BoardRegion *) * Max(n_keys, 1));
	round->round = read_round_new(READ_RAW);
	if (!try_begin(round, tables, keys, n_keys, below))
	{
		sql_round_end(round);
		return false;
	}
	round->reader = read_round_reader(round->round);
	return true;
}

/* Must a store be asked for one of the regions, as far as the board knows? */
static bool
served_elsewhere(const Bytes *keys, int n_keys, bool below)
{
	BoardRegion *found = palloc(sizeof(*found));
	bool known = false;
	bool elsewhere = false;

	for (int i = 0; i < n_keys && !elsewhere; i++)
	{
		if (known && sql_in_region(&found->region, keys[i]))
			continue;
		known = sql_find_region(keys[i], below, found);
		elsewhere = !known || !board_serves(found);
	}
	pfree(found);
	return elsewhere;
}

/* The first key's region, for who walks from region to region. */
static bool
begin_remote(SqlRound *round, const Bytes *keys, int n_keys, bool below,
			 const Patience *patience)
{
	BoardRegion *seen = palloc0(sizeof(BoardRegion));
	Route route;

	if (!route_find(sql_bound(keys[0]), below, patience, &route))
		return false;
	memset(round, 0, sizeof(*round));
	round->seen = palloc0(sizeof(BoardRegion *) * n_keys);
	seen->region = route.region;
	round->seen[0] = seen;
	round->reader = remote_reader_open(keys, n_keys);
	round->remote = true;
	return true;
}

void
sql_round_begin(SqlRound *round, const Bytes *keys, int n_keys, bool below)
{
	Patience patience = patience_begin();

	metrics_count_sql_read();
	for (;;)
	{
		const TableOids *tables = session_tables(&patience);

		if (sql_round_try(round, tables, keys, n_keys, below) ||
			(served_elsewhere(keys, n_keys, below) &&
			 begin_remote(round, keys, n_keys, below, &patience)))
			break;
		patience_retry(&patience);
	}
}

void
sql_round_want_ttl(SqlRound *round)
{
	if (round->remote)
		remote_reader_want_ttl(round->reader);
}

void
sql_round_end(SqlRound *round)
{
	if (round->round != NULL)
		read_round_end(round->round);
	pfree(round->seen);
}
