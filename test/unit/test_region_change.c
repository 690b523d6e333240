/*
 * test_region_change.c
 *	  What changes of peers and splits make of a region (raftstore-and-pd 1,
 *	  14, 16), and that Raft comes to the same configuration.
 */
#include "core/cmd/region_change.h"
#include "core/raft/confchange.h"
#include "unit.h"

static Arena arena;
static const char *why;

static Region
three(void)
{
	return (Region){.id = 1,
					.epoch = {.conf_ver = 5, .version = 3},
					.n_peers = 3,
					.peers = {{11, 1, PEER_VOTER},
							  {12, 2, PEER_VOTER},
							  {13, 3, PEER_LEARNER}}};
}

static CmdAdmin
change(int n, const CmdChangePeer *changes)
{
	CmdAdmin admin = {.type = CMD_ADMIN_CHANGE_PEER_V2, .n_changes = n};

	for (int i = 0; i < n; i++)
		admin.changes[i] = changes[i];
	return admin;
}

/* Both sides of the change must agree. */
static bool
agrees(const Region *before, const Region *after, const RaftConfChange *cc)
{
	RaftConfState from;
	RaftConfState to;
	RaftConfState raft;

	region_conf_state(before, &from);
	region_conf_state(after, &to);
	if (raft_conf_changed(&from, cc, &raft) != STATUS_OK)
		return false;
	raft.auto_leave = to.auto_leave;
	return memcmp(&raft.voters, &to.voters, sizeof(int)) == 0 &&
		raft.voters.n == to.voters.n && raft.learners.n == to.learners.n &&
		raft.voters_outgoing.n == to.voters_outgoing.n &&
		raft.learners_next.n == to.learners_next.n;
}

static Region
apply(Region region, int n, const CmdChangePeer *changes, bool ok,
	  const char *what)
{
	CmdAdmin admin = change(n, changes);
	RaftConfChange cc;
	Region after;
	Status s = region_change_peers(&region, &admin, &after, &cc, &why);

	OK((s == STATUS_OK) == ok && (!ok || agrees(&region, &after, &cc)), what);
	return s == STATUS_OK ? after : region;
}

static void
simple_changes(void)
{
	Region r = three();

	r = apply(r, 1,
			  &(CmdChangePeer){RAFT_CONF_ADD_LEARNER, {14, 4, PEER_LEARNER}},
			  true, "a learner is added");
	EQ_U64(r.n_peers, 4, "to the others");
	EQ_U64(r.epoch.conf_ver, 6, "conf_ver grows by one");
	r = apply(r, 1, &(CmdChangePeer){RAFT_CONF_ADD_NODE, {14, 4, PEER_VOTER}},
			  true, "and promoted");
	EQ_U64(region_find_peer(&r, 14)->role, PEER_VOTER, "to a voter");
	r = apply(r, 1,
			  &(CmdChangePeer){RAFT_CONF_REMOVE_NODE, {12, 2, PEER_VOTER}},
			  true, "a voter is removed");
	OK(region_find_store(&r, 2) == NULL && r.n_peers == 3, "it is gone");
	EQ_U64(r.epoch.conf_ver, 8, "each counts");
	(void) apply(r, 1,
				 &(CmdChangePeer){RAFT_CONF_ADD_NODE, {99, 4, PEER_VOTER}},
				 false, "a second peer on a store is refused");
	(void) apply(r, 1,
				 &(CmdChangePeer){RAFT_CONF_ADD_NODE, {14, 9, PEER_VOTER}},
				 false, "an id that is in use is refused");
	(void) apply(r, 1,
				 &(CmdChangePeer){RAFT_CONF_ADD_NODE, {15, 5, PEER_LEARNER}},
				 false, "a role that does not fit is refused");
	(void) apply(r, 1,
				 &(CmdChangePeer){RAFT_CONF_REMOVE_NODE, {77, 7, PEER_VOTER}},
				 false, "nobody is removed twice");
	(void) apply(r, 0, NULL, false, "there is no joint configuration to leave");
}

static void
joint_changes(void)
{
	Region r = three();
	CmdChangePeer swap[] = {{RAFT_CONF_ADD_NODE, {13, 3, PEER_VOTER}},
							{RAFT_CONF_ADD_LEARNER, {12, 2, PEER_LEARNER}}};
	CmdChangePeer bad[] = {{RAFT_CONF_ADD_NODE, {13, 3, PEER_VOTER}},
						   {RAFT_CONF_REMOVE_NODE, {12, 2, PEER_VOTER}}};
	CmdChangePeer twice[] = {{RAFT_CONF_ADD_NODE, {13, 3, PEER_VOTER}},
							 {RAFT_CONF_ADD_LEARNER, {13, 3, PEER_LEARNER}}};

	(void) apply(r, 2, bad, false, "a voter is not removed jointly");
	(void) apply(r, 2, twice, false, "a peer is changed once");
	r = apply(r, 2, swap, true, "two peers swap their roles");
	EQ_U64(region_find_peer(&r, 13)->role, PEER_INCOMING_VOTER, "one comes");
	EQ_U64(region_find_peer(&r, 12)->role, PEER_DEMOTING_VOTER, "one goes");
	EQ_U64(r.epoch.conf_ver, 7, "conf_ver grows by the changes");
	(void) apply(r, 1,
				 &(CmdChangePeer){RAFT_CONF_ADD_NODE, {14, 4, PEER_VOTER}},
				 false, "nothing else meanwhile");
	r = apply(r, 0, NULL, true, "the joint configuration is left");
	EQ_U64(region_find_peer(&r, 13)->role, PEER_VOTER, "one is a voter");
	EQ_U64(region_find_peer(&r, 12)->role, PEER_LEARNER, "one a learner");
	EQ_U64(r.epoch.conf_ver, 9, "conf_ver grows by those that moved");
}

static void
leaders(void)
{
	Region r = three();
	CmdAdmin out =
		change(1, &(CmdChangePeer){RAFT_CONF_REMOVE_NODE, {11, 1, PEER_VOTER}});
	CmdAdmin demote =
		change(1,
			   &(CmdChangePeer){RAFT_CONF_ADD_LEARNER, {11, 1, PEER_LEARNER}});
	CmdAdmin leave = {.type = CMD_ADMIN_CHANGE_PEER_V2};

	OK(region_leader_may_change(&r, 11, &out, &why) == STATUS_INVALID,
	   "a leader does not remove itself");
	OK(region_leader_may_change(&r, 11, &demote, &why) == STATUS_INVALID,
	   "nor demote itself");
	OK(region_leader_may_change(&r, 12, &out, &why) == STATUS_OK,
	   "another one may");
	r.peers[0].role = PEER_DEMOTING_VOTER;
	OK(region_leader_may_change(&r, 11, &leave, &why) == STATUS_INVALID,
	   "a demoted leader hands over first");
}

static void
splits(void)
{
	Region r = three();
	CmdSplit at[] = {{bytes_cstr("g"), 21, 3, {211, 212, 213}},
					 {bytes_cstr("p"), 22, 3, {221, 222, 223}}};
	CmdAdmin admin = {.type = CMD_ADMIN_BATCH_SPLIT,
					  .splits = at,
					  .n_splits = 2,
					  .right_derive = true};
	static uint8_t too_long[REGION_MAX_BOUND + 1];
	Region *pieces;
	int derived;

	r.start_key = bytes_cstr("a");
	r.end_key = bytes_cstr("z");
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) == STATUS_OK,
	   "a split in three");
	EQ_U64(derived, 2, "the old id keeps the right piece");
	OK(pieces[0].id == 21 && pieces[1].id == 22 && pieces[2].id == 1,
	   "new ones are on the left");
	OK(bytes_eq(pieces[0].start_key, r.start_key) &&
		   bytes_eq(pieces[0].end_key, pieces[1].start_key) &&
		   bytes_eq(pieces[1].end_key, pieces[2].start_key) &&
		   bytes_eq(pieces[2].end_key, r.end_key),
	   "without a gap");
	OK(pieces[0].epoch.version == 5 && pieces[2].epoch.version == 5 &&
		   pieces[1].epoch.conf_ver == 5,
	   "version grows by the number of new ones, everywhere");
	OK(pieces[1].peers[1].id == 222 && pieces[1].peers[1].store_id == 2 &&
		   pieces[1].peers[2].role == PEER_LEARNER,
	   "peers of new pieces are where the region has its own");
	admin.right_derive = false;
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) == STATUS_OK &&
		   derived == 0 && pieces[0].id == 1 && pieces[1].id == 21 &&
		   pieces[2].id == 22,
	   "or the left one");
	at[1].split_key = bytes_cstr("g");
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) ==
		   STATUS_INVALID,
	   "a piece is not empty");
	at[1].split_key = bytes_cstr("z");
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) ==
		   STATUS_INVALID,
	   "a key at the end is outside");
	at[1].split_key = bytes_cstr("p");
	at[1].n_peers = 2;
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) ==
		   STATUS_INVALID,
	   "each piece has as many peers");
	at[1].n_peers = 3;
	at[1].split_key = bytes_make(too_long, sizeof(too_long));
	memset(too_long, 'p', sizeof(too_long));
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) ==
		   STATUS_INVALID,
	   "a bound that no store can show is refused");
	at[1].split_key.len = REGION_MAX_BOUND;
	OK(region_split(&r, &admin, &arena, &pieces, &derived, &why) == STATUS_OK,
	   "the longest is not");
}

int
main(void)
{
	arena_init(&arena);
	simple_changes();
	joint_changes();
	leaders();
	splits();
	OK(region_epoch_is_stale((RegionEpoch){1, 2}, (RegionEpoch){2, 1}) &&
		   !region_epoch_is_stale((RegionEpoch){2, 2}, (RegionEpoch){2, 1}),
	   "stale in either half");
	arena_free(&arena);
	return unit_done();
}
