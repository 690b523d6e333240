/*
 * call.c
 *	  One command, wherever its keys are: cut by regions, sent, and sent again
 *	  after what a region error teaches.
 *
 * Source: tikv/client-go internal/locate/region_request.go (onRegionError).
 */
#include "core/client/client.h"

#include "core/base/check.h"

void
client_init(Client *client, ClientIo *io, uint64_t seed)
{
	memset(client, 0, sizeof(*client));
	client->io = io;
	client->random = seed | 1;
	client->batch_bytes = CLIENT_BATCH_BYTES;
	client->batch_keys = CLIENT_BATCH_KEYS;
	client->batch_entry = CLIENT_BATCH_ENTRY;
	region_cache_init(&client->cache);
}

void
client_free(Client *client)
{
	region_cache_free(&client->cache);
}

/* ------------------------------------------------------------------- keys */

/* The list of keys that a command carries; NULL if it has another form. */
static const Bytes *
key_list(const TxnCommand *command, size_t *n)
{
	switch (command->kind)
	{
		case TXN_CMD_COMMIT:
			*n = command->commit.n_keys;
			return command->commit.keys;
		case TXN_CMD_BATCH_ROLLBACK:
			*n = command->batch_rollback.n_keys;
			return command->batch_rollback.keys;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			*n = command->check_secondary_locks.n_keys;
			return command->check_secondary_locks.keys;
		case TXN_CMD_RESOLVE_LOCK:
			*n = command->resolve_lock.n_keys;
			return command->resolve_lock.keys;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			*n = command->pessimistic_rollback.n_keys;
			return command->pessimistic_rollback.keys;
		case TXN_CMD_CLEANUP:
			*n = 1;
			return &command->cleanup.key;
		case TXN_CMD_CHECK_TXN_STATUS:
			*n = 1;
			return &command->check_txn_status.primary_key;
		case TXN_CMD_TXN_HEART_BEAT:
			*n = 1;
			return &command->txn_heart_beat.primary_key;
		default:
			return NULL;
	}
}

static const Mutation *
mutation_list(const TxnCommand *command, size_t *n)
{
	if (command->kind == TXN_CMD_PREWRITE)
	{
		*n = command->prewrite.n_mutations;
		return command->prewrite.mutations;
	}
	CHECK(command->kind == TXN_CMD_PESSIMISTIC_LOCK);
	*n = command->pessimistic_lock.n_mutations;
	return command->pessimistic_lock.mutations;
}

size_t
client_n_keys(const TxnCommand *command)
{
	size_t n;

	if (key_list(command, &n) == NULL)
		(void) mutation_list(command, &n);
	return n;
}

Bytes
client_key(const TxnCommand *command, size_t i)
{
	size_t n;
	const Bytes *keys = key_list(command, &n);

	return keys != NULL ? keys[i] : mutation_list(command, &n)[i].key;
}

static size_t
size_of(const TxnCommand *command, size_t i)
{
	size_t n;
	const Bytes *keys = key_list(command, &n);
	const Mutation *mutations;

	if (keys != NULL)
		return keys[i].len;
	mutations = mutation_list(command, &n);
	return mutations[i].key.len + mutations[i].value.len;
}

/* What each key's lock names besides. */
static size_t
primary_size(const TxnCommand *command)
{
	if (command->kind == TXN_CMD_PREWRITE)
		return command->prewrite.primary.len;
	if (command->kind == TXN_CMD_PESSIMISTIC_LOCK)
		return command->pessimistic_lock.primary.len;
	return 0;
}

/* ------------------------------------------------------------------- parts */

static bool
names_primary(const PrewriteCommand *prewrite)
{
	for (size_t i = 0; i < prewrite->n_mutations; i++)
		if (bytes_eq(prewrite->mutations[i].key, prewrite->primary))
			return true;
	return false;
}

static void
cut_prewrite(const PrewriteCommand *whole, size_t from, size_t n,
			 PrewriteCommand *part)
{
	part->mutations = whole->mutations + from;
	part->n_mutations = n;
	if (whole->n_actions > 0)
	{
		part->actions = whole->actions + from;
		part->n_actions = n;
	}
	/* One phase is one request; the secondaries are the primary's. */
	part->try_one_pc = whole->try_one_pc && n == whole->n_mutations;
	if (!part->use_async_commit || !names_primary(part))
		part->n_secondaries = 0;
}

/* The command for keys [from, from + n) alone. */
static void
cut(const TxnCommand *whole, size_t from, size_t n, TxnCommand *part)
{
	*part = *whole;
	switch (whole->kind)
	{
		case TXN_CMD_PREWRITE:
			CHECK(whole->prewrite.n_constraints == 0);
			cut_prewrite(&whole->prewrite, from, n, &part->prewrite);
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			part->pessimistic_lock.mutations += from;
			part->pessimistic_lock.n_mutations = n;
			part->pessimistic_lock.is_first_lock &= from == 0;
			break;
		case TXN_CMD_COMMIT:
			part->commit.keys += from;
			part->commit.n_keys = n;
			break;
		case TXN_CMD_BATCH_ROLLBACK:
			part->batch_rollback.keys += from;
			part->batch_rollback.n_keys = n;
			break;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			part->check_secondary_locks.keys += from;
			part->check_secondary_locks.n_keys = n;
			break;
		case TXN_CMD_RESOLVE_LOCK:
			part->resolve_lock.keys += from;
			part->resolve_lock.n_keys = n;
			break;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			part->pessimistic_rollback.keys += from;
			part->pessimistic_rollback.n_keys = n;
			break;
		default:
			CHECK(from == 0 && n == 1);
			break;
	}
}

/* How many keys from `from` on go into one request to the region. */
static size_t
reach(const Client *client, const TxnCommand *command, size_t from,
	  size_t n_keys, const Region *region)
{
	size_t bytes = size_of(command, from);
	size_t primary = primary_size(command);
	size_t n = 1;

	while (from + n < n_keys && n < client->batch_keys)
	{
		bytes += size_of(command, from + n);
		if (bytes > client->batch_bytes ||
			bytes + (n + 1) * primary > client->batch_entry ||
			!region_cache_holds(region, client_key(command, from + n)))
			break;
		n++;
	}
	return n;
}

/* ----------------------------------------------------------------- answers */

#define APPEND(to, n_to, from, n_from)                                         \
	do                                                                         \
	{                                                                          \
		void *grown = arena_alloc(arena, ((n_to) + (n_from)) * sizeof(*(to))); \
		if ((n_to) > 0)                                                        \
			memcpy(grown, (to), (n_to) * sizeof(*(to)));                       \
		memcpy((char *) grown + (n_to) * sizeof(*(to)), (from),                \
			   (n_from) * sizeof(*(to)));                                      \
		(to) = grown;                                                          \
		(n_to) += (n_from);                                                    \
	} while (0)

/* The part's answer joins those of the parts before it. */
static void
merge(const TxnCommand *part, TxnAnswer *all, const TxnAnswer *answer,
	  Arena *arena, bool *fell_back)
{
	TxnAnswer before = *all;

	*all = *answer;
	all->locks = before.locks;
	all->n_locks = before.n_locks;
	all->results = before.results;
	all->n_results = before.n_results;
	if (answer->n_locks > 0)
		APPEND(all->locks, all->n_locks, answer->locks, answer->n_locks);
	if (answer->n_results > 0)
		APPEND(all->results, all->n_results, answer->results,
			   answer->n_results);
	if (before.min_commit_ts > all->min_commit_ts)
		all->min_commit_ts = before.min_commit_ts;
	if (before.commit_ts > all->commit_ts)
		all->commit_ts = before.commit_ts;
	if (part->kind != TXN_CMD_PREWRITE)
		return;
	if (part->prewrite.try_one_pc ?
			answer->one_pc_commit_ts == 0 :
			part->prewrite.use_async_commit && answer->min_commit_ts == 0)
		*fell_back = true;
}

/* ------------------------------------------------------------ region errors */

/* The store that knows what the region became leads most of it. */
static RegionPeer
likely_leader(const Region *current, uint64_t store_id)
{
	for (int i = 0; i < current->n_peers; i++)
		if (current->peers[i].store_id == store_id)
			return current->peers[i];
	return current->peers[0];
}

/* What is learned, and how long to wait; false: waiting would not help. */
static bool
learn(Client *client, const CachedRegion *region, const ClientReply *reply,
	  BackoffClass *reason)
{
	uint64_t id = region->region.id;

	switch (reply->region_error)
	{
		case REGION_NOT_LEADER:
			region_cache_set_leader(&client->cache, id, reply->leader);
			*reason = BACKOFF_SCHEDULING;
			return true;
		case REGION_EPOCH_NOT_MATCH:
			region_cache_drop(&client->cache, id);
			for (size_t i = 0; i < reply->n_current; i++)
				if (reply->current[i].n_peers > 0)
					region_cache_put(&client->cache, &reply->current[i],
									 likely_leader(&reply->current[i],
												   region->leader.store_id));
			*reason = BACKOFF_REGION_MISS;
			return true;
		case REGION_SERVER_IS_BUSY:
			*reason = BACKOFF_SERVER_BUSY;
			return true;
		case REGION_STALE_COMMAND:
		case REGION_UNDETERMINED:
			*reason = BACKOFF_STALE_COMMAND;
			return true;
		case REGION_DISK_FULL:
			*reason = BACKOFF_DISK_FULL;
			return true;
		case REGION_MAX_TS_NOT_SYNCED:
			*reason = BACKOFF_MAX_TS_NOT_SYNCED;
			return true;
		case REGION_READ_INDEX_NOT_READY:
		case REGION_DATA_IS_NOT_READY:
			*reason = BACKOFF_SCHEDULING;
			return true;
		case REGION_ENTRY_TOO_LARGE:
		case REGION_FLASHBACK_IN_PROGRESS:
		case REGION_FLASHBACK_NOT_PREPARED:
			return false;
		default:
			region_cache_drop(&client->cache, id);
			*reason = BACKOFF_REGION_MISS;
			return true;
	}
}

/* Wait; false if there is no more time. */
static bool
pause_for(Client *client, Backoff *backoff, BackoffClass reason,
		  uint64_t hint_ms)
{
	int64_t ms;

	if (!backoff_next(backoff, reason, &ms))
		return false;
	if (hint_ms > 0 && (int64_t) hint_ms < ms)
		ms = (int64_t) hint_ms;
	return client->io->sleep(client->io, ms);
}

static const CachedRegion *
find_region(Client *client, Bytes key, Arena *arena)
{
	const CachedRegion *found = region_cache_find(&client->cache, key);
	Region region;
	RegionPeer leader;

	if (found != NULL)
		return found;
	if (!client->io->locate(client->io, key, arena, &region, &leader))
		return NULL;
	region_cache_put(&client->cache, &region, leader);
	return region_cache_find(&client->cache, key);
}

/* ------------------------------------------------------------------- calls */

typedef struct Call
{
	Client *client;
	TxnCommand command;
	Backoff *backoff;
	Arena *arena;
	ClientResult *result;
	size_t n_keys;
	size_t done; /* keys whose parts were carried out */
	bool is_retry;
	bool unknown; /* the last one sent may yet be carried out */
} Call;

static bool
give_up(Call *call)
{
	call->result->outcome = call->unknown ? CLIENT_UNKNOWN : CLIENT_GAVE_UP;
	return false;
}

static bool
retry(Call *call, BackoffClass reason, uint64_t hint_ms)
{
	return pause_for(call->client, call->backoff, reason, hint_ms) ||
		give_up(call);
}

/* An answer that is no region error. */
static bool
take_answer(Call *call, const TxnCommand *part, size_t n, TxnAnswer *answer)
{
	ClientResult *result = call->result;

	call->unknown = false;
	if (answer->n_errors > 0)
	{
		result->outcome = CLIENT_REFUSED;
		result->error = answer->errors[0];
		result->answer.errors = answer->errors;
		result->answer.n_errors = answer->n_errors;
		return false;
	}
	result->one_request = n == call->n_keys;
	merge(part, &result->answer, answer, call->arena, &result->fell_back);
	if (result->fell_back)
		call->command.prewrite.use_async_commit = false;
	call->done += n;
	return true;
}

/* One request; false when the call has ended before its last key. */
static bool
send_part(Call *call)
{
	Client *client = call->client;
	const CachedRegion *found =
		find_region(client, client_key(&call->command, call->done),
					call->arena);
	ClientReply reply = {0};
	CachedRegion region;
	TxnCommand part;
	BackoffClass reason;
	size_t n;

	if (found == NULL)
		return retry(call, BACKOFF_REGION_MISS, 0);
	region = *found;
	n = reach(client, &call->command, call->done, call->n_keys, &region.region);
	cut(&call->command, call->done, n, &part);
	switch (client->io->submit(client->io, &region, &part, call->is_retry,
							   call->arena, &reply))
	{
		case SUBMIT_UNSENT:
			/* Somebody else may lead by now. */
			region_cache_drop(&client->cache, region.region.id);
			return retry(call, BACKOFF_RPC, 0);
		case SUBMIT_UNKNOWN:
			region_cache_drop(&client->cache, region.region.id);
			call->unknown = call->is_retry = true;
			return retry(call, BACKOFF_RPC, 0);
		case SUBMIT_ANSWERED:
			break;
	}
	if (reply.region_error == REGION_OK)
		return take_answer(call, &part, n, &reply.answer);
	call->result->region_error = reply.region_error;
	call->result->text = reply.text;
	if (!learn(client, &region, &reply, &reason))
	{
		call->result->outcome = CLIENT_REGION;
		return false;
	}
	/*
	 * It may have been proposed before the leader lost its place: TiKV calls
	 * that StaleCommand, too (tikv/tikv#10353).
	 */
	if (reply.region_error == REGION_STALE_COMMAND ||
		reply.region_error == REGION_UNDETERMINED)
		call->unknown = call->is_retry = true;
	return retry(call, reason, reply.backoff_ms);
}

void
client_run(Client *client, const TxnCommand *command, Backoff *backoff,
		   Arena *arena, ClientResult *result)
{
	Call call = {.client = client,
				 .command = *command,
				 .backoff = backoff,
				 .arena = arena,
				 .result = result,
				 .n_keys = client_n_keys(command)};

	memset(result, 0, sizeof(*result));
	while (call.done < call.n_keys)
		if (!send_part(&call))
			return;
	result->outcome = CLIENT_OK;
}
