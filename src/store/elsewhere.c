/*
 * elsewhere.c
 *	  What the store itself asks of regions that other stores lead.
 *
 * An errand goes through three steps: PD names the region and its leader, PD
 * names the stores' addresses unless they are known, the leader answers.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "core/base/rpc_code.h"
#include "kvserver/relay.h"
#include "pdpb.pb-c.h"
#include "service/messages.h"
#include "service/relay.h"
#include "store/elsewhere.h"

/* Among the answers of PD: ours, and which errand's; 0: the addresses. */
#define ERRAND_TAG (UINT64CONST(1) << 58)
#define OTHER_TAGS (~(ERRAND_TAG | (ERRAND_TAG - 1)))

#define MAX_ERRANDS 1024
#define MAX_STORES 128
#define TIMEOUT_MS 5000

/* Addresses are asked for again after this time. */
#define ADDRESSES_LAST_US INT64CONST(30000000)

typedef struct Errand
{
	struct Errand *next;
	Store *store;
	uint64 id;
	bool asks_region;	/* of PD */
	bool wants_address; /* neither: it waits for the leader */
	Arena arena;
	Whereabouts where;

	WhereaboutsDone found; /* or else: */
	int method;
	ProtobufCMessage *message;
	ElsewhereDone done;
	void *arg;
} Errand;

typedef struct KnownStore
{
	uint64 id;
	char address[RELAY_ADDRESS_MAX + 1];
	char peer_address[RELAY_ADDRESS_MAX + 1];
} KnownStore;

struct Elsewhere
{
	Errand *errands;
	int n_errands;
	uint64 last_id;
	bool asks_stores;
	int64 stores_us; /* when the addresses came; 0: none are known */
	KnownStore stores[MAX_STORES];
	int n_stores;
};

void
elsewhere_start(Store *store)
{
	store->elsewhere =
		MemoryContextAllocZero(store->context, sizeof(Elsewhere));
}

/* ----------------------------------------------------------------- errands */

static void
unlink_errand(Errand *errand)
{
	Elsewhere *elsewhere = errand->store->elsewhere;
	Errand **place = &elsewhere->errands;

	while (*place != errand)
		place = &(*place)->next;
	*place = errand->next;
	elsewhere->n_errands--;
}

/* It ends, one way or the other. */
static void
finish(Errand *errand, const ProtobufCMessage *reply)
{
	bool knows = errand->where.address != NULL;

	unlink_errand(errand);
	if (errand->found != NULL)
		errand->found(errand->arg, knows ? &errand->where : NULL);
	else
		errand->done(errand->arg, reply, knows ? &errand->where : NULL);
	arena_free(&errand->arena);
	pfree(errand);
}

static bool
send_to_pd(int method, const ProtobufCMessage *message, uint64 tag)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8 *bytes = palloc(len);
	BusCode code;

	protobuf_c_message_pack(message, bytes);
	code = bus_send(WORKER_STORE, WORKER_PD, method, bytes_make(bytes, len),
					ERRAND_TAG | tag);
	pfree(bytes);
	return code == BUS_OK;
}

/* ------------------------------------------------------------ to the leader */

/* The addresses may be old if nobody answers. */
static void
on_answer(void *arg, const ClientResult *result)
{
	Errand *errand = arg;
	const ProtobufCMessage *reply = NULL;

	FAILPOINT_PASS("store_errand_answered");
	if (result->code == RPC_OK)
	{
		errand->where.reply = result->reply;
		reply = service_unpack(service_method(errand->method)->response,
							   result->reply, &errand->arena);
	}
	else
		errand->store->elsewhere->stores_us = 0;
	if (reply != NULL && service_field(reply, "region_error") != NULL)
		reply = NULL;
	finish(errand, reply);
}

/* The Context is every KV request's first field. */
static void
set_context(Errand *errand)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(errand->message->descriptor, 1);
	Kvrpcpb__Context *context = arena_zalloc(&errand->arena, sizeof(*context));
	Metapb__RegionEpoch *epoch = arena_zalloc(&errand->arena, sizeof(*epoch));
	Metapb__Peer *peer = arena_zalloc(&errand->arena, sizeof(*peer));
	const StoreMeta *meta = &errand->store->meta;

	kvrpcpb__context__init(context);
	metapb__region_epoch__init(epoch);
	metapb__peer__init(peer);
	epoch->conf_ver = errand->where.region.epoch.conf_ver;
	epoch->version = errand->where.region.epoch.version;
	peer->id = errand->where.leader.id;
	peer->store_id = errand->where.leader.store_id;
	context->region_id = errand->where.region.id;
	context->cluster_id = meta->cluster_id;
	context->region_epoch = epoch;
	context->peer = peer;
	context->api_version =
		meta->api == API_V2 ? KVRPCPB__APIVERSION__V2 : KVRPCPB__APIVERSION__V1;
	*(Kvrpcpb__Context **) ((uint8 *) errand->message + field->offset) =
		context;
}

static void
send_to_leader(Errand *errand)
{
	Store *store = errand->store;
	size_t len;
	uint8 *bytes;

	if (errand->found != NULL)
	{
		finish(errand, NULL);
		return;
	}
	FAILPOINT_PASS("store_errand_out");
	set_context(errand);
	len = protobuf_c_message_get_packed_size(errand->message);
	bytes = arena_alloc(&errand->arena, len);
	protobuf_c_message_pack(errand->message, bytes);
	if (store->dispatch.relay == NULL ||
		!relay_call(store->dispatch.relay, errand->where.address,
					errand->method, bytes_make(bytes, len), TIMEOUT_MS,
					on_answer, errand))
		finish(errand, NULL);
}

/* --------------------------------------------------------------- addresses */

static const KnownStore *
find_store(const Elsewhere *elsewhere, uint64 store_id)
{
	if (elsewhere->stores_us == 0 ||
		dispatch_now_us() > elsewhere->stores_us + ADDRESSES_LAST_US)
		return NULL;
	for (int i = 0; i < elsewhere->n_stores; i++)
		if (elsewhere->stores[i].id == store_id)
			return &elsewhere->stores[i];
	return NULL;
}

static void
ask_stores(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetAllStoresRequest request = PDPB__GET_ALL_STORES_REQUEST__INIT;

	if (store->elsewhere->asks_stores)
		return;
	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.exclude_tombstone_stores = true;
	store->elsewhere->asks_stores =
		send_to_pd(METHOD_PD_GET_ALL_STORES, &request.base, 0);
}

static void
go_to_leader(Errand *errand)
{
	Elsewhere *elsewhere = errand->store->elsewhere;
	const KnownStore *known =
		find_store(elsewhere, errand->where.leader.store_id);

	if (known == NULL)
	{
		errand->wants_address = true;
		ask_stores(errand->store);
		return;
	}
	errand->where.address = arena_strdup(&errand->arena, known->address);
	errand->where.peer_address =
		arena_strdup(&errand->arena, known->peer_address);
	send_to_leader(errand);
}

static void
keep_addresses(Elsewhere *elsewhere, const Pdpb__GetAllStoresResponse *reply)
{
	elsewhere->n_stores = 0;
	elsewhere->stores_us = dispatch_now_us();
	for (size_t i = 0; i < reply->n_stores && elsewhere->n_stores < MAX_STORES;
		 i++)
	{
		KnownStore *known = &elsewhere->stores[elsewhere->n_stores];

		if (strlen(reply->stores[i]->address) > RELAY_ADDRESS_MAX ||
			strlen(reply->stores[i]->peer_address) > RELAY_ADDRESS_MAX)
			continue;
		known->id = reply->stores[i]->id;
		strcpy(known->address, reply->stores[i]->address);
		strcpy(known->peer_address,
			   reply->stores[i]->peer_address[0] != '\0' ?
				   reply->stores[i]->peer_address :
				   reply->stores[i]->address);
		elsewhere->n_stores++;
	}
}

static Errand *
one_that_wants_address(Elsewhere *elsewhere)
{
	Errand *errand = elsewhere->errands;

	while (errand != NULL && !errand->wants_address)
		errand = errand->next;
	return errand;
}

static void
take_stores(Store *store, const BusReply *bus)
{
	Elsewhere *elsewhere = store->elsewhere;
	const Pdpb__GetAllStoresResponse *reply = NULL;
	Errand *errand;
	Arena arena;

	elsewhere->asks_stores = false;
	arena_init(&arena);
	if (bus->code == BUS_OK)
		reply = (const void *)
			service_unpack(&pdpb__get_all_stores_response__descriptor,
						   bus->bytes, &arena);
	FAILPOINT_PASS("store_errand_stores");
	if (reply != NULL)
		keep_addresses(elsewhere, reply);
	arena_free(&arena);
	while ((errand = one_that_wants_address(elsewhere)) != NULL)
	{
		errand->wants_address = false;
		if (find_store(elsewhere, errand->where.leader.store_id) == NULL)
			finish(errand, NULL);
		else
			go_to_leader(errand);
	}
}

/* ----------------------------------------------------------------- regions */

static void
take_region(Errand *errand, const Pdpb__GetRegionResponse *reply)
{
	const Metapb__Region *from = reply->region;
	Region *region = &errand->where.region;

	region->id = from->id;
	region->start_key =
		arena_copy(&errand->arena,
				   bytes_make(from->start_key.data, from->start_key.len));
	region->end_key =
		arena_copy(&errand->arena,
				   bytes_make(from->end_key.data, from->end_key.len));
	region->epoch.conf_ver = from->region_epoch->conf_ver;
	region->epoch.version = from->region_epoch->version;
	errand->where.leader.id = reply->leader->id;
	errand->where.leader.store_id = reply->leader->store_id;
	errand->asks_region = false;
	FAILPOINT_PASS("store_errand_region");
	go_to_leader(errand);
}

bool
elsewhere_take_pd_answer(Store *store, const BusAnswer *answer)
{
	const Pdpb__GetRegionResponse *reply = NULL;
	uint64 id = answer->tag & ~ERRAND_TAG;
	Errand *errand;

	if ((answer->tag & OTHER_TAGS) != 0 || (answer->tag & ERRAND_TAG) == 0)
		return false;
	if (store->elsewhere == NULL)
		return true;
	if (id == 0)
	{
		take_stores(store, &answer->reply);
		return true;
	}
	errand = store->elsewhere->errands;
	while (errand != NULL && errand->id != id)
		errand = errand->next;
	if (errand == NULL || !errand->asks_region)
		return true;
	if (answer->reply.code == BUS_OK)
		reply = (const void *)
			service_unpack(&pdpb__get_region_response__descriptor,
						   answer->reply.bytes, &errand->arena);
	if (reply == NULL || reply->region == NULL ||
		reply->region->region_epoch == NULL || reply->leader == NULL ||
		reply->leader->id == 0)
		finish(errand, NULL);
	else
		take_region(errand, reply);
	return true;
}

/* --------------------------------------------------------------- the begin */

static Errand *
begin(Store *store, Bytes bound, void *arg)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetRegionRequest request = PDPB__GET_REGION_REQUEST__INIT;
	Elsewhere *elsewhere = store->elsewhere;
	Errand *errand;

	if (elsewhere == NULL || elsewhere->n_errands >= MAX_ERRANDS)
		return NULL;
	errand = MemoryContextAllocZero(store->context, sizeof(Errand));
	errand->id = ++elsewhere->last_id;
	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.region_key.data = unconstify(uint8 *, bound.data);
	request.region_key.len = bound.len;
	if (!send_to_pd(METHOD_PD_GET_REGION, &request.base, errand->id))
	{
		pfree(errand);
		return NULL;
	}
	errand->store = store;
	errand->asks_region = true;
	errand->arg = arg;
	arena_init(&errand->arena);
	errand->next = elsewhere->errands;
	elsewhere->errands = errand;
	elsewhere->n_errands++;
	return errand;
}

bool
elsewhere_find(Store *store, Bytes bound, WhereaboutsDone done, void *arg)
{
	Errand *errand = begin(store, bound, arg);

	if (errand == NULL)
		return false;
	errand->found = done;
	return true;
}

bool
elsewhere_ask(Store *store, Bytes bound, int method, ProtobufCMessage *message,
			  ElsewhereDone done, void *arg)
{
	Errand *errand = begin(store, bound, arg);

	if (errand == NULL)
		return false;
	errand->method = method;
	errand->message = message;
	errand->done = done;
	return true;
}

/* Those at a leader end with the relay, which is stopped before. */
void
elsewhere_stop(Store *store)
{
	if (store->elsewhere == NULL)
		return;
	while (store->elsewhere->errands != NULL)
		finish(store->elsewhere->errands, NULL);
	store->elsewhere = NULL;
}
