/*
 * leaving.h
 *	  Who may be taken away without lowering how many have to keep a write.
 *
 * The rule of placement.h goes by the stores and members that there are, so
 * each that goes may lower the voters: three to two is one voter and one
 * learner, and a write needs one disk then.  That is what is wanted when a
 * live node leaves and the others are well: what it has, they have.  It is not
 * when the one that goes, or one that stays, is dead: the disk that is left
 * would be the only one.  Its replacement joins first.
 */
#ifndef TIKV_PD_CORE_LEAVING_H
#define TIKV_PD_CORE_LEAVING_H

#include "pd/core/members.h"
#include "pd/core/placement.h"

/*
 * May the store go?  `asks` says that its own node asks, so that it is alive.
 * PD_UNKNOWN if not, with what to do.  One that is none, or is leaving, is
 * left to others to refuse.
 */
extern PdError leaving_check_store(const Cluster *cluster, uint64_t store_id,
								   bool asks, const PlacementClock *clock,
								   Arena *arena);

/* What the leader of PD knows of its group. */
typedef struct MemberGroup
{
	const Members *members;
	const RaftConfState *conf;
	uint64_t leader;
	uint32_t max_replicas;
	const MemberView *views;
	size_t n_views;
} MemberGroup;

/* The same for a member of the Placement Driver. */
extern PdError leaving_check_member(const MemberGroup *group, uint64_t id,
									bool asks, Arena *arena);

#endif /* TIKV_PD_CORE_LEAVING_H */
