/*
 * fuzz_reply.c
 *	  What other stores and PD answer to this node, where it is a client:
 *	  responses to the commands of transactions, and regions.
 *
 * What an answer is made of is read once, to its last byte.
 */
#include "messages.h"

#include "pdpb.pb-c.h"
#include "service/txn_client.h"

/* Every byte, so that the sanitizer sees one that is not there. */
static uint64_t seen;

static void
see(Bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		seen += b.data[i];
}

static void
see_text(const char *text)
{
	if (text != NULL)
		seen += strlen(text);
}

static void
see_lock(const Lock *lock)
{
	see(lock->primary);
	for (size_t i = 0; i < lock->n_secondaries; i++)
		see(lock->secondaries[i]);
	for (size_t i = 0; i < lock->n_members; i++)
		see_lock(&lock->members[i]);
}

static void
see_lock_info(const LockInfo *info)
{
	see(info->key);
	see_lock(&info->lock);
}

static void
see_error(const TxnError *error)
{
	CHECK(error->kind != TXN_OK);
	see(error->key);
	see(error->primary);
	see_text(error->text);
	see_lock_info(&error->lock);
	for (size_t i = 0; i < error->n_wait_chain; i++)
	{
		see(error->wait_chain[i].key);
		see(error->wait_chain[i].resource_group_tag);
	}
}

static void
see_region(const Region *region)
{
	CHECK(region->n_peers <= REGION_MAX_PEERS);
	see(region->start_key);
	see(region->end_key);
}

static void
see_reply(const ClientReply *reply)
{
	const TxnAnswer *answer = &reply->answer;

	see_text(reply->text);
	for (size_t i = 0; i < reply->n_current; i++)
		see_region(&reply->current[i]);
	for (size_t i = 0; i < answer->n_errors; i++)
		see_error(&answer->errors[i]);
	if (answer->has_lock)
		see_lock_info(&answer->lock);
	for (size_t i = 0; i < answer->n_locks; i++)
		see_lock_info(&answer->locks[i]);
	for (size_t i = 0; i < answer->n_results; i++)
		see(answer->results[i].value);
}

/* ---- decoders ---- */

static const TxnCommandKind kinds[] = {TXN_CMD_PREWRITE,
									   TXN_CMD_COMMIT,
									   TXN_CMD_BATCH_ROLLBACK,
									   TXN_CMD_CHECK_TXN_STATUS,
									   TXN_CMD_CHECK_SECONDARY_LOCKS,
									   TXN_CMD_RESOLVE_LOCK,
									   TXN_CMD_TXN_HEART_BEAT,
									   TXN_CMD_PESSIMISTIC_LOCK,
									   TXN_CMD_PESSIMISTIC_ROLLBACK};

#define N_KINDS ((int) (sizeof(kinds) / sizeof(kinds[0])))

/* A byte for the command, one for how many keys it has, the response. */
static void
response(Bytes bytes, Arena *arena)
{
	FuzzInput in = fuzz_input(bytes.data, bytes.len);
	TxnCommand command = {.kind = kinds[fuzz_u8(&in) % N_KINDS]};
	size_t n = fuzz_u8(&in) % 5;
	ClientReply reply;

	if (command.kind == TXN_CMD_PESSIMISTIC_LOCK)
		command.pessimistic_lock.n_mutations = n;
	if (txn_client_reply(&command, fuzz_rest(&in), arena, &reply))
		see_reply(&reply);
}

/* As the region cache takes what PD knows. */
static void
region(Bytes bytes, Arena *arena)
{
	const Pdpb__GetRegionResponse *answer =
		(const void *) service_unpack(&pdpb__get_region_response__descriptor,
									  bytes, arena);
	Region to;

	if (answer == NULL)
		return;
	if (answer->region != NULL)
	{
		txn_client_region(answer->region, &to);
		see_region(&to);
	}
	seen += txn_client_peer(answer->leader).id;
}

static const FuzzDecoder decoders[] = {response, region};

#define N_DECODERS (sizeof(decoders) / sizeof(decoders[0]))

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode(decoders, N_DECODERS, data, size);
	return 0;
}

/* ------------------------------------------------------------------- seeds */

/* As if it had not been set: a message, or a list. */
static void
forget_field(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
														name);
	uint8_t *base = (uint8_t *) message;

	if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE)
		return;
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		*(size_t *) (base + field->quantifier_offset) = 0;
	else
		*(void **) (base + field->offset) = NULL;
}

static Bytes
packed_message(const ProtobufCMessage *message, Arena *arena)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = arena_alloc(arena, len);

	protobuf_c_message_pack(message, bytes);
	return bytes_make(bytes, len);
}

/* Each response with all errors, without that of the region, without any. */
static void
seed_responses(Arena *arena)
{
	Example example = {.arena = arena, .n_repeated = 2};

	for (int kind = 0; kind < N_KINDS; kind++)
	{
		const ProtobufCMessageDescriptor *type =
			service_method(txn_client_method(kinds[kind]))->response;

		for (int without = 0; without < 3; without++)
		{
			static const char *const fields[] = {"region_error", "error",
												 "errors"};
			ProtobufCMessage *message = example_message(&example, type, 0);
			FuzzSeed seed = {0};
			Bytes packed;

			for (int i = 0; i < (without < 2 ? without : 3); i++)
				forget_field(message, fields[i]);
			packed = packed_message(message, arena);
			seed_u8(&seed, 0);
			seed_u8(&seed, kind);
			seed_u8(&seed, 2);
			seed_add(&seed, packed.data, packed.len);
			fuzz_seed(&seed);
		}
	}
}

static void
write_seeds(void)
{
	Arena arena;
	Example example = {.arena = &arena, .n_repeated = 2};

	arena_init(&arena);
	seed_responses(&arena);
	fuzz_seed_for(1,
				  example_packed(&example,
								 &pdpb__get_region_response__descriptor));
	arena_free(&arena);
}
