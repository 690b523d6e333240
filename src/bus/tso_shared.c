/*
 * tso_shared.c
 *	  Places the timestamp oracle's state in shared memory.
 *
 * Everything starts at zero, which means: no timestamp was handed out and
 * nobody leads, so nobody may allocate until `tikv pd` publishes a bound.
 */
#include "postgres.h"

#include "storage/shmem.h"

#include "bus/tso_shared.h"

Size
tso_shmem_size(void)
{
	return sizeof(TsoShared);
}

void
tso_shmem_init(TikvShmem *shmem, bool found)
{
	bool attached;

	shmem->tso = ShmemInitStruct("tikv_fdw tso", tso_shmem_size(), &attached);
	if (found || attached)
		return;
	pg_atomic_init_u64(&shmem->tso->last, 0);
	pg_atomic_init_u64(&shmem->tso->bound_ms, 0);
	pg_atomic_init_u64(&shmem->tso->lead_until_us, 0);
}
