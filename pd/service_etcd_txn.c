/*
 * service_etcd_txn.c
 *	  Handler: etcd's transactions, compares and then one of two lists of steps.
 */
#include "postgres.h"

#include "pd/convert.h"
#include "pd/core/kv_touched.h"
#include "pd/service_etcd.h"

#define MAX_TXN_DEPTH 4

/* ---- Txn: its compares ---- */

static bool
compare_result(int order, Etcdserverpb__Compare__CompareResult result)
{
	switch (result)
	{
		case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
			return order == 0;
		case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
			return order > 0;
		case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
			return order < 0;
		default:
			return order != 0;
	}
}

static int
compare_int(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

/* An absent key has zeros everywhere, and no value that equals any. */
static bool
compare_holds(const Etcdserverpb__Compare *compare, const KvItem *item)
{
	static const KvItem absent;
	const KvItem *have = item == NULL ? &absent : item;
	int order = 0;

	switch (compare->target)
	{
		case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
			order = compare_int(
				have->version,
				compare->target_union_case ==
						ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION ?
					compare->version :
					0);
			break;
		case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
			order = compare_int(
				have->create_revision,
				compare->target_union_case ==
						ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION ?
					compare->create_revision :
					0);
			break;
		case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
			order = compare_int(
				have->mod_revision,
				compare->target_union_case ==
						ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION ?
					compare->mod_revision :
					0);
			break;
		case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
			order =
				compare_int(have->lease,
							compare->target_union_case ==
									ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE ?
								compare->lease :
								0);
			break;
		default:
			if (item == NULL)
				return false;
			order =
				bytes_cmp(have->value,
						  compare->target_union_case ==
								  ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE ?
							  from_binary(compare->value) :
							  bytes_empty());
			break;
	}
	return compare_result(order, compare->result);
}

/* Nothing more is gone through by one that has done too much already. */
static KvError
check_bounds(const PdAsk *ask, const KvTxn *txn)
{
	KvError error = kv_check_work(txn);

	return error.code == RPC_OK ? pd_check_room(ask) : error;
}

/* For the keys of a range, all of them; none is as an absent key. */
static KvError
range_holds(const PdAsk *ask, const KvTxn *txn,
			const Etcdserverpb__Compare *compare, KvRange range, bool *holds)
{
	KvError error = check_bounds(ask, txn);
	const KvItem **items;
	size_t n;

	if (error.code != RPC_OK)
		return error;
	n = kv_scan(txn, range, &items);
	*holds = n > 0 || compare_holds(compare, NULL);
	for (size_t i = 0; i < n && *holds; i++)
		*holds = compare_holds(compare, items[i]);
	return kv_ok();
}

static KvError
all_hold(const PdAsk *ask, const KvTxn *txn, const Etcdserverpb__TxnRequest *in,
		 bool *hold)
{
	KvError error = kv_ok();

	*hold = true;
	for (size_t i = 0; i < in->n_compare && *hold; i++)
	{
		const Etcdserverpb__Compare *compare = in->compare[i];
		KvRange range = etcd_range(compare->key, compare->range_end);

		if (range.end.len == 0)
			*hold = compare_holds(compare, kv_get(txn, range.key));
		else
			error = range_holds(ask, txn, compare, range, hold);
		if (error.code != RPC_OK)
			return error;
	}
	return kv_ok();
}

/* ---- Txn: what it may hold ---- */

/* A request while it is looked at. */
typedef struct TxnCheck
{
	Arena *arena;
	size_t steps; /* so far, with compares, in all its transactions */
} TxnCheck;

/* Two lists, of which one will be done. */
typedef struct Lists
{
	KvTouched success;
	KvTouched failure;
} Lists;

static KvError check_txn(TxnCheck *check, const Etcdserverpb__TxnRequest *in,
						 size_t most, int depth, Lists *lists);

static KvError
check_once(bool once)
{
	return once ? kv_ok() :
				  kv_error(RPC_INVALID_ARGUMENT,
						   "etcdserver: duplicate key given in txn request");
}

static void
touch_deletes(KvTouched *touched, Etcdserverpb__RequestOp **ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ops[i]->request_case ==
			ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE)
			kv_touch_delete(touched,
							etcd_range(ops[i]->request_delete_range->key,
									   ops[i]
										   ->request_delete_range->range_end));
}

/* Once what is inside has been touched. */
static KvError
touch_puts(KvTouched *touched, Etcdserverpb__RequestOp **ops, size_t n)
{
	bool once = true;

	for (size_t i = 0; i < n && once; i++)
		if (ops[i]->request_case ==
			ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT)
			once =
				kv_touch_put(touched, from_binary(ops[i]->request_put->key), i);
	return check_once(once && kv_touched_once(touched));
}

static KvError
check_op(TxnCheck *check, const Etcdserverpb__RequestOp *op, size_t most,
		 int depth, KvTouched *touched, size_t step)
{
	Lists inside;
	KvError error;

	switch (op->request_case)
	{
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
			return kv_ok();
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
			error = check_txn(check, op->request_txn, most, depth + 1, &inside);
			if (error.code != RPC_OK)
				return error;
			return check_once(kv_touch_inside(touched, &inside.success,
											  &inside.failure, step));
		default:
			return kv_error(RPC_INVALID_ARGUMENT, "etcdserver: key not found");
	}
}

static KvError
check_ops(TxnCheck *check, Etcdserverpb__RequestOp **ops, size_t n, size_t most,
		  int depth, KvTouched *touched)
{
	kv_touched_init(touched, check->arena);
	touch_deletes(touched, ops, n);
	for (size_t i = 0; i < n; i++)
	{
		KvError error = check_op(check, ops[i], most, depth, touched, i);

		if (error.code != RPC_OK)
			return error;
	}
	return touch_puts(touched, ops, n);
}

/*
 * As etcd (server/etcdserver/api/v3rpc/key.go, checkTxnRequest) each list has
 * at most so many elements, and one inside has what the longest list around it
 * leaves.  That alone would allow 32 to the fourth.
 */
static KvError
check_txn(TxnCheck *check, const Etcdserverpb__TxnRequest *in, size_t most,
		  int depth, Lists *lists)
{
	size_t longest = Max(in->n_compare, Max(in->n_success, in->n_failure));
	KvError error;

	check->steps += in->n_compare + in->n_success + in->n_failure;
	if (depth > MAX_TXN_DEPTH || longest > most ||
		check->steps > KV_MAX_TXN_STEPS)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: too many operations in txn request");
	for (size_t i = 0; i < in->n_compare; i++)
		if (in->compare[i]->key.len == 0)
			return kv_error(RPC_INVALID_ARGUMENT,
							"etcdserver: key is not provided");
	most -= longest;
	error = check_ops(check, in->success, in->n_success, most, depth,
					  &lists->success);
	if (error.code != RPC_OK)
		return error;
	return check_ops(check, in->failure, in->n_failure, most, depth,
					 &lists->failure);
}

/* ---- Txn: its steps ---- */

static KvError do_txn(PdAsk *ask, KvTxn *txn,
					  const Etcdserverpb__TxnRequest *in,
					  Etcdserverpb__TxnResponse *out);

static KvError
do_op(PdAsk *ask, KvTxn *txn, const Etcdserverpb__RequestOp *op,
	  Etcdserverpb__ResponseOp *out)
{
	switch (op->request_case)
	{
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
			out->response_case =
				ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
			out->response_range =
				NEW_MESSAGE(ask->arena, Etcdserverpb__RangeResponse,
							etcdserverpb__range_response__init);
			return etcd_do_range(ask, txn, op->request_range,
								 out->response_range);
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
			out->response_case =
				ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
			out->response_put =
				NEW_MESSAGE(ask->arena, Etcdserverpb__PutResponse,
							etcdserverpb__put_response__init);
			return etcd_do_put(ask, txn, op->request_put, out->response_put);
		case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
			out->response_case =
				ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
			out->response_delete_range =
				NEW_MESSAGE(ask->arena, Etcdserverpb__DeleteRangeResponse,
							etcdserverpb__delete_range_response__init);
			return etcd_do_delete(ask, txn, op->request_delete_range,
								  out->response_delete_range);
		default:
			out->response_case =
				ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN;
			out->response_txn =
				NEW_MESSAGE(ask->arena, Etcdserverpb__TxnResponse,
							etcdserverpb__txn_response__init);
			return do_txn(ask, txn, op->request_txn, out->response_txn);
	}
}

static KvError
do_txn(PdAsk *ask, KvTxn *txn, const Etcdserverpb__TxnRequest *in,
	   Etcdserverpb__TxnResponse *out)
{
	Etcdserverpb__RequestOp **ops;
	bool hold;
	KvError error = all_hold(ask, txn, in, &hold);
	size_t n;

	if (error.code != RPC_OK)
		return error;
	out->succeeded = hold;
	ops = out->succeeded ? in->success : in->failure;
	n = out->succeeded ? in->n_success : in->n_failure;
	out->responses = arena_alloc(ask->arena, n * sizeof(*out->responses));
	for (size_t i = 0; i < n; i++)
	{
		error = check_bounds(ask, txn);
		if (error.code != RPC_OK)
			return error;
		out->responses[i] = NEW_MESSAGE(ask->arena, Etcdserverpb__ResponseOp,
										etcdserverpb__response_op__init);
		error = do_op(ask, txn, ops[i], out->responses[i]);
		if (error.code != RPC_OK)
			return error;
		out->n_responses++;
	}
	out->header = etcd_header(ask, kv_revision(txn));
	return kv_ok();
}

void
pd_etcd_txn(PdAsk *ask, const void *request, void *response)
{
	KvTxn txn = etcd_begin(ask);
	TxnCheck check = {.arena = ask->arena};
	Lists lists;

	if (!kv_failed(ask,
				   check_txn(&check, request, KV_MAX_TXN_OPS, 0, &lists)) &&
		!kv_failed(ask, do_txn(ask, &txn, request, response)))
		kv_end(&txn);
}
