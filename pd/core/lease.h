/*
 * lease.h
 *	  Leases: keys that go when nobody keeps them alive.
 *
 * A lease and its time to live are replicated; when it runs out is not, so
 * that after a start every lease has its whole time again, as in etcd.
 * Times are microseconds of the driver's monotonic clock.
 */
#ifndef TIKV_PD_CORE_LEASE_H
#define TIKV_PD_CORE_LEASE_H

#include "core/base/rpc_code.h"
#include "pd/core/record.h"

/* What etcd grants (server/lease/lessor.go). */
#define LEASE_MIN_TTL INT64_C(2)
#define LEASE_MAX_TTL INT64_C(9000000000)
#define LEASE_MAX_COUNT 10000

/*
 * The ttl of one that has ended and still has keys, since it had too many to
 * go at once.  Nothing keeps it alive, also after a start.
 */
#define LEASE_DEAD 0

typedef struct Leases
{
	Lease *items; /* by id */
	size_t n;
	size_t size;
	int64_t next_us; /* none runs out before */
} Leases;

/* A refusal as etcd's clients know it; code RPC_OK is none. */
typedef struct KvError
{
	RpcCode code;
	const char *text; /* static */
} KvError;

static inline KvError
kv_error(RpcCode code, const char *text)
{
	KvError error = {code, text};

	return error;
}

static inline KvError
kv_ok(void)
{
	return kv_error(RPC_OK, NULL);
}

extern void leases_init(Leases *leases);
extern void leases_free(Leases *leases);

/* True for the records of leases, which are then taken over. */
extern bool leases_apply(Leases *leases, const PdRecord *record);

extern const Lease *leases_get(const Leases *leases, int64_t id);

/* The same, NULL for one that is dead, too. */
extern const Lease *leases_alive(const Leases *leases, int64_t id);

/* A new lease; id 0 lets `random` (not negative) choose. */
extern KvError lease_grant(const Leases *leases, int64_t id, int64_t random,
						   int64_t ttl, PdChanges *changes, Lease *out);

/* A lease granted by these changes lives for its time from now on. */
extern void lease_expires_from(PdChanges *changes, int64_t id, int64_t now_us);

/* It lives for its whole time from now on.  False: there is none. */
extern bool lease_refresh(Leases *leases, int64_t id, int64_t now_us);

/* All of them do: leadership begins. */
extern void leases_refresh_all(Leases *leases, int64_t now_us);

/* Some that have run out, at most `max`, by id; cheap if there are none. */
extern size_t leases_expired(Leases *leases, int64_t now_us, int64_t *ids,
							 size_t max);

/* None runs out before this time; INT64_MAX: none will. */
extern int64_t leases_next_expiry(const Leases *leases);

#endif /* TIKV_PD_CORE_LEASE_H */
