/*
 * raft_admin.c
 *	  Administrative commands: changes of peers, transfers of leadership, the
 *	  front of the log.
 *
 * Whether a command fits the region is asked by the same functions when it is
 * proposed and when it is applied (core/cmd/region_change.c).
 */
#include "postgres.h"

#include "bus/board.h"
#include "core/base/check.h"
#include "core/cmd/raft_codec.h"
#include "core/cmd/region_change.h"
#include "core/region/log_gc.h"
#include "guc.h"
#include "store/replicas.h"

/* raftstore-and-pd 12. */
#define COMPACT_INTERVAL_US INT64CONST(3000000)
#define COMPACT_MAX_SKIPS 6

/* Of the limits that follow from it, where no region is split for its size. */
#define AUTO_SPLIT_MB 256

/* ---------------------------------------------------------------- proposing */

static bool
refused(Status s, const char **why)
{
	switch (s)
	{
		case STATUS_OK:
			return false;
		case STATUS_NOT_LEADER:
			*why = "this peer does not lead the region";
			break;
		case STATUS_BUSY:
			*why = "an earlier change is still on its way";
			break;
		case STATUS_UNAVAILABLE:
			*why = "leadership is being transferred, or the peer is not fit";
			break;
		default:
			*why = "the configuration does not allow it";
			break;
	}
	return true;
}

static Bytes
encode(const Peer *peer, const CmdAdmin *admin, Arena *arena)
{
	CmdHeader header = {.region_id = peer->region.id,
						.peer = peer->self,
						.epoch = peer->region.epoch,
						.term = raft_term(peer->raft)};

	return cmd_encode_admin(&header, admin, arena);
}

/* A peer without its data is a voter in name alone: PD asks again. */
static bool
lacks_data(const Peer *peer, const RaftConfChange *cc, const char **why)
{
	if (raft_check_conf_change_safe(peer->raft, cc) != STATUS_UNAVAILABLE)
		return false;
	*why =
		"voters would be without their data: a peer waits for a snapshot, or installs one, or was no learner";
	return true;
}

static bool
is_heard(const RaftStatus *status, uint64 peer_id)
{
	for (int i = 0; i < status->n_peers; i++)
		if (status->peers[i].id == peer_id)
			return !status->peers[i].silent;
	return false;
}

/* The stores with voters of the region that the leader does not hear. */
static const char *
silent_stores(const Peer *peer, const Region *region)
{
	Arena *arena = &peer->store->arena;
	RaftStatus *status = arena_alloc(arena, sizeof(*status));
	const char *stores = "";

	raft_status(peer->raft, status);
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].role != PEER_LEARNER &&
			!is_heard(status, region->peers[i].id))
			stores =
				arena_printf(arena, "%s%s%llu", stores,
							 *stores == '\0' ? "" : ", ",
							 (unsigned long long) region->peers[i].store_id);
	return stores;
}

/*
 * Those who live could make the dead a majority, for good.  What is behind the
 * end of the line is the detail (sqlapi/orders.c).
 */
static bool
lacks_majority(const Peer *peer, const RaftConfChange *cc, const Region *after,
			   const char **why)
{
	if (raft_check_conf_change_alive(peer->raft, cc) != STATUS_UNAVAILABLE)
		return false;
	*why = arena_printf(&peer->store->arena,
						"its voters would have no majority that is heard of\n"
						"Silent voters after it: those of the stores %s.",
						silent_stores(peer, after));
	return true;
}

static bool
propose_change(Peer *peer, const CmdAdmin *admin, const char **why)
{
	Arena *arena = &peer->store->arena;
	RaftEntry entry = {0};
	RaftConfChange cc;
	Region after;
	uint64_t index;
	uint64_t term;

	if (region_change_peers(&peer->region, admin, &after, &cc, why) !=
			STATUS_OK ||
		region_leader_may_change(&peer->region, peer->self.id, admin, why) !=
			STATUS_OK ||
		lacks_data(peer, &cc, why) || lacks_majority(peer, &cc, &after, why))
		return false;
	entry.data = raft_conf_change_encode(&cc, encode(peer, admin, arena), arena,
										 &entry.type);
	if (refused(raft_propose_conf_change(peer->raft, &cc, &entry, &index,
										 &term),
				why))
		return false;
	FAILPOINT("store_conf_proposed");

	/* a lone peer's lease has no end until now */
	peer_publish(peer);
	return true;
}

/* Of tikv.max_regions: other stores may be a little ahead. */
#define SPARE_REGIONS 16

/* Likewise; and an entry's bounds are replaced while the old ones are there. */
#define SPARE_BOUNDS ((size_t) 2)

/*
 * A follower that is ahead may have the pieces, and they may elect somebody
 * else, while this peer is still behind with what comes before the split: it
 * must not serve their keys under its lease meanwhile (raftstore-and-pd 9).
 */
static void
suspend_lease(Peer *peer, uint64 index)
{
	if (peer->region.n_peers == 1)
		return;
	raft_lease_suspend(peer->raft, true);
	peer->split_index = index;
	peer_publish(peer);
}

void
raft_admin_applied(Peer *peer)
{
	if (peer->split_index == 0 || peer->saved.applied_index < peer->split_index)
		return;
	raft_lease_suspend(peer->raft, false);
	peer->split_index = 0;
}

/*
 * Whether the board would hold the bounds of all regions: each piece's end is
 * the next one's start.
 */
static bool
has_room_for_bounds(const Store *store, const CmdAdmin *split)
{
	size_t need = SPARE_BOUNDS * BOARD_KEY_MAX;

	for (int i = 0; i < store->n_peers; i++)
		need += store->peers[i]->region.start_key.len +
			store->peers[i]->region.end_key.len;
	for (int i = 0; i < split->n_splits; i++)
		need += 2 * split->splits[i].split_key.len;
	return need <= board_key_room();
}

/* The board has room for so many regions, on every store. */
static bool
propose_split(Peer *peer, const CmdAdmin *admin, const char **why)
{
	Store *store = peer->store;
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	Region *pieces;
	uint64_t index;
	uint64_t term;
	int derived;

	if (region_split(&peer->region, admin, &store->arena, &pieces, &derived,
					 why) != STATUS_OK)
		return false;
	*why = "this store has as many regions as tikv.max_regions allows";
	if (store->n_peers + admin->n_splits >
		tikv_fdw_settings.max_regions - SPARE_REGIONS)
		return false;
	*why =
		"this store has no room for longer bounds of regions: raise tikv.max_regions on all nodes";
	if (!has_room_for_bounds(store, admin))
		return false;
	*why = "transactions have begun where raw keys were split: ask again";
	if (!splits_may_propose(peer, admin))
		return false;
	FAILPOINT("store_before_split_propose");
	entry.data = encode(peer, admin, &store->arena);
	if (refused(raft_propose(peer->raft, &entry, &index, &term), why))
		return false;
	suspend_lease(peer, index);
	return true;
}

/* The lease ends with the order: what readers see of it, too. */
static bool
transfer(Peer *peer, uint64 to, const char **why)
{
	const RegionPeer *heir = region_find_peer(&peer->region, to);
	RaftStatus *status = arena_alloc(&peer->store->arena, sizeof(*status));

	*why = "that store leads the region already";
	if (to == peer->self.id && peer_is_leader(peer))
		return false;
	*why = "that store is silent: it would not take it";
	raft_status(peer->raft, status);
	if (heir != NULL && !is_heard(status, to))
		return false;
	*why = "the disk of that store is full: it would not take it";
	if (heir != NULL &&
		disk_usage_of(peer->store, heir->store_id) == DISK_ALREADY_FULL)
		return false;
	*why =
		"the disks of a majority of its voters are full: none but this one can lead";
	if (!raft_permits_new_leader(peer->raft))
		return false;
	FAILPOINT("store_before_transfer");
	if (refused(raft_transfer_leader(peer->raft, to), why))
		return false;
	FAILPOINT("store_after_transfer");
	peer_publish(peer);
	return true;
}

bool
raft_admin_propose(Peer *peer, const CmdAdmin *admin, const char **why)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;

	*why = "this peer does not lead the region";
	if (!peer_is_leader(peer))
		return false;
	*why = "a flashback of the region is under way";
	if (peer->region.flashback_start_ts != 0 &&
		admin->type != CMD_ADMIN_COMPACT_LOG)
		return false;
	FAILPOINT("store_before_admin");
	switch (admin->type)
	{
		case CMD_ADMIN_CHANGE_PEER:
		case CMD_ADMIN_CHANGE_PEER_V2:
			return propose_change(peer, admin, why);
		case CMD_ADMIN_TRANSFER_LEADER:
			return transfer(peer, admin->transfer_to.id, why);
		case CMD_ADMIN_COMPACT_LOG:
			entry.data = encode(peer, admin, &peer->store->arena);
			return !refused(raft_propose(peer->raft, &entry, &index, &term),
							why);
		case CMD_ADMIN_BATCH_SPLIT:
			return propose_split(peer, admin, why);
		case CMD_ADMIN_PREPARE_FLASHBACK:
		case CMD_ADMIN_FINISH_FLASHBACK:
		case CMD_ADMIN_NONE:
			break;
	}
	*why = "this command is not served";
	return false;
}

/* ----------------------------------------------------------------- applying */

/* What this peer's replica of the log's front is worth. */
static void
apply_compact(Peer *peer, const CmdAdmin *admin)
{
	GroupState *state = &peer->state;
	LogGcState log = {.truncated = state->truncated_index,
					  .last = peer->log_last,
					  .bytes = peer->log_bytes};

	if (admin->compact_index <= state->truncated_index ||
		admin->compact_index > state->applied_index)
		return;
	FAILPOINT("store_before_compact");
	peer->log_bytes = log_gc_bytes_left(&log, admin->compact_index);
	state->truncated_index = admin->compact_index;
	state->truncated_term = admin->compact_term;
}

/* From here on, on every replica: what is read and written is another thing. */
static void
apply_flashback(RaftTurn *turn, Peer *peer, uint64 start_ts)
{
	peer->region.flashback_start_ts = start_ts;
	peer->region_changed = true;
	peer->at_once = turn->at_once = true;
}

void
raft_admin_apply(RaftTurn *turn, Peer *peer, const RaftEntry *entry,
				 const Command *command)
{
	(void) entry;
	if (command->admin->type == CMD_ADMIN_COMPACT_LOG)
		apply_compact(peer, command->admin);
	if (command->admin->type == CMD_ADMIN_BATCH_SPLIT)
		raft_split_apply(turn, peer, command->admin);
	if (command->admin->type == CMD_ADMIN_PREPARE_FLASHBACK)
	{
		apply_flashback(turn, peer, command->admin->flashback_start_ts);
		FAILPOINT("store_flashback_begins");
	}
	if (command->admin->type == CMD_ADMIN_FINISH_FLASHBACK)
	{
		apply_flashback(turn, peer, 0);
		FAILPOINT("store_flashback_ends");
	}
}

/* The descriptor and Raft's configuration must say the same. */
static void
check_conf(const Region *region, const RaftConfState *conf)
{
	RaftConfState wanted;

	region_conf_state(region, &wanted);
	wanted.auto_leave = conf->auto_leave;
	CHECK(memcmp(&wanted.voters.n, &conf->voters.n, sizeof(int)) == 0 &&
		  wanted.learners.n == conf->learners.n &&
		  wanted.voters_outgoing.n == conf->voters_outgoing.n &&
		  wanted.learners_next.n == conf->learners_next.n);
	for (int i = 0; i < conf->voters.n; i++)
		CHECK(wanted.voters.id[i] == conf->voters.id[i]);
}

static void
take_change(RaftTurn *turn, Peer *peer, const Region *after)
{
	Region before = peer->region;

	before.start_key = before.end_key = bytes_empty();
	peer_set_region(peer, after);
	peer->region_changed = true;
	peer->at_once = turn->at_once = true;
	FAILPOINT("store_region_changed");
	if (region_find_store(after, peer->self.store_id) == NULL)
		peer->destroying = true;
	if (peer_is_leader(peer))
		raft_message_removed(peer, &before);
	ereport(LOG,
			(errmsg("tikv store %llu: region %llu has %d peers, conf_ver %llu",
					(unsigned long long) peer->self.store_id,
					(unsigned long long) peer->region.id, after->n_peers,
					(unsigned long long) after->epoch.conf_ver)));
}

/*
 * A change of peers that does not fit, whose epoch is an older one, or that a
 * flashback came before, is passed over, by Raft as by the region.
 */
void
raft_admin_apply_change(RaftTurn *turn, Peer *peer, const RaftEntry *entry)
{
	Store *store = turn->store;
	RaftConfChange cc;
	RaftConfChange wanted;
	RaftConfState conf;
	Command command;
	const char *why;
	Bytes context;
	Region after;

	FAILPOINT("store_before_conf_change");
	if (raft_conf_change_decode(entry->type, entry->data, &cc, &context) !=
			STATUS_OK ||
		cmd_decode(context, store->meta.api, &store->arena, &command) !=
			STATUS_OK ||
		command.admin == NULL || peer->region.flashback_start_ts != 0 ||
		!region_epoch_matches(command.header.epoch, peer->region.epoch,
							  cmd_epoch_rule(&command)) ||
		region_change_peers(&peer->region, command.admin, &after, &wanted,
							&why) != STATUS_OK ||
		raft_apply_conf_change(peer->raft, &wanted, &conf) != STATUS_OK)
		return;
	check_conf(&after, &conf);
	take_change(turn, peer, &after);
	FAILPOINT("store_after_conf_change");
}

/* ------------------------------------------------------- the log's front */

/* What all peers have; those who wait for a snapshot have nothing. */
static uint64
replicated(const RaftStatus *status)
{
	uint64 least = status->applied_index;

	for (int i = 0; i < status->n_peers; i++)
		least = Min(least, status->peers[i].match);
	return least;
}

#define MIB (UINT64CONST(1) << 20)
#define AUTO_ENTRY_BYTES 1024

static void
fill_limits(LogGcLimits *limits)
{
	const TikvSettings *s = &tikv_fdw_settings;
	uint64 split_mb =
		s->region_split_mb > 0 ? (uint64) s->region_split_mb : AUTO_SPLIT_MB;
	uint64 most = split_mb * MIB / 4 * 3;

	limits->threshold = (uint64) s->log_gc_threshold;
	limits->count = s->log_gc_count >= 0 ? (uint64) s->log_gc_count :
										   most / AUTO_ENTRY_BYTES;
	limits->bytes =
		s->log_gc_size_mb >= 0 ? (uint64) s->log_gc_size_mb * MIB : most;
	limits->max_skips = COMPACT_MAX_SKIPS;
}

static void
fill_log(const Peer *peer, const RaftStatus *status, LogGcState *log)
{
	log->truncated = status->truncated_index;
	log->last = status->last_index;
	log->applied = status->applied_index;
	log->persisted = status->persisted_index;
	log->replicated = replicated(status);
	log->bytes = peer->log_bytes;
	log->skipped = peer->skipped_compacts;
}

void
raft_admin_compact(Peer *peer, int64 now_us)
{
	CmdAdmin admin = {.type = CMD_ADMIN_COMPACT_LOG};
	RaftStatus *status;
	LogGcLimits limits;
	LogGcState log;
	const char *why;
	uint64_t term;

	if (now_us < peer->next_compact_us || !peer_is_leader(peer))
		return;
	peer->next_compact_us = now_us + COMPACT_INTERVAL_US;
	status = arena_alloc(&peer->store->arena, sizeof(*status));
	raft_status(peer->raft, status);
	fill_limits(&limits);
	fill_log(peer, status, &log);
	admin.compact_index = log_gc_index(&limits, &log);
	peer->skipped_compacts = log.skipped;
	if (admin.compact_index == 0 ||
		raft_term_at(peer->raft, admin.compact_index, &term) != STATUS_OK)
		return;
	admin.compact_term = term;
	FAILPOINT("store_before_compact_propose");
	if (raft_admin_propose(peer, &admin, &why))
		peer->skipped_compacts = 0;
}
