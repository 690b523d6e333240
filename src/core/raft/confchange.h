/*
 * confchange.h
 *	  What a conf change makes of a configuration.
 */
#ifndef TIKV_RAFT_CONFCHANGE_H
#define TIKV_RAFT_CONFCHANGE_H

#include "core/raft/raft_types.h"

/* INVALID: the change does not fit; *out is then undefined. */
extern Status raft_conf_changed(const RaftConfState *conf,
								const RaftConfChange *cc,
								RaftConfState *out) MUST_CHECK;
extern bool raft_conf_valid(const RaftConfState *conf);
extern void raft_conf_normalize(RaftConfState *conf);
extern bool raft_conf_is_joint(const RaftConfState *conf);

/* Everybody: voters of both halves and learners; n is 0 if too many. */
extern void raft_conf_members(const RaftConfState *conf, RaftIdSet *out);

#endif /* TIKV_RAFT_CONFCHANGE_H */
