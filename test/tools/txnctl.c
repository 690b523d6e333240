/*
 * txnctl.c
 *	  One step of a transaction over gRPC, for tests that stop between steps.
 *
 * usage: txnctl --pd host:port ts
 *        txnctl --pd host:port get TS KEY
 *        txnctl --pd host:port scan TS START END
 *        txnctl --pd host:port prewrite START_TS KEY VALUE
 *        txnctl --pd host:port prewrite-under START_TS KEY VALUE PRIMARY
 *        txnctl --pd host:port prewrite-locked START_TS KEY VALUE FOR_UPDATE_TS
 *        txnctl --pd host:port prewrite-one-pc START_TS KEY VALUE
 *        txnctl --pd host:port prewrite-many START_TS PREFIX N VALUE
 *        txnctl --pd host:port prewrite-async START_TS KEY VALUE PRIMARY SECONDARY,...
 *        txnctl --pd host:port resolve START_TS COMMIT_TS KEY
 *        txnctl --pd host:port lock START_TS FOR_UPDATE_TS WAIT_MS KEY
 *        txnctl --pd host:port lock-shared START_TS N KEY PRIMARY
 *        txnctl --pd host:port commit START_TS COMMIT_TS KEY
 *        txnctl --pd host:port rollback START_TS KEY
 *        txnctl --pd host:port split KEY
 *        txnctl --pd host:port delete-range START END
 *        txnctl --pd host:port destroy-range START END
 *        txnctl --pd host:port prepare-flashback START_TS VERSION START END
 *        txnctl --pd host:port flashback START_TS COMMIT_TS VERSION START END
 *
 * prewrite-locked is of a key that lock has locked before; prewrite-one-pc commits
 * the key at once, and prints its commit_ts; prewrite-many locks PREFIX00000 and
 * so on; prewrite-async prewrites one key of an async commit, and prints its
 * min_commit_ts; lock-shared is N transactions, of START_TS and the timestamps
 * after it, that share the lock of a key; resolve ends all locks of the
 * transaction in the region of the key, commit timestamp 0 rolls them back.
 * Nothing is tried again and no lock is resolved: what the store says is
 * printed, and the exit status says what it was.
 *
 * With TXNCTL_STORE in the environment the store of that id is asked, whether it
 * leads or not, and only when a line has come on standard input: PD, which said
 * where it is, may be silent by then.  With TXNCTL_REPLICA, too, it is asked as a
 * follower.
 */
#include "errorpb.pb-c.h"
#include "tikv_client.h"

#define LOCK_TTL_MS 20000

/* Exit statuses; 1 is a call that failed. */
#define EXIT_ABSENT 2
#define EXIT_KEY_ERROR 3
#define EXIT_REGION_ERROR 4

static uint64_t
number(const char *text)
{
	char *end;
	uint64_t out = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		die("%s is no number", text);
	return out;
}

/* -------------------------------------------------------------- answers */

static int
region_error(const Errorpb__Error *error)
{
	fprintf(stderr, "region error: %s\n", error->message);
	return EXIT_REGION_ERROR;
}

static int
text_error(const char *text)
{
	fprintf(stderr, "error: %s\n", text);
	return EXIT_KEY_ERROR;
}

static int
key_error(const Kvrpcpb__KeyError *error)
{
	if (error->locked != NULL)
		fprintf(stderr, "locked by %llu\n",
				(unsigned long long) error->locked->lock_version);
	else if (error->conflict != NULL)
		fprintf(stderr, "conflict with %llu, reason %d\n",
				(unsigned long long) error->conflict->conflict_ts,
				(int) error->conflict->reason);
	else if (error->deadlock != NULL)
	{
		fprintf(stderr, "deadlock with %llu",
				(unsigned long long) error->deadlock->lock_ts);
		for (size_t i = 0; i < error->deadlock->n_wait_chain; i++)
			fprintf(stderr, ", %llu waits for %llu on %.*s",
					(unsigned long long) error->deadlock->wait_chain[i]->txn,
					(unsigned long long) error->deadlock->wait_chain[i]
						->wait_for_txn,
					(int) error->deadlock->wait_chain[i]->key.len,
					(const char *) error->deadlock->wait_chain[i]->key.data);
		fputc('\n', stderr);
	}
	else if (error->txn_lock_not_found != NULL)
		fputs("lock not found\n", stderr);
	else if (error->abort != NULL && error->abort[0] != '\0')
		fprintf(stderr, "abort: %s\n", error->abort);
	else
		fputs("another error of the key\n", stderr);
	return EXIT_KEY_ERROR;
}

/* What came of a call: the first of the errors there are, or none. */
static int
outcome(const Errorpb__Error *region, const Kvrpcpb__KeyError *key)
{
	if (region != NULL)
		return region_error(region);
	return key != NULL ? key_error(key) : 0;
}

/* The same where the other error is a text, empty if there is none. */
static int
text_outcome(const Errorpb__Error *region, const char *text)
{
	if (region != NULL)
		return region_error(region);
	return text[0] != '\0' ? text_error(text) : 0;
}

static void
print(ProtobufCBinaryData data)
{
	fwrite(data.data, 1, data.len, stdout);
	putchar('\n');
}

/* ------------------------------------------------------------- commands */

static void *
call_store(Client *client, const char *path, const void *request,
		   const ProtobufCMessageDescriptor *response)
{
	return call_unary(client, client->store, path, request, response);
}

static int
get(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__GetRequest request = KVRPCPB__GET_REQUEST__INIT;
	Kvrpcpb__GetResponse *response;

	request.context = context;
	request.version = number(argv[1]);
	request.key = binary(argv[2]);
	response = call_store(client, "/tikvpb.Tikv/KvGet", &request,
						  &kvrpcpb__get_response__descriptor);
	if (response->region_error != NULL)
		return region_error(response->region_error);
	if (response->error != NULL)
		return key_error(response->error);
	if (response->not_found)
		return EXIT_ABSENT;
	print(response->value);
	return 0;
}

/* Pairs as key=value, one a line. */
static int
scan(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__ScanRequest request = KVRPCPB__SCAN_REQUEST__INIT;
	Kvrpcpb__ScanResponse *response;

	request.context = context;
	request.version = number(argv[1]);
	request.start_key = binary(argv[2]);
	request.end_key = binary(argv[3]);
	request.limit = 10000;
	response = call_store(client, "/tikvpb.Tikv/KvScan", &request,
						  &kvrpcpb__scan_response__descriptor);
	if (response->region_error != NULL)
		return region_error(response->region_error);
	if (response->error != NULL)
		return key_error(response->error);
	for (size_t i = 0; i < response->n_pairs; i++)
	{
		const Kvrpcpb__KvPair *pair = response->pairs[i];

		if (pair->error != NULL)
			return key_error(pair->error);
		printf("%.*s=", (int) pair->key.len, (const char *) pair->key.data);
		print(pair->value);
	}
	return 0;
}

static int
send_prewrite(Client *client, Kvrpcpb__PrewriteRequest *request,
			  Kvrpcpb__Mutation **mutations, size_t n)
{
	Kvrpcpb__PrewriteResponse *response;

	request->mutations = mutations;
	request->n_mutations = n;
	request->lock_ttl = LOCK_TTL_MS;
	request->txn_size = n;
	response = call_store(client, "/tikvpb.Tikv/KvPrewrite", request,
						  &kvrpcpb__prewrite_response__descriptor);
	if (response->min_commit_ts != 0)
		printf("%llu\n", (unsigned long long) response->min_commit_ts);
	if (response->one_pc_commit_ts != 0)
		printf("%llu\n", (unsigned long long) response->one_pc_commit_ts);
	return outcome(response->region_error,
				   response->n_errors > 0 ? response->errors[0] : NULL);
}

static int
prewrite_one(Client *client, Kvrpcpb__PrewriteRequest *request, char **argv,
			 char *primary)
{
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__Mutation *mutations = &mutation;

	mutation.key = binary(argv[2]);
	mutation.value = binary(argv[3]);
	request->start_version = number(argv[1]);
	request->primary_lock = binary(primary);
	return send_prewrite(client, request, &mutations, 1);
}

static int
prewrite(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrewriteRequest request = KVRPCPB__PREWRITE_REQUEST__INIT;

	request.context = context;
	return prewrite_one(client, &request, argv, argv[2]);
}

static int
prewrite_one_pc(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrewriteRequest request = KVRPCPB__PREWRITE_REQUEST__INIT;

	request.context = context;
	request.try_one_pc = true;
	return prewrite_one(client, &request, argv, argv[2]);
}

static int
prewrite_under(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrewriteRequest request = KVRPCPB__PREWRITE_REQUEST__INIT;

	request.context = context;
	return prewrite_one(client, &request, argv, argv[4]);
}

static int
prewrite_locked(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrewriteRequest request = KVRPCPB__PREWRITE_REQUEST__INIT;
	Kvrpcpb__PrewriteRequest__PessimisticAction action =
		KVRPCPB__PREWRITE_REQUEST__PESSIMISTIC_ACTION__DO_PESSIMISTIC_CHECK;

	request.context = context;
	request.for_update_ts = number(argv[4]);
	request.pessimistic_actions = &action;
	request.n_pessimistic_actions = 1;
	return prewrite_one(client, &request, argv, argv[2]);
}

#define MAX_SECONDARIES 16

static int
prewrite_async(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrewriteRequest request = KVRPCPB__PREWRITE_REQUEST__INIT;
	ProtobufCBinaryData secondaries[MAX_SECONDARIES];

	request.context = context;
	request.use_async_commit = true;
	request.secondaries = secondaries;
	for (char *key = strtok(argv[5], ",");
		 key != NULL && request.n_secondaries < MAX_SECONDARIES;
		 key = strtok(NULL, ","))
		secondaries[request.n_secondaries++] = binary(key);
	return prewrite_one(client, &request, argv, argv[4]);
}

/* One request, whose primary is the first key. */
static int
prewrite_many(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrewriteRequest request = KVRPCPB__PREWRITE_REQUEST__INIT;
	size_t n = number(argv[3]);
	Kvrpcpb__Mutation *mutations = calloc(n + 1, sizeof(*mutations));
	Kvrpcpb__Mutation **list = calloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++)
	{
		char *key;

		if (asprintf(&key, "%s%05zu", argv[2], i) < 0)
			die("no memory");
		kvrpcpb__mutation__init(&mutations[i]);
		mutations[i].key = binary(key);
		mutations[i].value = binary(argv[4]);
		list[i] = &mutations[i];
	}
	request.context = context;
	request.start_version = number(argv[1]);
	request.primary_lock = mutations[0].key;
	return send_prewrite(client, &request, list, n);
}

static int
resolve(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__ResolveLockRequest request = KVRPCPB__RESOLVE_LOCK_REQUEST__INIT;
	Kvrpcpb__ResolveLockResponse *response;

	request.context = context;
	request.start_version = number(argv[1]);
	request.commit_version = number(argv[2]);
	response = call_store(client, "/tikvpb.Tikv/KvResolveLock", &request,
						  &kvrpcpb__resolve_lock_response__descriptor);
	return outcome(response->region_error, response->error);
}

static int
lock_one(Client *client, Kvrpcpb__PessimisticLockRequest *request,
		 Kvrpcpb__Mutation *mutation)
{
	Kvrpcpb__PessimisticLockResponse *response;

	request->mutations = &mutation;
	request->n_mutations = 1;
	request->lock_ttl = LOCK_TTL_MS;
	response = call_store(client, "/tikvpb.Tikv/KvPessimisticLock", request,
						  &kvrpcpb__pessimistic_lock_response__descriptor);
	return outcome(response->region_error,
				   response->n_errors > 0 ? response->errors[0] : NULL);
}

static int
lock(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PessimisticLockRequest request =
		KVRPCPB__PESSIMISTIC_LOCK_REQUEST__INIT;
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;

	mutation.op = KVRPCPB__OP__PessimisticLock;
	mutation.key = binary(argv[4]);
	request.context = context;
	request.start_version = number(argv[1]);
	request.for_update_ts = number(argv[2]);
	request.wait_timeout = (int64_t) strtoll(argv[3], NULL, 10);
	request.primary_lock = mutation.key;
	return lock_one(client, &request, &mutation);
}

static int
lock_shared(Client *client, Kvrpcpb__Context *context, char **argv)
{
	uint64_t start_ts = number(argv[1]);
	uint64_t n = number(argv[2]);
	int answer = 0;

	for (uint64_t ts = start_ts; ts < start_ts + n && answer == 0; ts++)
	{
		Kvrpcpb__PessimisticLockRequest request =
			KVRPCPB__PESSIMISTIC_LOCK_REQUEST__INIT;
		Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;

		mutation.op = KVRPCPB__OP__SharedPessimisticLock;
		mutation.key = binary(argv[3]);
		request.context = context;
		request.start_version = request.for_update_ts = ts;
		request.wait_timeout = -1;
		request.primary_lock = binary(argv[4]);
		answer = lock_one(client, &request, &mutation);
	}
	return answer;
}

static int
commit(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__CommitRequest request = KVRPCPB__COMMIT_REQUEST__INIT;
	ProtobufCBinaryData key = binary(argv[3]);
	Kvrpcpb__CommitResponse *response;

	request.context = context;
	request.start_version = number(argv[1]);
	request.commit_version = number(argv[2]);
	request.keys = &key;
	request.n_keys = 1;
	response = call_store(client, "/tikvpb.Tikv/KvCommit", &request,
						  &kvrpcpb__commit_response__descriptor);
	return outcome(response->region_error, response->error);
}

static int
roll_back(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__BatchRollbackRequest request =
		KVRPCPB__BATCH_ROLLBACK_REQUEST__INIT;
	ProtobufCBinaryData key = binary(argv[2]);
	Kvrpcpb__BatchRollbackResponse *response;

	request.context = context;
	request.start_version = number(argv[1]);
	request.keys = &key;
	request.n_keys = 1;
	response = call_store(client, "/tikvpb.Tikv/KvBatchRollback", &request,
						  &kvrpcpb__batch_rollback_response__descriptor);
	return outcome(response->region_error, response->error);
}

static int
delete_range(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__DeleteRangeRequest request = KVRPCPB__DELETE_RANGE_REQUEST__INIT;
	Kvrpcpb__DeleteRangeResponse *response;

	request.context = context;
	request.start_key = binary(argv[1]);
	request.end_key = binary(argv[2]);
	response = call_store(client, "/tikvpb.Tikv/KvDeleteRange", &request,
						  &kvrpcpb__delete_range_response__descriptor);
	return text_outcome(response->region_error, response->error);
}

static int
destroy_range(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__UnsafeDestroyRangeRequest request =
		KVRPCPB__UNSAFE_DESTROY_RANGE_REQUEST__INIT;
	Kvrpcpb__UnsafeDestroyRangeResponse *response;

	request.context = context;
	request.start_key = binary(argv[1]);
	request.end_key = binary(argv[2]);
	response = call_store(client, "/tikvpb.Tikv/UnsafeDestroyRange", &request,
						  &kvrpcpb__unsafe_destroy_range_response__descriptor);
	return text_outcome(response->region_error, response->error);
}

static int
prepare_flashback(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__PrepareFlashbackToVersionRequest request =
		KVRPCPB__PREPARE_FLASHBACK_TO_VERSION_REQUEST__INIT;
	Kvrpcpb__PrepareFlashbackToVersionResponse *response;

	request.context = context;
	request.start_ts = number(argv[1]);
	request.version = number(argv[2]);
	request.start_key = binary(argv[3]);
	request.end_key = binary(argv[4]);
	response =
		call_store(client, "/tikvpb.Tikv/KvPrepareFlashbackToVersion", &request,
				   &kvrpcpb__prepare_flashback_to_version_response__descriptor);
	return text_outcome(response->region_error, response->error);
}

static int
flash_back(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__FlashbackToVersionRequest request =
		KVRPCPB__FLASHBACK_TO_VERSION_REQUEST__INIT;
	Kvrpcpb__FlashbackToVersionResponse *response;

	request.context = context;
	request.start_ts = number(argv[1]);
	request.commit_ts = number(argv[2]);
	request.version = number(argv[3]);
	request.start_key = binary(argv[4]);
	request.end_key = binary(argv[5]);
	response = call_store(client, "/tikvpb.Tikv/KvFlashbackToVersion", &request,
						  &kvrpcpb__flashback_to_version_response__descriptor);
	return text_outcome(response->region_error, response->error);
}

static int
split(Client *client, Kvrpcpb__Context *context, char **argv)
{
	Kvrpcpb__SplitRegionRequest request = KVRPCPB__SPLIT_REGION_REQUEST__INIT;
	Kvrpcpb__SplitRegionResponse *response;
	ProtobufCBinaryData keys[1] = {binary(argv[1])};

	request.context = context;
	request.split_keys = keys;
	request.n_split_keys = 1;
	response = call_store(client, "/tikvpb.Tikv/SplitRegion", &request,
						  &kvrpcpb__split_region_response__descriptor);
	if (response->region_error != NULL)
		return region_error(response->region_error);
	for (size_t i = 0; i < response->n_regions; i++)
		printf("%llu\n", (unsigned long long) response->regions[i]->id);
	return 0;
}

/* Regions of transactional keys are bounded by encoded ones. */
static ProtobufCBinaryData
encoded(ProtobufCBinaryData key)
{
	size_t groups = key.len / 8 + 1;
	ProtobufCBinaryData out = {.len = groups * 9, .data = calloc(groups, 9)};

	for (size_t i = 0; i < groups; i++)
	{
		size_t n = key.len - i * 8 < 8 ? key.len - i * 8 : 8;

		if (n > 0)
			memcpy(out.data + i * 9, key.data + i * 8, n);
		out.data[i * 9 + 8] = (uint8_t) (0xff - (8 - n));
	}
	return out;
}

/* Of all stores that one, in its own time. */
static void
wait_for_line(Client *client, Pdpb__GetRegionResponse *found, uint64_t store)
{
	const Metapb__Region *region = found->region;
	int c;

	connect_store(client, store);
	for (size_t i = 0; i < region->n_peers; i++)
		if (region->peers[i]->store_id == store)
			found->leader = region->peers[i];
	if (found->leader->store_id != store)
		die("no peer of the region is at store %llu",
			(unsigned long long) store);
	puts("ready");
	fflush(stdout);
	do
		c = getchar();
	while (c != '\n' && c != EOF);
}

/* --------------------------------------------------------------- the table */

typedef struct Verb
{
	const char *name;
	int n_arguments;
	int key; /* which of them lies in the region, from 1 */
	int (*run)(Client *client, Kvrpcpb__Context *context, char **argv);
} Verb;

static const Verb verbs[] = {
	{"get", 2, 2, get},
	{"scan", 3, 2, scan},
	{"prewrite", 3, 2, prewrite},
	{"prewrite-under", 4, 2, prewrite_under},
	{"prewrite-one-pc", 3, 2, prewrite_one_pc},
	{"prewrite-locked", 4, 2, prewrite_locked},
	{"prewrite-many", 4, 2, prewrite_many},
	{"prewrite-async", 5, 2, prewrite_async},
	{"resolve", 3, 3, resolve},
	{"lock", 4, 4, lock},
	{"lock-shared", 4, 3, lock_shared},
	{"commit", 3, 3, commit},
	{"rollback", 2, 2, roll_back},
	{"split", 1, 1, split},
	{"delete-range", 2, 1, delete_range},
	{"destroy-range", 2, 1, destroy_range},
	{"prepare-flashback", 4, 3, prepare_flashback},
	{"flashback", 5, 4, flash_back},
};

int
main(int argc, char **argv)
{
	Client client = {0};
	Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;
	const Verb *verb = NULL;
	int exit_status = 0;

	for (size_t i = 0; argc > 3 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[3], verbs[i].name) == 0 &&
			argc == 4 + verbs[i].n_arguments)
			verb = &verbs[i];
	if (argc < 4 || strcmp(argv[1], "--pd") != 0 ||
		(verb == NULL && strcmp(argv[3], "ts") != 0))
		die("bad usage, see the head of txnctl.c");
	grpc_init();
	client.queue = grpc_completion_queue_create_for_next(NULL);
	client.pd = open_channel(argv[2]);
	fetch_cluster_id(&client);
	if (verb == NULL)
		printf("%llu\n", (unsigned long long) take_timestamps(&client, 1));
	else
	{
		Pdpb__GetRegionResponse *found =
			find_region(&client, encoded(binary(argv[3 + verb->key])));

		if (getenv("TXNCTL_STORE") != NULL)
			wait_for_line(&client, found, number(getenv("TXNCTL_STORE")));
		fill_context(&context, found);
		context.replica_read = getenv("TXNCTL_REPLICA") != NULL;
		exit_status = verb->run(&client, &context, argv + 3);
	}
	fflush(stdout);

	/* The process ends here; tearing gRPC down would only cost time. */
	_exit(exit_status);
}
