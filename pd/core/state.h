/*
 * state.h
 *	  All that the Placement Driver knows, as one machine.
 *
 * Decisions are functions of gc_state.h, cluster.h, keyspace.h and id.h over
 * the parts of this state; they give changes.  pd_state_apply takes a change
 * over, be it decided just now, loaded at start, or received as a follower.
 */
#ifndef TIKV_PD_CORE_STATE_H
#define TIKV_PD_CORE_STATE_H

#include "pd/core/cluster.h"
#include "pd/core/gc_state.h"
#include "pd/core/id.h"
#include "pd/core/keyspace.h"
#include "pd/core/kv_txn.h"
#include "pd/core/members.h"

typedef struct PdState
{
	uint64_t cluster_id; /* 0: nothing was ever saved */
	PdMember member;	 /* the leader, as it saved itself */
	Arena member_arena;
	Members members;
	IdAllocator ids;
	uint64_t tso_saved_ms;
	uint64_t external_ts;
	uint64_t min_resolved_ts;
	Cluster cluster;
	GcState gc;
	Keyspaces keyspaces;
	KvStore kv;
	Leases leases;
} PdState;

#define PD_SAFE_POINT_KEY KV_SAFE_POINT_KEY

extern void pd_state_init(PdState *state);
extern void pd_state_free(PdState *state);

extern void pd_state_apply(PdState *state, const PdRecord *record);
extern void pd_state_apply_all(PdState *state, const PdChanges *changes);

/* After everything saved was applied: go on behind what was saved ahead. */
extern void pd_state_loaded(PdState *state);

/*
 * The first start of all: cluster id (unix seconds in the high half, so that
 * ids of clusters made at different times differ, as tikv/pd does) and the
 * DEFAULT keyspace.
 */
extern void pd_state_first(uint32_t random, int64_t now, PdChanges *changes);

/*
 * Etcd's clients read and watch the txn safe point as a key: if the changes
 * move it, or it was never a key, add what makes the key agree.
 */
extern void pd_state_mirror_safe_point(const PdState *state,
									   PdChanges *changes);

/* Adds a change if the leader is not known exactly like this. */
extern void pd_state_set_member(const PdState *state, const PdMember *member,
								PdChanges *changes);

/*
 * The same for a member, new or known.  PD_UNKNOWN: there are too many, or
 * another one has this URL.
 */
extern PdError pd_state_put_member(const PdState *state, const PdMember *member,
								   PdChanges *changes);
extern void pd_state_forget_member(uint64_t id, PdChanges *changes);

/*
 * Take ids; the change that saves the new end is added when one is due.
 * STATUS_TOO_LARGE, STATUS_UNAVAILABLE as id_take.
 */
extern MUST_CHECK Status pd_state_take_ids(PdState *state, uint32_t count,
										   uint64_t *last, PdChanges *changes);

#endif /* TIKV_PD_CORE_STATE_H */
