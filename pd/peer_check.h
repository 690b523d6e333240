/*
 * peer_check.h
 *	  Can this member apply what another one sends?
 */
#ifndef TIKV_PD_PEER_CHECK_H
#define TIKV_PD_PEER_CHECK_H

#include "core/raft/raft_types.h"

/*
 * Entries and snapshot of the message can be applied, and what they leave in
 * the tables can be loaded.  If not, the message is as good as lost: once in
 * the log or the tables, it would keep this member from starting.
 */
extern bool peer_can_apply(const RaftMessage *m, uint64_t cluster_id);

#endif /* TIKV_PD_PEER_CHECK_H */
