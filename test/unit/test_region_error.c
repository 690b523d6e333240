/*
 * test_region_error.c
 *	  Every region error as clients see it: one variant, its fields, a text
 *	  (client-contract 2.5).
 */
#include "errorpb.pb-c.h"
#include "raw_fixture.h"

static const Region region = {.id = 5,
							  .start_key = {(const uint8_t *) "a", 1},
							  .end_key = {(const uint8_t *) "m", 1},
							  .epoch = {3, 4},
							  .n_peers = 1,
							  .peers = {{.id = 7, .store_id = 8}}};

/* The answer of a RawGet that met the error. */
static const Errorpb__Error *
answer_of(const RegionError *error)
{
	Kvrpcpb__RawGetRequest get = KVRPCPB__RAW_GET_REQUEST__INIT;
	Request request = request_of(METHOD_RAW_GET, &get.base);
	Kvrpcpb__RawGetResponse *response;

	service_region_error(&request, error);
	response = reply();
	if (answers != 1 || response == NULL)
		return NULL;
	OK(response->value.len == 0 && !response->not_found &&
		   response->error[0] == '\0',
	   "nothing else is in the answer");
	return response->region_error;
}

static RegionError
some_error(RegionErrorKind kind)
{
	RegionError error = {.kind = kind,
						 .region_id = 5,
						 .expected = 11,
						 .actual = 12,
						 .leader = {.id = 7, .store_id = 8},
						 .key = bytes_cstr("k"),
						 .current = &region,
						 .reason = "why",
						 .backoff_ms = 100};

	return error;
}

/* The name of the one variant that is set; "" for none, NULL for several. */
static const char *
variant(const Errorpb__Error *error)
{
	const ProtobufCMessageDescriptor *type = error->base.descriptor;
	const char *found = "";

	for (unsigned int i = 0; i < type->n_fields; i++)
	{
		const ProtobufCFieldDescriptor *field = &type->fields[i];

		if (field->type != PROTOBUF_C_TYPE_MESSAGE ||
			*(void *const *) ((const uint8_t *) error + field->offset) == NULL)
			continue;
		if (found[0] != '\0')
			return NULL;
		found = field->name;
	}
	return found;
}

static void
test_variants(void)
{
	static const struct
	{
		RegionErrorKind kind;
		const char *name;
	} table[] = {
		{REGION_NOT_LEADER, "not_leader"},
		{REGION_NOT_FOUND, "region_not_found"},
		{REGION_KEY_NOT_IN_REGION, "key_not_in_region"},
		{REGION_EPOCH_NOT_MATCH, "epoch_not_match"},
		{REGION_SERVER_IS_BUSY, "server_is_busy"},
		{REGION_STALE_COMMAND, "stale_command"},
		{REGION_UNDETERMINED, "undetermined_result"},
		{REGION_STORE_NOT_MATCH, "store_not_match"},
		{REGION_ENTRY_TOO_LARGE, "raft_entry_too_large"},
		{REGION_DISK_FULL, "disk_full"},
		{REGION_MISMATCH_PEER_ID, "mismatch_peer_id"},
		{REGION_READ_INDEX_NOT_READY, "read_index_not_ready"},
		{REGION_DATA_IS_NOT_READY, "data_is_not_ready"},
		{REGION_MAX_TS_NOT_SYNCED, "max_timestamp_not_synced"},
		{REGION_FLASHBACK_IN_PROGRESS, "FlashbackInProgress"},
		{REGION_FLASHBACK_NOT_PREPARED, "FlashbackNotPrepared"},
		{REGION_MESSAGE_ONLY, ""},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		RegionError error = some_error(table[i].kind);
		const Errorpb__Error *got = answer_of(&error);
		const char *name = got == NULL ? NULL : variant(got);

		EQ_STR(name == NULL ? "several" : name, table[i].name,
			   "one variant, the right one");
		OK(got != NULL && got->message[0] != '\0', "with a text for people");
	}
}

static void
test_leaders(void)
{
	RegionError error = some_error(REGION_NOT_LEADER);
	const Errorpb__NotLeader *got = answer_of(&error)->not_leader;

	OK(got->region_id == 5 && got->leader != NULL && got->leader->id == 7 &&
		   got->leader->store_id == 8,
	   "who leads is a hint");
	error.leader.id = 0;
	got = answer_of(&error)->not_leader;
	OK(got->region_id == 5 && got->leader == NULL, "nobody is none");
}

static void
test_bounds(void)
{
	RegionError error = some_error(REGION_KEY_NOT_IN_REGION);
	const Errorpb__KeyNotInRegion *key = answer_of(&error)->key_not_in_region;
	const Errorpb__EpochNotMatch *epoch;

	OK(key->region_id == 5 && key->key.len == 1 && key->key.data[0] == 'k' &&
		   key->start_key.data[0] == 'a' && key->end_key.data[0] == 'm',
	   "the key and the bounds it is not in");
	error.kind = REGION_EPOCH_NOT_MATCH;
	epoch = answer_of(&error)->epoch_not_match;
	OK(epoch->n_current_regions == 1 && epoch->current_regions[0]->id == 5 &&
		   epoch->current_regions[0]->region_epoch->conf_ver == 3 &&
		   epoch->current_regions[0]->region_epoch->version == 4 &&
		   epoch->current_regions[0]->n_peers == 1 &&
		   epoch->current_regions[0]->peers[0]->store_id == 8,
	   "the region as it is");
}

static void
test_numbers(void)
{
	RegionError error = some_error(REGION_STORE_NOT_MATCH);
	const Errorpb__Error *got = answer_of(&error);

	OK(got->store_not_match->request_store_id == 11 &&
		   got->store_not_match->actual_store_id == 12,
	   "both stores");
	error.kind = REGION_MISMATCH_PEER_ID;
	got = answer_of(&error);
	OK(got->mismatch_peer_id->request_peer_id == 11 &&
		   got->mismatch_peer_id->store_peer_id == 12,
	   "both peers");
	error.kind = REGION_ENTRY_TOO_LARGE;
	got = answer_of(&error);
	OK(got->raft_entry_too_large->region_id == 5 &&
		   got->raft_entry_too_large->entry_size == 12,
	   "the entry's size");
	error.kind = REGION_DATA_IS_NOT_READY;
	got = answer_of(&error);
	OK(got->data_is_not_ready->region_id == 5 &&
		   got->data_is_not_ready->peer_id == 11 &&
		   got->data_is_not_ready->safe_ts == 12,
	   "how far the data is");
	error.kind = REGION_FLASHBACK_IN_PROGRESS;
	got = answer_of(&error);
	OK(got->flashbackinprogress->region_id == 5 &&
		   got->flashbackinprogress->flashback_start_ts == 12,
	   "which flashback");
}

static void
test_reasons(void)
{
	RegionError error = some_error(REGION_SERVER_IS_BUSY);
	const Errorpb__Error *got = answer_of(&error);

	EQ_STR(got->server_is_busy->reason, "why", "why it is busy");
	EQ_U64(got->server_is_busy->backoff_ms, 100, "for how long, about");
	error.kind = REGION_DISK_FULL;
	got = answer_of(&error);
	OK(got->disk_full->n_store_id == 1 && got->disk_full->store_id[0] == 12 &&
		   strcmp(got->disk_full->reason, "why") == 0,
	   "whose disk is full");
	error.stores = (const uint64_t[]){4, 5};
	error.n_stores = 2;
	got = answer_of(&error);
	OK(got->disk_full->n_store_id == 2 && got->disk_full->store_id[0] == 4 &&
		   got->disk_full->store_id[1] == 5,
	   "whose disks are");
	error.kind = REGION_READ_INDEX_NOT_READY;
	got = answer_of(&error);
	OK(got->read_index_not_ready->region_id == 5 &&
		   strcmp(got->read_index_not_ready->reason, "why") == 0,
	   "why a read cannot go on");
	error.kind = REGION_MESSAGE_ONLY;
	EQ_STR(answer_of(&error)->message, "why", "only words");
}

int
main(void)
{
	arena_init(&arena);
	(void) array;
	test_variants();
	test_leaders();
	test_bounds();
	test_numbers();
	test_reasons();
	arena_free(&arena);
	return unit_done();
}
