/*
 * txn_halves.c
 *	  REPEATABLE READ over keys and tables: commits of both of which such a
 *	  transaction would see one half (DESIGN 8, step 7).
 *
 * Its snapshot of the tables is older than its start_ts, which is taken when
 * it first touches a key.  A commit of both that came in between is in the
 * keys' snapshot and not in that of the tables.  The other way round, the
 * commit's timestamp may be above start_ts though it was over before.  Reads
 * of such a commit's keys are 40001; what does not touch them goes on.
 *
 * They are looked for once.  The store notes a commit before its effects can
 * be seen; one whose timestamp was chosen after max_ts was raised to start_ts is
 * above it, and its transaction was in progress for the snapshot: no half.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "bus/lock_table.h"
#include "bus/versions.h"
#include "sqlapi/txn_internal.h"

/* The store is at one for so long. */
#define SETTLE_US 100L

/* Until what was being made is noted; later ones are above start_ts. */
static void
wait_for_makers(const TxnSession *session)
{
	uint64 count;

	lock_table_raise_max_ts(session->start_ts);
	count = joint_commits_count();
	while ((count & 1) != 0 && joint_commits_count() == count)
	{
		CHECK_FOR_INTERRUPTS();
		if (patience_left_ms(&session->patience) == 0)
			report_not_serving(WORKER_STORE);
		pg_usleep(SETTLE_US);
	}
}

static bool
is_half(const TxnSession *session, const JointCommit *commit, Snapshot snapshot,
		uint64 full_xmin)
{
	bool in_keys = commit->commit_ts <= session->start_ts;
	bool in_tables = commit->full_xid < full_xmin ||
		!XidInMVCCSnapshot((TransactionId) commit->full_xid, snapshot);

	return in_keys != in_tables;
}

static void
look(TxnSession *session, Snapshot snapshot)
{
	uint64 full_xmin = joint_full_xid(snapshot->xmin);
	JointCommit *all =
		MemoryContextAlloc(session->context, JOINT_COMMITS_KEPT * sizeof(*all));
	uint64 lost_full_xid;
	uint64 lost_commit_ts;
	int n;

	wait_for_makers(session);
	n = joint_commits_list(all, &lost_full_xid, &lost_commit_ts);
	session->halves_lost = (lost_full_xid != 0 && lost_full_xid >= full_xmin) ||
		lost_commit_ts > session->start_ts;
	session->n_halves = 0;
	for (int i = 0; i < n; i++)
		if (is_half(session, &all[i], snapshot, full_xmin))
			all[session->n_halves++] = all[i];
	session->halves = all;
	session->halves_known = true;
}

pg_attribute_noreturn() static void report(void)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
		 errmsg("could not serialize access to a key"),
		 errdetail(
			 "A transaction committed keys and tables as one, between the snapshots that this transaction has of tables and of keys: it would see one half."),
		 errhint("The transaction might succeed if retried.")));
}

/* It may have been rolled back, which nobody sees. */
static bool
was_committed(const JointCommit *commit)
{
	return TransactionIdDidCommit((TransactionId) commit->full_xid);
}

static bool
matters(TxnSession *session)
{
	if (!session->repeatable_read)
		return false;
	if (!session->halves_known)
		look(session, GetTransactionSnapshot());
	if (session->halves_lost)
		report();
	return session->n_halves > 0;
}

void
txn_check_halves(TxnSession *session, const Bytes *keys, int n)
{
	if (!matters(session))
		return;
	for (int i = 0; i < session->n_halves; i++)
		for (int k = 0; k < n; k++)
			if (joint_commit_has(&session->halves[i], keys[k]) &&
				was_committed(&session->halves[i]))
				report();
}

void
txn_check_halves_in(TxnSession *session, Bytes lower, Bytes upper)
{
	if (!matters(session))
		return;
	for (int i = 0; i < session->n_halves; i++)
		if (joint_commit_meets(&session->halves[i], lower, upper) &&
			was_committed(&session->halves[i]))
			report();
}
