/*
 * sql_commits.c
 *	  The last commits of SQL transactions, in shared memory.
 */
#include "postgres.h"

#include "access/transam.h"
#include "storage/shmem.h"

#include "bus/sql_commits.h"
#include "core/base/hash.h"

/* Of keys, in memory that lives as long as the server: any number will do. */
#define HASH_SEED UINT64CONST(0x5bd1e9955bd1e995)

struct CommitsShared
{
	LWLock lock; /* of the first ring */
	uint64 n_commits;
	SqlCommit commits[SQL_COMMITS_KEPT];

	pg_atomic_uint64 making;
	LWLock joint_lock; /* of what follows */
	uint64 n_joint;
	uint64 lost_full_xid;
	uint64 lost_commit_ts;
	JointCommit joint[JOINT_COMMITS_KEPT];
};

static CommitsShared *
shared(void)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? NULL : shmem->commits;
}

Size
sql_commits_shmem_size(void)
{
	return sizeof(CommitsShared);
}

void
sql_commits_shmem_init(TikvShmem *shmem, bool found)
{
	CommitsShared *all;
	int tranche;
	bool ours;

	all = ShmemInitStruct("tikv_fdw commits", sql_commits_shmem_size(), &ours);
	shmem->commits = all;
	if (found)
		return;
	tranche = LWLockNewTrancheId();
	LWLockRegisterTranche(tranche, "TikvCommits");
	LWLockInitialize(&all->lock, tranche);
	LWLockInitialize(&all->joint_lock, tranche);
	all->n_commits = 0;
	all->n_joint = all->lost_full_xid = all->lost_commit_ts = 0;
	pg_atomic_init_u64(&all->making, 0);
}

/* ------------------------------------------------------------- for people */

void
sql_commits_note(const SqlCommit *commit)
{
	CommitsShared *all = shared();

	LWLockAcquire(&all->lock, LW_EXCLUSIVE);
	all->commits[all->n_commits++ % SQL_COMMITS_KEPT] = *commit;
	LWLockRelease(&all->lock);
}

int
sql_commits_list(SqlCommit *out)
{
	CommitsShared *all = shared();
	int n;

	if (all == NULL)
		return 0;
	LWLockAcquire(&all->lock, LW_SHARED);
	n = (int) Min(all->n_commits, SQL_COMMITS_KEPT);
	for (int i = 0; i < n; i++)
		out[i] =
			all->commits[(all->n_commits - 1 - (uint64) i) % SQL_COMMITS_KEPT];
	LWLockRelease(&all->lock);
	return n;
}

/* ------------------------------------------------------------ for readers */

/* From odd to odd if the last maker died. */
void
joint_commits_making(void)
{
	pg_atomic_uint64 *making = &shared()->making;

	pg_atomic_write_u64(making, pg_atomic_read_u64(making) | 1);
	pg_memory_barrier();
}

void
joint_commits_made(void)
{
	pg_atomic_uint64 *making = &shared()->making;
	uint64 count = pg_atomic_read_u64(making);

	pg_memory_barrier();
	pg_atomic_write_u64(making, count + (count & 1));
}

uint64
joint_commits_count(void)
{
	uint64 count = shared() == NULL ? 0 : pg_atomic_read_u64(&shared()->making);

	pg_memory_barrier();
	return count;
}

/* It is of the last two billion. */
uint64
joint_full_xid(TransactionId xid)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());

	return next - (uint32) ((uint32) next - xid);
}

void
joint_commit_begin(JointCommit *commit, TransactionId xid, uint64 commit_ts)
{
	memset(commit, 0, sizeof(*commit));
	commit->full_xid = joint_full_xid(xid);
	commit->commit_ts = commit_ts;
}

static uint32
cut(uint8 *to, Bytes key)
{
	uint32 len = (uint32) Min(key.len, JOINT_BOUND);

	if (len > 0)
		memcpy(to, key.data, len);
	return len;
}

void
joint_commit_add(JointCommit *commit, Bytes key)
{
	if (commit->n_keys == 0)
		commit->lower_len = cut(commit->lower, key);
	commit->upper_len = cut(commit->upper, key);
	if (commit->n_keys < JOINT_KEYS)
		commit->hashes[commit->n_keys] = hash_bytes64(key, HASH_SEED);
	commit->n_keys++;
}

void
joint_commits_note(const JointCommit *commit)
{
	CommitsShared *all = shared();
	JointCommit *place;

	LWLockAcquire(&all->joint_lock, LW_EXCLUSIVE);
	place = &all->joint[all->n_joint % JOINT_COMMITS_KEPT];
	if (all->n_joint >= JOINT_COMMITS_KEPT)
	{
		all->lost_full_xid = Max(all->lost_full_xid, place->full_xid);
		all->lost_commit_ts = Max(all->lost_commit_ts, place->commit_ts);
	}
	*place = *commit;
	all->n_joint++;
	LWLockRelease(&all->joint_lock);
}

int
joint_commits_list(JointCommit *out, uint64 *lost_full_xid,
				   uint64 *lost_commit_ts)
{
	CommitsShared *all = shared();
	int n;

	LWLockAcquire(&all->joint_lock, LW_SHARED);
	n = (int) Min(all->n_joint, JOINT_COMMITS_KEPT);
	memcpy(out, all->joint, n * sizeof(JointCommit));
	*lost_full_xid = all->lost_full_xid;
	*lost_commit_ts = all->lost_commit_ts;
	LWLockRelease(&all->joint_lock);
	return n;
}

/* Bounds are beginnings: what begins with the upper one may be inside. */
static bool
in_bounds(const JointCommit *commit, Bytes key)
{
	Bytes begin = bytes_make(key.data, Min(key.len, commit->upper_len));

	return bytes_cmp(key, bytes_make(commit->lower, commit->lower_len)) >= 0 &&
		bytes_cmp(begin, bytes_make(commit->upper, commit->upper_len)) <= 0;
}

bool
joint_commit_has(const JointCommit *commit, Bytes key)
{
	uint64 hash;

	if (!in_bounds(commit, key))
		return false;
	if (commit->n_keys > JOINT_KEYS)
		return true;
	hash = hash_bytes64(key, HASH_SEED);
	for (uint32 i = 0; i < commit->n_keys; i++)
		if (commit->hashes[i] == hash)
			return true;
	return false;
}

bool
joint_commit_meets(const JointCommit *commit, Bytes lower, Bytes upper)
{
	Bytes begin = bytes_make(lower.data, Min(lower.len, commit->upper_len));

	return (upper.len == 0 ||
			bytes_cmp(bytes_make(commit->lower, commit->lower_len), upper) <
				0) &&
		bytes_cmp(begin, bytes_make(commit->upper, commit->upper_len)) <= 0;
}
