/*
 * sql_commits.h
 *	  What became of the last commits: which guarantee those of SQL
 *	  transactions had, and which keys were committed together with tables.
 *
 * Two rings in shared memory.  The first is for people (tikv.recent_commits),
 * written by sessions.  The second is for REPEATABLE READ sessions (DESIGN 8,
 * step 7): the store notes each grant before anybody can see its effects, and
 * a session whose snapshot of the tables and whose timestamp disagree about
 * one finds it there.
 */
#ifndef TIKV_BUS_SQL_COMMITS_H
#define TIKV_BUS_SQL_COMMITS_H

#include "bus/shmem.h"
#include "core/base/bytes.h"

/* ---- for people ---- */

typedef struct SqlCommit
{
	int pid;
	TransactionId xid; /* invalid: no table was written */
	int kind;		   /* core/client's CommitKind */
	TimestampTz at;
	uint64 start_ts;
	uint64 commit_ts;
	uint64 n_keys;
} SqlCommit;

#define SQL_COMMITS_KEPT 256

extern void sql_commits_note(const SqlCommit *commit);

/* The newest first; returns how many. */
extern int sql_commits_list(SqlCommit *out);

/* ---- for readers ---- */

/* Keys of a grant by their hashes, or by their range where there are more. */
#define JOINT_KEYS 16
#define JOINT_BOUND 64

typedef struct JointCommit
{
	uint64 full_xid; /* with its epoch */
	uint64 commit_ts;
	uint32 n_keys;
	uint64 hashes[JOINT_KEYS]; /* of the first keys */
	uint32 lower_len;		   /* beginnings of the first and last key */
	uint32 upper_len;
	uint8 lower[JOINT_BOUND];
	uint8 upper[JOINT_BOUND];
} JointCommit;

#define JOINT_COMMITS_KEPT 1024

/*
 * The store.  Between `making` and `made` it chooses a timestamp and notes the
 * commit: who has raised max_ts and found nothing being made knows all commits
 * up to that timestamp.  Keys in order.
 */
extern void joint_commits_making(void);
extern void joint_commits_made(void);
extern void joint_commit_begin(JointCommit *commit, TransactionId xid,
							   uint64 commit_ts);
extern void joint_commit_add(JointCommit *commit, Bytes key);
extern void joint_commits_note(const JointCommit *commit);

/* Changes with each call of the two, odd while one is being made. */
extern uint64 joint_commits_count(void);

/* A transaction id of now with its epoch. */
extern uint64 joint_full_xid(TransactionId xid);

/*
 * Those that are kept, into room for JOINT_COMMITS_KEPT; what is known of the
 * others: none had a later id, or a greater timestamp.
 */
extern int joint_commits_list(JointCommit *out, uint64 *lost_full_xid,
							  uint64 *lost_commit_ts);

/* May the commit have written the key; some key in [lower, upper)? */
extern bool joint_commit_has(const JointCommit *commit, Bytes key);
extern bool joint_commit_meets(const JointCommit *commit, Bytes lower,
							   Bytes upper);

extern Size sql_commits_shmem_size(void);
extern void sql_commits_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_SQL_COMMITS_H */
