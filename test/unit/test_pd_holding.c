/*
 * test_pd_holding.c
 *	  What makes a cluster of one node somebody's.
 */
#include "pd/core/holding.h"

#include "unit.h"

#define NOW INT64_C(1700000000)

static Arena arena;
static PdState state;
static PdChanges changes;

static void
end(void)
{
	pd_state_free(&state);
	arena_free(&arena);
}

/* As a node's first start, and its store's, leave it. */
static void
begin(void)
{
	PdRegion region = {.meta = {.id = 2}};
	PdStore store = {.id = 1,
					 .address = "127.0.0.1:20160",
					 .peer_address = "",
					 .status_address = "",
					 .version = "8.5.0",
					 .git_hash = "",
					 .deploy_path = ""};
	PdRecord record = {.kind = PD_RECORD_STORE, .store = &store};

	arena_init(&arena);
	pd_state_init(&state);
	pd_changes_init(&changes, &arena);
	pd_state_first(7, NOW, &changes);
	pd_changes_add(&changes, &record);
	pd_state_apply_all(&state, &changes);
	region_tree_put(&state.cluster.regions, &region);
}

static bool
holds(const char *what)
{
	const char *held = pd_state_holding(&state, NOW);

	return what == NULL ? held == NULL :
						  held != NULL && strstr(held, what) != NULL;
}

static void
put(const char *key)
{
	KvPut request = {.key = bytes_cstr(key), .value = bytes_cstr("v")};
	const KvItem *prev;
	KvTxn txn;

	pd_changes_init(&changes, &arena);
	kv_begin(&txn, &state.kv, &state.leases, &changes);
	EQ_U64(kv_put(&txn, &request, &prev).code, RPC_OK, "put");
	kv_end(&txn);
	pd_state_apply_all(&state, &changes);
}

static void
barrier(PdRecordKind kind, const char *id, int64_t expires_at)
{
	GcBarrier made = {.id = id, .ts = 5, .expires_at = expires_at};

	pd_changes_init(&changes, &arena);
	pd_changes_barrier(&changes, kind, &made, false);
	pd_state_apply_all(&state, &changes);
}

static void
move_safe_point(void)
{
	pd_changes_init(&changes, &arena);
	pd_changes_number(&changes, PD_RECORD_TXN_SAFE_POINT, 100);
	pd_state_mirror_safe_point(&state, &changes);
	pd_state_apply_all(&state, &changes);
	OK(kv_store_get(&state.kv, bytes_cstr(PD_SAFE_POINT_KEY)) != NULL,
	   "the safe point is a key");
}

/* What a node makes by itself while it serves nobody. */
static void
test_own(void)
{
	begin();
	OK(holds(NULL), "a new cluster holds nothing");
	put("/tikv_fdw/start/1");
	put("/tikv_fdw/api_version");
	OK(holds(NULL), "nor with notes of its store");
	move_safe_point();
	OK(holds(NULL), "nor once its safe point has moved");
	barrier(PD_RECORD_GC_BARRIER, "tikv_fdw/sql/1", NOW + 60);
	OK(holds(NULL), "nor while its store has a barrier");
	barrier(PD_RECORD_GC_BARRIER, "backup", NOW - 1);
	OK(holds(NULL), "nor with a barrier that has expired");
	end();
}

static void
test_keys(void)
{
	static const char *const keys[] = {"/app/config", "/global/config/x",
									   "/tidb/store/gcworker/saved_safe_points",
									   "/tikv_fdw", "zzz"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
	{
		begin();
		put("/tikv_fdw/start/1");
		put(keys[i]);
		OK(holds("keys"), keys[i]);
		end();
	}
}

static void
test_leases(void)
{
	Lease lease;

	begin();
	pd_changes_init(&changes, &arena);
	EQ_U64(lease_grant(&state.leases, 0, 77, 10, &changes, &lease).code, RPC_OK,
		   "a lease");
	pd_state_apply_all(&state, &changes);
	OK(holds("leases"), "is somebody's, without a key");
	end();
}

static void
test_barriers(void)
{
	begin();
	barrier(PD_RECORD_GC_BARRIER, "backup", NOW + 60);
	OK(holds("barriers"), "a barrier of somebody else");
	end();
	begin();
	barrier(PD_RECORD_GLOBAL_BARRIER, "native_br", GC_NEVER);
	OK(holds("barriers"), "a global one");
	end();
}

static void
test_others(void)
{
	const Keyspace *made;
	PdRegion left = {.meta = {.id = 2, .end_key = bytes_cstr("m")}};
	PdRegion right = {.meta = {.id = 3, .start_key = bytes_cstr("m")}};

	begin();
	pd_changes_init(&changes, &arena);
	EQ_U64(keyspace_create(&state.keyspaces, "k", NULL, 0, NOW, &changes, &made)
			   .type,
		   PD_OK, "a keyspace");
	pd_state_apply_all(&state, &changes);
	OK(holds("keyspaces"), "is somebody's");
	end();
	begin();
	state.external_ts = 5;
	OK(holds("external"), "an external timestamp");
	end();
	begin();
	region_tree_put(&state.cluster.regions, &left);
	region_tree_put(&state.cluster.regions, &right);
	OK(state.cluster.regions.n == 2 && holds("split"), "two regions");
	end();
}

int
main(void)
{
	test_own();
	test_keys();
	test_leases();
	test_barriers();
	test_others();
	return unit_done();
}
