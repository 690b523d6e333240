/*
 * service_meta.c
 *	  Handlers: keyspaces, and what clients ask of etcd.
 *
 * The etcd subset is what KV clients use (client-contract 1.13): the member
 * list, and the key under which GC workers keep the safe point, which is a
 * view of the GC state.
 */
#include "postgres.h"

#include "etcdserverpb.pb-c.h"
#include "keyspacepb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "pd/record_codec.h"

/* ---- keyspaces ---- */

static void
answer_keyspace(PdAsk *ask, const Keyspace *keyspace,
				Keyspacepb__LoadKeyspaceResponse *out)
{
	if (keyspace != NULL)
		out->keyspace = to_keyspace(keyspace, ask->arena);
	else
		ask->error = pd_error(PD_ENTRY_NOT_FOUND, "keyspace does not exist");
}

void
pd_load_keyspace(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__LoadKeyspaceRequest *in = request;

	answer_keyspace(ask, keyspaces_by_name(&ask->pd->state.keyspaces, in->name),
					response);
}

void
pd_load_keyspace_by_id(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__LoadKeyspaceByIDRequest *in = request;
	const Keyspace *found = NULL;

	if (in->keyspace_case ==
		KEYSPACEPB__LOAD_KEYSPACE_BY_IDREQUEST__KEYSPACE_ID)
		found = keyspaces_by_id(&ask->pd->state.keyspaces, in->id);
	answer_keyspace(ask, found, response);
}

void
pd_get_all_keyspaces(PdAsk *ask, const void *request, void *response)
{
	const Keyspacepb__GetAllKeyspacesRequest *in = request;
	Keyspacepb__GetAllKeyspacesResponse *out = response;
	const Keyspaces *all = &ask->pd->state.keyspaces;
	size_t first = 0;
	size_t n;

	if (in->start_keyspace_case ==
		KEYSPACEPB__GET_ALL_KEYSPACES_REQUEST__START_KEYSPACE_START_ID)
		first = keyspaces_seek(all, in->start_id);
	n = all->n - first;
	if (in->limit > 0 && n > in->limit)
		n = in->limit;
	out->keyspaces = arena_alloc(ask->arena, n * sizeof(*out->keyspaces));
	for (size_t i = 0; i < n; i++)
		out->keyspaces[out->n_keyspaces++] =
			to_keyspace(&all->items[first + i]->keyspace, ask->arena);
}

/* ---- meta storage: nothing is kept there, no routers are registered ---- */

void
pd_meta_get(PdAsk *ask, const void *request, void *response)
{
	MetaStoragepb__GetResponse *out = response;

	(void) request;
	out->header = NEW_MESSAGE(ask->arena, MetaStoragepb__ResponseHeader,
							  meta_storagepb__response_header__init);
	out->header->cluster_id = ask->pd->state.cluster_id;
	out->header->revision = (int64) ask->pd->revision;
}

/* ---- etcd ---- */

static Etcdserverpb__ResponseHeader *
etcd_header(PdAsk *ask)
{
	Etcdserverpb__ResponseHeader *out =
		NEW_MESSAGE(ask->arena, Etcdserverpb__ResponseHeader,
					etcdserverpb__response_header__init);

	out->cluster_id = ask->pd->state.cluster_id;
	out->member_id = ask->pd->state.member.id;
	out->revision = (int64) ask->pd->revision;
	out->raft_term = ask->pd->term;
	return out;
}

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
	const PdMember *self = &ask->pd->state.member;
	Etcdserverpb__Member *member = NEW_MESSAGE(ask->arena, Etcdserverpb__Member,
											   etcdserverpb__member__init);

	(void) request;
	member->id = self->id;
	member->name = (char *) self->name;
	member->n_peerurls = member->n_clienturls = 1;
	member->peerurls = one_string(self->peer_url, ask->arena);
	member->clienturls = one_string(self->client_url, ask->arena);
	out->header = etcd_header(ask);
	out->n_members = 1;
	out->members = arena_alloc(ask->arena, sizeof(*out->members));
	out->members[0] = member;
}

/* Is the one key that is kept asked for, by itself or in a range? */
static bool
asks_for_safe_point(const Etcdserverpb__RangeRequest *in)
{
	Bytes kept = bytes_cstr(SAVED_SAFE_POINT_KEY);
	Bytes key = from_binary(in->key);
	Bytes end = from_binary(in->range_end);

	if (end.len == 0)
		return bytes_eq(key, kept);
	if (bytes_cmp(kept, key) < 0)
		return false;

	/* A range end of one zero byte means: to the end. */
	return (end.len == 1 && end.data[0] == 0) || bytes_cmp(kept, end) < 0;
}

void
pd_etcd_range(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__RangeRequest *in = request;
	Etcdserverpb__RangeResponse *out = response;
	uint64 safe_point = ask->pd->state.gc.txn_safe_point;
	Mvccpb__KeyValue *kv;

	out->header = etcd_header(ask);
	if (safe_point == 0 || !asks_for_safe_point(in))
		return;
	out->count = 1;
	if (in->count_only)
		return;
	kv = NEW_MESSAGE(ask->arena, Mvccpb__KeyValue, mvccpb__key_value__init);
	kv->key = to_binary(bytes_cstr(SAVED_SAFE_POINT_KEY));
	if (!in->keys_only)
		kv->value = to_binary(bytes_cstr(arena_printf(ask->arena, "%llu",
													  (unsigned long long)
														  safe_point)));
	kv->create_revision = kv->mod_revision = (int64) ask->pd->revision;
	kv->version = 1;
	out->n_kvs = 1;
	out->kvs = arena_alloc(ask->arena, sizeof(*out->kvs));
	out->kvs[0] = kv;
}

/* Old GC drivers announce the safe point by writing the key. */
void
pd_etcd_put(PdAsk *ask, const void *request, void *response)
{
	const Etcdserverpb__PutRequest *in = request;
	Etcdserverpb__PutResponse *out = response;
	uint64_t target;
	GcAdvance advance;
	PdError error;

	if (!bytes_eq(from_binary(in->key), bytes_cstr(SAVED_SAFE_POINT_KEY)))
	{
		ask->code = RPC_UNIMPLEMENTED;
		ask->text = "only " SAVED_SAFE_POINT_KEY " can be put";
		return;
	}
	if (!parse_number(from_binary(in->value), &target))
	{
		ask->code = RPC_INVALID_ARGUMENT;
		ask->text = "the safe point must be a decimal number";
		return;
	}
	error = gc_advance_txn_safe_point(&ask->pd->state.gc, target, ask->now,
									  &ask->changes, &advance);
	if (error.type != PD_OK)
	{
		ask->code = RPC_FAILED_PRECONDITION;
		ask->text = error.text;
		return;
	}
	out->header = etcd_header(ask);
}
