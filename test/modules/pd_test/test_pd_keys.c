/*
 * test_pd_keys.c
 *	  Keys like etcd's: leases that end together, transactions in transactions,
 *	  deletions and compares of very many keys, in bounded rounds.
 */
#include "pd_service_kit.h"

/* ---- leases ---- */

static void
grant(int64 id)
{
	Etcdserverpb__LeaseGrantRequest in =
		ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;

	in.id = id;
	in.ttl = 10;
	CHECK(ask("/etcdserverpb.Lease/LeaseGrant", &in) == RPC_OK);
}

static void
test_leases(void)
{
	size_t before;
	int rounds = 0;

	begin();
	for (int64 id = 1; id <= 2000; id++)
		grant(id);
	world_round();
	fill(2000, 1);
	before = world.state.kv.n;
	CHECK(world.state.leases.n == 2000);
	world_us += 20 * INT64CONST(1000000);
	world_round();
	OK(world.state.leases.n < 2000 && world.state.leases.n >= 1700,
	   "leases that run out together do not all end in one round");
	OK(before - world.state.kv.n == 2000 - world.state.leases.n,
	   "with their keys");
	OK(leases_next_expiry(&world.state.leases) <= world_us,
	   "the others end in the next ones");
	while (world.state.leases.n > 0 && rounds++ < 50)
		world_round();
	EQ_U64(world.state.leases.n, 0, "until all have");
	EQ_U64(world.state.kv.n, before - 2000, "and their keys are gone");
	world_round();
	EQ_U64(leases_next_expiry(&world.state.leases), INT64_MAX,
		   "nothing is left to do");
	end();
}

static int
time_to_live(int64 id)
{
	Etcdserverpb__LeaseTimeToLiveRequest in =
		ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;

	in.id = id;
	in.keys = true;
	return ask_on(ASKER, "/etcdserverpb.Lease/LeaseTimeToLive", &in);
}

static void
test_keys_of_lease(void)
{
	Etcdserverpb__LeaseTimeToLiveResponse *out;

	begin();
	grant(7);
	grant(8);
	fill_from(0, 50000, 7, 0);
	fill_from(50000, 1, 8, 0);
	EQ_U64(time_to_live(7), RPC_OK, "a lease with very many keys");
	out = answered(&etcdserverpb__lease_time_to_live_response__descriptor);
	OK(out->n_keys == 50000 &&
		   bytes_eq(from_binary(out->keys[49999]), bytes_cstr("k0049999")),
	   "tells them, and no other's");
	world_round();
	world.max_answer = MIB;
	EQ_U64(time_to_live(7), RPC_RESOURCE_EXHAUSTED, "unless that is too much");
	OK(world.arena.allocated < 4 * MIB, "which is seen before it is made");
	world_round();
	EQ_U64(time_to_live(8), RPC_OK, "another one's");
	out = answered(&etcdserverpb__lease_time_to_live_response__descriptor);
	EQ_U64(out->n_keys, 1, "are told");
	end();
}

/* One with very many keys, which somebody revokes. */
static void
test_large_lease(void)
{
	Etcdserverpb__LeaseRevokeRequest in =
		ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
	int rounds = 0;
	size_t before;

	begin();
	grant(7);
	before = world.state.kv.n;
	fill_from(0, 10000, 7, 0);
	in.id = 7;
	CHECK(ask_on(ASKER, "/etcdserverpb.Lease/LeaseRevoke", &in) == RPC_OK);
	world_round();
	EQ_U64(world.state.kv.n, before + 10000 - KV_LEASE_SLICE,
		   "a slice of its keys goes in a round");
	world_round();
	EQ_U64(world.state.kv.n, before + 10000 - KV_LEASE_SLICE,
		   "others come in between");
	EQ_U64(ASKER->answers, 0, "nobody is told yet");
	while (ASKER->answers == 0 && rounds++ < 10)
	{
		world_us += 20000;
		world_round();
	}
	EQ_U64(rounds, 2, "two slices later");
	EQ_U64(world.state.kv.n, before, "all are gone");
	OK(leases_get(&world.state.leases, 7) == NULL, "and so is the lease");
	EQ_U64(((Etcdserverpb__LeaseRevokeResponse *)
				answered(&etcdserverpb__lease_revoke_response__descriptor))
			   ->header->revision,
		   world.state.kv.revision, "as is told");
	EQ_U64(ask("/etcdserverpb.Lease/LeaseRevoke", &in), RPC_NOT_FOUND, "once");

	grant(8);
	fill_from(0, 10000, 8, 0);
	in.id = 8;
	CHECK(ask_on(ASKER, "/etcdserverpb.Lease/LeaseRevoke", &in) == RPC_OK);
	world_round();
	lease_ends_fail(&world, "not leader");
	EQ_U64(ASKER->code, RPC_UNAVAILABLE, "a leader that is none says so");
	CHECK(ask_on(ASKER, "/etcdserverpb.Lease/LeaseRevoke", &in) == RPC_OK);
	EQ_U64(ASKER->answers, 0, "who asks again waits for the end");
	for (rounds = 0; ASKER->answers == 0 && rounds < 10; rounds++)
	{
		world_us += 20000;
		world_round();
	}
	EQ_U64(ASKER->code, RPC_OK, "and is told");
	EQ_U64(world.state.kv.n, before, "of it");

	grant(9);
	fill_from(0, KV_LEASE_SLICE + 1, 9, 0);
	world_us += 20 * INT64CONST(1000000);
	world_round();
	EQ_U64(world.state.kv.n, before + 1, "one that runs out ends so, too");
	world_us += 20000;
	world_round();
	EQ_U64(world.state.leases.n, 0, "and then is gone");
	end();
}

/* ---- transactions ---- */

static double
seconds(void)
{
	return (double) clock() / CLOCKS_PER_SEC;
}

static void
test_nested(void)
{
	Etcdserverpb__TxnRequest *txn;
	double began;

	begin();
	began = seconds();
	EQ_U64(ask("/etcdserverpb.KV/Txn", nested(64, 64)), RPC_OK,
		   "128 steps in depth, as etcd takes them");
	EQ_U64(world.state.kv.n, 64 * 64, "are done");
	printf("# %.2f s\n", seconds() - began);
	EQ_U64(ask("/etcdserverpb.KV/Txn", nested(64, 65)), RPC_INVALID_ARGUMENT,
		   "not one more");
	txn = new_txn(3);
	for (int i = 0; i < 3; i++)
	{
		txn->success[i] = new_op(ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN);
		txn->success[i]->request_txn = nested(62, 62);
	}
	EQ_U64(ask("/etcdserverpb.KV/Txn", txn), RPC_INVALID_ARGUMENT,
		   "and not thousands, whatever the depth");
	end();
}

static void
test_much_work(void)
{
	Etcdserverpb__TxnRequest *txn;

	begin();
	fill(100000, 0);
	EQ_U64(ask("/etcdserverpb.KV/Txn", ranges(20, true)), RPC_OK,
		   "many keys are counted many times");
	EQ_U64(ask("/etcdserverpb.KV/Txn", ranges(128, true)), RPC_INVALID_ARGUMENT,
		   "but there is a bound");

	/* Each put looks for what this transaction has changed already. */
	txn = new_txn(128);
	txn->success[0] = delete_op("k0000000", "k0016384");
	for (int i = 1; i < 128; i++)
		txn->success[i] = put_op(arena_printf(&arena, "m%d", i));
	EQ_U64(ask("/etcdserverpb.KV/Txn", txn), RPC_OK,
		   "delete many and put some");
	EQ_U64(world.state.kv.n, 100000 - KV_MAX_REMOVED + 127, "which is done");
	end();
}

/* What goes in one round is one proposal, and one transaction. */
static void
test_deletions(void)
{
	Etcdserverpb__DeleteRangeRequest in =
		ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
	MetaStoragepb__DeleteRequest meta = META_STORAGEPB__DELETE_REQUEST__INIT;
	Etcdserverpb__TxnRequest *txn;

	begin();
	fill(20000, 0);
	in.key = meta.key = binary("k");
	in.range_end = meta.range_end = binary("l");
	EQ_U64(ask("/etcdserverpb.KV/DeleteRange", &in), RPC_RESOURCE_EXHAUSTED,
		   "so many keys are not deleted at once");
	EQ_U64(ask("/meta_storagepb.MetaStorage/Delete", &meta), RPC_OK,
		   "nor by MetaStorage");
	OK(((MetaStoragepb__DeleteResponse *)
			answered(&meta_storagepb__delete_response__descriptor))
			   ->header->error != NULL,
	   "which says so in its header");
	txn = new_txn(2);
	txn->success[0] = delete_op("k0000000", "k0010000");
	txn->success[1] = delete_op("k0010000", "k0020000");
	EQ_U64(ask("/etcdserverpb.KV/Txn", txn), RPC_RESOURCE_EXHAUSTED,
		   "nor by two steps of a transaction");
	EQ_U64(world.state.kv.n, 20000, "all are there");
	in.range_end = binary("k0016384");
	EQ_U64(ask("/etcdserverpb.KV/DeleteRange", &in), RPC_OK, "as many as may");
	EQ_U64(world.state.kv.n, 20000 - KV_MAX_REMOVED, "are gone");
	end();
}

/* That all keys from "k" to "l" were changed, many times over. */
static Etcdserverpb__TxnRequest *
compares(size_t n)
{
	Etcdserverpb__TxnRequest *txn = new_txn(0);
	Etcdserverpb__Compare *compare =
		NEW_MESSAGE(&arena, Etcdserverpb__Compare, etcdserverpb__compare__init);

	compare->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER;
	compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
	compare->target_union_case =
		ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
	compare->key = binary("k");
	compare->range_end = binary("l");
	txn->n_compare = n;
	txn->compare = arena_alloc(&arena, n * sizeof(*txn->compare));
	for (size_t i = 0; i < n; i++)
		txn->compare[i] = compare;
	return txn;
}

static void
test_compares(void)
{
	begin();
	fill(100000, 0);
	EQ_U64(ask("/etcdserverpb.KV/Txn", compares(20)), RPC_OK,
		   "many keys are compared many times");
	OK(((Etcdserverpb__TxnResponse *)
			answered(&etcdserverpb__txn_response__descriptor))
		   ->succeeded,
	   "and all are as they should be");
	EQ_U64(ask_on(ASKER, "/etcdserverpb.KV/Txn", compares(128)),
		   RPC_INVALID_ARGUMENT, "but there is a bound");
	OK(world.arena.allocated < 48 * MIB, "of what is gone through");
	world_round();
	world.max_answer = 8 * MIB;
	EQ_U64(ask("/etcdserverpb.KV/Txn", compares(20)), RPC_RESOURCE_EXHAUSTED,
		   "and of memory");
	end();
}

/* The keys from "k" to "l", by their values. */
static Etcdserverpb__TxnRequest *
sorts(size_t n)
{
	Etcdserverpb__TxnRequest *txn = ranges(n, false);

	for (size_t i = 0; i < n; i++)
	{
		Etcdserverpb__RangeRequest *range = txn->success[i]->request_range;

		range->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
		range->keys_only = true;
		range->limit = 1;
	}
	return txn;
}

/* Values that differ behind a hundred thousand bytes, in no order. */
static void
test_sorts(void)
{
	enum
	{
		N = 300,
		LEN = 100000
	};
	uint8_t *bytes;

	begin();
	bytes = arena_zalloc(&arena, LEN);
	for (int i = 0; i < N; i++)
	{
		bytes[LEN - 2] = (uint8_t) (i * 7 % 256);
		bytes[LEN - 1] = (uint8_t) i;
		CHECK(put(arena_printf(&arena, "k%03d", i),
				  to_binary(bytes_make(bytes, LEN)), 0) == RPC_OK);
	}
	EQ_U64(ask("/etcdserverpb.KV/Txn", sorts(2)), RPC_OK,
		   "large values are sorted");
	EQ_U64(ask("/etcdserverpb.KV/Txn", sorts(100)), RPC_INVALID_ARGUMENT,
		   "but not a hundred times while others wait");
	end();
}

static void
test_many_keys(void)
{
	begin();
	for (size_t i = 0; i < KV_MAX_KEYS; i += KV_MAX_KEYS / 16)
		fill_from(i, KV_MAX_KEYS / 16, 0, 0);
	EQ_U64(put("more", binary(""), 0), RPC_RESOURCE_EXHAUSTED,
		   "so many keys, and not one more");
	EQ_U64(put("k0000000", binary("v"), 0), RPC_OK, "those there are change");
	end();
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_leases();
	test_keys_of_lease();
	test_large_lease();
	test_nested();
	test_much_work();
	test_deletions();
	test_compares();
	test_sorts();
	test_many_keys();
	return unit_done();
}
