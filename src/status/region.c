/*
 * region.c
 *	  /region/{id}: what this store knows of a region.
 *
 * The shape is that of TiKV's RegionMeta (tikv/tikv
 * components/raftstore/src/store/region_meta.rs).  The descriptor and the
 * leader come from the board, the state of the Raft group from its row, so
 * the two may be a moment apart.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/board.h"
#include "core/raft/raft.h"
#include "status/status.h"
#include "storage/state_table.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A byte string is an array of numbers there. */
static void
put_key(JsonWriter *json, const char *name, Bytes key)
{
	json_open(json, name, '[');
	for (size_t i = 0; i < key.len; i++)
		json_uint(json, NULL, key.data[i]);
	json_close(json, ']');
}

static const char *
role_name(PeerRole role)
{
	switch (role)
	{
		case PEER_VOTER:
			return "Voter";
		case PEER_LEARNER:
			return "Learner";
		case PEER_INCOMING_VOTER:
			return "IncomingVoter";
		case PEER_DEMOTING_VOTER:
			return "DemotingVoter";
	}
	return "";
}

static void
put_descriptor(JsonWriter *json, const Region *region)
{
	json_open(json, "region_state", '{');
	json_uint(json, "id", region->id);
	put_key(json, "start_key", region->start_key);
	put_key(json, "end_key", region->end_key);
	json_open(json, "epoch", '{');
	json_uint(json, "conf_ver", region->epoch.conf_ver);
	json_uint(json, "version", region->epoch.version);
	json_close(json, '}');
	json_open(json, "peers", '[');
	for (int i = 0; i < region->n_peers; i++)
	{
		json_open(json, NULL, '{');
		json_uint(json, "id", region->peers[i].id);
		json_uint(json, "store_id", region->peers[i].store_id);
		json_string(json, "role", role_name(region->peers[i].role));
		json_close(json, '}');
	}
	json_close(json, ']');
	json_null(json, "merge_state");
	json_uint(json, "tablet_index", 0);
	json_close(json, '}');
}

static const char *
progress_name(int state)
{
	return state == RAFT_PROBE ? "Probe" :
		state == RAFT_SNAPSHOT ? "Snapshot" :
								 "Replicate";
}

/* What comes next is not told to others, and follows what a peer has. */
static void
put_peer_progress(StatusPage *page, JsonWriter *json, const BoardRaft *raft,
				  const BoardPeer *peer)
{
	bool self = peer->peer.id == raft->peer_id;
	uint64 matched = self ? raft->last_index : peer->match;

	json_open(json,
			  arena_printf(page->arena, "%llu",
						   (unsigned long long) peer->peer.id),
			  '{');
	json_uint(json, "matched", matched);
	json_uint(json, "next_idx", matched + 1);
	json_string(json, "state",
				progress_name(self ? RAFT_REPLICATE : peer->state));
	json_bool(json, "paused", false);
	json_uint(json, "pending_snapshot", 0);
	json_uint(json, "pending_request_snapshot", 0);
	json_bool(json, "recent_active", self || peer->active);
	json_close(json, '}');
}

/* The leader knows how far each peer is; the others tell of nobody. */
static void
put_progress(StatusPage *page, JsonWriter *json, const BoardRegion *board,
			 const BoardRaft *raft)
{
	static const char *const lists[] = {"voters", "learners"};

	for (int list = 0; list < (int) lengthof(lists); list++)
	{
		json_open(json, lists[list], '{');
		for (int i = 0; board->is_leader && i < raft->n_peers; i++)
			if ((raft->peers[i].peer.role == PEER_LEARNER) == (list == 1))
				put_peer_progress(page, json, raft, &raft->peers[i]);
		json_close(json, '}');
	}
}

/* As the raft crate names them. */
static const char *
state_name(const BoardRegion *board, const BoardRaft *raft)
{
	if (board->is_leader)
		return "Leader";
	return raft->role == RAFT_CANDIDATE	 ? "Candidate" :
		raft->role == RAFT_PRE_CANDIDATE ? "PreCandidate" :
										   "Follower";
}

static void
put_raft(StatusPage *page, JsonWriter *json, const BoardRegion *board,
		 const GroupState *group)
{
	BoardRaft *raft = arena_zalloc(page->arena, sizeof(*raft));

	(void) board_raft(board->region.id, raft);
	json_open(json, "raft_status", '{');
	json_uint(json, "id", board->self.id);
	json_open(json, "hard_state", '{');
	json_uint(json, "term", group->term);
	json_uint(json, "vote", group->vote);
	json_uint(json, "commit", group->commit_index);
	json_close(json, '}');
	json_open(json, "soft_state", '{');
	json_uint(json, "leader_id", board->leader.id);
	json_string(json, "raft_state", state_name(board, raft));
	json_close(json, '}');
	json_uint(json, "applied", group->applied_index);
	put_progress(page, json, board, raft);
	json_close(json, '}');
	json_open(json, "raft_apply", '{');
	json_uint(json, "applied_index", group->applied_index);
	json_uint(json, "commit_index", group->commit_index);
	json_uint(json, "commit_term", group->term);
	json_open(json, "truncated_state", '{');
	json_uint(json, "index", group->truncated_index);
	json_uint(json, "term", group->truncated_term);
	json_close(json, '}');
	json_close(json, '}');
}

/* The group's row; false with a reason if it cannot be read now. */
static bool
load_group(uint64 region_id, GroupState *group, char *reason, Size size)
{
	MemoryContext before = CurrentMemoryContext;
	volatile bool found = false;

	strlcpy(reason, "the state of the region is not stored yet", size);
	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		found = group_state_load(region_id, group);
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(before);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		strlcpy(reason, error->message, size);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	return found;
}

static bool
parse_id(const char *text, uint64 *out)
{
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

void
page_region(StatusPage *page)
{
	BoardRegion *board = arena_alloc(page->arena, sizeof(BoardRegion));
	char *reason = arena_alloc(page->arena, 256);
	GroupState group;
	JsonWriter json;
	uint64 id;

	if (!parse_id(url_text(&page->url, 1), &id))
	{
		page_say(page, HTTP_BAD_REQUEST, "the region id must be a number");
		return;
	}
	if (!board_find(id, board))
	{
		page_say(page, HTTP_NOT_FOUND, "this store has no such region");
		return;
	}
	if (!load_group(id, &group, reason, 256))
	{
		page_say(page, HTTP_UNAVAILABLE, reason);
		return;
	}
	json_init(&json, page->arena);
	json_open(&json, NULL, '{');
	json_string(&json, "group_state", "Ordered");
	put_raft(page, &json, board, &group);
	put_descriptor(&json, &board->region);
	json_uint(&json, "approximate_size",
			  (uint64) Max(group.approximate_size, 0));
	json_uint(&json, "approximate_keys",
			  (uint64) Max(group.approximate_keys, 0));
	json_close(&json, '}');
	page->type = TYPE_JSON;
	page->body = json_text(&json);
}
