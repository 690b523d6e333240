/*
 * raft_apply.c
 *	  Committed entries become effects: of rows by the overlays, of the region
 *	  by raft_admin.c.
 *
 * The same on every replica: what an entry does depends on its bytes and on
 * the region at its index alone.  An entry whose epoch is another than the
 * region's by now does nothing, and takes its place.
 */
#include "postgres.h"

#include "bus/lock_table.h"
#include "core/base/check.h"
#include "store/damage.h"
#include "store/replicas.h"

static void
corrupt_entry(const Peer *peer, const RaftEntry *entry)
{
	ereport(
		FATAL,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg(
			 "region %llu: the committed entry %llu is no command that this version knows",
			 (unsigned long long) peer->region.id,
			 (unsigned long long) entry->index)));
}

static void
apply_raw(RaftTurn *turn, Peer *peer, const Command *command, Write *write)
{
	Store *store = turn->store;

	FAILPOINT("store_apply_raw");
	region_size_raw(peer, command->raw, command->n_raw);

	for (size_t i = 0; i < command->n_raw; i++)
	{
		command->raw[i].era = store->ranges.era;
		overlay_apply(&store->overlay, &command->raw[i]);
	}
	for (size_t i = 0; i < command->n_ranges; i++)
	{
		const CmdRange *range = &command->ranges[i];
		int64 era =
			range_delete_begin(store, range->cf, range->lower, range->upper);

		if (write != NULL)
			write->era = era;
	}
}

static void
apply_txn(RaftTurn *turn, Peer *peer, const Command *command)
{
	Store *store = turn->store;
	TxnEffects effects = {.arena = &store->arena,
						  .modifies = command->txn,
						  .n_modifies = command->n_txn};

	if (command->n_txn == 0)
		return;
	FAILPOINT("store_apply_txn");
	region_size_txn(peer, command->txn, command->n_txn);
	(void) txn_turn_base(&turn->txn);
	txn_overlay_apply(&store->txn_overlay, &effects);
}

/*
 * What a region's state of flashback rules out, and what rules that out.  Not
 * another flashback: the last one that was prepared counts, as in tikv/tikv
 * components/raftstore/src/store/fsm/apply.rs (exec_flashback).
 */
static bool
suits_flashback(const Region *region, const CmdAdmin *admin)
{
	if (admin == NULL)
		return true;
	if (admin->type == CMD_ADMIN_BATCH_SPLIT)
		return region->flashback_start_ts == 0;
	if (admin->type != CMD_ADMIN_PREPARE_FLASHBACK)
		return true;
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].role == PEER_INCOMING_VOTER ||
			region->peers[i].role == PEER_DEMOTING_VOTER)
			return false;
	return true;
}

static bool
may_apply(const Peer *peer, const Command *command)
{
	Bytes outside;

	if (!suits_flashback(&peer->region, command->admin))
		return false;

	return region_epoch_matches(command->header.epoch, peer->region.epoch,
								cmd_epoch_rule(command)) &&
		cmd_in_region(command, &peer->region, peer->store->meta.api, &outside);
}

static void
apply_normal(RaftTurn *turn, Peer *peer, const RaftEntry *entry, Write *write)
{
	Store *store = turn->store;
	Command command;

	CHECK(entry->payload == NULL);
	if (entry->data.len == 0)
		return;
	if (cmd_decode(entry->data, store->meta.api, &store->arena, &command) !=
		STATUS_OK)
		corrupt_entry(peer, entry);
	if (!may_apply(peer, &command))
	{
		if (write != NULL)
			write->mismatch = true;
		return;
	}
	/* PD may not have told this store of it yet. */
	if (command.header.gc_safe_point != 0)
		gc_know(store, command.header.gc_safe_point,
				command.header.gc_safe_point);
	if (command.admin != NULL)
		raft_admin_apply(turn, peer, entry, &command);
	else
	{
		apply_raw(turn, peer, &command, write);
		apply_txn(turn, peer, &command);
	}
}

/* ------------------------------------------- too many deletions of ranges */

static bool
deletes_range(Peer *peer, const RaftEntry *entry)
{
	Store *store = peer->store;
	Command command;

	return entry->type == RAFT_ENTRY_NORMAL && entry->data.len > 0 &&
		cmd_decode(entry->data, store->meta.api, &store->arena, &command) ==
		STATUS_OK &&
		command.n_ranges > 0;
}

/* Of what is to be applied next; 0: none does. */
static uint64
first_deletion(Peer *peer)
{
	const RaftEntry *entries;
	int n = raft_committed(peer->raft, &peer->store->arena, &entries);

	for (int i = 0; i < n; i++)
		if (deletes_range(peer, &entries[i]))
			return entries[i].index;
	return 0;
}

/*
 * Deletions of ranges are kept in memory until slices have carried them out,
 * and none is while the disk is nearly full.  Regions whose next entries are
 * others go on.
 */
void
raft_apply_hold(Peer *peer)
{
	Store *store = peer->store;
	Replicas *replicas = store->replicas;
	uint64 index;

	if (damage_stops(peer->region.id) && !raft_holds_apply(peer->raft))
	{
		raft_hold_apply(peer->raft, peer->saved.applied_index + 1);
		return;
	}
	if ((!replicas->apply_held &&
		 range_delete_n_running(store) < RANGE_DELETES_FULL) ||
		raft_holds_apply(peer->raft))
		return;
	index = first_deletion(peer);
	if (index == 0)
		return;
	if (!replicas->apply_held)
		ereport(
			LOG,
			(errmsg(
				 "tikv store %llu: what is committed waits for %d deletions of ranges",
				 (unsigned long long) store->meta.store_id,
				 range_delete_n_running(store)),
			 errhint("Slices carry them out while there are disk space and "
					 "transaction ids; tikv.tasks shows how many are left.")));
	replicas->apply_held = true;
	raft_hold_apply(peer->raft, index);
	raft_write_held(peer);
}

void
raft_apply_let_go(Store *store)
{
	if (!store->replicas->apply_held ||
		range_delete_n_running(store) > RANGE_DELETES_FULL / 2)
		return;
	store->replicas->apply_held = false;
	for (int i = 0; i < store->n_peers; i++)
		raft_hold_apply(store->peers[i]->raft, 0);
}

/*
 * The log of a region that is held has no end, and its front stays where it is:
 * on a disk that is nearly full it grows no more (DESIGN 3 rule 9).  No region
 * takes entries that would use up what is left of the reserve, but bare ones
 * (core/raft/starved.c).  The leader sends what is missing when there is space
 * again.
 */
int
raft_apply_takes(const Peer *peer, const RaftMessage *append)
{
	const Guard *guard = &peer->store->guard;
	bool has_space = !guard->starved &&
		(!raft_holds_apply(peer->raft) || guard->disk == GUARD_OK);

	return has_space ? append->n_entries :
					   raft_bare_entries(append->entries, append->n_entries);
}

void
raft_apply_note_space(Store *store)
{
	Replicas *replicas = store->replicas;

	if (store->guard.starved == replicas->starved)
		return;
	replicas->starved = store->guard.starved;
	if (replicas->starved)
		ereport(
			LOG,
			(errmsg(
				 "tikv store %llu: takes no entries of its regions' leaders: %s",
				 (unsigned long long) store->meta.store_id,
				 store->guard.reason),
			 errhint("The leaders send them when there is space again; a lower "
					 "tikv.reserve_space is one that is effective at once.")));
	else
		ereport(LOG,
				(errmsg("tikv store %llu: takes entries again",
						(unsigned long long) store->meta.store_id)));
	for (int i = 0; i < store->n_peers; i++)
		raft_stand_back(store->peers[i]->raft, replicas->starved);
}

/* --------------------------------------------------------------- the ready */

void
raft_apply(RaftTurn *turn, Peer *peer)
{
	const RaftReady *ready = &peer->ready;
	GroupState *state = &peer->state;

	FAILPOINT("store_before_committed");
	for (int i = 0; i < ready->n_committed; i++)
	{
		const RaftEntry *entry = &ready->committed[i];
		Write *write = raft_write_applied(peer, entry->index, entry->term);

		FAILPOINT("store_before_apply");
		CHECK(entry->index == state->applied_index + 1);
		if (entry->type == RAFT_ENTRY_NORMAL)
			apply_normal(turn, peer, entry, write);
		else
			raft_admin_apply_change(turn, peer, entry);
		state->applied_index = entry->index;
		state->applied_term = entry->term;
		if (write != NULL)
			raft_write_done(turn->store, write);
		FAILPOINT("store_after_apply");
	}
	if (ready->n_committed > 0)
		state->commit_index = Max(state->commit_index, state->applied_index);
}
