/*
 * recent_commits.c
 *	  The view tikv.recent_commits: which guarantee the last commits had.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "bus/sql_commits.h"
#include "core/client/client.h"

PG_FUNCTION_INFO_V1(tikv_recent_commits);

#define COLUMNS 7

static const char *
kind_text(int kind)
{
	switch ((CommitKind) kind)
	{
		case COMMIT_ONE_COMMIT:
			return "one_commit";
		case COMMIT_ONE_PC:
			return "1pc";
		case COMMIT_ASYNC:
			return "async";
		case COMMIT_TWO_PHASE:
			return "two_phase";
		case COMMIT_NONE:
			break;
	}
	return "none";
}

static void
put(ReturnSetInfo *result, const SqlCommit *commit)
{
	Datum values[COLUMNS];
	bool nulls[COLUMNS] = {false};

	values[0] = TimestampTzGetDatum(commit->at);
	values[1] = Int32GetDatum(commit->pid);
	values[2] = CStringGetTextDatum(kind_text(commit->kind));
	nulls[3] = !TransactionIdIsValid(commit->xid);
	values[3] = TransactionIdGetDatum(commit->xid);
	values[4] = Int64GetDatum((int64) commit->start_ts);
	values[5] = Int64GetDatum((int64) commit->commit_ts);
	values[6] = Int64GetDatum((int64) commit->n_keys);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_recent_commits(PG_FUNCTION_ARGS)
{
	SqlCommit *commits = palloc(SQL_COMMITS_KEPT * sizeof(*commits));
	int n = sql_commits_list(commits);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		put((ReturnSetInfo *) fcinfo->resultinfo, &commits[i]);
	return (Datum) 0;
}
