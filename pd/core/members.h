/*
 * members.h
 *	  The members of the Placement Driver, and who of them votes.
 *
 * The rule is that of regions (placement.h): with n members and at most m
 * replicas the voters are the largest odd number that is at most both; all
 * others are learners, which follow and stand in.  members_next_change says
 * what the leader should change next, one change at a time.
 */
#ifndef TIKV_PD_CORE_MEMBERS_H
#define TIKV_PD_CORE_MEMBERS_H

#include "core/raft/raft_types.h"
#include "pd/core/record.h"

/* All of them have to fit into one Raft group. */
#define PD_MAX_MEMBERS RAFT_MAX_PEERS

typedef struct MemberItem
{
	PdMember member; /* its strings are the arena's */
	Arena arena;
} MemberItem;

typedef struct Members
{
	MemberItem *items[PD_MAX_MEMBERS]; /* by id */
	size_t n;
} Members;

extern void members_init(Members *members);
extern void members_free(Members *members);
extern const PdMember *members_find(const Members *members, uint64_t id);

/* One too many is none: pd_state_put_member refuses it, what others send may. */
extern void members_put(Members *members, const PdMember *member);
extern void members_remove(Members *members, uint64_t id);

extern bool member_equal(const PdMember *a, const PdMember *b);

/* What the leader knows of a member's peer. */
typedef struct MemberView
{
	uint64_t id;
	bool active;	/* answered lately */
	bool lost;		/* did not for so long that it is replaced */
	bool caught_up; /* has nearly all of the log */
} MemberView;

typedef enum MemberStepKind
{
	MEMBERS_AT_REST,
	MEMBERS_CHANGE,	  /* propose `change` */
	MEMBERS_TRANSFER, /* leadership to `id`, before its holder goes */
	MEMBERS_FORGET	  /* it has left: remove the record of `id` */
} MemberStepKind;

typedef struct MemberStep
{
	MemberStepKind kind;
	RaftConfChange change;
	uint64_t id;
} MemberStep;

/*
 * The next step from the configuration to what the members should make of it.
 * `views` has every peer of the configuration that is heard of.
 */
extern MemberStep members_next_step(const Members *members,
									const RaftConfState *conf, uint64_t leader,
									uint32_t max_replicas,
									const MemberView *views, size_t n_views);

#endif /* TIKV_PD_CORE_MEMBERS_H */
