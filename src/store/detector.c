/*
 * detector.c
 *	  Deadlocks across stores: telling the detecting store who waits for whom,
 *	  and being it.
 *
 * An edge that does not get there is no harm: its waiter gives up after a second
 * and is told of again with the next attempt.  So nothing is kept for long, and
 * the graph of a new leader fills by itself.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "core/base/rpc_code.h"
#include "deadlock.pb-c.h"
#include "server/client.h"
#include "service/service.h"
#include "store/detector.h"
#include "store/elsewhere.h"
#include "store/txn_turn.h"

#define METHOD_DETECT 1
#define METHOD_GET_WAIT_FOR_ENTRIES 2

/* Edges that wait for the stream, and how long a lost one is not looked for. */
#define MAX_QUEUED 1024
#define LOOK_AGAIN_US INT64CONST(200000)

typedef struct QueuedEdge
{
	struct QueuedEdge *next;
	size_t len;
	uint8 bytes[FLEXIBLE_ARRAY_MEMBER];
} QueuedEdge;

struct Detector
{
	Store *store;
	bool leads;
	uint64 term; /* of the first region, while it leads */

	/* to who leads */
	bool looking;
	int64 next_look_us;
	char *address;
	ClientChannel *channel;
	ClientCall *stream;
	QueuedEdge *first;
	QueuedEdge **tail;
	int n_queued;
};

/* --------------------------------------------------------------- the role */

static void send_edge(void *arg, DeadlockRequestKind kind,
					  const WaitForEntry *entry);

bool
detector_update(Store *store)
{
	Detector *detector = store->detector;
	Peer *peer = store_find_peer_of_key(store, bytes_empty());
	bool leads = peer != NULL && peer_is_leader(peer);
	uint64 term = leads ? raft_term(peer->raft) : 0;

	if (detector == NULL || store->waits == NULL)
		return true;
	if (leads != detector->leads || term != detector->term)
	{
		FAILPOINT_PASS("store_detector_role");
		deadlocks_clear(lock_wait_deadlocks(store->waits));
		lock_wait_detect_by(store->waits, leads ? NULL : send_edge, detector);
	}
	detector->leads = leads;
	detector->term = term;
	return leads;
}

/* ------------------------------------------------------------- the messages */

static ProtobufCBinaryData
to_wire(Bytes bytes)
{
	ProtobufCBinaryData out;

	out.data = unconstify(uint8 *, bytes.data);
	out.len = bytes.len;
	return out;
}

static Bytes
from_wire(ProtobufCBinaryData data)
{
	return bytes_make(data.data, data.len);
}

static void
entry_to_wire(const WaitForEntry *from, Deadlock__WaitForEntry *to)
{
	deadlock__wait_for_entry__init(to);
	to->txn = from->txn;
	to->wait_for_txn = from->wait_for_txn;
	to->key_hash = from->key_hash;
	to->key = to_wire(from->key);
	to->resource_group_tag = to_wire(from->resource_group_tag);
}

static WaitForEntry
entry_from_wire(const Deadlock__WaitForEntry *from)
{
	WaitForEntry to = {.txn = from->txn,
					   .wait_for_txn = from->wait_for_txn,
					   .key_hash = from->key_hash,
					   .key = from_wire(from->key),
					   .resource_group_tag =
						   from_wire(from->resource_group_tag)};

	return to;
}

/* ------------------------------------------------------- to the detecting one */

static void
on_found(ClientCall *call, Bytes bytes)
{
	Detector *detector = client_user(call);
	const Deadlock__DeadlockResponse *reply;
	Arena arena;

	arena_init(&arena);
	reply =
		(const void *) service_unpack(&deadlock__deadlock_response__descriptor,
									  bytes, &arena);
	if (reply != NULL && reply->entry != NULL)
	{
		WaitForEntry *chain =
			arena_alloc(&arena, reply->n_wait_chain * sizeof(*chain));
		WaitForEntry entry = entry_from_wire(reply->entry);
		DeadlockFound found = {.key_hash = reply->deadlock_key_hash,
							   .chain = chain,
							   .n_chain = reply->n_wait_chain};

		for (size_t i = 0; i < reply->n_wait_chain; i++)
			chain[i] = entry_from_wire(reply->wait_chain[i]);
		FAILPOINT_PASS("store_deadlock_heard");
		lock_wait_deadlock(detector->store->waits, &entry, &found);
	}
	arena_free(&arena);
}

static void
on_closed(ClientCall *call, const ClientResult *result)
{
	Detector *detector = client_user(call);

	elog(DEBUG1, "tikv store: the stream to the deadlock detector ended: %s",
		 result->text);
	detector->stream = NULL;
	detector->next_look_us = dispatch_now_us() + LOOK_AGAIN_US;
}

static const ClientHandler handler = {.message = on_found, .closed = on_closed};

static void
drop_queued(Detector *detector)
{
	while (detector->first != NULL)
	{
		QueuedEdge *edge = detector->first;

		detector->first = edge->next;
		pfree(edge);
	}
	detector->tail = &detector->first;
	detector->n_queued = 0;
}

static void
connect_to(Detector *detector, const char *address)
{
	if (detector->address == NULL || strcmp(detector->address, address) != 0)
	{
		if (detector->channel != NULL)
			client_close(detector->channel);
		if (detector->address != NULL)
			pfree(detector->address);
		detector->address =
			MemoryContextStrdup(detector->store->context, address);
		detector->channel = client_open(detector->store->server, address);
	}
	FAILPOINT_PASS("store_detector_open");
	detector->stream =
		client_stream(detector->channel, "/deadlock.Deadlock/Detect", NULL,
					  &handler, detector);
	for (QueuedEdge *edge = detector->first; edge != NULL; edge = edge->next)
		(void) client_send_bytes(detector->stream,
								 bytes_make(edge->bytes, edge->len));
}

static void
on_whereabouts(void *arg, const Whereabouts *where)
{
	Detector *detector = arg;

	detector->looking = false;
	detector->next_look_us = dispatch_now_us() + LOOK_AGAIN_US;
	if (where != NULL && !detector->leads &&
		where->leader.store_id != detector->store->meta.store_id)
		connect_to(detector, where->peer_address);
	drop_queued(detector);
}

static void
look(Detector *detector)
{
	if (detector->looking || dispatch_now_us() < detector->next_look_us)
		return;
	detector->looking = elsewhere_find(detector->store, bytes_empty(),
									   on_whereabouts, detector);
}

static void
enqueue(Detector *detector, Bytes bytes)
{
	QueuedEdge *edge;

	if (!detector->looking || detector->n_queued >= MAX_QUEUED)
		return;
	edge = MemoryContextAlloc(detector->store->context,
							  offsetof(QueuedEdge, bytes) + bytes.len);
	edge->next = NULL;
	edge->len = bytes.len;
	memcpy(edge->bytes, bytes.data, bytes.len);
	*detector->tail = edge;
	detector->tail = &edge->next;
	detector->n_queued++;
}

static void
send_edge(void *arg, DeadlockRequestKind kind, const WaitForEntry *entry)
{
	Detector *detector = arg;
	Deadlock__DeadlockRequest request = DEADLOCK__DEADLOCK_REQUEST__INIT;
	Deadlock__WaitForEntry edge;
	size_t len;
	uint8 *bytes;

	entry_to_wire(entry, &edge);
	request.tp = kind == DEADLOCK_DETECT ?
		DEADLOCK__DEADLOCK_REQUEST_TYPE__Detect :
		DEADLOCK__DEADLOCK_REQUEST_TYPE__CleanUpWaitFor;
	request.entry = &edge;
	len = deadlock__deadlock_request__get_packed_size(&request);
	bytes = palloc(len);
	deadlock__deadlock_request__pack(&request, bytes);
	FAILPOINT_PASS("store_edge_out");
	if (detector->stream != NULL)
		(void) client_send_bytes(detector->stream, bytes_make(bytes, len));
	else
	{
		look(detector);
		enqueue(detector, bytes_make(bytes, len));
	}
	pfree(bytes);
}

/* ------------------------------------------------------ the detecting one */

static Store *
store_of(Call *call)
{
	Dispatch *dispatch = server_arg(call_server(call));

	return dispatch->arg;
}

static void
tell_found(Call *call, const WaitForEntry *entry, const DeadlockFound *found,
		   Arena *arena)
{
	Deadlock__DeadlockResponse reply = DEADLOCK__DEADLOCK_RESPONSE__INIT;
	Deadlock__WaitForEntry edge;
	Deadlock__WaitForEntry *chain =
		arena_alloc(arena, found->n_chain * sizeof(*chain));
	size_t len;
	uint8 *bytes;

	entry_to_wire(entry, &edge);
	reply.entry = &edge;
	reply.deadlock_key_hash = found->key_hash;
	reply.n_wait_chain = found->n_chain;
	reply.wait_chain =
		arena_alloc(arena, found->n_chain * sizeof(*reply.wait_chain));
	for (size_t i = 0; i < found->n_chain; i++)
	{
		entry_to_wire(&found->chain[i], &chain[i]);
		reply.wait_chain[i] = &chain[i];
		if (found->chain[i].key_hash == found->key_hash)
			reply.deadlock_key = to_wire(found->chain[i].key);
	}
	len = deadlock__deadlock_response__get_packed_size(&reply);
	bytes = arena_alloc(arena, len);
	deadlock__deadlock_response__pack(&reply, bytes);
	(void) call_send_bytes(call, bytes_make(bytes, len));
}

static void
carry_out(Store *store, Call *call, const Deadlock__DeadlockRequest *request,
		  Arena *arena)
{
	Deadlocks *graph = lock_wait_deadlocks(store->waits);
	WaitForEntry entry = entry_from_wire(request->entry);
	DeadlockFound found;

	FAILPOINT_PASS("store_edge_heard");
	switch (request->tp)
	{
		case DEADLOCK__DEADLOCK_REQUEST_TYPE__Detect:
			if (deadlocks_detect(graph, &entry, dispatch_now_us(), arena,
								 &found))
			{
				FAILPOINT_PASS("store_deadlock_found");
				tell_found(call, &entry, &found, arena);
			}
			break;
		case DEADLOCK__DEADLOCK_REQUEST_TYPE__CleanUpWaitFor:
			deadlocks_clean_up_wait_for(graph, entry.txn, entry.wait_for_txn,
										entry.key_hash);
			break;
		case DEADLOCK__DEADLOCK_REQUEST_TYPE__CleanUp:
			deadlocks_clean_up(graph, entry.txn);
			break;
		default:
			break;
	}
}

static void
on_request(Call *call, Bytes bytes)
{
	Store *store = store_of(call);
	const Deadlock__DeadlockRequest *request;
	Arena arena;

	if (store->waits == NULL || !detector_update(store))
	{
		call_fail(call, RPC_FAILED_PRECONDITION,
				  "I'm not the leader of deadlock detector");
		return;
	}
	arena_init(&arena);
	request =
		(const void *) service_unpack(&deadlock__deadlock_request__descriptor,
									  bytes, &arena);
	if (request == NULL || request->entry == NULL)
		call_fail(call, RPC_INVALID_ARGUMENT, "malformed request message");
	else
		carry_out(store, call, request, &arena);
	arena_free(&arena);
}

static void
on_half_close(Call *call)
{
	call_finish(call, RPC_OK, NULL);
}

typedef struct EntryList
{
	Deadlock__WaitForEntriesResponse reply;
	Arena *arena;
	size_t room;
} EntryList;

static void
add_entry(void *arg, const WaitForEntry *entry)
{
	EntryList *list = arg;
	Deadlock__WaitForEntry *to;

	if (list->reply.n_entries == list->room)
		return;
	to = arena_alloc(list->arena, sizeof(*to));
	entry_to_wire(entry, to);
	list->reply.entries[list->reply.n_entries++] = to;
}

/* Those of this store, if it detects; else there are none. */
static void
on_get_entries(Call *call, Bytes bytes)
{
	Store *store = store_of(call);
	EntryList list = {0};
	Arena arena;
	size_t len;
	uint8 *packed;

	(void) bytes;
	deadlock__wait_for_entries_response__init(&list.reply);
	arena_init(&arena);
	if (store->waits != NULL && detector_update(store))
	{
		const Deadlocks *graph = lock_wait_deadlocks(store->waits);

		list.arena = &arena;
		list.room = deadlocks_count(graph);
		list.reply.entries =
			arena_alloc(&arena, list.room * sizeof(*list.reply.entries));
		deadlocks_each(graph, dispatch_now_us(), &arena, add_entry, &list);
	}
	len = deadlock__wait_for_entries_response__get_packed_size(&list.reply);
	packed = arena_alloc(&arena, len);
	deadlock__wait_for_entries_response__pack(&list.reply, packed);
	call_reply_bytes(call, bytes_make(packed, len));
	arena_free(&arena);
}

static const CallHandler detect_stream = {.message = on_request,
										  .half_close = on_half_close};
static const CallHandler entries_unary = {.message = on_get_entries};

const RpcMethod detector_methods[] = {
	{"/deadlock.Deadlock/Detect", RPC_STREAM, METHOD_DETECT, &detect_stream},
	{"/deadlock.Deadlock/GetWaitForEntries", RPC_UNARY,
	 METHOD_GET_WAIT_FOR_ENTRIES, &entries_unary},
};
const int detector_n_methods =
	sizeof(detector_methods) / sizeof(detector_methods[0]);

/* ------------------------------------------------------------- start, stop */

void
detector_start(Store *store)
{
	Detector *detector =
		MemoryContextAllocZero(store->context, sizeof(Detector));

	detector->store = store;
	detector->leads = true;
	detector->tail = &detector->first;
	store->detector = detector;
	(void) detector_update(store);
}

void
detector_stop(Store *store)
{
	Detector *detector = store->detector;

	if (detector == NULL)
		return;
	store->detector = NULL;
	if (store->waits != NULL)
		lock_wait_detect_by(store->waits, NULL, NULL);
	if (detector->stream != NULL)
		client_drop(detector->stream);
	if (detector->channel != NULL)
		client_close(detector->channel);
	drop_queued(detector);
}
