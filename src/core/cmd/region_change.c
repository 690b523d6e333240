/*
 * region_change.c
 *	  What administrative commands make of a region's descriptor.
 */
#include "core/cmd/region_change.h"

/* ----------------------------------------------------------------- looking */

static void
set_add(RaftIdSet *set, uint64_t id)
{
	int at = set->n++;

	for (; at > 0 && set->id[at - 1] > id; at--)
		set->id[at] = set->id[at - 1];
	set->id[at] = id;
}

static bool
is_joint(const Region *region)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].role == PEER_INCOMING_VOTER ||
			region->peers[i].role == PEER_DEMOTING_VOTER)
			return true;
	return false;
}

void
region_conf_state(const Region *region, RaftConfState *out)
{
	bool joint = is_joint(region);

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < region->n_peers; i++)
	{
		uint64_t id = region->peers[i].id;

		switch (region->peers[i].role)
		{
			case PEER_VOTER:
				set_add(&out->voters, id);
				if (joint)
					set_add(&out->voters_outgoing, id);
				break;
			case PEER_LEARNER:
				set_add(&out->learners, id);
				break;
			case PEER_INCOMING_VOTER:
				set_add(&out->voters, id);
				break;
			case PEER_DEMOTING_VOTER:
				set_add(&out->voters_outgoing, id);
				set_add(&out->learners_next, id);
				break;
		}
	}
}

const RegionPeer *
region_find_peer(const Region *region, uint64_t peer_id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].id == peer_id)
			return &region->peers[i];
	return NULL;
}

const RegionPeer *
region_find_store(const Region *region, uint64_t store_id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].store_id == store_id)
			return &region->peers[i];
	return NULL;
}

bool
region_epoch_is_stale(RegionEpoch a, RegionEpoch b)
{
	return a.version < b.version || a.conf_ver < b.conf_ver;
}

/* ------------------------------------------------------- changes of peers */

static Status
refuse(const char **why, const char *text)
{
	*why = text;
	return STATUS_INVALID;
}

static RegionPeer *
peer_on_store(Region *region, uint64_t store_id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].store_id == store_id)
			return &region->peers[i];
	return NULL;
}

static Status
add_peer(Region *region, const CmdChangePeer *change, bool joint,
		 const char **why)
{
	RegionPeer peer = change->peer;

	if (region->n_peers == REGION_MAX_PEERS)
		return refuse(why, "the region has too many peers");
	if (region_find_peer(region, peer.id) != NULL)
		return refuse(why, "a peer of that id is on another store");
	if (joint && peer.role == PEER_VOTER)
		peer.role = PEER_INCOMING_VOTER;
	region->peers[region->n_peers++] = peer;
	return STATUS_OK;
}

static Status
change_role(RegionPeer *present, const CmdChangePeer *change, bool joint,
			const char **why)
{
	if (present->id != change->peer.id)
		return refuse(why, "the store has another peer of the region");
	if (present->role == PEER_LEARNER && change->peer.role == PEER_VOTER)
		present->role = joint ? PEER_INCOMING_VOTER : PEER_VOTER;
	else if (present->role == PEER_VOTER && change->peer.role == PEER_LEARNER)
		present->role = joint ? PEER_DEMOTING_VOTER : PEER_LEARNER;
	else
		return refuse(why, "the peer has that role already");
	return STATUS_OK;
}

static Status
remove_peer(Region *region, const CmdChangePeer *change, bool joint,
			const char **why)
{
	RegionPeer *present = peer_on_store(region, change->peer.store_id);

	if (present == NULL || present->id != change->peer.id)
		return refuse(why, "the region has no such peer");
	if (joint && present->role != PEER_LEARNER)
		return refuse(why, "a voter must be demoted before it is removed");
	*present = region->peers[--region->n_peers];
	return STATUS_OK;
}

static Status
change_one(Region *region, const CmdChangePeer *change, bool joint,
		   const char **why)
{
	RegionPeer *present = peer_on_store(region, change->peer.store_id);

	if (change->peer.id == 0 || change->peer.store_id == 0)
		return refuse(why, "a change names no peer");
	switch (change->type)
	{
		case RAFT_CONF_REMOVE_NODE:
			return remove_peer(region, change, joint, why);
		case RAFT_CONF_ADD_NODE:
			if (change->peer.role != PEER_VOTER)
				return refuse(why, "AddNode is for voters");
			break;
		case RAFT_CONF_ADD_LEARNER:
			if (change->peer.role != PEER_LEARNER)
				return refuse(why, "AddLearnerNode is for learners");
			break;
	}
	return present == NULL ? add_peer(region, change, joint, why) :
							 change_role(present, change, joint, why);
}

static Status
leave_joint(Region *region, const char **why)
{
	int moved = 0;

	for (int i = 0; i < region->n_peers; i++)
	{
		RegionPeer *peer = &region->peers[i];

		if (peer->role == PEER_INCOMING_VOTER)
			peer->role = PEER_VOTER;
		else if (peer->role == PEER_DEMOTING_VOTER)
			peer->role = PEER_LEARNER;
		else
			continue;
		moved++;
	}
	if (moved == 0)
		return refuse(why, "the region is not in a joint configuration");
	region->epoch.conf_ver += (uint64_t) moved;
	return STATUS_OK;
}

static Status
check_duplicates(const CmdAdmin *admin, const char **why)
{
	for (int i = 0; i < admin->n_changes; i++)
		for (int k = 0; k < i; k++)
			if (admin->changes[i].peer.id == admin->changes[k].peer.id ||
				admin->changes[i].peer.store_id ==
					admin->changes[k].peer.store_id)
				return refuse(why, "a peer is changed twice");
	return STATUS_OK;
}

static Status
has_voter(const Region *region, const char **why)
{
	RaftConfState conf;

	region_conf_state(region, &conf);
	return conf.voters.n > 0 ? STATUS_OK :
							   refuse(why, "no voter would be left");
}

Status
region_change_peers(const Region *region, const CmdAdmin *admin, Region *out,
					RaftConfChange *cc, const char **why)
{
	bool joint = admin->n_changes > 1;
	Status s = check_duplicates(admin, why);

	*out = *region;
	memset(cc, 0, sizeof(*cc));
	if (s != STATUS_OK)
		return s;
	if (admin->n_changes == 0)
		return leave_joint(out, why);
	if (is_joint(region))
		return refuse(why, "the region is in a joint configuration");
	cc->transition = joint ? RAFT_CONF_EXPLICIT : RAFT_CONF_AUTO;
	for (int i = 0; i < admin->n_changes; i++)
	{
		s = change_one(out, &admin->changes[i], joint, why);
		if (s != STATUS_OK)
			return s;
		cc->changes[cc->n].type = admin->changes[i].type;
		cc->changes[cc->n++].id = admin->changes[i].peer.id;
	}
	out->epoch.conf_ver += (uint64_t) admin->n_changes;
	if (joint && !is_joint(out))
		return refuse(why, "learners are changed one by one");
	return has_voter(out, why);
}

Status
region_leader_may_change(const Region *region, uint64_t leader,
						 const CmdAdmin *admin, const char **why)
{
	const RegionPeer *self = region_find_peer(region, leader);

	if (admin->n_changes == 0 && self != NULL &&
		self->role == PEER_DEMOTING_VOTER)
		return refuse(why, "the leader must be another one first");
	for (int i = 0; i < admin->n_changes; i++)
	{
		const CmdChangePeer *change = &admin->changes[i];

		if (change->peer.id != leader)
			continue;
		if (change->type == RAFT_CONF_REMOVE_NODE)
			return refuse(why, "the leader does not remove itself");
		if (change->type == RAFT_CONF_ADD_LEARNER && admin->n_changes == 1)
			return refuse(why, "the leader does not demote itself");
	}
	return STATUS_OK;
}

/* ------------------------------------------------------------------ splits */

static Status
check_split(const Region *region, const CmdAdmin *admin, int i,
			const char **why)
{
	const CmdSplit *split = &admin->splits[i];
	Bytes before = i == 0 ? region->start_key : admin->splits[i - 1].split_key;

	if (split->split_key.len == 0 || bytes_cmp(split->split_key, before) <= 0)
		return refuse(why, "split keys are not in order");
	if (split->split_key.len > REGION_MAX_BOUND)
		return refuse(why, "a split key is too long");
	if (region->end_key.len > 0 &&
		bytes_cmp(split->split_key, region->end_key) >= 0)
		return refuse(why, "a split key lies outside of the region");
	if (split->n_peers != region->n_peers)
		return refuse(why, "a piece has another number of peers");
	if (split->region_id == 0 || split->region_id == region->id)
		return refuse(why, "a piece has no id of its own");
	for (int k = 0; k < i; k++)
		if (admin->splits[k].region_id == split->region_id)
			return refuse(why, "two pieces have the same id");
	for (int k = 0; k < split->n_peers; k++)
		if (split->peer_ids[k] == 0)
			return refuse(why, "a peer of a piece has no id");
	return STATUS_OK;
}

/* A new piece has its peers where the region has its own. */
static void
become(Region *piece, const CmdSplit *split)
{
	piece->id = split->region_id;
	for (int i = 0; i < piece->n_peers; i++)
		piece->peers[i].id = split->peer_ids[i];
}

Status
region_split(const Region *region, const CmdAdmin *admin, Arena *arena,
			 Region **out, int *derived, const char **why)
{
	int n = admin->n_splits;
	Region *pieces;

	if (n == 0)
		return refuse(why, "a split without keys");
	if (is_joint(region))
		return refuse(why, "the region is in a joint configuration");
	for (int i = 0; i < n; i++)
	{
		Status s = check_split(region, admin, i, why);

		if (s != STATUS_OK)
			return s;
	}
	pieces = arena_alloc(arena, (size_t) (n + 1) * sizeof(Region));
	*derived = admin->right_derive ? n : 0;
	for (int i = 0; i <= n; i++)
	{
		pieces[i] = *region;
		pieces[i].epoch.version += (uint64_t) n;
		if (i > 0)
			pieces[i].start_key = admin->splits[i - 1].split_key;
		if (i < n)
			pieces[i].end_key = admin->splits[i].split_key;
		if (i != *derived)
			become(&pieces[i], &admin->splits[admin->right_derive ? i : i - 1]);
	}
	*out = pieces;
	return STATUS_OK;
}
