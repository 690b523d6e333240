/*
 * peer_check.c
 *	  Can this member apply what another one sends?
 *
 * Whoever reaches the port of PD may send a message of its group.  Raft's own
 * rules are checked by the core (raft_check_message); here, what entries and
 * snapshots hold.  Keys that are not known may be a newer version's, and are
 * kept.  Neither Postgres nor any state.
 */
#include "pd/peer_check.h"

#include "core/cmd/raft_codec.h"
#include "pd/core/utf8.h"
#include "pd/record_codec.h"

/* What an index of Postgres takes of a key, and no honest one comes near. */
#define MAX_KEY_BYTES 2600

/* Keys are text in an indexed column; the cluster keeps its id. */
static bool
can_apply_item(const ProposalItem *item, uint64_t cluster_id, Arena *arena,
			   bool *names_cluster)
{
	PdRecord record;
	Status status;

	if (item->key.len > MAX_KEY_BYTES || !utf8_valid(item->key))
		return false;
	if (item->removed)
		return !record_is_cluster_id(item->key);
	status = record_decode(item->key, item->value, arena, &record);
	if (status != STATUS_OK)
		return status == STATUS_NOT_FOUND;
	if (record.kind != PD_RECORD_CLUSTER_ID)
		return true;
	*names_cluster = true;
	return record.number == cluster_id;
}

static bool
can_apply_items(Bytes data, uint64_t cluster_id, Arena *arena,
				bool *names_cluster)
{
	ProposalItem item;

	*names_cluster = false;
	while (data.len > 0)
	{
		if (proposal_next(&data, &item) != STATUS_OK ||
			!can_apply_item(&item, cluster_id, arena, names_cluster))
			return false;
		arena_reset(arena);
	}
	return true;
}

static bool
can_apply_entry(const RaftEntry *entry, uint64_t cluster_id, Arena *arena)
{
	RaftConfChange change;
	Bytes context;
	bool names_cluster;

	if (entry->type == RAFT_ENTRY_NORMAL)
		return can_apply_items(entry->data, cluster_id, arena, &names_cluster);
	return raft_conf_change_decode(entry->type, entry->data, &change,
								   &context) == STATUS_OK;
}

bool
peer_can_apply(const RaftMessage *m, uint64_t cluster_id)
{
	bool names_cluster = true;
	bool can = true;
	Arena arena;

	arena_init(&arena);
	if (m->type == RAFT_MSG_APPEND)
		for (int i = 0; can && i < m->n_entries; i++)
			can = can_apply_entry(&m->entries[i], cluster_id, &arena);
	if (m->type == RAFT_MSG_SNAPSHOT && m->snapshot != NULL)
		can = can_apply_items(m->snapshot->data, cluster_id, &arena,
							  &names_cluster);
	arena_free(&arena);
	return can && names_cluster;
}
