/*
 * group.c
 *	  PD's Raft group over its tables: a round is one entry and one
 *	  transaction.
 *
 * The group has one peer, so an entry is applied in the transaction that
 * stores the position it leaves the group at, and everything is durable
 * before anybody is told.  A round that fails is undone by loading the state
 * again from the tables, exactly as after a restart.
 *
 * Nobody is waited for: see group_lock.h.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/metrics.h"
#include "bus/board.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "core/base/check.h"
#include "core/raft/empty_log.h"
#include "executor/spi.h"
#include "guc.h"
#include "miscadmin.h"
#include "pd/group_lock.h"
#include "pd/pd.h"
#include "pd/record_codec.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Where a group's log begins, as in regions (raftstore-and-pd 1). */
#define FIRST_INDEX 5
#define FIRST_TERM 5

/* What pd_raft_state holds. */
typedef struct GroupRow
{
	bool found;
	int64 term;
	int64 vote;
	int64 commit_index;
	int64 applied_index;
	int64 applied_term;
} GroupRow;

static GroupRow saved; /* as last committed */

/* ---- the tables ---- */

static bool
begin_transaction(Pd *pd)
{
	StartTransactionCommand();
	if (group_lock_tables(pd))
	{
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		return true;
	}
	AbortCurrentTransaction();
	return false;
}

static void
end_transaction(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static int64
column(int i)
{
	bool isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, i, &isnull));
}

static void
load_row(GroupRow *row)
{
	memset(row, 0, sizeof(*row));
	if (SPI_execute(
			"SELECT term, vote, commit_index, applied_index, applied_term"
			" FROM tikv_internal.pd_raft_state",
			true, 2) != SPI_OK_SELECT ||
		SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("tikv_internal.pd_raft_state must have one row")));
	if (SPI_processed == 0)
		return;
	row->found = true;
	row->term = column(1);
	row->vote = column(2);
	row->commit_index = column(3);
	row->applied_index = column(4);
	row->applied_term = column(5);
}

static Bytes
datum_bytes(Datum datum)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(datum);

	return bytes_make(VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static void
load_records(PdState *state, Arena *arena)
{
	if (SPI_execute("SELECT key, value FROM tikv_internal.pd_kv", true, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read tikv_internal.pd_kv");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		bool isnull;
		Bytes key = datum_bytes(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1,
											  &isnull));
		Bytes value = datum_bytes(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2,
												&isnull));
		PdRecord record;

		if (record_decode(key, value, arena, &record) != STATUS_OK)
			ereport(
				ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg(
					 "tikv_internal.pd_kv holds a record that cannot be read"),
				 errdetail("Key \"%.*s\".", (int) key.len, key.data)));
		pd_state_apply(state, &record);
	}
}

static Datum
make_varlena(Bytes bytes)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) bytes.data,
													(int) bytes.len));
}

static void
write_item(const ProposalItem *item)
{
	static const char *const put =
		"INSERT INTO tikv_internal.pd_kv (key, value) VALUES ($1, $2)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value";
	static const char *const drop =
		"DELETE FROM tikv_internal.pd_kv WHERE key = $1";
	Oid types[] = {TEXTOID, BYTEAOID};
	Datum values[] = {make_varlena(item->key), make_varlena(item->value)};
	int rc =
		SPI_execute_with_args(item->removed ? drop : put, item->removed ? 1 : 2,
							  types, values, NULL, false, 0);

	if (rc != SPI_OK_INSERT && rc != SPI_OK_DELETE)
		elog(ERROR, "could not write tikv_internal.pd_kv: %s",
			 SPI_result_code_string(rc));
}

static void
write_row(const GroupRow *row)
{
	static const char *const insert =
		"INSERT INTO tikv_internal.pd_raft_state"
		" (term, vote, commit_index, applied_index, applied_term)"
		" VALUES ($1, $2, $3, $4, $5)";
	static const char *const update =
		"UPDATE tikv_internal.pd_raft_state SET term = $1, vote = $2,"
		" commit_index = $3, applied_index = $4, applied_term = $5";
	Oid types[] = {INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum values[] = {Int64GetDatum(row->term), Int64GetDatum(row->vote),
					  Int64GetDatum(row->commit_index),
					  Int64GetDatum(row->applied_index),
					  Int64GetDatum(row->applied_term)};
	int rc = SPI_execute_with_args(saved.found ? update : insert, 5, types,
								   values, NULL, false, 0);

	if ((rc != SPI_OK_INSERT && rc != SPI_OK_UPDATE) || SPI_processed != 1)
		elog(ERROR, "could not write tikv_internal.pd_raft_state");
}

/* ---- the Raft group ---- */

static void *
raft_alloc(void *arg, size_t size)
{
	(void) arg;
	return MemoryContextAllocHuge(TopMemoryContext, size);
}

static void
raft_release(void *arg, void *p)
{
	(void) arg;
	pfree(p);
}

/* Make the group from `saved` and lead it. */
static void
start_raft(Pd *pd, uint64 id)
{
	RaftStorage storage = raft_empty_log((const uint64 *) &saved.applied_index);
	RaftAllocator allocator = {NULL, raft_alloc, raft_release};
	uint64 now_us = (uint64) board_now_us();
	RaftConfig config;

	raft_config_init(&config, id);
	config.hard_state.term = (uint64) saved.term;
	config.hard_state.vote = (uint64) saved.vote;
	config.hard_state.commit = (uint64) saved.commit_index;
	config.conf.voters.n = 1;
	config.conf.voters.id[0] = id;
	config.applied_index = config.truncated_index =
		(uint64) saved.applied_index;
	config.applied_term = config.truncated_term = (uint64) saved.applied_term;
	config.restarted = saved.found;
	config.max_entry_bytes = config.max_uncommitted_bytes = SIZE_MAX / 4;
	config.max_committed_bytes = SIZE_MAX / 4;
	config.seed = id;
	if (raft_create(&config, &storage, &allocator, now_us, &pd->raft) !=
			STATUS_OK ||
		raft_campaign(pd->raft, now_us) != STATUS_OK)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg(
				 "the stored Raft state of the placement driver is inconsistent")));
	pd->term = raft_term(pd->raft);
}

/* ---- start and stop ---- */

static void
first_row(GroupRow *row)
{
	row->term = row->applied_term = FIRST_TERM;
	row->commit_index = row->applied_index = FIRST_INDEX;
}

static uint64
random_id(void)
{
	uint64 id;

	if (!pg_strong_random(&id, sizeof(id)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not get random bytes")));
	return (id >> 1) | 1;
}

/* Announce this member as it is configured now; the id stays. */
static void
describe_member(Pd *pd, PdChanges *changes)
{
	PdMember member = pd->state.member;

	if (member.id == 0)
		member.id = random_id();
	member.name = "pd";
	member.client_url = pd->client_url;
	member.peer_url = pd->client_url;
	member.version = PD_VERSION;
	pd_state_set_member(&pd->state, &member, changes);
}

static void
load_state(Pd *pd)
{
	pd_state_init(&pd->state);
	load_row(&saved);
	if (saved.found)
		load_records(&pd->state, &pd->arena);
	else
		first_row(&saved);
	pd_state_loaded(&pd->state);
	pd->moved = pd_data_moved();
	pd->revision = (uint64) saved.applied_index;
}

static const char *
advertised_address(void)
{
	return tikv_fdw_settings.pd_advertise_addr[0] != '\0' ?
		tikv_fdw_settings.pd_advertise_addr :
		tikv_fdw_settings.pd_addr;
}

static void
give_up_start(Pd *pd)
{
	AbortCurrentTransaction();
	pd->changing = false;
	group_stop(pd);
}

/* Load, lead, and save what the start itself changes. */
static bool
load_and_lead(Pd *pd)
{
	PdChanges changes;
	uint32 random = (uint32) random_id();
	const char *why;

	if (!begin_transaction(pd))
		return false;
	load_state(pd);
	if (!group_lock_row(pd, saved.found))
	{
		give_up_start(pd);
		return false;
	}
	pd->changing = true;
	pd_changes_init(&changes, &pd->arena);
	if (pd->state.cluster_id == 0)
		pd_state_first(random, (int64) time(NULL), &changes);
	describe_member(pd, &changes);
	pd_state_mirror_safe_point(&pd->state, &changes);
	proposal_init(&pd->proposal, &pd->arena);
	if (!group_change(pd, &changes, &why))
	{
		give_up_start(pd);
		return false;
	}
	start_raft(pd, pd->state.member.id);
	pd->leading = true;
	return group_commit(pd);
}

bool
group_start(Pd *pd)
{
	snprintf(pd->client_url, sizeof(pd->client_url), "%s://%s",
			 pd->tls != NULL ? "https" : "http", advertised_address());
	return load_and_lead(pd);
}

void
group_stop(Pd *pd)
{
	pd->leading = false;
	if (pd->raft != NULL)
		raft_destroy(pd->raft);
	pd->raft = NULL;
	pd_state_free(&pd->state);
}

/* ---- a round ---- */

bool
group_begin(Pd *pd, const char **why)
{
	if (pd->changing)
		return true;
	if (begin_transaction(pd))
	{
		if (group_lock_row(pd, saved.found))
			pd->changing = true;
		else
			AbortCurrentTransaction();
	}
	if (!pd->changing)
	{
		*why = arena_strdup(&pd->arena, pd->reason);
		return false;
	}
	proposal_init(&pd->proposal, &pd->arena);
	return true;
}

bool
group_change(Pd *pd, const PdChanges *changes, const char **why)
{
	ProposalItem *items =
		arena_alloc(&pd->arena, changes->n * sizeof(ProposalItem));

	for (size_t i = 0; i < changes->n; i++)
		items[i] = record_encode(&changes->records[i], pd->state.cluster_id,
								 &pd->arena);
	if (!group_lock_records(pd, items, changes->n))
	{
		*why = arena_strdup(&pd->arena, pd->reason);
		return false;
	}
	for (size_t i = 0; i < changes->n; i++)
	{
		proposal_add(&pd->proposal, &items[i]);
		pd_state_apply(&pd->state, &changes->records[i]);
	}
	return true;
}

static void
apply_entry(const RaftEntry *entry, Arena *arena)
{
	Proposal proposal;

	proposal_init(&proposal, arena);
	if (proposal_decode(&proposal, entry->data) != STATUS_OK)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("an entry of the placement driver's log cannot be read")));
	for (size_t i = 0; i < proposal.n; i++)
		write_item(&proposal.items[i]);
}

static void
propose(Pd *pd)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;

	if (pd->proposal.n == 0)
		return;
	entry.data = proposal_encode(&pd->proposal);
	if (raft_propose(pd->raft, &entry, &index, &term) != STATUS_OK)
		elog(ERROR, "the placement driver's group refused a proposal");
}

/* Everything of the round into the tables; the transaction stays open. */
static void
write_round(Pd *pd, RaftReady *ready, GroupRow *row)
{
	propose(pd);
	CHECK(raft_ready(pd->raft, &pd->arena, (uint64) board_now_us(), ready));
	CHECK(ready->sole);
	*row = saved;
	if (ready->has_hard_state)
	{
		row->term = (int64) ready->hard_state.term;
		row->vote = (int64) ready->hard_state.vote;
	}
	for (int i = 0; i < ready->n_committed; i++)
	{
		const RaftEntry *entry = &ready->committed[i];

		apply_entry(entry, &pd->arena);
		row->commit_index = row->applied_index = (int64) entry->index;
		row->applied_term = (int64) entry->term;
	}
	write_row(row);
}

/* What was decided is not durable: forget it, start over from the tables. */
static void
lose_round(Pd *pd)
{
	MemoryContextSwitchTo(TopMemoryContext);
	EmitErrorReport();
	FlushErrorState();
	AbortCurrentTransaction();
	pd->changing = false;
	pd->aborted_rounds++;
	metrics_add(VALUE_ABORTED_TURNS, 1);
	pd->tso_bound_ms = 0;
	group_stop(pd);
	pd_flush_outbox(pd, false);
}

bool
group_commit(Pd *pd)
{
	RaftReady ready;
	GroupRow row;
	volatile bool ok = true;

	if (!pd->changing)
		return true;
	if (pd->proposal.n == 0 && !raft_has_ready(pd->raft))
	{
		/* All that the round was begun for was refused. */
		AbortCurrentTransaction();
		pd->changing = false;
		return true;
	}
	PG_TRY();
	{
		group_limit_patience();
		write_round(pd, &ready, &row);
		end_transaction();
	}
	PG_CATCH();
	{
		ok = false;
		lose_round(pd);
	}
	PG_END_TRY();
	group_end_patience();
	if (!ok)
		return false;
	raft_advance(pd->raft, &ready);
	CHECK(!raft_has_ready(pd->raft));
	row.found = true;
	saved = row;
	pd->revision = (uint64) row.applied_index;
	pd->changing = false;
	pd->rounds++;
	metrics_add(VALUE_TURNS, 1);
	return true;
}
