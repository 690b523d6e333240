/*
 * service_etcd.c
 *	  Handlers: etcd's keys, members and status.
 *
 * What tools and clients use of etcd v3 on PD's port, over the store of keys
 * in core/kv_store.h.  The key of the safe point is a view of the GC state
 * (PD_SAFE_POINT_KEY): putting it is an advance of the txn safe point.
 */
#include "postgres.h"

#include "pd/convert.h"
#include "pd/record_codec.h"
#include "pd/service_etcd.h"

/* The etcd whose protocol this is; tools look at it. */
#define ETCD_VERSION "3.5.0"

typedef Etcdserverpb__RangeRequest__SortTarget SortTarget;

/* ---- shared ---- */

void *
etcd_header(PdAsk *ask, int64_t revision)
{
	Etcdserverpb__ResponseHeader *out =
		NEW_MESSAGE(ask->arena, Etcdserverpb__ResponseHeader,
					etcdserverpb__response_header__init);

	out->cluster_id = ask->pd->state.cluster_id;
	out->member_id = ask->pd->saved.member_id;
	out->revision = revision;
	out->raft_term = raft_term(ask->pd->raft);
	return out;
}

bool
kv_failed(PdAsk *ask, KvError error)
{
	if (error.code == RPC_OK)
		return false;
	ask->code = error.code;
	ask->text = error.text;
	return true;
}

KvTxn
etcd_begin(PdAsk *ask)
{
	KvTxn txn;

	kv_begin(&txn, &ask->pd->state.kv, &ask->pd->state.leases, &ask->changes);
	return txn;
}

KvRange
etcd_range(ProtobufCBinaryData key, ProtobufCBinaryData end)
{
	KvRange range = {from_binary(key), from_binary(end)};

	return range;
}

/* ---- Range ---- */

/* What the filters of revisions let through. */
static size_t
filter(const Etcdserverpb__RangeRequest *in, const KvItem **items, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
	{
		const KvItem *item = items[i];

		if ((in->min_mod_revision != 0 &&
			 item->mod_revision < in->min_mod_revision) ||
			(in->max_mod_revision != 0 &&
			 item->mod_revision > in->max_mod_revision) ||
			(in->min_create_revision != 0 &&
			 item->create_revision < in->min_create_revision) ||
			(in->max_create_revision != 0 &&
			 item->create_revision > in->max_create_revision))
			continue;
		items[kept++] = item;
	}
	return kept;
}

static int64
sort_number(const KvItem *item, SortTarget target)
{
	switch (target)
	{
		case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
			return item->version;
		case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
			return item->create_revision;
		default:
			return item->mod_revision;
	}
}

typedef struct Sort
{
	SortTarget target;
	size_t work;
} Sort;

/* Of two values, as much work as to go through one key. */
#define BYTES_PER_WORK 256

static int
compare_items(const void *a, const void *b, void *arg)
{
	const KvItem *x = *(const KvItem *const *) a;
	const KvItem *y = *(const KvItem *const *) b;
	Sort *sort = arg;
	int64 p;
	int64 q;

	sort->work++;
	if (sort->target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE)
	{
		sort->work += Min(x->value.len, y->value.len) / BYTES_PER_WORK;
		return bytes_cmp(x->value, y->value);
	}
	p = sort_number(x, sort->target);
	q = sort_number(y, sort->target);
	return (p > q) - (p < q);
}

/*
 * They come in order of the keys; a target without an order means ascending.
 * What it takes counts, as a transaction may have many ranges sorted.
 */
static void
sort_items(const KvTxn *txn, const Etcdserverpb__RangeRequest *in,
		   const KvItem **items, size_t n)
{
	Sort sort = {.target = in->sort_target};
	bool descend =
		in->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;

	if (sort.target != ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY)
		qsort_arg(items, n, sizeof(*items), compare_items, &sort);
	kv_add_work(txn, sort.work);
	for (size_t i = 0; descend && i < n / 2; i++)
	{
		const KvItem *swap = items[i];

		items[i] = items[n - 1 - i];
		items[n - 1 - i] = swap;
	}
}

KvError
etcd_do_range(PdAsk *ask, const KvTxn *txn,
			  const Etcdserverpb__RangeRequest *in,
			  Etcdserverpb__RangeResponse *out)
{
	const KvItem **items;
	KvError error = kv_check_revision(txn, in->revision);
	size_t n;

	if (in->key.len == 0)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: key is not provided");
	if (error.code != RPC_OK)
		return error;
	n = kv_scan(txn, etcd_range(in->key, in->range_end), &items);
	out->count = (int64) n;
	out->header = etcd_header(ask, kv_revision(txn));
	if (in->count_only)
		return kv_ok();
	n = filter(in, items, n);
	sort_items(txn, in, items, n);
	out->n_kvs = n;
	if (in->limit > 0 && n > (size_t) in->limit)
	{
		out->n_kvs = (size_t) in->limit;
		out->more = true;
	}
	out->kvs = arena_alloc(ask->arena, out->n_kvs * sizeof(*out->kvs));
	for (size_t i = 0; i < out->n_kvs && error.code == RPC_OK; i++)
	{
		out->kvs[i] = to_etcd_item(items[i], !in->keys_only, ask->arena);
		error = pd_check_room(ask);
	}
	return error;
}

void
pd_etcd_range(PdAsk *ask, const void *request, void *response)
{
	KvTxn txn = etcd_begin(ask);

	(void) kv_failed(ask, etcd_do_range(ask, &txn, request, response));
}

/* ---- Put ---- */

/*
 * Old GC drivers announce the safe point by writing the key, which follows if
 * that moves it (pd_state_mirror_safe_point).
 */
static KvError
put_safe_point(PdAsk *ask, KvTxn *txn, Bytes value)
{
	uint64_t target;
	GcAdvance advance;
	PdError error;

	if (!parse_number(value, &target))
		return kv_error(RPC_INVALID_ARGUMENT,
						"the safe point must be a decimal number");
	error = gc_advance_txn_safe_point(&ask->pd->state.gc, target,
									  pd_gc_time(ask), &ask->changes, &advance);
	if (error.type != PD_OK)
		return kv_error(RPC_FAILED_PRECONDITION, error.text);
	if (advance.new_point != advance.old_point)
		kv_will_write(txn);
	return kv_ok();
}

KvError
etcd_do_put(PdAsk *ask, KvTxn *txn, const Etcdserverpb__PutRequest *in,
			Etcdserverpb__PutResponse *out)
{
	KvPut put = {.key = from_binary(in->key),
				 .value = from_binary(in->value),
				 .lease = in->lease,
				 .ignore_value = in->ignore_value,
				 .ignore_lease = in->ignore_lease};
	const KvItem *prev;
	KvError error;

	if (bytes_eq(put.key, bytes_cstr(PD_SAFE_POINT_KEY)))
	{
		prev = kv_get(txn, put.key);
		error = put_safe_point(ask, txn, put.value);
	}
	else
		error = kv_put(txn, &put, &prev);
	if (error.code != RPC_OK)
		return error;
	if (in->prev_kv && prev != NULL)
		out->prev_kv = to_etcd_item(prev, true, ask->arena);
	out->header = etcd_header(ask, kv_revision(txn));
	return kv_ok();
}

void
pd_etcd_put(PdAsk *ask, const void *request, void *response)
{
	KvTxn txn = etcd_begin(ask);

	if (!kv_failed(ask, etcd_do_put(ask, &txn, request, response)))
		kv_end(&txn);
}

/* ---- DeleteRange ---- */

KvError
etcd_do_delete(PdAsk *ask, KvTxn *txn,
			   const Etcdserverpb__DeleteRangeRequest *in,
			   Etcdserverpb__DeleteRangeResponse *out)
{
	KvRange range = etcd_range(in->key, in->range_end);
	const KvItem **prevs;
	KvError error;
	size_t n;

	if (in->key.len == 0)
		return kv_error(RPC_INVALID_ARGUMENT,
						"etcdserver: key is not provided");
	if (kv_range_has(range, bytes_cstr(PD_SAFE_POINT_KEY)) &&
		kv_get(txn, bytes_cstr(PD_SAFE_POINT_KEY)) != NULL)
		return kv_error(RPC_FAILED_PRECONDITION,
						PD_SAFE_POINT_KEY " cannot be removed");
	error = kv_delete(txn, range, &prevs, &n);
	if (error.code != RPC_OK)
		return error;
	out->deleted = (int64) n;
	if (in->prev_kv)
	{
		out->n_prev_kvs = n;
		out->prev_kvs = arena_alloc(ask->arena, n * sizeof(*out->prev_kvs));
		for (size_t i = 0; i < n; i++)
		{
			error = pd_check_room(ask);
			if (error.code != RPC_OK)
				return error;
			out->prev_kvs[i] = to_etcd_item(prevs[i], true, ask->arena);
		}
	}
	out->header = etcd_header(ask, kv_revision(txn));
	return kv_ok();
}

void
pd_etcd_delete_range(PdAsk *ask, const void *request, void *response)
{
	KvTxn txn = etcd_begin(ask);

	if (!kv_failed(ask, etcd_do_delete(ask, &txn, request, response)))
		kv_end(&txn);
}

void
pd_etcd_compact(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__CompactionRequest *in = request;
	Etcdserverpb__CompactionResponse *out = response;
	KvTxn txn = etcd_begin(ask);

	if (!kv_failed(ask, kv_compact(&txn, in->revision)))
		out->header = etcd_header(ask, kv_revision(&txn));
}

/* ---- members and status ---- */

static char **
one_string(const char *text, Arena *arena)
{
	char **out = arena_alloc(arena, sizeof(*out));

	out[0] = (char *) text;
	return out;
}

void
pd_etcd_member_list(PdAsk *ask, const void *request, void *response)
{
	Etcdserverpb__MemberListResponse *out = response;
	const Members *members = &ask->pd->state.members;

	(void) request;
	out->header = etcd_header(ask, ask->pd->state.kv.revision);
	out->members = arena_alloc(ask->arena, members->n * sizeof(*out->members));
	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *from = &members->items[i]->member;
		Etcdserverpb__Member *member =
			NEW_MESSAGE(ask->arena, Etcdserverpb__Member,
						etcdserverpb__member__init);

		/* Never a learner: the clients take all members as endpoints. */
		member->id = from->id;
		member->name = (char *) from->name;
		member->n_peerurls = member->n_clienturls = 1;
		member->peerurls = one_string(from->peer_url, ask->arena);
		member->clienturls = one_string(from->client_url, ask->arena);
		out->members[out->n_members++] = member;
	}
}

/* Nothing raises an alarm: what etcd would tell of is refused at once. */
void
pd_etcd_alarm(PdAsk *ask, const void *request, void *response)
{
	(void) request;
	((Etcdserverpb__AlarmResponse *) response)->header =
		etcd_header(ask, ask->pd->state.kv.revision);
}

void
pd_etcd_status(PdAsk *ask, const void *request, void *response)
{
	Etcdserverpb__StatusResponse *out = response;
	const Pd *pd = ask->pd;

	(void) request;
	out->header = etcd_header(ask, pd->state.kv.revision);
	out->version = (char *) ETCD_VERSION;
	out->dbsize = out->dbsizeinuse = (int64) pd->state.kv.bytes;
	out->leader = raft_leader(pd->raft);
	out->raftindex = out->raftappliedindex = pd->revision;
	out->raftterm = raft_term(pd->raft);
}
