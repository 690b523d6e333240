/*
 * region_change.h
 *	  What administrative commands make of a region's descriptor.
 *
 * Pure functions, the same when a command is proposed and when it is applied,
 * so that every replica comes to the same descriptor or to none.  The rules
 * are raftstore-and-pd 1, 14 and 16; sources: tikv/tikv
 * components/raftstore/src/store/{util.rs,fsm/apply.rs}.
 */
#ifndef TIKV_CMD_REGION_CHANGE_H
#define TIKV_CMD_REGION_CHANGE_H

#include "core/cmd/command.h"

/* The configuration that the roles of a region's peers mean. */
extern void region_conf_state(const Region *region, RaftConfState *out);

extern const RegionPeer *region_find_peer(const Region *region,
										  uint64_t peer_id);
extern const RegionPeer *region_find_store(const Region *region,
										   uint64_t store_id);

/* Is `a` older than `b`, in either half? */
extern bool region_epoch_is_stale(RegionEpoch a, RegionEpoch b);

/*
 * ChangePeer or ChangePeerV2: the region afterwards, and the change for Raft.
 * The keys are shared with `region`.  INVALID: refused, with *why.
 */
extern Status region_change_peers(const Region *region, const CmdAdmin *admin,
								  Region *out, RaftConfChange *cc,
								  const char **why) MUST_CHECK;

/* What a leader refuses beyond that: to give up its own place. */
extern Status region_leader_may_change(const Region *region, uint64_t leader,
									   const CmdAdmin *admin,
									   const char **why) MUST_CHECK;

/*
 * BatchSplit: the pieces in the order of their keys, n_splits + 1 of them, in
 * the arena; *derived is the one that keeps the region's id.  Keys are
 * borrowed from the region and the command.
 */
extern Status region_split(const Region *region, const CmdAdmin *admin,
						   Arena *arena, Region **out, int *derived,
						   const char **why) MUST_CHECK;

#endif /* TIKV_CMD_REGION_CHANGE_H */
