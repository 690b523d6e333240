/*
 * state.c
 *	  All that the Placement Driver knows, as one machine.
 */
#include "pd/core/state.h"

#include <inttypes.h>

#include "core/base/check.h"
#include "pd/core/utf8.h"

void
pd_state_init(PdState *state)
{
	memset(state, 0, sizeof(*state));
	arena_init(&state->member_arena);
	members_init(&state->members);
	cluster_init(&state->cluster);
	gc_state_init(&state->gc);
	keyspaces_init(&state->keyspaces);
	kv_store_init(&state->kv);
	leases_init(&state->leases);
}

void
pd_state_free(PdState *state)
{
	arena_free(&state->member_arena);
	members_free(&state->members);
	cluster_free(&state->cluster);
	gc_state_free(&state->gc);
	keyspaces_free(&state->keyspaces);
	kv_store_free(&state->kv);
	leases_free(&state->leases);
	pd_state_init(state);
}

static void
apply_member(PdState *state, const PdMember *from)
{
	Arena arena;
	PdMember to = *from;

	arena_init(&arena);
	to.name = arena_strdup(&arena, from->name);
	to.client_url = arena_strdup(&arena, from->client_url);
	to.peer_url = arena_strdup(&arena, from->peer_url);
	to.version = arena_strdup(&arena, from->version);
	arena_free(&state->member_arena);
	state->member_arena = arena;
	state->member = to;
}

void
pd_state_apply(PdState *state, const PdRecord *record)
{
	if (cluster_apply(&state->cluster, record) ||
		gc_state_apply(&state->gc, record) ||
		kv_store_apply(&state->kv, record) ||
		leases_apply(&state->leases, record))
		return;
	switch (record->kind)
	{
		case PD_RECORD_CLUSTER_ID:
			state->cluster_id = record->number;
			break;
		case PD_RECORD_MEMBER:
			apply_member(state, record->member);
			break;
		case PD_RECORD_PEER:
			if (record->removed)
				members_remove(&state->members, record->number);
			else
				members_put(&state->members, record->member);
			break;
		case PD_RECORD_ALLOC_ID:
			state->ids.saved = record->number;
			break;
		case PD_RECORD_TIMESTAMP:
			state->tso_saved_ms = record->number;
			break;
		case PD_RECORD_KEYSPACE:
			keyspaces_put(&state->keyspaces, record->keyspace);
			break;
		case PD_RECORD_EXTERNAL_TS:
			state->external_ts = record->number;
			break;
		case PD_RECORD_MIN_RESOLVED_TS:
			state->min_resolved_ts = record->number;
			break;
		case PD_RECORD_KEYSPACE_ID:
			state->keyspaces.last_id = (uint32_t) record->number;
			break;
		default:
			CHECK(false);
	}
}

void
pd_state_apply_all(PdState *state, const PdChanges *changes)
{
	for (size_t i = 0; i < changes->n; i++)
		pd_state_apply(state, &changes->records[i]);
}

void
pd_state_loaded(PdState *state)
{
	state->ids.last = state->ids.saved;
	kv_store_loaded(&state->kv);
}

void
pd_state_mirror_safe_point(const PdState *state, PdChanges *changes)
{
	uint64_t point = state->gc.txn_safe_point;
	Bytes key = bytes_cstr(PD_SAFE_POINT_KEY);
	bool wanted = point != 0 && kv_store_get(&state->kv, key) == NULL;
	const KvItem *prev;
	KvTxn txn;

	for (size_t i = 0; i < changes->n; i++)
		if (changes->records[i].kind == PD_RECORD_TXN_SAFE_POINT)
		{
			wanted = true;
			point = changes->records[i].number;
		}
	if (!wanted)
		return;
	kv_begin(&txn, &state->kv, &state->leases, changes);
	/* There is room for it, however full the store is (kv_is_own). */
	(void) kv_put(&txn,
				  &(KvPut){.key = key,
						   .value =
							   bytes_cstr(arena_printf(changes->arena,
													   "%" PRIu64, point))},
				  &prev);
	kv_end(&txn);
}

void
pd_state_first(uint32_t random, int64_t now, PdChanges *changes)
{
	uint64_t cluster_id = ((uint64_t) now & UINT32_MAX) << 32 | random;

	pd_changes_number(changes, PD_RECORD_CLUSTER_ID,
					  cluster_id == 0 ? 1 : cluster_id);
	keyspaces_first(now, changes);
}

void
pd_state_set_member(const PdState *state, const PdMember *member,
					PdChanges *changes)
{
	const PdMember *old = &state->member;
	PdRecord record = {.kind = PD_RECORD_MEMBER, .member = member};

	if (old->id != 0 && member_equal(old, member))
		return;
	pd_changes_add(changes, &record);
}

static bool
is_text(const PdMember *member)
{
	return utf8_valid(bytes_cstr(member->name)) &&
		utf8_valid(bytes_cstr(member->client_url)) &&
		utf8_valid(bytes_cstr(member->peer_url)) &&
		utf8_valid(bytes_cstr(member->version));
}

PdError
pd_state_put_member(const PdState *state, const PdMember *member,
					PdChanges *changes)
{
	const PdMember *old = members_find(&state->members, member->id);
	PdMember *next = arena_alloc(changes->arena, sizeof(*next));
	PdRecord record = {.kind = PD_RECORD_PEER, .member = next};

	if (member->id == 0 || member->client_url[0] == '\0')
		return pd_error(PD_INVALID_VALUE, "a member needs an id and a URL");
	if (!is_text(member))
		return pd_error(PD_INVALID_VALUE,
						"the member's description is not valid UTF-8");
	if (old == NULL && state->members.n == PD_MAX_MEMBERS)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "the cluster has %d members, and takes no more",
						 PD_MAX_MEMBERS);
	for (size_t i = 0; i < state->members.n; i++)
	{
		const PdMember *other = &state->members.items[i]->member;

		if (other->id != member->id &&
			strcmp(other->client_url, member->client_url) == 0)
			return pd_errorf(changes->arena, PD_UNKNOWN,
							 "member %" PRIu64 " has the URL %s already",
							 other->id, other->client_url);
	}
	if (old != NULL && member_equal(old, member))
		return pd_ok();
	*next = *member;
	pd_changes_add(changes, &record);
	return pd_ok();
}

void
pd_state_forget_member(uint64_t id, PdChanges *changes)
{
	PdRecord record = {.kind = PD_RECORD_PEER, .removed = true, .number = id};

	pd_changes_add(changes, &record);
}

Status
pd_state_take_ids(PdState *state, uint32_t count, uint64_t *last,
				  PdChanges *changes)
{
	uint64_t saved_end;
	Status status = id_take(&state->ids, count, last, &saved_end);

	if (status == STATUS_OK && saved_end != state->ids.saved)
		pd_changes_number(changes, PD_RECORD_ALLOC_ID, saved_end);
	return status;
}
