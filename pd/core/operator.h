/*
 * operator.h
 *	  A piece of scheduling work on one region: its steps, how far it is, and
 *	  what the region's leader is told to do next.
 *
 * A plan says which stores shall hold which role; operator_plan makes steps of
 * it that never leave the region with a minority of voters or with a leader
 * that removes itself: learners are added and catch up, roles change together
 * in one joint configuration, leadership moves before the leader is demoted,
 * and only learners are removed.  Nobody acknowledges an order: progress is
 * seen in the region's next heartbeat (raftstore-and-pd 24).
 */
#ifndef TIKV_PD_CORE_OPERATOR_H
#define TIKV_PD_CORE_OPERATOR_H

#include "pd/core/region_tree.h"

typedef struct PlacementStores PlacementStores; /* placement.h */

typedef enum StepKind
{
	STEP_ADD_LEARNER,	  /* and wait until it is not pending */
	STEP_CHANGE_ROLES,	  /* the operator's promotions and demotions */
	STEP_LEAVE_JOINT,	  /* until no peer is between two roles */
	STEP_TRANSFER_LEADER, /* to a voter */
	STEP_REMOVE_PEER	  /* a learner */
} StepKind;

typedef struct OperatorStep
{
	StepKind kind;
	RegionPeer peer; /* whom it is about; id 0 with the roles' kinds */
	bool to_anybody; /* a transfer that is as good to another voter */
} OperatorStep;

/* As tikv/pd numbers pdpb.OperatorStatus. */
typedef enum OperatorStatus
{
	OPERATOR_SUCCESS = 0,
	OPERATOR_TIMEOUT = 1,
	OPERATOR_CANCEL = 2,
	OPERATOR_REPLACE = 3,
	OPERATOR_RUNNING = 4
} OperatorStatus;

typedef enum OperatorKind
{
	OPERATOR_REPLICA, /* the wanted number of peers, in the wanted places */
	OPERATOR_LEADER,  /* leaders evenly over the stores */
	OPERATOR_REGION,  /* peers evenly over the stores */
	OPERATOR_SCATTER  /* a group's regions apart, since somebody asked */
} OperatorKind;

#define OPERATOR_KINDS (OPERATOR_SCATTER + 1)

#define OPERATOR_MAX_STEPS (2 * REGION_MAX_PEERS + 5)

typedef struct Operator
{
	uint64_t region_id;
	OperatorKind kind;
	const char *desc; /* static, in the words of tikv/pd */
	OperatorStatus status;
	uint64_t version; /* of the region: a split or merge ends it */
	uint64_t conf_ver;
	uint64_t size_mb;
	int64_t created_us;
	int64_t step_us; /* when the current step began */
	uint64_t step_conf_ver;
	int64_t told_us; /* when the leader was last told; 0 never */
	int n_told;		 /* how often, of this step to this peer */
	int64_t created_unix;
	int n_promoted;
	RegionPeer promoted[REGION_MAX_PEERS];
	int n_demoted;
	RegionPeer demoted[REGION_MAX_PEERS];
	int step;
	int n_steps;
	OperatorStep steps[OPERATOR_MAX_STEPS];
} Operator;

/* Who shall hold the region: role is PEER_VOTER or PEER_LEARNER. */
typedef struct PlannedPeer
{
	uint64_t store_id;
	PeerRole role;
} PlannedPeer;

typedef struct RegionPlan
{
	int n;
	PlannedPeer peers[REGION_MAX_PEERS];
} RegionPlan;

/* How many new peers the plan needs. */
extern int plan_new_peers(const RegionPlan *plan, const Region *region);

/*
 * Fill region id, version and steps from the region as it is, which must not
 * be in a joint state, to the plan.  `first_id` is the first of
 * plan_new_peers ids for new peers.  False if there is nothing to do, or if
 * the plan has no voter that could lead.
 */
extern bool operator_plan(const RegionPlan *plan, const PdRegion *region,
						  const PlacementStores *stores, uint64_t first_id,
						  Operator *out);

/* In the end the store leads, which the plan has as a voter. */
extern void operator_then_lead(Operator *op, const PdRegion *region,
							   uint64_t store_id);

/*
 * The operator that ends a joint state; false if the region is in none, or if
 * nobody could lead it yet whose leader must go.
 */
extern bool operator_leave_joint(const PdRegion *region,
								 const PlacementStores *stores, Operator *out);

/* The operator that moves leadership; false if the store has no voter. */
extern bool operator_transfer(const PdRegion *region, uint64_t to_store,
							  Operator *out);

typedef enum OrderKind
{
	ORDER_NONE,
	ORDER_CHANGE_PEERS, /* no changes: leave the joint state */
	ORDER_TRANSFER_LEADER,
	ORDER_SPLIT
} OrderKind;

/* The peer's role is what it shall get; removed says it shall go. */
typedef struct PeerOrder
{
	RegionPeer peer;
	bool removed;
} PeerOrder;

/* What a region's leader is told. */
typedef struct Order
{
	OrderKind kind;
	uint64_t region_id;
	RegionEpoch epoch;
	RegionPeer target; /* the leader who shall do it */
	RegionPeer leader; /* ORDER_TRANSFER_LEADER: to whom */
	int n_changes;
	PeerOrder changes[REGION_MAX_PEERS];
	size_t n_keys; /* ORDER_SPLIT: at these bounds */
	const Bytes *keys;
} Order;

/*
 * Look at the region as its leader describes it now: go on to the step that
 * is not done yet, or end (success, timeout, cancelled since the region is
 * not what the operator began with).
 */
extern OperatorStatus operator_progress(Operator *op, const PdRegion *region,
										int64_t now_us);

/* What the leader has to do for the current step; false: only wait. */
extern bool operator_order(const Operator *op, const PdRegion *region,
						   Order *out);

/* "add learner peer 7 on store 3"; in the arena. */
extern const char *operator_step_text(const Operator *op, int step,
									  Arena *arena);

extern bool operator_demotes(const Operator *op, uint64_t peer_id);

/* For heir.c: steps that are added to a plan. */
extern void operator_add_heir(Operator *op, const RegionPeer *heir);
extern void operator_add_roles(Operator *op, StepKind kind);

extern bool region_is_joint(const Region *region);

/* The peer on a store, or NULL. */
extern const RegionPeer *region_peer_on(const Region *region,
										uint64_t store_id);

extern bool peer_is_pending(const PdRegion *region, uint64_t peer_id);
extern bool peer_is_down(const PdRegion *region, uint64_t peer_id);

/* Votes in one of the configurations, so that it may lead. */
extern bool peer_may_lead(const RegionPeer *peer);

#endif /* TIKV_PD_CORE_OPERATOR_H */
